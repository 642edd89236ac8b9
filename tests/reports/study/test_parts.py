"""Units and nominal factors of perturbations: as the JSON beside results tells them, and wherever they are read."""

from collections.abc import Mapping

import pandas as pd
import pytest
from numpy.testing import assert_array_equal

import attacks
import perturbations
import reports
from attacks.language import parse
from microbench.evaluation import sensors as readings
from reports.figures import curves, heatmaps
from reports.findings import sensors
from reports.page.html import html_page
from reports.report import latex
from reports.rows.identity import IN_UNIT
from reports.study.attacked import NOISE, is_oracle, marked, parted
from reports.study.grids import families
from reports.study.names import condition_name
from reports.study.parts import KNOWN, Part, described, part_of
from reports.study.summary import Study, summarize
from tests.reports.composed import composed
from tests.reports.toys import episodes, table

CLEAN = [float(80 + i % 3) for i in range(12)]
UNITS = ("dataset-std", "policy-norm", "raw")
FOREIGN = "mine:sway"
ABOUT = {
    "runs": [{"perturbations": {FOREIGN: {"nominal": 0.0, "unit": "degrees", "in_obs_units": False, "files": {}}}}]
}


def noisy(name: str = "sensor-noise", factor: float = 0.1) -> pd.DataFrame:
    """One disturbance of the sensors, in three units."""
    worlds = [
        episodes(
            [score - 10 * (place + 1) for score in CLEAN], perturbation=name, factor=factor, nominal=0.0, unit=unit
        )
        for place, unit in enumerate(UNITS)
    ]
    return table(episodes(CLEAN), *worlds)


def crossed(down: str, across: str, nominals: tuple[float, float], about: Mapping[str, object] | None = None) -> Study:
    """A grid of two perturbations around the point at which neither changes anything."""
    values = [(a + nominals[0], b + nominals[1]) for a in (0.0, 0.5) for b in (0.0, 0.5)]
    blocks = [composed({down: a, across: b}, 10 * (a + b), nominal=nominals[1]) for a, b in values]
    return Study(table(episodes(CLEAN), *blocks), about=about)


def test_what_is_known_without_json_is_what_its_owner_says() -> None:
    owned = perturbations.PERTURBATIONS.values()
    assert dict(KNOWN) == {
        one.name: Part(nominal=one.nominal, unit=one.unit, in_obs_units=one.in_obs_units)
        for one in owned
        if (one.nominal, one.unit, one.in_obs_units) != (1.0, "", False)
    }
    assert set(IN_UNIT) == {one.name for one in owned if one.in_obs_units}
    assert set(sensors.GROUPS) == set(readings.GROUPS)
    assert set(attacks.UNITS) <= set(curves.UNITS)


def test_the_json_tells_which_sensors_are_several_readings() -> None:
    names = ["velocities", "arm", "2+5", "hand"]
    rows = [episodes([50.0, 51.0], attack=f"pgd@{name}", eps=0.1) for name in names]
    about = {"runs": [{"attacks": {"pgd@arm": {"readings": 3}, "pgd@velocities": {"readings": 1}, "pgd@hand": 7}}]}
    frame = table(episodes([60.0, 61.0]), *rows)
    described_ones, guessed = reports.sensor_numbers(Study(frame, about=about)), reports.sensor_numbers(frame)
    assert dict(zip(described_ones["sensor"], described_ones["is_group"], strict=True)) == {
        **{"velocities": False, "arm": True, "2+5": True, "hand": False},
    }
    assert dict(zip(guessed["sensor"], guessed["is_group"], strict=True)) == {
        **{"velocities": True, "arm": False, "2+5": True, "hand": False},
    }


def test_texts_of_attacks_are_taken_apart_as_their_owner_does() -> None:
    texts = [*attacks.ATTACKS, *attacks.REFERENCES, "mine:attack", "mine:attack(file='a@b(c).pt')", "pgd(steps=50)"]
    for text in texts:
        assert parted(text) == (text, "")
        assert parted(f"{text}@2+thigh_joint.velocity") == (
            text,
            "+".join(parse(f"{text}@2+thigh_joint.velocity").sensors),
        )
        assert parted(marked(f"{text}@2", "0f3a+1b")) == (f"{text}#0f3a+1b", "2")
    assert parted("adversary:a@b.model") == ("adversary:a@b.model", "")
    known = attacks.ATTACKS | attacks.REFERENCES
    assert {name for name in known if is_oracle(name)} == set(attacks.REFERENCES)
    assert is_oracle('oracle(judge="c.pt")#0f3a')
    own = {name: attack for name, attack in attacks.ATTACKS.items() if not name.startswith("compat:")}
    assert {name for name in own if name.startswith(NOISE)} == {
        name for name, attack in own.items() if isinstance(attack, attacks.Random)
    }


@pytest.mark.parametrize("name", ["sensor-noise", "sensor-bias", "mass=1.5,sensor-noise"])
def test_a_unit_in_which_sensors_are_disturbed_is_named_wherever_the_condition_is(name: str) -> None:
    frame = noisy(name)
    summary = summarize(frame)
    assert summary[summary["block"] == "perturbation"].shape[0] == 3
    names = [condition_name(cell) for _, cell in summary.iterrows()]
    assert len(set(names)) == 4
    for unit in UNITS:
        assert sum(f"({unit})" in text for text in names) == 1
    shown = reports.robustness_table(frame)
    rows = shown[shown["perturbation"].str.startswith(name)]
    assert sorted(rows["perturbation"]) == sorted(f"{name} ({unit})" for unit in UNITS)
    (worst,) = shown[shown["perturbation"] == "worst of 3"].filter(like="score").iloc[0]
    assert "(raw)" in worst
    for text in (html_page(frame), latex(frame)):
        assert all(f"({unit})" in text for unit in UNITS)


def test_curves_of_different_units_have_axes_and_names_of_their_own() -> None:
    frame = pd.concat([noisy(factor=0.1), noisy(factor=0.2).iloc[len(CLEAN) :]], ignore_index=True)
    figure = curves.degradation_plot(frame, "factor")
    labels = [axes.get_xlabel() for axes in figure.axes]
    assert sorted(labels) == sorted(f"sensor-noise (× {unit}, 0 = nominal)" for unit in UNITS)
    legend = [text.get_text() for text in figure.legends[0].get_texts()]
    assert sorted(legend) == sorted([*(f"sensor-noise ({unit})" for unit in UNITS), "clean"])


def test_one_attack_in_two_units_on_a_perturbed_robot_has_two_names() -> None:
    under = [
        episodes(CLEAN, attack="fgsm", eps=0.1, unit=unit, perturbation="mass", factor=factor)
        for unit in ("dataset-std", "raw")
        for factor in (0.5, 1.5)
    ]
    figure = curves.degradation_plot(table(episodes(CLEAN), *under), "factor")
    legend = [text.get_text() for text in figure.legends[0].get_texts()]
    assert legend == ["mass, fgsm eps 0.1", "mass, fgsm eps 0.1 raw", "clean"]


@pytest.mark.parametrize(
    ("down", "across", "nominals", "axes"),
    [
        ("action-noise", "gravity", (0, 1), ("× half actuator range, 0", "factor, 1")),
        ("gravity", "action-noise", (1, 0), ("factor, 1", "× half actuator range, 0")),
        ("mass@torso", "friction", (1, 1), ("factor, 1", "factor, 1")),
        ("sensor-bias", "wind", (0, 0), ("× dataset-std, 0", "m/s, 0")),
        (FOREIGN, "gravity", (0, 1), ("degrees, 0", "factor, 1")),
    ],
)
def test_a_grid_marks_the_point_that_changes_nothing_and_says_what_its_axes_are(
    down: str, across: str, nominals: tuple[int, int], axes: tuple[str, str]
) -> None:
    study = crossed(down, across, nominals, ABOUT)
    (grid,) = families(study.summary)
    assert_array_equal(grid.matrix("untouched"), [[1, 0], [0, 0]])
    (figure,) = heatmaps.heat_maps(study).values()
    assert figure.axes[0].get_ylabel() == f"{down} ({axes[0]} = nominal)"
    assert figure.axes[0].get_xlabel() == f"{across} ({axes[1]} = nominal)"


def test_every_perturbation_of_the_table_is_untouched_at_its_nominal_factor_in_a_grid() -> None:
    for one in perturbations.PERTURBATIONS.values():
        other = "friction" if one.name == "gravity" else "gravity"
        (grid,) = families(crossed(one.name, other, (one.nominal, 1)).summary)
        assert_array_equal(grid.matrix("untouched"), [[1, 0], [0, 0]], err_msg=one.name)


def test_grids_of_two_units_do_not_share_a_panel() -> None:
    blocks = [
        composed({"friction": f, "sensor-noise": s}, 10 * s, nominal=0.0, unit=unit)
        for unit in ("dataset-std", "raw")
        for f in (1.0, 2.0)
        for s in (0.0, 1.0)
    ]
    (figure,) = heatmaps.heat_maps(table(episodes(CLEAN), *blocks)).values()
    titles = [axes.get_title() for axes in figure.axes if axes.get_title()]
    assert sorted(titles) == [f"clean observations, sensors disturbed in {unit}" for unit in ("dataset-std", "raw")]


@pytest.mark.parametrize(
    "about",
    [None, 3, {}, {"nominal": "0"}, {"nominal": True, "unit": "", "in_obs_units": False},
     {"nominal": 1e999, "unit": "", "in_obs_units": False}, {"nominal": 0, "unit": 3, "in_obs_units": False},
     {"nominal": 0, "unit": "", "in_obs_units": "no"}],
)  # fmt: skip
def test_descriptions_of_another_form_tell_nothing(about: object) -> None:
    assert described([{"perturbations": {"mine:f": about}}, {"perturbations": [about]}, {}]) == {}


def test_a_part_is_known_by_its_name_alone() -> None:
    known = {"mine:f": Part(nominal=3.0)}
    assert part_of("mine:f@torso+thigh", known) == part_of("mine:f#0f3a92c1", known) == Part(nominal=3.0)
    assert part_of("latency", known) == KNOWN["latency"]
    assert part_of("anything", known) == Part()
