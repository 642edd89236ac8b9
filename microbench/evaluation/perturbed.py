"""The perturbed task of a cell: its model, its disturbances, and the proof that the physics changed."""

import functools
import zlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from mujoco import MjModel

import perturbations
from attacks import Target
from microbench.evaluation.plan import Cell
from microbench.seeds import Stream
from microbench.simulators.contract import Simulator, nominal_model
from microbench.tasks import Task
from perturbations import Disturbance, Setting, Signals


@dataclass(frozen=True, kw_only=True, eq=False)
class World:
    """One perturbed task.

    model         the compiled physics
    disturbances  names and disturbances of an episode's signals
    effect        physical quantity that differs from the nominal one → its greatest absolute change
    nominal       the nominal factor of the perturbation, which changes nothing
    is_nominal    whether every factor of a composition is the nominal one
    """

    model: MjModel
    disturbances: tuple[tuple[str, Disturbance], ...]
    effect: dict[str, float]
    nominal: float
    is_nominal: bool


@functools.lru_cache(maxsize=1024)
def world(task: Task, perturbation: str, factor: float) -> World:
    """The perturbed task of a cell; the factor belongs to the last part of a composition.

    Raises:
        ValueError: the perturbation is unknown, the factor out of its range, or the model lacks a named part.
    """
    nominal = _nominal(task)
    if perturbation == "none":
        return World(model=nominal, disturbances=(), effect={}, nominal=1.0, is_nominal=True)
    change = perturbations.build(perturbation, factor)
    model = change.physics(nominal)
    effect = {} if change.nominal else perturbations.physics_difference(nominal, model, task.unreachable)
    return World(
        model=model,
        disturbances=change.disturbances,
        effect=effect,
        nominal=perturbations.nominal_of(perturbation),
        is_nominal=change.nominal,
    )


@functools.lru_cache(maxsize=1024)
def in_obs_units(perturbation: str) -> bool:
    """Whether a factor of this perturbation is measured in the unit of observations."""
    return perturbation != "none" and any(record.in_obs_units for record in perturbations.records(perturbation))


def signals(at: World, simulator: Simulator, row: int, target: Target, unit: str, seed: int) -> list[Signals]:
    """The signals of one episode; each draws from its own stream of the episode's seed, the same at every factor.

    Raises:
        ValueError: a disturbance of sensors is measured in a unit that the target lacks.
    """
    row_signals = []
    for name, disturbance in at.disturbances:
        scaled = perturbations.needs_scale(name)
        setting = Setting(
            model=at.model,
            obs_scale=target.scale(unit).double().numpy() if scaled else np.empty(0),
            action_low=simulator.action_low,
            action_high=simulator.action_high,
            dt=float(simulator.dt[row]),
            rng=stream(seed, name),
        )
        row_signals.append(disturbance(setting))
    return row_signals


def stream(seed: int, name: str) -> np.random.Generator:
    """The random generator of the disturbance of this name in the episode of this seed."""
    return np.random.default_rng(np.random.SeedSequence((seed, Stream.DISTURBANCE, zlib.crc32(name.encode()))))


def effects(task: Task, cells: Iterable[Cell]) -> list[dict[str, Any]]:
    """The effects for results.json: each perturbation's changes of the compiled physics, and names of its signals."""
    changed = dict.fromkeys((cell.perturbation, cell.factor) for cell in cells if cell.perturbation != "none")
    records = []
    for perturbation, factor in changed:
        perturbed = world(task, perturbation, factor)
        names: Sequence[str] = [name for name, _ in perturbed.disturbances]
        records.append({"perturbation": perturbation, "factor": factor, "physics": perturbed.effect, "signals": names})
    return records


@functools.lru_cache(maxsize=8)
def _nominal(task: Task) -> MjModel:
    return nominal_model(task)
