"""One process or two: the same rows; weights are read once; what goes wrong in a worker is told."""

import os
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from microbench import workers as module
from microbench.checkpoints import Checkpoint, Source, reload
from microbench.errors import UserError
from microbench.evaluate import Conditions
from microbench.plan import CLEAN, Cell, Chunk, chunks, plan_episodes
from microbench.workers import evaluate_chunks
from reports.schema import KEY
from tests.microbench.small_run import policy_bytes, write_policy

HOPPER = Conditions(env_id="Hopper-v4")


@pytest.fixture
def checkpoint(tmp_path: Path) -> Checkpoint:
    module._load.cache_clear()
    return write_policy(tmp_path / "policy.safetensors")


def work(*names: str) -> list[Chunk]:
    cells = [CLEAN, *(Cell(attack=name, eps=0.2) for name in names), Cell(perturbation="mass", factor=0.5)]
    return list(chunks(plan_episodes(cells, 10, seed=0), 8))


def together(checkpoint: Checkpoint, pieces: list[Chunk], workers: int) -> pd.DataFrame:
    rows = pd.concat(list(evaluate_chunks(checkpoint, HOPPER, pieces, workers)))
    return rows.sort_values(list(KEY), ignore_index=True)


def test_two_workers_give_the_rows_of_one(checkpoint: Checkpoint) -> None:
    pieces = work("random", "pgd", "min-q")
    assert len(pieces) == 5
    pd.testing.assert_frame_equal(
        together(checkpoint, pieces, 1), together(checkpoint, pieces[::-1], 2), check_exact=True
    )


def test_one_worker_is_this_process(checkpoint: Checkpoint, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[int] = []

    def spy(loaded: Checkpoint, conditions: Conditions, chunk: Chunk) -> pd.DataFrame:
        assert loaded is checkpoint
        seen.append(len(chunk))
        return pd.DataFrame()

    monkeypatch.setattr(module, "evaluate_chunk", spy)
    rows = evaluate_chunks(checkpoint, HOPPER, work(), 1)
    next(rows)
    assert seen == [10]  # each chunk is handed over before the next one runs
    list(rows)
    assert seen == [10, 10]
    assert list(evaluate_chunks(checkpoint, HOPPER, [], 4)) == []


def test_E8_weights_are_read_once_per_process(checkpoint: Checkpoint, monkeypatch: pytest.MonkeyPatch) -> None:
    read: list[str] = []

    def counted(source: Source) -> Checkpoint:
        read.append(source.path)
        return reload(source)

    monkeypatch.setattr(module, "reload", counted)
    for chunk in work("random"):
        module._evaluate(checkpoint.source, HOPPER, chunk)
    assert read == [str(checkpoint.path)]


def test_a_policy_that_is_replaced_meanwhile_is_noticed(checkpoint: Checkpoint) -> None:
    checkpoint.path.write_bytes(policy_bytes(seed=1))
    with pytest.raises(UserError, match="was replaced while it was evaluated"):
        module._evaluate(checkpoint.source, HOPPER, work()[0])


def test_errors_of_a_worker_come_through(checkpoint: Checkpoint) -> None:
    with pytest.raises(ValueError, match="There is no attack 'nobody'"):
        list(evaluate_chunks(checkpoint, HOPPER, work("nobody"), 2))


def dies(*_: Any) -> Any:
    """An attack that takes its process with it."""
    os._exit(9)


def test_a_killed_worker_is_told(checkpoint: Checkpoint) -> None:
    with pytest.raises(UserError, match=r"one of 2 worker processes was killed.*--resume"):
        list(evaluate_chunks(checkpoint, HOPPER, work(f"{__name__}:dies"), 2))
