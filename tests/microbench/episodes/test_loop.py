"""The episode loop on scripted worlds: what is counted, what is attacked, and what ends a row."""

import math
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from torch import Tensor
from torch.distributions import Normal

from attacks import ATTACKS, Noise, Target, Threat
from microbench.episodes import loop
from microbench.episodes.loop import deterministic_action, run_episodes
from microbench.learning.networks import Actor
from microbench.numerics.rows import one_thread
from tests.microbench.episodes.scripted import Scripted, Spy, real_target


def target(policy: Any = None) -> Target:
    return Target(policy=policy or Spy(), obs_scale={})


def threat(rows: int, eps: float = 0.5) -> Threat:
    return Threat(eps=torch.full((rows, 1), eps), scale=torch.ones(2))


def test_returns_and_lengths_by_hand() -> None:
    world = Scripted([3, 1, 2])
    done = run_episodes(target(), world, [10, 20, 30])
    assert done.returns == pytest.approx([3 * 10.1, 20.2, 2 * 30.3])
    assert done.lengths.tolist() == [3, 1, 2]
    assert done.flags == ((), (), ())
    assert [rows for rows, _ in world.steps] == [[0, 1, 2], [0, 2], [0]]


def test_every_episode_resets_exactly_once() -> None:
    world = Scripted([3, 1, 2])
    run_episodes(target(), world, [10, 20, 30], ATTACKS["random"], threat(3))
    assert world.resets == [[10, 20, 30]]


def test_actions_are_cut_to_the_box() -> None:
    world = Scripted([1, 1, 1])
    run_episodes(target(lambda obs: obs[:, :1] - 7), world, [0, 14, 7])
    assert world.steps == [([0, 1, 2], [-1, 1, 0])]


@pytest.mark.parametrize("name", ["random", "pgd"])
def test_the_first_observation_of_an_episode_is_attacked(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every observation that an action is taken on lies off the true one, that of `reset` included."""
    acted: list[Tensor] = []

    def act(policy: Any, obs: Tensor) -> NDArray[np.float32]:
        acted.append(obs)
        return deterministic_action(policy, obs)

    monkeypatch.setattr(loop, "deterministic_action", act)
    run_episodes(target(lambda obs: 0.01 * obs.sum(-1, keepdim=True)), Scripted([4]), [5], ATTACKS[name], threat(1))
    assert len(acted) == 4
    for t, seen in enumerate(acted):
        assert 0 < (seen - torch.tensor([[5.0, t]])).abs().max() <= 0.5


def test_the_policy_sees_the_attack_and_the_world_does_not() -> None:
    policy, world = Spy(), Scripted([2, 2])
    done = run_episodes(target(policy), world, [10, 20], lambda t, obs, threat, noise: obs + 0.25, threat(2))
    _, _, *acted = policy.shown  # the first two calls ask whether it is deterministic
    assert acted[0][:2].tolist() == [[10.25, 0.25], [20.25, 0.25]]
    assert acted[1][:2].tolist() == [[10.25, 1.25], [20.25, 1.25]]
    assert done.returns == pytest.approx([2 * 10.1025, 2 * 20.2025])


def test_a_cheating_attack_is_put_back_into_the_budget() -> None:
    policy = Spy()
    run_episodes(target(policy), Scripted([1]), [10], lambda t, obs, threat, noise: obs + 100, threat(1))
    assert policy.shown[-1][0].tolist() == [10.5, 0.5]


def test_an_attack_that_writes_into_its_input_moves_nothing() -> None:
    policy, world = Spy(), Scripted([2])
    run_episodes(target(policy), world, [10], lambda t, obs, threat, noise: obs.add_(100), threat(1))
    assert [shown[0].tolist() for shown in policy.shown[2:]] == [[10.5, 0.5], [10.5, 1.5]]


@pytest.mark.parametrize("wrong", [lambda obs: obs[:, :1], lambda obs: obs.numpy(), lambda obs: obs * math.nan])
def test_an_attack_that_returns_no_observation_is_told(wrong: Any) -> None:
    with pytest.raises(ValueError, match=r"[Aa]n? attack|The attack"):
        run_episodes(target(), Scripted([2]), [10], lambda t, obs, threat, noise: wrong(obs), threat(1))


def test_eps_0_is_the_clean_run_bit_for_bit() -> None:
    clean = run_episodes(target(), Scripted([3, 5]), [1, 2])
    whole = Target(
        policy=Spy(),
        critic=lambda obs, action: action.sum(-1),
        critics=lambda obs, action: torch.stack([action.sum(-1), 2 * action.sum(-1)]),
        state_value=lambda obs: obs.sum(-1),
        distribution=lambda obs: Normal(obs[:, :1], torch.ones(len(obs), 1)),
        obs_scale={},
        obs_bounds=(torch.zeros(2), torch.ones(2)),  # the observations lie beyond them
        action_box=(-torch.ones(1), torch.ones(1)),
    )
    for attack in ATTACKS.values():
        done = run_episodes(whole, Scripted([3, 5]), [1, 2], attack, threat(2, eps=0.0))
        assert np.array_equal(done.returns, clean.returns)


@given(st.lists(st.integers(1, 6), min_size=1, max_size=12), st.integers(1, 12))
@settings(max_examples=30, deadline=None)
def test_a_row_does_not_depend_on_its_group(lengths: list[int], cut: int) -> None:
    """One group of all rows and groups of `cut` rows give the same returns, with noise that differs per call."""

    def noisy(_: Target, obs: Tensor, __: Threat, noise: Noise) -> Tensor:
        return obs + 0.5 * noise.uniform(2)

    def returns(start: int, stop: int) -> list[float]:
        rows = lengths[start:stop]
        seeds = list(range(start, start + len(rows)))
        return list(run_episodes(target(), Scripted(rows), seeds, noisy, threat(len(rows))).returns)

    pieces = [returns(start, start + cut) for start in range(0, len(lengths), cut)]
    assert returns(0, len(lengths)) == [value for piece in pieces for value in piece]


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf, 1e39])  # the last is beyond float32
@pytest.mark.parametrize("attacked", [False, True])
def test_an_observation_that_is_no_number_ends_its_row(bad: float, attacked: bool) -> None:
    world = Scripted([4, 4, 4], obs_at={(0, 0): bad, (1, 2): bad})
    attack = {"attack": ATTACKS["random"], "threat": threat(3, eps=0.0)} if attacked else {}
    done = run_episodes(target(), world, [10, 20, 30], **attack)  # type: ignore[arg-type]  # one of two shapes
    assert done.flags == (("nan-observation",), ("nan-observation",), ())
    assert done.lengths.tolist() == [0, 2, 4]
    assert done.returns == pytest.approx([0, 2 * 20.2, 4 * 30.3])


@pytest.mark.parametrize("bad", [math.nan, math.inf])
def test_a_reward_that_is_no_number_ends_its_row(bad: float) -> None:
    world = Scripted([4, 2], reward_at={(0, 2): bad, (1, 2): bad})  # the second in its last step
    done = run_episodes(target(), world, [10, 20])
    assert done.flags == (("nan-observation",),) * 2
    assert done.lengths.tolist() == [2, 2]
    assert done.returns == pytest.approx([10.1, 20.2])


@pytest.mark.parametrize("bad", [math.nan, math.inf])
def test_an_action_that_is_no_number_ends_its_row(bad: float) -> None:
    """Row 1 at its second step, row 2 at its first; row 0 goes on."""

    def policy(obs: Tensor) -> Tensor:
        lost = ((obs[:, 0] == 20) & (obs[:, 1] == 1)) | (obs[:, 0] == 30)
        return torch.where(lost[:, None], bad, 0.01 * obs[:, :1])

    world = Scripted([3, 3, 3])
    done = run_episodes(target(policy), world, [10, 20, 30])
    assert done.flags == ((), ("nan-action",), ("nan-action",))
    assert done.lengths.tolist() == [3, 1, 0]
    assert done.returns == pytest.approx([3 * 10.1, 20.2, 0])
    assert [rows for rows, _ in world.steps] == [[0, 1], [0], [0]]


def test_all_rows_may_be_lost_at_once() -> None:
    done = run_episodes(target(lambda obs: obs[:, :1] * math.nan), Scripted([3, 3]), [1, 2])
    assert done.flags == (("nan-action",),) * 2
    assert done.lengths.tolist() == [0, 0]


def test_unstable_physics_are_flagged() -> None:
    assert run_episodes(target(), Scripted([1, 1], broken=[1]), [1, 2]).flags == ((), ("unstable-physics",))


def test_a_stochastic_policy_is_flagged() -> None:
    generator = torch.Generator().manual_seed(0)

    def dice(obs: Tensor) -> Tensor:
        return torch.rand(len(obs), 1, generator=generator)

    assert run_episodes(target(dice), Scripted([1, 1]), [1, 2]).flags == (("stochastic-policy",),) * 2


@pytest.mark.parametrize(("hidden", "sizes"), [((16, 16), (4, 1)), ((64, 64), (17, 6)), ((256, 256), (11, 3))])
def test_actions_do_not_depend_on_the_grouping(hidden: tuple[int, ...], sizes: tuple[int, int]) -> None:
    """Without padding to whole blocks this fails: 14 rows through layers of 16 units differ in their last bits."""
    actor = Actor(*sizes, hidden, generator=torch.Generator().manual_seed(0)).requires_grad_(False)
    obs = torch.randn(200, sizes[0], generator=torch.Generator().manual_seed(1))
    with one_thread():
        together = deterministic_action(actor, obs)
        for rows in (1, 2, 3, 7, 8, 9, 11, 14, 15, 31, 100):
            for start in (0, 3, 200 - rows):
                piece = deterministic_action(actor, obs[start : start + rows])
                assert np.array_equal(piece, together[start : start + rows]), (rows, start)


@pytest.mark.parametrize("name", ATTACKS)
def test_attacks_do_not_depend_on_the_grouping(name: str) -> None:
    """Each row alone, in threes and all together."""
    real = real_target()
    lengths = [5, 2, 7, 3, 4, 6, 1, 5, 5, 2, 4]

    def returns(start: int, stop: int) -> list[float]:
        rows = lengths[start:stop]
        seeds = range(start, start + len(rows))
        return list(run_episodes(real, Scripted(rows), seeds, ATTACKS[name], threat(len(rows))).returns)

    with one_thread():
        together = returns(0, 11)
        for cut in (1, 3):
            assert together == [value for start in range(0, 11, cut) for value in returns(start, start + cut)]
