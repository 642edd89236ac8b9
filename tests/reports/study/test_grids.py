"""Grids and samples: what belongs together, its tables and its heat maps."""

import math
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from matplotlib.axes import Axes
from matplotlib.collections import QuadMesh
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from numpy.testing import assert_array_equal

import reports
from reports.figures import curves, heatmaps
from reports.study import grids
from reports.study.grids import Family, families
from reports.study.names import condition_name
from reports.study.summary import summarize
from reports.tables import pivots
from tests.reports.composed import CLEAN, composed
from tests.reports.toys import episodes, table

GOLDEN = Path(__file__).parents[1] / "golden"


def grid(**changes: object) -> list[list[dict[str, object]]]:
    """Friction 0.5, 1, 2 by gravity 0.5, 1: 10 points for friction 0.5, 20 for 2, and 40 for gravity 0.5."""
    drops = {0.5: 10.0, 1.0: 0.0, 2.0: 20.0}
    return [
        composed({"friction": f, "gravity": g}, drop + 40 * (g == 0.5), **changes)
        for f, drop in drops.items()
        for g in (0.5, 1.0)
    ]


def sample(n: int = 20) -> list[list[dict[str, object]]]:
    """Points of mass and friction that share no value; point i loses i points."""
    return [composed({"mass": 1 + i / 100, "friction": 1 - i / 100}, float(i)) for i in range(n)]


def families_of(*blocks: list[dict[str, object]]) -> list[Family]:
    return families(summarize(table(*blocks)))


def test_a_composition_is_read_back() -> None:
    assert grids.parts("mass@torso+thigh=1.2,my.module:f=-3e-05,gravity", 0.75) == [
        ("mass@torso+thigh", 1.2),
        ("my.module:f", -3e-05),
        ("gravity", 0.75),
    ]
    assert grids.parts("mass", 0.5) == [("mass", 0.5)]
    assert math.isnan(grids.parts("odd,gravity", 1.0)[0][1])


def test_a_composition_is_named_by_all_its_parts() -> None:
    row = pd.Series({"attack": "fgsm", "eps": 0.1, "unit": "raw", "norm": "l2"})
    point = pd.Series({"perturbation": "friction=0.5,gravity", "factor": 1 / 3})
    assert condition_name(pd.concat([row, point])) == "fgsm eps 0.1 raw l2 with friction 0.5 + gravity 0.3333"


def test_a_grid_is_found_and_laid_out_by_its_values() -> None:
    (one,) = families_of(episodes(CLEAN), *reversed(grid()))
    assert one.axes == one.names == ("friction", "gravity")
    assert one.values == ([0.5, 1.0, 2.0], [0.5, 1.0])
    assert_array_equal(one.matrix("change"), [[-50, -10], [-40, 0], [-60, -20]])
    assert_array_equal(one.matrix("untouched"), [[0, 0], [0, 1], [0, 0]])
    assert one.beside == {}


def test_every_attack_and_policy_has_its_own_grid() -> None:
    other = grid(algorithm="combo")
    both = families_of(episodes(CLEAN), *grid(), *grid(attack="fgsm", eps=0.1), *grid(attack="fgsm", eps=0.2), *other)
    assert [(g.cells["policy"].iloc[0], g.cells["eps"].iloc[0], len(g.cells)) for g in both] == [
        ("combo", 0.0, 6),
        ("micro", 0.0, 6),
        ("micro", 0.1, 6),
        ("micro", 0.2, 6),
    ]


def test_a_few_missing_cells_leave_a_grid() -> None:
    (one,) = families_of(episodes(CLEAN), *grid()[1:])
    assert_array_equal(np.isnan(one.matrix("mean")), [[True, False], [False, False], [False, False]])
    assert families_of(episodes(CLEAN), *grid()[:3]) == []  # three points in a corner are three rows


def test_three_names_give_a_grid_per_value_of_the_first() -> None:
    blocks = [
        composed({"mass": m, "friction": f, "latency": k}, 10 * k, nominal=0.0)
        for m in (1.0, 1.2)
        for f in (0.5, 1.0)
        for k in (0.0, 1.0)
    ]
    light, heavy = families_of(episodes(CLEAN), *blocks)
    assert light.axes == heavy.axes == ("friction", "latency")
    assert (light.beside, heavy.beside) == ({"mass": 1.0}, {"mass": 1.2})
    assert_array_equal(light.matrix("untouched"), [[0, 0], [1, 0]])
    assert not heavy.untouched.any()


def test_one_varied_name_is_a_curve_and_not_a_grid() -> None:
    line = [composed({"friction": 0.5, "gravity": g / 10}, g) for g in range(1, 13)]
    frame = table(episodes(CLEAN), *line)
    assert families(summarize(frame)) == []
    assert len(reports.robustness_table(frame)) == 1 + 12 + 1
    (axes,) = curves.degradation_plot(frame, "factor").axes
    drawn = next(iter(axes.get_lines()))
    assert len(np.asarray(drawn.get_xdata())) == 12  # and no start at clean: gravity 1 leaves friction at 0.5


def test_points_without_structure_are_a_sample_if_there_are_ten() -> None:
    (one,) = families_of(episodes(CLEAN), *sample(10))
    assert one.axes is None
    assert len(one.points) == 10
    assert families_of(episodes(CLEAN), *sample(9)) == []


def test_a_sample_beside_a_grid_of_the_same_names_hides_it_not() -> None:
    points = [composed({"friction": 1 + i / 100, "gravity": 1 - i / 100}, 5.0) for i in range(1, 13)]
    first, second = families_of(episodes(CLEAN), *grid(), *points)
    assert (first.axes, len(first.points)) == (("friction", "gravity"), 6)
    assert (second.axes, len(second.points)) == (None, 12)


def test_one_line_sums_up_a_grid() -> None:
    """Changes of -50, -10, -40, 0, -60, -20 from a clean mean of 81: on average -30; the worst 10 % of six is one."""
    (line,) = pivots.family_table(table(episodes(CLEAN), *grid())).to_dict("records")
    assert (line["policy"], line["attack"], line["points"]) == ("micro", "clean observations", "6")
    assert line["perturbations"] == "grid friction × gravity"
    assert line["mean"].startswith("51.0 [50.")
    assert line["CVaR 10 %"] == "21.0"
    assert line["worst"].endswith(" at friction 2 + gravity 0.5")
    assert line["worst"].startswith("21.0 ± 0.5")
    assert line["best"].endswith(" at friction 1 + gravity 1")


def test_one_line_sums_up_a_sample() -> None:
    """Twenty points lose 0..19 of 81: 71.5 on average; the worst two lose 18 and 19."""
    (line,) = pivots.family_table(table(episodes(CLEAN), *sample())).to_dict("records")
    assert line["perturbations"] == "sample mass × friction"
    assert line["mean"].startswith("71.5 [")
    assert line["CVaR 10 %"] == "62.5"
    assert line["worst"].endswith(" at mass 1.19 + friction 0.81")


def test_the_mean_over_points_knows_that_episodes_are_common() -> None:
    """Two points whose episodes mirror each other average to the same in every episode."""
    mirrored = [[60.0, 40.0], [40.0, 60.0]]
    places = [(0.5, 0.5), (0.5, 1.0), (1.0, 0.5), (1.0, 1.0)]
    blocks = [
        episodes(mirrored[i % 2], perturbation=f"friction={f},gravity", factor=g) for i, (f, g) in enumerate(places)
    ]
    (line,) = pivots.family_table(table(*blocks)).to_dict("records")
    assert line["mean"] == "50.0 [50.0, 50.0]"
    (line,) = pivots.family_table(table(*blocks[:3], blocks[3][:1])).to_dict("records")
    assert line["mean"] == "47.5 (no interval)"  # the means are 50, 50, 50 and 40; one episode lacks a point


def test_cells_without_a_return_say_so() -> None:
    lost = {"return": math.nan, "score": math.nan, "flags": "nan-action"}
    blocks = grid()
    (one,) = families_of(episodes(CLEAN), *blocks[:-1], [row | lost for row in blocks[-1]])
    assert pivots.grid_table(one)["1"].iloc[-1] == "no return †"
    (line,) = pivots.family_table(table(*[[row | lost for row in block] for block in blocks])).to_dict("records")
    assert line["worst"] == "no return"


def test_the_large_table_leaves_points_out_but_counts_them_among_the_worst() -> None:
    single = episodes([70.0] * 12, perturbation="mass", factor=0.5)
    cells = reports.robustness_table(table(episodes(CLEAN), single, *grid()))
    assert cells["perturbation"].tolist() == ["none", "mass", "worst of 7"]
    assert cells["micro score"].iloc[-1].endswith(" at friction 2 + gravity 0.5")


def golden() -> pd.DataFrame:
    flagged = composed({"friction": 2.0, "gravity": 0.5}, 60.0, flags="no-op-cell")
    attacked = grid(attack="fgsm", eps=0.1)[:-1]
    return table(episodes(CLEAN), *grid()[:4], flagged, grid()[-1], *attacked, *sample())


def test_grids_and_samples_give_the_golden_page() -> None:
    assert reports.markdown(golden()) == (GOLDEN / "grids.md").read_text(encoding="utf-8")


def test_a_report_of_a_hundred_cells_is_short_and_complete(tmp_path: Path) -> None:
    blocks = [
        composed({"friction": f / 10, "gravity": g / 10}, 3.0, flags="no-op-cell", attack="fgsm", eps=eps)
        for eps in (0.1, 0.2)
        for f in range(5, 15)
        for g in range(5, 15)
    ]
    written = reports.write_report(table(episodes(CLEAN), *blocks), tmp_path)
    assert len(written["table.csv"].read_text().splitlines()) == 1 + 1 + 200
    page = written["table.md"].read_text(encoding="utf-8")
    assert len(page.splitlines()) < 60
    assert "… and the same for 194 more conditions." in page
    assert "and 195 more was not compared with random noise" in page


def test_the_worst_of_a_grid_is_the_worst_of_what_was_tried() -> None:
    words = "The worst point of a grid or sample is the worst of the evaluated points only"
    assert [note for note in reports.notes(table(episodes(CLEAN), *grid())) if words in note]
    single = [episodes(CLEAN[::-1], perturbation="mass", factor=f) for f in (0.5, 1.5)]
    assert not [note for note in reports.notes(table(episodes(CLEAN), *single)) if words in note]


def test_the_untouched_cell_needs_no_note() -> None:
    unclear = [
        note for note in reports.notes(table(episodes(CLEAN), *grid())) if "no significant change from clean" in note
    ]
    assert unclear == []


# ---- heat maps


def panels(figure: Figure) -> list[Axes]:
    return [axes for axes in figure.axes if axes.get_visible() and axes.get_label() != "<colorbar>"]


def texts(axes: Axes) -> list[str]:
    return [text.get_text() for text in axes.texts]


def test_a_heat_map_shows_means_ticks_and_units() -> None:
    ((name, figure),) = heatmaps.heat_maps(table(episodes(CLEAN), *grid())).items()
    assert name == "heatmap_friction_gravity"
    (axes,) = panels(figure)
    (mesh,) = (one for one in axes.collections if isinstance(one, QuadMesh))
    assert_array_equal(np.asarray(mesh.get_array()), [[31, 71], [41, 81], [21, 61]])
    assert texts(axes) == ["31", "71", "41", "81", "21", "61"]
    assert [tick.get_text() for tick in axes.get_xticklabels()] == ["0.5", "1"]
    assert [tick.get_text() for tick in axes.get_yticklabels()] == ["0.5", "1", "2"]
    assert axes.get_xlabel() == "gravity (factor, 1 = nominal)"
    assert axes.get_ylabel() == "friction (factor, 1 = nominal)"
    assert figure.axes[-1].get_ylabel() == "mean normalized score (100 = expert)"


def test_the_untouched_cell_is_outlined_and_flags_are_marked() -> None:
    flagged = composed({"friction": 0.5, "gravity": 0.5}, 50.0, flags="no-op-cell")
    ((_, figure),) = heatmaps.heat_maps(table(episodes(CLEAN), flagged, *grid()[1:])).items()
    (axes,) = panels(figure)
    assert texts(axes)[0] == "31†"
    assert {one.get_xy() for one in axes.patches if isinstance(one, Rectangle)} == {(1, 1)}


def test_panels_are_policies_by_attacks_on_one_scale() -> None:
    blocks = [*grid(), *grid(attack="fgsm", eps=0.1), *grid(algorithm="combo")]
    ((_, figure),) = heatmaps.heat_maps(table(episodes(CLEAN), *blocks)).items()
    assert [axes.get_title() for axes in panels(figure)] == [
        "combo\nclean observations",
        "micro\nclean observations",
        "micro\nfgsm eps 0.1",
    ]
    meshes = [one for axes in panels(figure) for one in axes.collections if isinstance(one, QuadMesh)]
    assert {mesh.get_clim() for mesh in meshes} == {(21.0, 81.0)}


def test_large_grids_have_no_numbers_and_missing_cells_no_colour() -> None:
    large = [composed({"friction": f / 10, "wind": float(g)}, g, nominal=0.0) for f in range(1, 14) for g in range(3)]
    ((name, figure),) = heatmaps.heat_maps(table(episodes(CLEAN), *large[1:])).items()
    assert name == "heatmap_friction_wind"
    (axes,) = panels(figure)
    assert texts(axes) == []
    assert axes.get_xlabel() == "wind (m/s, 0 = nominal)"
    (mesh,) = (one for one in axes.collections if isinstance(one, QuadMesh))
    assert int(np.ma.count_masked(mesh.get_array())) == 1  # type: ignore[no-untyped-call]  # numpy says nothing of it


def test_names_of_files_stay_names_of_files() -> None:
    blocks = [composed({"a/b:mass": f, "mass@torso+thigh": g}, g) for f in (0.5, 1.0) for g in (0.5, 1.0)]
    assert list(heatmaps.heat_maps(table(episodes(CLEAN), *blocks))) == ["heatmap_a%2Fb%3Amass_mass@torso+thigh"]


def test_a_heat_map_of_an_earlier_report_does_not_stay(tmp_path: Path) -> None:
    written = reports.write_report(table(episodes(CLEAN), *grid()), tmp_path)
    assert {"heatmap_friction_gravity.png", "heatmap_friction_gravity.svg"} <= set(written)
    (tmp_path / "heatmap.png").touch()  # not ours
    reports.write_report(table(episodes(CLEAN)), tmp_path)
    assert [path.name for path in tmp_path.glob("heatmap*")] == ["heatmap.png"]


# ---- what is added beside what is scaled


def test_what_is_added_has_its_own_axis_and_starts_at_its_nominal_factor() -> None:
    late = [episodes([s - 10 * k for s in CLEAN], perturbation="latency", factor=k, nominal=0.0) for k in (1, 2)]
    odd = [episodes([s - k for s in CLEAN], perturbation="my.module:f", factor=k, nominal=0.0) for k in (3, 4)]
    mass = [episodes([s - 30 for s in CLEAN], perturbation="mass", factor=f) for f in (0.5, 1.5)]
    figure = curves.degradation_plot(table(episodes(CLEAN), *late, *odd, *mass), "factor")
    assert [axes.get_xlabel() for axes in figure.axes] == [
        "factor (1 = nominal)",
        "latency (control steps, 0 = nominal)",
        "my.module:f (0 = nominal)",
    ]
    starts = [float(np.asarray(axes.get_lines()[0].get_xdata(), float)[0]) for axes in figure.axes]
    assert starts == [0.5, 0.0, 0.0]
    assert np.asarray(figure.axes[1].get_lines()[0].get_ydata(), float) == pytest.approx([81, 71, 61])


def test_a_fourth_axis_begins_a_row() -> None:
    blocks = [
        episodes([s - k for s in CLEAN], perturbation=f"f{i}", factor=k, nominal=0.0) for i in range(4) for k in (1, 2)
    ]
    figure = curves.degradation_plot(table(episodes(CLEAN), *blocks), "factor")
    assert len(figure.axes) == 4
    assert tuple(figure.get_size_inches()) == pytest.approx((1.8 + 3 * 4.6, 7.6))


def test_grids_alone_leave_no_curve() -> None:
    frame = table(episodes(CLEAN), *grid())
    assert curves.degradation_plots(frame) == {}
    with pytest.raises(ValueError, match="no curve over factor"):
        curves.degradation_plot(frame, "factor")
