"""Hyperparameters as one frozen record, and the presets that fill it from presets.toml."""

import dataclasses
import tomllib
from dataclasses import dataclass
from importlib import resources
from typing import Any, Literal, get_args

from microbench.agent import AgentConfig, GapPrecision
from microbench.dynamics_fit import WEIGHT_DECAY, DynamicsConfig
from microbench.errors import UserError, unknown_name

GapEstimator = Literal["independent", "paired"]
_COUNTS = ("samples", "rollout_every", "rollout_batch", "rollout_length", "retain", "epochs", "updates_per_epoch",
           "batch", "evaluate_every", "evaluation_episodes", "dynamics_batch", "holdout_rows", "patience")  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class TrainConfig(AgentConfig):
    """All that decides a run besides dataset, algorithm and seed; the defaults are those of the MICRO reference."""

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
        expected = {name: (getattr(self, name) >= 1, "at least 1") for name in _COUNTS} | {
            "gamma": (0 <= self.gamma <= 1, "a discount between 0 and 1"),
            "tau": (0 < self.tau <= 1, "a step above 0 and at most 1"),
            "beta": (self.beta >= 0, "0 or more"),
            "alpha": (self.alpha is None or self.alpha >= 0, "0 or more, or none to tune it"),
            "real_ratio": (0 <= self.real_ratio <= 1, "a share between 0 and 1"),
            "elites": (1 <= self.elites <= self.members, f"1 to {self.members} (members)"),
            "gap_estimator": (self.gap_estimator in get_args(GapEstimator), "independent or paired"),
            "gap_precision": (self.gap_precision in get_args(GapPrecision), "float32 or bfloat16"),
            "dynamics_hidden": (len(self.dynamics_hidden) == layers, f"{layers} layers, one size each"),
            "max_dynamics_epochs": (self.max_dynamics_epochs is None or self.max_dynamics_epochs >= 1, "at least 1"),
        }
        for name, (fine, wanted) in expected.items():
            if not fine:
                raise UserError(f"{name} is {getattr(self, name)}, expected {wanted}.")

    @property
    def real_rows(self) -> int:
        """Logged rows in a batch."""
        return int(self.batch * self.real_ratio)

    @property
    def dynamics(self) -> DynamicsConfig:
        """The part that concerns the ensemble's fit."""
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


def load_preset(preset: str, dataset: str, **overrides: Any) -> TrainConfig:
    """The preset's settings for a dataset: its [preset] table, then [preset.datasets.<dataset>], then `overrides`.

    Raises:
        UserError: an unknown preset (with the nearest name), an unknown setting, or a value out of range.

    """
    tables = tomllib.loads(resources.files("microbench").joinpath("presets.toml").read_text("utf-8"))
    if preset not in tables:
        raise unknown_name("preset", preset, tables)
    table = tables[preset]
    datasets = table.pop("datasets", {})
    settings = table | datasets.get(dataset, {}) | overrides
    known = {field.name for field in dataclasses.fields(TrainConfig)}
    for name in sorted(settings.keys() - known):
        raise unknown_name("setting", name, known)
    values: dict[str, Any] = {name: tuple(v) if isinstance(v, list) else v for name, v in settings.items()}
    return TrainConfig(**values)
