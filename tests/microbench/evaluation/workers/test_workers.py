"""One process, several or Ray: the same rows; what is killed runs again; what goes wrong in a worker is told."""

import sys
import time
from collections.abc import Generator, Iterator
from pathlib import Path
from typing import Any

import joblib
import pandas as pd
import pytest

from microbench.checkpoints import Checkpoint, Source, reload
from microbench.errors import UserError
from microbench.evaluation import workers as module
from microbench.evaluation.attacked import Conditions
from microbench.evaluation.plan import CLEAN, Cell, Chunk, Episode, plan_episodes
from microbench.evaluation.workers import evaluate_episodes, processes
from microbench.evaluation.workers.rounds import Chunks, Done, WorkersLost, until_all
from tests.microbench.evaluation.workers.work import HOPPER, together, work
from tests.microbench.small_run import policy_bytes, write_policy


@pytest.fixture
def checkpoint(tmp_path: Path) -> Checkpoint:
    processes._load.cache_clear()
    return write_policy(tmp_path / "policy.safetensors")


@pytest.fixture
def expected(checkpoint: Checkpoint) -> pd.DataFrame:
    """The rows of one process."""
    return together(evaluate_episodes(checkpoint, HOPPER, work("random", "pgd", "min-q")))


def test_several_workers_give_the_rows_of_one(checkpoint: Checkpoint, expected: pd.DataFrame) -> None:
    rows = together(evaluate_episodes(checkpoint, HOPPER, work("random", "pgd", "min-q"), 2))
    assert len(rows) == 50
    pd.testing.assert_frame_equal(rows, expected, check_exact=True)


@pytest.mark.usefixtures("workers_here")
@pytest.mark.parametrize("workers", [4, 60])
def test_the_chunks_of_any_number_of_workers_are_those_rows(
    checkpoint: Checkpoint, expected: pd.DataFrame, workers: int
) -> None:
    rows = together(evaluate_episodes(checkpoint, HOPPER, work("random", "pgd", "min-q"), workers))
    pd.testing.assert_frame_equal(rows, expected, check_exact=True)


def test_without_shared_memory_one_process_works_and_says_so(
    checkpoint: Checkpoint, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    alone = together(evaluate_episodes(checkpoint, HOPPER, work("random")))
    monkeypatch.setattr(joblib.parallel, "mp", None)  # what joblib makes of a /dev/shm that cannot be written
    rows = together(evaluate_episodes(checkpoint, HOPPER, work("random"), 2))
    pd.testing.assert_frame_equal(rows, alone, check_exact=True)
    output = capsys.readouterr()
    assert output.err.count("\n") == 1
    assert "no worker processes can be started here" in output.err


def test_one_worker_is_this_process(checkpoint: Checkpoint, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[int] = []

    def spy(loaded: Checkpoint, conditions: Conditions, chunk: Chunk) -> pd.DataFrame:
        assert loaded is checkpoint
        seen.append(len(chunk))
        return pd.DataFrame()

    monkeypatch.setattr(module, "evaluate_chunk", spy)
    finished = evaluate_episodes(checkpoint, HOPPER, work("random"))
    next(finished)
    assert seen == [10]  # each chunk is handed over before the next one runs
    assert [done.number for done in finished] == [1, 2]
    assert seen == [10, 10, 10]
    assert list(evaluate_episodes(checkpoint, HOPPER, [], 4)) == []


def test_weights_are_read_once_per_process(checkpoint: Checkpoint, monkeypatch: pytest.MonkeyPatch) -> None:
    read: list[str] = []

    def counted(source: Source) -> Checkpoint:
        read.append(source.path)
        return reload(source)

    monkeypatch.setattr(processes, "reload", counted)
    for number in range(2):
        processes._evaluate(checkpoint.source, HOPPER, number, tuple(work()[:1]))
    assert read == [str(checkpoint.path)]


def test_a_policy_that_is_replaced_meanwhile_is_noticed(checkpoint: Checkpoint) -> None:
    checkpoint.path.write_bytes(policy_bytes(seed=1))
    with pytest.raises(UserError, match="was replaced while it was evaluated"):
        processes._evaluate(checkpoint.source, HOPPER, 0, tuple(work()[:1]))


def test_errors_of_a_worker_come_through_at_once(checkpoint: Checkpoint) -> None:
    with pytest.raises(ValueError, match="There is no attack 'nobody'"):
        list(evaluate_episodes(checkpoint, HOPPER, work("nobody"), 2))


@pytest.mark.skipif(sys.platform == "win32", reason="no kill -9")
def test_chunks_of_a_killed_worker_run_again(checkpoint: Checkpoint, been_here: Path) -> None:
    episodes = work("tests.microbench.evaluation.workers.work:dies_once", "pgd")
    rows = together(evaluate_episodes(checkpoint, HOPPER, episodes, 2))
    assert been_here.exists()
    pd.testing.assert_frame_equal(rows, together(evaluate_episodes(checkpoint, HOPPER, episodes)), check_exact=True)


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="no kill -9")
def test_a_chunk_that_kills_every_worker_is_told_after_all_others(checkpoint: Checkpoint) -> None:
    finished: list[Done] = []
    with pytest.raises(UserError, match=r"killed 3 times in a row without finishing any of 1 chunks.*memory.*--resume"):
        keep(
            finished,
            evaluate_episodes(checkpoint, HOPPER, work("tests.microbench.evaluation.workers.work:dies", "pgd"), 2),
        )
    assert sorted(done.rows["attack"].iloc[0] for done in finished) == ["none", "none", "pgd"]


def keep(kept: list[Done], finished: Iterator[Done]) -> None:
    """Fill the list one by one, so that it holds what came before an error."""
    for done in finished:
        kept.append(done)


def pieces(count: int) -> list[Chunk]:
    return [(episode,) for episode in plan_episodes([CLEAN], count, seed=0)]


def lossy(rounds: list[list[int]], deadly: int, width: int = 2) -> Any:
    """A pool of `width` workers that breaks when the deadly chunk is among the first, after one step of the others."""

    def run(left: Chunks) -> Generator[Done, None, None]:
        order = list(left)
        rounds.append(order)
        for start in range(0, len(order), width):
            if deadly in order[start : start + width]:
                raise WorkersLost
            for number in order[start : start + width]:
                yield Done(number=number, rows=pd.DataFrame(), seconds=0.0)

    return run


def test_rounds_start_from_both_ends_and_end_after_three_without_progress() -> None:
    rounds: list[list[int]] = []
    got: list[Done] = []
    with pytest.raises(UserError, match="any of 1 chunks"):
        keep(got, until_all(lossy(rounds, deadly=0, width=1), pieces(4), 1))
    assert rounds == [[0, 1, 2, 3], [3, 2, 1, 0], [0], [0], [0]]
    assert [done.number for done in got] == [3, 2, 1]


def test_rounds_without_losses_are_one() -> None:
    rounds: list[list[int]] = []
    assert [done.number for done in until_all(lossy(rounds, deadly=9), pieces(3), 1)] == [0, 1, 2]
    assert rounds == [[0, 1, 2]]


def test_who_listens_hears_which_attacks_run() -> None:
    """Two workers, four chunks: what runs are the first two that are left."""
    heard: list[list[str]] = []
    names = ["none", "pgd", "pgd", "fgsm"]
    cells = [CLEAN if name == "none" else Cell(attack=name, eps=0.1) for name in names]
    parts = [(Episode(cell=cell, number=number, seed=number),) for number, cell in enumerate(cells)]
    for _ in until_all(lossy([], deadly=9), parts, 2, lambda running: heard.append(list(running))):
        pass
    assert heard == [["none", "pgd"], ["pgd"], ["pgd", "fgsm"], ["fgsm"], []]


def test_closing_the_iterator_ends_the_workers(checkpoint: Checkpoint) -> None:
    finished = evaluate_episodes(checkpoint, HOPPER, work("random", "pgd", f"{__name__}:sleeps"), 2)
    next(finished)
    began = time.monotonic()
    finished.close()
    assert time.monotonic() - began < 30  # the attack would sleep for a minute


def sleeps(target: Any, obs: Any, *_: Any) -> Any:
    time.sleep(60)
    return obs
