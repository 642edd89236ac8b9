"""The table of streams and seed ranges: nothing draws what something else draws, and meeting a range is said."""

import itertools
from pathlib import Path

import pytest

import attacks.noise
import reports
from microbench.seeds import (
    ADVERSARY_CHOICE,
    CRITIC,
    CRITIC_STEP,
    LARGEST,
    LAST_CRITIC_SEED,
    RESERVED,
    ROLLOUT_STD,
    TRAINING_EVALUATION,
    Stream,
    met,
)
from tests.microbench.checkpoints.foreign_files import write
from tests.microbench.checkpoints.foreign_table import FILES
from tests.microbench.small_run import Shell, policy_bytes


def test_no_seed_is_in_two_ranges() -> None:
    for one, other in itertools.combinations(RESERVED.values(), 2):
        assert one.stop <= other.start or other.stop <= one.start
    assert all(0 < seeds.start < seeds.stop < LARGEST for seeds in RESERVED.values())


def test_results_can_hold_the_last_seed_of_every_evaluation() -> None:
    assert LARGEST + 2 * 1_000_000 < 2**63


def test_streams_of_one_episode_differ_and_the_leaf_has_its_own() -> None:
    assert attacks.noise.STREAM == Stream.ATTACK
    assert len({Stream.ATTACK, Stream.DISTURBANCE, Stream.PROBE}) == 3
    assert len({Stream.ATTACK, Stream.DISTURBANCE, Stream.FACTORS}) == 3


def test_critics_of_every_seed_have_episodes_of_their_own() -> None:
    """10,000 for fitting at most, and 20 half a step later for judging."""
    for seed in (0, 1, LAST_CRITIC_SEED):
        first = CRITIC_STEP * (seed + 1)
        assert first in CRITIC
        assert first + CRITIC_STEP - 1 in CRITIC


@pytest.mark.parametrize(
    ("first", "episodes", "uses"),
    [
        (0, 10_000, []),
        (0, 10_001, ["those that training watches"]),
        (19_999, 1, ["those that training watches"]),
        (20_000, 1_000, []),
        (999_999, 2, ["those that critics are fitted to and judged by"]),
        (ADVERSARY_CHOICE.stop, 5, []),
        (ROLLOUT_STD.stop - 1, 5, ["those in which rollout-std is measured"]),
        (2**31 - 1, 2, list(RESERVED)[1:3]),
    ],
)
def test_ranges_that_are_met(first: int, episodes: int, uses: list[str]) -> None:
    assert met(first, episodes) == uses


def test_an_evaluation_on_episodes_that_training_watched_is_told(
    tmp_path: Path, shell: Shell, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reports, "write_report", lambda *_: {}, raising=False)
    monkeypatch.chdir(tmp_path)
    Path("own.safetensors").write_bytes(policy_bytes())
    write(Path("foreign.zip"), FILES["sb3-td3.zip"]())
    line = ("--eps", "0.1", "--attack", "random", "--episodes", "2", "--workers", "1", "--env", "Hopper-v4", "--seed")
    sentence = "some of the episodes from --seed {} on are those that training watches"
    for seed, policy, is_told in (
        (TRAINING_EVALUATION.start, "own.safetensors", True),
        (TRAINING_EVALUATION.start - 1, "own.safetensors", True),
        (0, "own.safetensors", False),
        (TRAINING_EVALUATION.start, "foreign.zip", False),
    ):
        done = shell("attack", policy, *line, seed, "--out", f"{policy}-{seed}")
        assert done.code == 0, done.err
        assert (sentence.format(seed) in done.err) is is_told
