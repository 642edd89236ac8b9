"""Hyperparameters of a training run as one frozen record, and the presets of presets.toml that fill it."""

import dataclasses
import reprlib
import tomllib
from dataclasses import dataclass
from importlib import resources
from itertools import pairwise
from typing import Any, Literal, get_args

from microbench.errors import UserError, unknown_name
from microbench.learning.agent import AgentConfig, GapPrecision
from microbench.learning.dynamics_fit import WEIGHT_DECAY, DynamicsConfig

GapEstimator = Literal["independent", "paired"]
_COUNTS = {  # whole numbers from 1 to what a machine can hold, or anyone wait for
    "samples": 10**4, "rollout_every": 10**9, "rollout_batch": 10**7, "rollout_length": 10**4, "retain": 10**4,
    "epochs": 10**9, "updates_per_epoch": 10**9, "batch": 10**6, "evaluate_every": 10**9, "evaluation_episodes": 10**5,
    "dynamics_batch": 10**6, "holdout_rows": 10**9, "patience": 10**9, "members": 1000,
}  # fmt: skip
_RATES = ("actor_lr", "critic_lr", "alpha_lr", "dynamics_lr")
MOST_RATE = 10**36  # float32 has no more
MOST_WEIGHT = 10**6  # of a term in a target or a loss
MOST_UNITS, MOST_LAYERS = 2**14, 16
CRITICS = 2
MOST_IMAGINED = 10**9
MOST_PARAMETERS = 2**30  # of one network, all members together


@dataclass(frozen=True, kw_only=True)
class TrainConfig(AgentConfig):
    """The hyperparameters of a training run; the defaults are those of the MICRO reference.

    A run is decided by them, its dataset, its algorithm and its seed.
    """

    # model-based part
    samples: int = 10  # N, next states per elite member in f(s, a)
    gap_estimator: GapEstimator = "independent"  # or paired: the same noise for every member
    rollout_every: int = 1000  # updates
    rollout_batch: int = 50_000  # start states per rollout
    rollout_length: int = 5  # h, imagined steps
    retain: int = 5  # rollouts kept in the model buffer
    # schedule
    epochs: int = 3000
    updates_per_epoch: int = 1000
    batch: int = 256
    real_ratio: float = 0.05  # share of logged rows in a batch
    cosine: bool = True  # actor learning rate decays to 0 over the epochs
    evaluate_every: int = 10  # epochs
    evaluation_episodes: int = 10
    # dynamics ensemble
    members: int = 7
    elites: int = 5
    dynamics_hidden: tuple[int, ...] = (200, 200, 200, 200)
    dynamics_lr: float = 1e-3
    dynamics_batch: int = 256
    holdout_rows: int = 1000
    patience: int = 5  # dynamics epochs without a gain of 1 %
    max_dynamics_epochs: int | None = None

    def __post_init__(self) -> None:
        layers = len(WEIGHT_DECAY) - 1
        expected = {name: _count(getattr(self, name), most) for name, most in _COUNTS.items()}
        expected |= {name: (0 < getattr(self, name) <= MOST_RATE, "a finite step above 0") for name in _RATES}
        expected |= {
            "hidden": _layers(self.hidden, CRITICS),
            "gamma": (0 <= self.gamma <= 1, "a discount between 0 and 1"),
            "tau": (0 < self.tau <= 1, "a step above 0 and at most 1"),
            "beta": (0 <= self.beta <= MOST_WEIGHT, f"0 to {MOST_WEIGHT}"),
            "alpha": (self.alpha is None or 0 <= self.alpha <= MOST_WEIGHT, f"0 to {MOST_WEIGHT}, or none to tune it"),
            "max_alpha": (
                self.max_alpha is None or 0 < self.max_alpha <= MOST_WEIGHT,
                f"above 0 and at most {MOST_WEIGHT}, or none for no bound",
            ),
            "real_ratio": (0 <= self.real_ratio <= 1, "a share between 0 and 1"),
            "elites": (1 <= self.elites <= self.members, f"1 to {self.members} (members)"),
            "gap_estimator": (self.gap_estimator in get_args(GapEstimator), "independent or paired"),
            "gap_precision": (self.gap_precision in get_args(GapPrecision), "float32 or bfloat16"),
            "max_dynamics_epochs": (True, "")
            if self.max_dynamics_epochs is None
            else _count(self.max_dynamics_epochs, 10**9),
        }
        if all(fine for fine, _ in expected.values()):
            imagined = self.retain * self.rollout_batch * self.rollout_length
            expected["rollout_batch"] = (
                imagined <= MOST_IMAGINED,
                f"at most {MOST_IMAGINED} rows in the model buffer (retain × rollout_batch × rollout_length)",
            )
        if len(self.dynamics_hidden) != layers:
            expected["dynamics_hidden"] = (False, f"{layers} layers, one size each")
        elif expected["members"][0]:
            expected["dynamics_hidden"] = _layers(self.dynamics_hidden, self.members)
        for name, (fine, wanted) in expected.items():
            if not fine:
                raise UserError(f"{name} is {reprlib.repr(getattr(self, name))}, expected {wanted}.")

    @property
    def real_rows(self) -> int:
        """Logged rows in a batch."""
        return int(self.batch * self.real_ratio)

    @property
    def dynamics(self) -> DynamicsConfig:
        """The hyperparameters of the ensemble's fit."""
        return DynamicsConfig(
            members=self.members,
            elites=self.elites,
            hidden=self.dynamics_hidden,
            lr=self.dynamics_lr,
            batch=self.dynamics_batch,
            holdout_rows=self.holdout_rows,
            patience=self.patience,
            max_epochs=self.max_dynamics_epochs,
        )


def _count(value: int, most: int) -> tuple[bool, str]:
    return type(value) is int and 1 <= value <= most, f"a whole number, at least 1 and at most {most}"


def _layers(sizes: tuple[int, ...], networks: int) -> tuple[bool, str]:
    """Whether layers of these sizes can be built, and the expected sizes in words."""
    whole = all(type(size) is int and 1 <= size <= MOST_UNITS for size in sizes)
    fine = whole and 1 <= len(sizes) <= MOST_LAYERS
    weights = networks * sum(one * other for one, other in pairwise(sizes)) if fine else 0
    wanted = f"1 to {MOST_LAYERS} layers of 1 to {MOST_UNITS} units, and at most {MOST_PARAMETERS} weights in all"
    return fine and weights <= MOST_PARAMETERS, wanted


def preset_threads(preset: str) -> int | None:
    """CPU threads that the preset fixes, else None: their number decides the last bits, and with them the run."""
    threads: int | None = _table(preset).get("threads")
    return threads


def _table(preset: str) -> dict[str, Any]:
    tables = tomllib.loads(resources.files("microbench").joinpath("presets.toml").read_text("utf-8"))
    if preset not in tables:
        raise unknown_name("preset", preset, tables)
    table: dict[str, Any] = tables[preset]
    return table


def load_preset(preset: str, dataset: str, **overrides: Any) -> TrainConfig:
    """The preset's settings for a dataset: its [preset] table, then [preset.datasets.<dataset>], then `overrides`.

    Raises:
        UserError: the preset is unknown (the message has the nearest name), a setting is unknown or out of range.

    """
    table = {name: value for name, value in _table(preset).items() if name != "threads"}
    datasets = table.pop("datasets", {})
    settings = table | datasets.get(dataset, {}) | overrides
    known = {field.name for field in dataclasses.fields(TrainConfig)}
    for name in sorted(settings.keys() - known):
        raise unknown_name("setting", name, known)
    values: dict[str, Any] = {name: tuple(v) if isinstance(v, list) else v for name, v in settings.items()}
    return TrainConfig(**values)
