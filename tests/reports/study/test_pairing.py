"""Many paired differences at once are each paired difference alone."""

import math

import numpy as np
import pytest

from reports.study.pairing import paired_cells
from reports.study.scores import paired_difference
from reports.study.summary import Study
from tests.reports.toys import episodes, table


def test_pairs_of_cells_are_paired_differences() -> None:
    """Two runs, several attacks, some episodes missing: against one merge per pair."""
    generator = np.random.default_rng(0)
    blocks = [
        episodes(
            generator.normal(60, 9, 12 - k).tolist(), train_seed=run, checkpoint=str(run) * 64, attack=name, eps=0.1
        )
        for run in (0, 1)
        for k, name in enumerate(("random", "fgsm", "pgd"))
    ]
    study = Study(table(*blocks))
    pairs: list[tuple[int, int | None]] = [(0, 1), (2, 0), (1, 2)]
    for (a, b), interval in zip(pairs, paired_cells(study.episodes, pairs), strict=True):
        alone = paired_difference(*(study.episodes[study.episodes["cell"] == cell] for cell in (a, b)), value="value")
        assert (interval.estimate, interval.low, interval.high) == pytest.approx(
            (alone.estimate, alone.low, alone.high)
        )
        assert interval.n == alone.n


def test_no_partner_is_no_interval() -> None:
    lost = {"return": math.nan, "score": math.nan, "flags": "nan-action"}
    frame = table(
        episodes([1.0, 2.0]), episodes([3.0], eval_seed=7), episodes([1.0, 2.0], attack="fgsm", eps=0.1, **lost)
    )
    first, second = paired_cells(Study(frame).episodes, [(0, None), (1, 0)])
    assert (first.n, second.n) == (0, 0)
    assert math.isnan(first.low)
    assert math.isnan(second.estimate)
    assert paired_cells(Study(frame).episodes, []) == []


def test_a_study_is_summed_up_once() -> None:
    study = Study(table(episodes([1.0, 2.0])))
    assert study.summary is study.summary
    assert study.comparable is study
