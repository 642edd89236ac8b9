"""The attack gap, by hand."""

import json
import math
from typing import Any

import numpy as np
import pytest

import reports
from microbench.commands.report import printed
from reports.findings.gap import gap_numbers
from reports.report import latex
from reports.tables.gap import CAPTION, gap_table
from tests.reports.small_study import study
from tests.reports.toys import episodes, table

OFFSETS = [i - 4.5 for i in range(10)]


def block(mean: float, *, wobble: float = 0.0, **changes: object) -> list[dict[str, object]]:
    """Ten episodes about a mean; those of odd number are `wobble` higher, those of even number lower."""
    return episodes([mean + x - wobble * (-1) ** i for i, x in enumerate(OFFSETS)], **changes)


ORACLE: dict[str, Any] = {"attack": "oracle(candidates=16)", "eps": 0.1}
PGD: dict[str, Any] = {"attack": "pgd", "eps": 0.1}


def test_gap_and_share_by_hand() -> None:
    """Clean 80, pgd 60, the oracle 55: a gap of 5, and 20 of 25 points taken; ± t(9) of ten differences ± 1."""
    rows = gap_numbers(table(block(80), block(60, wobble=1, **PGD), block(55, **ORACLE)))
    (row,) = rows.to_dict("records")
    assert (row["attack"], row["oracle"], row["eps"], row["n"]) == ("pgd", "oracle(candidates=16)", 0.1, 10)
    half = 2.262157 * math.sqrt(10 / 9 / 10)
    assert (row["gap"], row["gap_low"], row["gap_high"]) == pytest.approx((5, 5 - half, 5 + half))
    assert row["share"] == pytest.approx(80)
    assert row["reading"] == "weaker"


@pytest.mark.parametrize(
    ("mean", "reading"),
    [(58.0, "weaker"), (55.1, "no difference shown"), (54.9, "no difference shown"), (50, "stronger")],
)
def test_what_an_interval_says(mean: float, reading: str) -> None:
    (row,) = gap_numbers(table(block(80), block(mean, wobble=1, **PGD), block(55, **ORACLE))).to_dict("records")
    assert row["reading"] == reading


def test_only_the_same_budget_world_and_sensors_are_compared() -> None:
    mass: dict[str, Any] = {"perturbation": "mass", "factor": 1.5}
    gaps_table = gap_numbers(
        table(
            block(80),
            block(70, **mass),
            block(60, **PGD),
            block(61, attack="pgd", eps=0.2),
            block(62, attack="pgd@2+5", eps=0.1),
            block(63, attack="fgsm@2", eps=0.1),
            block(64, **PGD, **mass),
            block(65, attack='min-q(critic="a@b.safetensors")', eps=0.1),
            block(66, attack="adversary:here@there", eps=0.1),
            block(55, attack="oracle", eps=0.1),
            block(50, attack="oracle(horizon=5)@2+5", eps=0.1),
            block(45, attack="oracle", eps=0.1, **mass),
        )
    )
    gaps = {(row["attack"], row["perturbation"]): row["gap"] for row in gaps_table.to_dict("records")}
    assert gaps == pytest.approx(
        {
            ("pgd", "none"): 5,
            ("pgd@2+5", "none"): 12,
            ('min-q(critic="a@b.safetensors")', "none"): 10,
            ("adversary:here@there", "none"): 11,
            ("pgd", "mass"): 19,
        }
    )
    shares = gaps_table.set_index(["attack", "perturbation"])["share"]
    assert shares["pgd", "mass"] == pytest.approx(100 * 6 / 25)  # of what is lost on the heavy robot


def test_episodes_that_only_one_has_say_nothing() -> None:
    fresh: dict[str, Any] = {"attack": "worst", "eps": 0.1}
    worst = [row | {"episode": 10 + i, "eval_seed": 110 + i} for i, row in enumerate(block(50, **fresh))]
    half = block(60, **PGD)[:5]
    (row,) = gap_numbers(table(block(80), worst, half, block(55, **ORACLE))).to_dict("records")
    assert (row["attack"], row["n"]) == ("pgd", 5)
    assert np.isnan(row["share"])  # the loss to the oracle is of ten episodes


def test_an_oracle_that_takes_nothing_has_no_shares() -> None:
    (row,) = gap_numbers(table(block(50), block(60, **PGD), block(55, **ORACLE))).to_dict("records")
    assert np.isnan(row["share"])
    assert gap_table(table(block(50), block(60, **PGD), block(55, **ORACLE)))["share"].tolist() == ["–"]
    unclear = table(block(80), block(79.9, **PGD), block(79.8, wobble=5, **ORACLE))
    assert np.isnan(gap_numbers(unclear)["share"].item())  # its own loss lies within the interval


def test_cells_read_as_text() -> None:
    shown = gap_table(table(block(80), block(60, wobble=1, **PGD), block(55, **ORACLE)))
    assert shown.to_dict("records") == [
        {
            "attack": "pgd",
            "eps": "0.1 dataset-std linf",
            "gap (score)": "5.0 [4.2, 5.8]",
            "share": "80 %",
            "vs. oracle": "weaker",
            "n": "10",
        }
    ]


def test_it_stands_in_every_format_and_nowhere_without_an_oracle() -> None:
    episodes_table = table(block(80), block(60, wobble=1, **PGD), block(55, **ORACLE))
    for text in (reports.markdown(episodes_table), reports.html_page(episodes_table), latex(episodes_table)):
        assert "Attack gap" in text
        assert "80" in text
        assert "weaker" in text
    printed_json = json.loads(printed(episodes_table, {}, [], as_json=True))
    assert [row["reading"] for row in printed_json["gaps"]] == ["weaker"]
    without = study()
    assert CAPTION not in reports.markdown(without)
    assert gap_numbers(without).empty
    assert json.loads(printed(without, {}, [], as_json=True))["gaps"] == []
