"""Ladder, distribution and profile are read back from their axes."""

import math
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from matplotlib.axes import Axes

import reports
from reports.figures.plots import distribution_plot, ladder_plot, plots, profile_plot
from reports.study.summary import summarize
from tests.reports.toys import episodes, table

CLEAN = [70.0, 80.0, 90.0, 84.0]


def attacked(name: str, eps: float, drop: float, **changes: object) -> list[dict[str, object]]:
    return episodes([score - drop for score in CLEAN], attack=name, eps=eps, **changes)


def study() -> pd.DataFrame:
    return table(
        episodes(CLEAN),
        *(attacked("random", eps, 10 * eps) for eps in (0.1, 0.2)),
        *(attacked("fgsm", eps, 100 * eps) for eps in (0.1, 0.2)),
        attacked("pgd", 0.1, 30.0),
        attacked("pgd", 0.3, 60.0),
        *(episodes([score - 10 * f for score in CLEAN], perturbation="mass", factor=f) for f in (0.5, 1.5)),
    )


def ticks(axes: Axes) -> list[str]:
    return [label.get_text() for label in axes.get_yticklabels()]


def test_the_ladder_has_the_budget_of_most_attacks_in_order() -> None:
    """Three attacks share eps .1, only two share .2; means 51, 71 and 80 of a clean 81."""
    figure = ladder_plot(study())
    (axes,) = figure.axes
    assert ticks(axes) == ["pgd", "fgsm", "random"]
    points = next(line for line in axes.get_lines() if line.get_marker() == "o")
    assert np.asarray(points.get_xdata(), float).tolist() == [80.0, 71.0, 51.0]
    assert np.asarray(points.get_ydata(), float).tolist() == [2.0, 1.0, 0.0]
    clean = next(line for line in axes.get_lines() if line.get_label() == "clean")
    assert clean.get_linestyle() == "--"
    assert set(np.asarray(clean.get_xdata(), float)) == {81.0}
    assert figure.get_supxlabel() == "normalized score (100 = expert), eps 0.1 (× dataset std, linf)"


def test_the_bars_of_the_ladder_are_the_tables_intervals() -> None:
    frame = table(episodes(CLEAN), attacked("random", 0.1, 1.0), attacked("fgsm", 0.1, 9.0))
    (axes,) = ladder_plot(frame).axes
    bars = sorted(np.asarray(path.vertices)[:, 0].tolist() for path in axes.collections[0].get_paths())
    summary = summarize(frame).query("block == 'attack'")
    assert bars == sorted(summary[["low", "high"]].to_numpy().tolist())


def test_one_attack_is_no_ladder() -> None:
    frame = table(episodes(CLEAN), attacked("fgsm", 0.1, 9.0), attacked("pgd", 0.2, 9.0))
    with pytest.raises(ValueError, match="no two attacks in these results have the same budget"):
        ladder_plot(frame)
    assert list(plots(frame)) == ["distribution", "profile"]


def test_a_distribution_shows_every_episode_of_what_tells_most() -> None:
    (axes,) = distribution_plot(study()).axes
    assert ticks(axes) == ["mass 1.5", "pgd eps 0.3", "fgsm eps 0.2", "random eps 0.2", "clean"]
    dots = [line for line in axes.get_lines() if line.get_marker() == "o"]
    assert np.asarray(dots[0].get_xdata(), float).tolist() == CLEAN
    means = [float(np.asarray(line.get_xdata(), float)[0]) for line in axes.get_lines() if line.get_marker() == "D"]
    assert means == pytest.approx([81.0, 79.0, 61.0, 21.0, 66.0])


def test_many_episodes_are_a_box_without_dots() -> None:
    (axes,) = distribution_plot(table(episodes([float(i) for i in range(300)]))).axes
    assert not [line for line in axes.get_lines() if line.get_marker() == "o"]


def test_every_policy_has_a_panel_on_one_scale() -> None:
    own = [episodes(CLEAN), attacked("random", 0.1, 1.0), attacked("fgsm", 0.1, 9.0)]
    other = [[row | {"algorithm": "combo", "checkpoint": "c" * 64} for row in block] for block in own]
    frame = table(*own, *other)
    for figure in (ladder_plot(frame), distribution_plot(frame)):
        assert [axes.get_title(loc="left") for axes in figure.axes] == ["combo", "micro"]
        assert len({axes.get_xlim() for axes in figure.axes}) == 1


def test_a_profile_is_the_share_of_episodes_above() -> None:
    """Four episodes, 70, 80, 84 and 90: a step down at each of them."""
    figure = profile_plot(table(episodes(CLEAN)))
    (axes,) = figure.axes
    (line,) = axes.get_lines()
    x, y = np.asarray(line.get_xdata(), float), np.asarray(line.get_ydata(), float)
    assert x[1:-1].tolist() == [70.0, 80.0, 84.0, 90.0]
    assert y.tolist() == [1.0, 0.75, 0.5, 0.25, 0.0, 0.0]
    assert line.get_drawstyle() == "steps-post"
    assert (axes.get_xlabel(), axes.get_ylabel()) == ("normalized score (100 = expert) τ", "share of episodes above τ")
    assert line.get_color() == "black"


def test_a_profile_of_many_episodes_has_a_hundred_steps() -> None:
    (axes,) = profile_plot(table(episodes([float(i) for i in range(1000)]))).axes
    x, y = (np.asarray(data, float) for data in axes.get_lines()[0].get_data())
    assert len(x) <= 103
    assert y[1:-1] == pytest.approx((999 - x[1:-1]) / 1000)


def test_the_band_of_a_profile_holds_its_line() -> None:
    generator = np.random.default_rng(0)
    runs = [episodes(generator.normal(60, 9, 20).tolist(), train_seed=s, checkpoint=str(s) * 64) for s in range(3)]
    (axes,) = profile_plot(table(*runs)).axes
    corners = np.asarray(axes.collections[0].get_paths()[0].vertices)
    line = axes.get_lines()[0]
    for x, y in zip(np.asarray(line.get_xdata(), float), np.asarray(line.get_ydata(), float), strict=True):
        ends = corners[np.isclose(corners[:, 0], x), 1]
        assert ends.min() - 1e-9 <= y <= ends.max() + 1e-9


def test_raw_returns_are_named_as_such() -> None:
    frame = table(episodes([math.nan] * 3, **{"return": 900.0}))
    assert profile_plot(frame).axes[0].get_xlabel() == "return τ"


def test_nothing_measured_is_nothing_drawn() -> None:
    lost = {"return": math.nan, "score": math.nan, "flags": "nan-action"}
    assert plots(table(episodes([1.0, 2.0], **lost))) == {}


def test_pdf_is_written_if_asked_for_and_equal_twice(tmp_path: Path) -> None:
    one = reports.write_report(study(), tmp_path / "one", formats=("pdf",))
    two = reports.write_report(study(), tmp_path / "two", formats=("pdf",))
    names = ["degradation_eps", "degradation_factor", "distribution", "ladder", "profile"]
    assert {path.name for path in (tmp_path / "one").glob("*.pdf")} == {f"{name}.pdf" for name in names}
    assert not [name for name in one if name.endswith((".png", ".svg"))]
    assert [path.read_bytes() for path in one.values()] == [path.read_bytes() for path in two.values()]
    assert one["profile.pdf"].read_bytes().startswith(b"%PDF")
    reports.write_report(study(), tmp_path / "one", formats=("svg",))
    assert not list((tmp_path / "one").glob("*.pdf"))
