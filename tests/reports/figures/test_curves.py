"""Curves are read back from the axes: data, labels, lines; pixels are nobody's contract."""

import math
import subprocess
import sys
from pathlib import Path

import matplotlib as mpl
import numpy as np
import pandas as pd
import pytest
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from reports.figures.curves import STYLE, degradation_plot, save
from reports.study.summary import summarize
from tests.reports.toys import episodes, table

CLEAN = [80.0, 82.0, 78.0]


def attacked(eps: float, drop: float, **changes: object) -> list[dict[str, object]]:
    return episodes([score - drop for score in CLEAN], **({"attack": "fgsm", "eps": eps} | changes))


def sweep() -> pd.DataFrame:
    blocks = [attacked(eps, 100 * eps) for eps in (0.2, 0.1)] + [attacked(0.1, 4.0, attack="random")]
    blocks += [episodes([s - 10 * f for s in CLEAN], perturbation="mass", factor=f) for f in (0.5, 1.5)]
    return table(episodes(CLEAN), *blocks)


def lines(axes: Axes) -> dict[str, Line2D]:
    return {str(line.get_label()): line for line in axes.get_lines()}


def points(line: Line2D) -> list[tuple[float, float]]:
    x, y = np.asarray(line.get_xdata(), float), np.asarray(line.get_ydata(), float)
    return list(zip(x.tolist(), y.tolist(), strict=True))


def ticks(axes: Axes) -> list[str]:
    return [label.get_text() for label in axes.get_xticklabels()]


def legend(figure: Figure) -> list[str]:
    return [text.get_text() for text in figure.legends[0].get_texts()]


def test_score_against_eps_starts_at_clean() -> None:
    figure = degradation_plot(sweep())
    (axes,) = figure.axes
    drawn = lines(axes)
    assert list(drawn) == ["random", "fgsm", "clean"]
    assert points(drawn["fgsm"]) == [(0.0, 80.0), (0.1, 70.0), (0.2, 60.0)]
    assert points(drawn["random"]) == [(0.0, 80.0), (0.1, 76.0)]
    assert np.asarray(drawn["clean"].get_ydata()).tolist() == [80.0, 80.0]
    assert drawn["clean"].get_linestyle() == "--"
    assert drawn["fgsm"].get_linestyle() == "-"
    assert axes.get_xlabel() == "eps (× dataset std, linf)"
    assert axes.get_ylabel() == "normalized score (100 = expert)"
    assert legend(figure) == ["random", "fgsm", "clean"]


def test_the_band_is_the_tables_interval() -> None:
    frame = table(episodes(CLEAN), attacked(0.1, 10.0), attacked(0.2, 20.0))
    (axes,) = degradation_plot(frame).axes
    (band,) = axes.collections
    corners = band.get_paths()[0].vertices
    summary = summarize(frame)
    assert summary["eps"].tolist() == [0.0, 0.1, 0.2]
    for eps, low, high in summary[["eps", "low", "high"]].itertuples(index=False):
        assert {float(y) for x, y in np.asarray(corners) if x == eps} == {low, high}


def test_score_against_factor_passes_through_the_untouched_simulation() -> None:
    (axes,) = degradation_plot(sweep(), "factor").axes
    assert points(lines(axes)["mass"]) == [(0.5, 75.0), (1.0, 80.0), (1.5, 65.0)]
    assert list(lines(axes)) == ["mass", "clean"]
    assert axes.get_xlabel() == "factor (1 = nominal)"


def test_one_eps_is_drawn_as_points_with_intervals() -> None:
    frame = table(episodes(CLEAN), attacked(0.1, 10.0), attacked(0.1, 4.0, attack="random"))
    (axes,) = degradation_plot(frame).axes
    drawn = lines(axes)
    assert points(drawn["random"]) == [(0.0, 76.0)]
    assert points(drawn["fgsm"]) == [(1.0, 70.0)]
    assert drawn["fgsm"].get_linestyle() == "None"
    assert drawn["clean"].get_linestyle() == "--"
    assert ticks(axes) == ["random", "fgsm"]
    assert axes.get_xlabel() == "eps = 0.1 (× dataset std, linf)"
    bars = [bar for bar in axes.collections if isinstance(bar, LineCollection)]
    ends = [np.asarray(bar.get_segments()[0])[:, 1].tolist() for bar in bars]
    half = 4.302653 * 2 / math.sqrt(3)  # t of two degrees of freedom; 78, 80, 82 spread by 2 and are not skewed
    assert ends == [pytest.approx([y - half, y + half]) for y in (76.0, 70.0)]


def test_one_factor_is_drawn_as_points_too() -> None:
    frame = table(episodes(CLEAN), episodes([70.0, 71.0, 72.0], perturbation="mass", factor=0.5))
    (axes,) = degradation_plot(frame, "factor").axes
    assert points(lines(axes)["mass"]) == [(0.0, 71.0)]
    assert axes.get_xlabel() == "factor = 0.5 (1 = nominal)"


def test_budgets_that_cannot_be_overlaid_get_their_own_axes() -> None:
    other = [attacked(eps, 300 * eps, unit="raw", norm="l2") for eps in (0.01, 0.02)]
    figure = degradation_plot(table(episodes(CLEAN), attacked(0.1, 10.0), attacked(0.2, 20.0), *other))
    assert [axes.get_xlabel() for axes in figure.axes] == ["eps (× dataset std, linf)", "eps (raw observation, l2)"]
    assert points(lines(figure.axes[1])["fgsm"]) == [(0.0, 80.0), (0.01, 77.0), (0.02, 74.0)]
    assert legend(figure) == ["fgsm", "clean"]


def test_an_attack_on_a_perturbed_robot_starts_at_the_attack_alone() -> None:
    both = [attacked(0.1, 20 * f, perturbation="mass", factor=f) for f in (0.5, 1.5)]
    frame = table(episodes(CLEAN), attacked(0.1, 12.0), attacked(0.2, 20.0), *both)
    (axes,) = degradation_plot(frame, "factor").axes
    assert points(lines(axes)["mass, fgsm eps 0.1"]) == [(0.5, 70.0), (1.0, 68.0), (1.5, 50.0)]
    (axes,) = degradation_plot(frame, "eps").axes
    assert list(lines(axes)) == ["fgsm", "clean"]
    (axes,) = degradation_plot(table(episodes(CLEAN), *both), "eps").axes
    assert ticks(axes) == ["fgsm, mass 0.5", "fgsm, mass 1.5"]


def test_two_policies_share_colours_and_differ_in_stroke() -> None:
    own = [episodes(CLEAN), attacked(0.1, 10.0), attacked(0.2, 20.0)]
    other = [[one | {"algorithm": "combo", "checkpoint": "c" * 64, "score": 50.0} for one in block] for block in own]
    (axes,) = degradation_plot(table(*own, *other)).axes
    drawn = lines(axes)
    assert list(drawn) == ["combo: fgsm", "micro: fgsm", "combo: clean", "micro: clean"]
    assert drawn["combo: fgsm"].get_color() == drawn["micro: fgsm"].get_color()
    assert drawn["combo: fgsm"].get_linestyle() != drawn["micro: fgsm"].get_linestyle()


def test_raw_returns_and_scores_never_share_an_axis() -> None:
    raw = [
        episodes([math.nan] * 2, algorithm="combo", **{"return": 900.0}),
        episodes([math.nan] * 2, algorithm="combo", attack="fgsm", eps=0.1, **{"return": 300.0}),
    ]
    (axes,) = degradation_plot(table(episodes(CLEAN), attacked(0.1, 10.0), attacked(0.2, 20.0), *raw)).axes
    assert axes.get_ylabel() == "return"
    assert points(lines(axes)["micro: fgsm"])[0] == (0.0, 1600.0)
    assert points(lines(axes)["combo: fgsm"]) == [(0.0, 900.0), (0.1, 300.0)]


def test_without_clean_episodes_the_curve_stands_alone() -> None:
    (axes,) = degradation_plot(table(attacked(0.1, 10.0), attacked(0.2, 20.0))).axes
    assert points(lines(axes)["fgsm"]) == [(0.1, 70.0), (0.2, 60.0)]
    assert list(lines(axes)) == ["fgsm"]


def test_a_condition_without_returns_leaves_a_gap() -> None:
    lost = {"return": math.nan, "score": math.nan, "flags": "nan-action"}
    (axes,) = degradation_plot(table(episodes(CLEAN), attacked(0.1, 10.0), attacked(0.2, 0.0, **lost))).axes
    assert math.isnan(points(lines(axes)["fgsm"])[2][1])


def test_nothing_to_draw_is_an_error() -> None:
    with pytest.raises(ValueError, match="there is no attack in these results"):
        degradation_plot(table(episodes(CLEAN)))
    with pytest.raises(ValueError, match="there is no perturbation in these results"):
        degradation_plot(table(episodes(CLEAN)), "factor")


def test_the_palette_is_okabe_and_itos() -> None:
    with mpl.style.context(STYLE):
        colours = [entry["color"].lstrip("#") for entry in mpl.rcParams["axes.prop_cycle"]]
    assert colours == ["0072B2", "D55E00", "009E73", "CC79A7", "E69F00", "56B4E9", "F0E442"]


def test_saved_files_are_what_they_say_and_equal_twice(tmp_path: Path) -> None:
    first = save(degradation_plot(sweep()), tmp_path / "one.v1")
    second = save(degradation_plot(sweep()), tmp_path / "two")
    assert [path.name for path in first] == ["one.v1.png", "one.v1.svg"]
    assert [path.read_bytes() for path in first] == [path.read_bytes() for path in second]
    assert first[0].read_bytes().startswith(b"\x89PNG")
    svg = first[1].read_text()
    assert "<svg" in svg
    assert "<dc:date>" not in svg
    assert sorted(path.name for path in tmp_path.iterdir()) == ["one.v1.png", "one.v1.svg", "two.png", "two.svg"]


def test_somebodys_own_settings_change_nothing_and_stay(tmp_path: Path) -> None:
    (plain,) = save(degradation_plot(sweep()), tmp_path / "plain", formats=["svg"])
    with mpl.rc_context({"lines.linewidth": 9.0, "font.size": 30.0, "svg.hashsalt": "other"}):
        (again,) = save(degradation_plot(sweep()), tmp_path / "again", formats=["svg"])
        assert mpl.rcParams["lines.linewidth"] == 9.0
    assert plain.read_bytes() == again.read_bytes()


def test_pyplot_is_never_loaded() -> None:
    code = (
        "import sys, reports\n"
        "from tests.reports.figures.test_curves import sweep\n"
        "reports.degradation_plot(sweep())\n"
        "assert 'matplotlib.pyplot' not in sys.modules\n"
    )
    root = Path(__file__).parents[3]
    done = subprocess.run([sys.executable, "-c", code], cwd=root, check=False, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_disturbed_sensors_are_drawn_from_the_clean_score() -> None:
    """Their factors are measured in a unit, which clean episodes have none of."""
    noisy = [episodes([40.0, 41.0], perturbation="sensor-noise", factor=f, nominal=0.0) for f in (0.1, 0.2)]
    (axes,) = degradation_plot(table(episodes(CLEAN), *noisy), "factor").axes
    assert axes.get_lines()[0].get_xdata().tolist() == [0.0, 0.1, 0.2]  # type: ignore[union-attr]  # an array


def test_many_attacks_can_be_told_apart_and_the_worst_stands_out() -> None:
    names = [f"attack-{number}" for number in range(20)]
    frame = table(episodes(CLEAN), *(attacked(0.1, 3.0, attack=name) for name in [*names, "worst"]))
    drawn = lines(degradation_plot(pd.concat([frame, table(attacked(0.2, 5.0))], ignore_index=True)).axes[0])
    looks = [(str(drawn[name].get_color()), str(drawn[name].get_marker())) for name in names]
    assert len(set(looks)) == len(names)
    assert drawn["worst"].get_color() == "black"
    assert drawn["worst"].get_zorder() > max(drawn[name].get_zorder() for name in names)
