"""The table of certificates says what is reached and what is proven, and the figure draws the same numbers."""

from typing import Any

import numpy as np

from reports.figures.certificates import certificate_plot
from reports.tables.certificates import SERIES, frame, markdown


def budget(eps: float, attack: float, *, crown: float, flags: tuple[str, ...] = ()) -> dict[str, Any]:
    means = {"random": attack / 2, "attack": attack, "crown": crown, "ibp": 1.6, "bound": min(crown, 1.6)}
    changes = {name: {"mean": mean, "median": mean, "max": 1.25 * mean} for name, mean in means.items()}
    return {"eps": eps, "changes": changes, "flags": list(flags)}


def table(*budgets: dict[str, Any]) -> Any:
    return frame(budgets, unit="policy-norm", norm="linf", states=200)


def test_a_row_has_means_maxima_and_the_share_of_the_smaller_bound() -> None:
    lines = markdown(
        table(budget(0.1, 0.3, crown=0.4), budget(0.2, 0.4, crown=2.0, flags=("far-below-bound",)))
    ).splitlines()
    assert "at 200 states" in lines[0]
    cells = [[cell.strip() for cell in line.strip("|").split("|")] for line in (lines[2], *lines[4:])]
    assert cells[0] == ["eps", "random", "attack", "CROWN", "IBP", "attack / bound", "flags"]
    assert cells[1] == ["0.1 policy-norm linf", "0.15 (0.188)", "0.3 (0.375)", "0.4 (0.5)", "1.6 (2)", "75 %", ""]
    assert cells[2][-2:] == ["25 %", "† far-below-bound"]  # of IBP's 1.6


def test_a_budget_of_nothing_reaches_all_of_nothing() -> None:
    nothing = budget(0.0, 0.0, crown=0.0)
    nothing["changes"]["ibp"] = nothing["changes"]["bound"]
    assert "| 100 %" in markdown(table(nothing))


def test_the_figure_draws_every_series_from_nothing_at_no_budget() -> None:
    (axes,) = certificate_plot(table(budget(0.2, 0.5, crown=0.8), budget(0.1, 0.3, crown=0.4))).axes
    drawn = {str(line.get_label()): line for line in axes.get_lines()}
    assert list(drawn) == list(SERIES.values())
    np.testing.assert_allclose(np.asarray(drawn["attack"].get_xdata()), [0, 0.1, 0.2])
    np.testing.assert_allclose(np.asarray(drawn["CROWN"].get_ydata()), [0, 0.4, 0.8])
    assert axes.get_yscale() == "linear"


def test_numbers_of_many_sizes_are_drawn_on_a_logarithmic_axis_without_nothing() -> None:
    (axes,) = certificate_plot(
        table(budget(0.0, 0.0, crown=0.0), budget(0.01, 0.003, crown=0.004), budget(0.2, 0.5, crown=0.8))
    ).axes
    assert axes.get_yscale() == "log"
    np.testing.assert_allclose(np.asarray(axes.get_lines()[0].get_xdata()), [0.01, 0.2])
