"""The little language: by hand, and there and back again."""

from collections.abc import Callable

import mujoco
import numpy as np
import pytest
from mujoco import MjModel

from perturbations import (
    PERTURBATIONS,
    Change,
    Disturbance,
    Parameter,
    Perturbation,
    Setting,
    Signals,
    build,
    canonical,
    compose,
    friction,
    gravity,
    join,
    latency,
    mass,
    nominal_of,
    parse,
    resolve,
    split,
)


def bits(model: MjModel) -> bytes:
    buffer = np.empty(mujoco.mj_sizeModel(model), np.uint8)
    mujoco.mj_saveModel(model, None, buffer)
    return buffer.tobytes()


def test_parse_reads_what_the_command_line_writes(hopper: MjModel) -> None:
    expected = compose(mass(1.2), friction(0.8))(hopper)
    assert bits(parse("mass=1.2, friction=0.8")(hopper)) == bits(expected)
    assert bits(build("mass=1.2,friction", 0.8)(hopper)) == bits(expected)


def test_names_after_at_are_parts(hopper: MjModel) -> None:
    change = parse("mass@torso+foot=2,friction@floor=0.5,strength=0.9")
    assert change.disturbances == ()
    expected = compose(mass(2, ["torso", "foot"]), friction(0.5, "floor"), PERTURBATIONS["strength"](0.9))
    assert bits(change.physics(hopper)) == bits(expected(hopper))


def test_disturbances_keep_their_order_and_their_spelling(hopper: MjModel) -> None:
    change = parse("sensor-noise=0.1,mass=1,latency=2,sensor-bias=0")
    assert [name for name, _ in change.disturbances] == ["sensor-noise", "latency"]
    assert not change.nominal
    assert bits(change(hopper)) == bits(hopper)


@pytest.mark.parametrize(
    ("text", "nominal"),
    [("mass=1", True), ("mass=1,latency=0", True), ("latency=1", False), ("mass=1,friction=0.9", False)],
)
def test_a_change_is_nominal_where_all_its_parts_are(text: str, nominal: bool) -> None:
    assert parse(text).nominal is nominal


@pytest.mark.parametrize(
    ("text", "perturbation", "factor"),
    [
        ("mass=1.2", "mass", 1.2),
        (" mass = 1.20 , friction=0.8", "mass=1.2,friction", 0.8),
        ("mass@torso + foot=2,latency=1", "mass@torso+foot=2,latency", 1.0),
        ("latency=3,mass@torso=0.30000000000000004", "latency=3,mass@torso", 0.3),
        ("some.module:f@thigh=5e-1", "some.module:f@thigh", 0.5),
    ],
)
def test_split_and_join_are_inverse(text: str, perturbation: str, factor: float) -> None:
    assert split(text) == (perturbation, factor)
    assert join(perturbation, factor) == canonical(text) == canonical(canonical(text))
    assert split(join(perturbation, factor)) == (perturbation, factor)


def test_the_nominal_factor_is_that_of_the_last_name() -> None:
    assert nominal_of("mass=1.2,latency") == 0.0
    assert nominal_of("latency=2,mass@torso") == 1.0
    with pytest.raises(ValueError, match="did you mean 'mass'"):
        nominal_of("mas")


@pytest.mark.parametrize("text", ["", "mass", "mass=", "mass=heavy", "mass=1.2,", "=2", "mass@=2", "mass@a+=2"])
def test_parse_refuses_what_is_not_a_name_and_a_factor(text: str) -> None:
    with pytest.raises(ValueError, match=r"write them as mass=1\.2"):
        parse(text)


@pytest.mark.parametrize("text", ["mass=1,mass=2", "mass@a+b=1,mass@b=2", "mass@a+a=2", "latency=1, latency=2"])
def test_nothing_may_be_named_twice(text: str) -> None:
    with pytest.raises(ValueError, match=r"changes (mass|latency)(@\w)? twice: name it once\.$"):
        parse(text)


def test_what_has_no_parts_takes_no_names() -> None:
    with pytest.raises(ValueError, match=r"'gravity' has no parts to name: write gravity=0\.5\."):
        parse("gravity@torso=0.5")


def test_an_unknown_parameter_raises_and_names_the_nearest() -> None:
    with pytest.raises(ValueError, match="did you mean 'gravity'"):
        resolve("gravty")
    with pytest.raises(ValueError, match="did you mean 'mass'"):
        parse("mas=1.2")
    with pytest.raises(ValueError, match="did you mean 'sensor-noise'"):
        parse("sensor_noise=1.2")


def test_a_part_must_be_known_at_every_factor(hopper: MjModel) -> None:
    for factor in (1, 2):
        with pytest.raises(ValueError, match="no body 'thig': did you mean 'thigh'"):
            parse(f"mass@thig={factor}")(hopper)


# ---- of one's own


def lighter(factor: float) -> Perturbation:
    """Mass divided by the factor.

    And more words.
    """
    return mass(1 / factor)


def shifted(factor: float, bodies: list[str] | None = None) -> Perturbation:
    return mass(1 + factor, bodies)


shifted.nominal = 0  # type: ignore[attr-defined]  # how a function says so


def lost(factor: float) -> Disturbance:
    return lambda setting: Signals()


LOST = Parameter(name="whatever", about="nothing", make=lost, nominal=3.0, disturbs=True)


def broken(factor: float) -> float:
    return factor


def test_a_function_of_ones_own(hopper: MjModel) -> None:
    record = resolve(f"{__name__}:lighter")
    assert (record.nominal, record.parts, record.disturbs) == (1.0, None, False)
    assert record.about == "Mass divided by the factor."
    assert bits(record(0.5)(hopper)) == bits(mass(2.0)(hopper))
    with pytest.raises(ValueError, match="has no parts to name"):
        parse(f"{__name__}:lighter@torso=2")


def test_a_function_of_ones_own_may_take_names_and_another_nominal_factor(hopper: MjModel) -> None:
    assert parse(f"{__name__}:shifted=0").nominal
    heavier = parse(f"{__name__}:shifted@torso=1")(hopper)
    assert bits(heavier) == bits(mass(2.0, "torso")(hopper))


def test_a_record_of_ones_own_may_disturb() -> None:
    name = f"{__name__}:LOST"
    assert [part for part, _ in parse(f"{name}=1").disturbances] == [name]
    assert parse(f"{name}=3").nominal
    assert nominal_of(name) == 3.0


def test_what_is_no_perturbation_is_told() -> None:
    with pytest.raises(ValueError, match="made float of a factor: it must return a function"):
        parse(f"{__name__}:broken=1")


@pytest.mark.parametrize(
    "name", ["no_such_module:f", "perturbations.physics.bodies:no_such", ":f", "perturbations.physics.bodies:"]
)
def test_resolve_refuses_what_it_cannot_find(name: str) -> None:
    with pytest.raises(ValueError, match=r"cannot be imported|has no function"):
        resolve(name)


def test_the_nearest_name_is_told_for_compat_too() -> None:
    with pytest.raises(ValueError, match="there is no perturbation 'compat:nothing'"):
        resolve("compat:nothing")


def test_calling_a_record_is_parsing_its_name(hopper: MjModel) -> None:
    change: Change = PERTURBATIONS["gravity"](0.5)
    assert bits(change(hopper)) == bits(gravity(0.5)(hopper)) == bits(parse("gravity=0.5")(hopper))
    make: Callable[[float], Disturbance] = latency
    setting = Setting(
        model=hopper,
        obs_scale=np.ones(11),
        action_low=-np.ones(3, np.float32),
        action_high=np.ones(3, np.float32),
        dt=0.008,
        rng=np.random.default_rng(0),
    )
    ((name, disturbance),) = PERTURBATIONS["latency"](1).disturbances
    assert name == "latency"
    action = np.full(3, 0.5, np.float32)
    for begin in (disturbance, make(1)):
        signals = begin(setting)
        assert [signals.executed(action).tolist() for _ in range(2)] == [[0, 0, 0], [0.5, 0.5, 0.5]]
