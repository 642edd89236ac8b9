"""The benchmark runs, and its FLOPs are those that the shapes say; nothing here is timed."""

import itertools

import pytest

from benchmarks import training as benchmark
from microbench.tasks import TASKS
from tests.microbench.toys import small_config


def test_the_table_has_a_row_per_part(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(benchmark, "REPEATS", dict.fromkeys(benchmark.REPEATS, 1))
    runs = benchmark.parts(TASKS["Hopper-v4"], small_config())
    spent = benchmark.measure(runs, rounds=2)
    assert spent.shape == (2, 6)
    assert (spent > 0).all(axis=None)
    found = benchmark.table(spent, benchmark.flops(runs))
    assert list(found.index) == [*benchmark.REPEATS, benchmark.EPOCH]
    assert found.loc[benchmark.SAC, "× SAC update"] == "1.00"
    assert found.notna().all(axis=None)


def test_flops_of_the_dynamics_step_by_hand() -> None:
    """Forward 2 · rows · Σ in·out; backward twice that but for the first layer, whose inputs need no gradient."""
    config = small_config()
    work = benchmark.flops(benchmark.parts(TASKS["Hopper-v4"], config))
    sizes = [14, 12, 12, 12, 12, 24]
    products = [a * b for a, b in itertools.pairwise(sizes)]
    rows = config.members * config.dynamics_batch
    assert work[benchmark.STEP] * 1e9 == 2 * rows * (3 * sum(products) - products[0])
