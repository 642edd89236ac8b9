"""The benchmark runs, and its FLOPs are those that the shapes say; nothing here is timed."""

import dataclasses
import itertools

import pandas as pd
import pytest

from benchmarks import launches
from benchmarks import training as benchmark
from microbench.tasks import TASKS
from tests.microbench.toys import CPU, small_config

OURS = [
    benchmark.PRODUCT, benchmark.SAC, benchmark.MICRO, benchmark.PAIRED,
    benchmark.GAP, benchmark.ROLLOUT, benchmark.STEP,
]  # fmt: skip


def small_parts() -> list[benchmark.Part]:
    parts = benchmark.our_parts(TASKS["Hopper-v4"], small_config(), 2, CPU)
    return [dataclasses.replace(part, repeats=1) for part in parts]


def test_the_table_has_a_row_per_part() -> None:
    parts = small_parts()
    spent = benchmark.measure(parts, rounds=2)
    assert spent.shape == (2, 7)
    assert (spent > 0).all(axis=None)
    table = benchmark.table(spent, benchmark.flops(parts))
    epochs = [f"{name}: {benchmark.EPOCH}" for name in (benchmark.MICRO, benchmark.PAIRED)]
    assert list(table.index) == [*OURS, *epochs]
    assert table.loc[benchmark.SAC, "× SAC update"] == "1.00"
    assert table.loc[benchmark.PRODUCT, "× the floor"] == "1.00"
    assert table.notna().all(axis=None)


def test_flops_of_the_dynamics_step_by_hand() -> None:
    """Forward 2 · rows · Σ in·out; backward twice that but for the first layer, whose inputs need no gradient."""
    config = small_config()
    work = benchmark.flops(small_parts())
    sizes = [14, 12, 12, 12, 12, 24]
    products = [a * b for a, b in itertools.pairwise(sizes)]
    rows = config.members * config.dynamics_batch
    assert work[benchmark.STEP] * 1e9 == 2 * rows * (3 * sum(products) - products[0])


def test_flops_of_the_gap_by_hand() -> None:
    """12 imagined rows, 3 elites, 2 samples: the ensemble once, then actor and both critics at every sample."""
    ensemble = 3 * 12 * sum(a * b for a, b in itertools.pairwise([14, 12, 12, 12, 12, 24]))
    actor, critics = 11 * 16 + 16 * 16 + 16 * 6, 2 * (14 * 16 + 16 * 16 + 16)
    work = benchmark.flops(small_parts())
    assert work[benchmark.GAP] * 1e9 == pytest.approx(2 * (ensemble + 12 * 3 * 2 * (actor + critics)))


def test_gains_are_formed_within_a_round() -> None:
    """1000 updates and a rollout: (1000 · 2 + 100) / (1000 · 1 + 10) = 2.08 in both rounds, whatever their pace."""
    rounds = pd.DataFrame({benchmark.MICRO: [1.0, 3.0], benchmark.ROLLOUT: [10.0, 30.0]})
    rounds[f"{benchmark.REFERENCE}: {benchmark.MICRO}"] = [2.0, 6.0]
    rounds[f"{benchmark.REFERENCE}: {benchmark.ROLLOUT}"] = [100.0, 300.0]
    table = benchmark.gains(rounds).set_index("ours")["times as fast"]
    assert table[benchmark.MICRO] == "2.00 (2.00 to 2.00)"
    assert table[benchmark.ROLLOUT] == "10.00 (10.00 to 10.00)"
    assert table[f"{benchmark.MICRO}: {benchmark.EPOCH}"] == "2.08 (2.08 to 2.08)"


def test_a_line_of_launches_by_hand() -> None:
    """Two seeds, 4 ms a pair, of which kernels take 3; half a GFLOP would take 1 ms at the rate of the product."""
    part = benchmark.Part(name="one graph, S = 2", run=lambda: None)
    spent = pd.DataFrame({benchmark.PRODUCT: [2.0, 2.0, 2.0], part.name: [4.0, 3.0, 9.0]})
    work = pd.Series({benchmark.PRODUCT: 1.0, part.name: 0.5})
    assert launches.line(part, spent, work, launches.Kernels(120, 3.0)) == {
        "updates": "one graph, S = 2",
        "ms": "4.000",
        "of all seeds, per s": "500",
        "hours for 1 M": "1.11",
        "kernels": "120",
        "launch share": "25%",
        "× the floor": "4.00",
    }


def test_ways_of_launching_share_the_work() -> None:
    """Stacked seeds make as many FLOPs as they would make alone; without a GPU nothing is captured."""
    measured_parts = launches.parts("Hopper-v4", small_config(alpha=0.1), [1, 2], CPU)
    assert [part.name for part in measured_parts[1:]] == ["kernel by kernel, S = 1", "kernel by kernel, S = 2"]
    work = benchmark.flops(measured_parts)
    assert work["kernel by kernel, S = 2"] == pytest.approx(2 * work["kernel by kernel, S = 1"])
