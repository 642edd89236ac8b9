"""What the command line says about perturbations: axes, products, samples, and everything that is neither."""

import numpy as np
import pytest

import perturbations
from microbench.errors import UserError
from microbench.evaluation.plan import CLEAN, Cell
from microbench.studies.sweeps import Axis, cell, crossed, parse_sweep, sampled, swept


def pairs(cells: list[Cell]) -> list[tuple[str, float]]:
    return [(one.perturbation, one.factor) for one in cells]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("mass=0.5", [("mass", (0.5,))]),
        ("mass=0.8,1,1.2", [("mass", (0.8, 1.0, 1.2))]),
        ("mass=0.5:1.5:3", [("mass", (0.5, 1.0, 1.5))]),
        ("mass@torso+thigh=2", [("mass@torso+thigh", (2.0,))]),
        ("mass=1.2,friction=0.8", [("mass", (1.2,)), ("friction", (0.8,))]),
        ("mass=0.8,1.2, gravity=1:2:2,3", [("mass", (0.8, 1.2)), ("gravity", (1.0, 2.0, 3.0))]),
        ("my.module:heavier=2,3", [("my.module:heavier", (2.0, 3.0))]),
        ("my.module:heavier=1:2:3", [("my.module:heavier", (1.0, 1.5, 2.0))]),
    ],
)
def test_axes(text: str, expected: list[tuple[str, tuple[float, ...]]]) -> None:
    assert [(axis.name, axis.factors) for axis in parse_sweep(text)] == expected
    assert not any(axis.is_range for axis in parse_sweep(text))


def test_a_range_has_no_count() -> None:
    assert parse_sweep("mass=0.8:1.2,friction=0.5") == (
        Axis(name="mass", factors=(0.8, 1.2), is_range=True),
        Axis(name="friction", factors=(0.5,)),
    )


@pytest.mark.parametrize(
    "text",
    [
        *("mass", "=1", "mass=", "mass=heavy", "1,mass=1", "mass=1:2:0", "mass=1:2:x", "mass=1:2:3:4", "mass=1,nan"),
        *("mass=inf", "mass=2:1", "mass=1,=2", ""),
    ],
)
def test_what_is_no_sweep(text: str) -> None:
    with pytest.raises(UserError, match=r"is no sweep; expected NAME=LOW:HIGH:COUNT"):
        parse_sweep(text)


def test_sweeps_stand_beside_each_other_and_a_grid_combines_them() -> None:
    sweeps = [parse_sweep("mass=0.5,2"), parse_sweep("friction=0.8,1,1.2")]
    assert pairs(swept(sweeps)) == [
        *(("mass", 0.5), ("mass", 2.0)),
        *(("friction", 0.8), ("friction", 1.0), ("friction", 1.2)),
    ]
    assert pairs(swept(sweeps, grid=True)) == [
        *(("mass=0.5,friction", 0.8), ("mass=0.5,friction", 1.0), ("mass=0.5,friction", 1.2)),
        *(("mass=2,friction", 0.8), ("mass=2,friction", 1.0), ("mass=2,friction", 1.2)),
    ]
    assert swept([parse_sweep("mass=0.5,2,friction=0.8,1,1.2")]) == swept(sweeps, grid=True)


def test_a_grid_contains_its_corners() -> None:
    grid = pairs(swept([parse_sweep("mass=0.5:1.5:11"), parse_sweep("gravity=0.8:1.2:3")], grid=True))
    assert len(grid) == 33
    assert {("mass=0.5,gravity", 0.8), ("mass=1.5,gravity", 1.2)} <= set(grid)


def test_a_range_is_not_swept() -> None:
    with pytest.raises(UserError, match=r"mass=0\.8:1\.2 is a range to draw from; add :COUNT"):
        swept([parse_sweep("mass=0.8:1.2")])


@pytest.mark.parametrize("sampling", ["latin-hypercube", "uniform"])
def test_samples_lie_in_the_box_and_follow_the_seed(sampling: str) -> None:
    sweeps = [parse_sweep("mass=0.8:1.2"), parse_sweep("friction=0.7,latency=2"), parse_sweep("gravity=0.5:1.5")]
    cells = sampled(sweeps, 40, sampling, seed=3)
    assert len(set(cells)) == 40
    assert cells == sampled(sweeps, 40, sampling, seed=3) != sampled(sweeps, 40, sampling, seed=4)
    for one in cells:
        mass, friction, latency, gravity = perturbations.join(one.perturbation, one.factor).split(",")
        assert (friction, latency) == ("friction=0.7", "latency=2")
        assert 0.8 <= float(mass.removeprefix("mass=")) <= 1.2
        assert 0.5 <= float(gravity.removeprefix("gravity=")) <= 1.5


def test_samples_need_ranges_and_a_known_way() -> None:
    with pytest.raises(UserError, match="--samples draws mass from a range; write it as LOW:HIGH"):
        sampled([parse_sweep("mass=0.8,1.2")], 4, "uniform", seed=0)
    with pytest.raises(UserError, match="latin-hypercube"):
        sampled([parse_sweep("mass=0.8:1.2")], 4, "latin-hypercub", seed=0)


@pytest.mark.parametrize("factor", [0.1, 1 / 3, 1e-7, 123456.789, float(np.linspace(0.3, 0.9, 7)[4])])
def test_a_cell_comes_back_from_its_text(factor: float) -> None:
    one = cell(["mass", "friction"], [factor, factor])
    assert cell(["mass", "friction"], [factor, one.factor]) == one
    assert one.factor == pytest.approx(factor, rel=1e-11)


def test_impossible_cells_are_refused_at_once() -> None:
    with pytest.raises(ValueError, match="there is no perturbation 'mas'"):
        swept([parse_sweep("mas=1")])
    with pytest.raises(ValueError, match="a factor must be finite and greater than 0"):
        swept([parse_sweep("mass=1,-1")])
    with pytest.raises(ValueError, match="mass"):
        swept([parse_sweep("mass=1.1,mass=1.2")])


def test_attacks_meet_every_perturbation() -> None:
    heavy, light, pgd = cell(["mass"], [2]), cell(["mass"], [0.5]), Cell(attack="pgd", eps=0.1)
    assert crossed([heavy, light], []) == [CLEAN, heavy, light]
    both = [Cell(attack="pgd", eps=0.1, perturbation="mass", factor=factor) for factor in (2.0, 0.5)]
    assert crossed([heavy, light], [pgd]) == [CLEAN, heavy, light, pgd, *both]
