"""Defaults and presets against the tables they come from, entry by entry."""

import dataclasses
import tomllib
from importlib import resources
from typing import Any

import pytest

from microbench.data.sources import BUNDLED
from microbench.errors import UserError
from microbench.learning.config import TrainConfig, load_preset, preset_threads
from tests.microbench.toys import one_line

# MICRO, arXiv:2312.03991 and its reference code.
DEFAULTS: dict[str, Any] = {
    "actor_lr": 1e-4, "critic_lr": 3e-4, "alpha_lr": 1e-4, "hidden": (256, 256), "gamma": 0.99, "tau": 0.005,
    "beta": 0.5, "alpha": None, "max_alpha": 1.0, "deterministic_backup": False, "max_q_backup": False,
    "clamp_target": True, "gap_precision": "float32", "samples": 10, "gap_estimator": "independent",
    "rollout_every": 1000, "rollout_batch": 50_000, "rollout_length": 5, "retain": 5, "epochs": 3000,
    "updates_per_epoch": 1000, "batch": 256, "real_ratio": 0.05, "cosine": True, "evaluate_every": 10,
    "evaluation_episodes": 10, "members": 7, "elites": 5, "dynamics_hidden": (200, 200, 200, 200),
    "dynamics_lr": 1e-3, "dynamics_batch": 256, "holdout_rows": 1000, "patience": 5, "max_dynamics_epochs": None,
}  # fmt: skip

# Per dataset: rollout length h, β, and what else differs from the defaults.
PAPER: dict[str, tuple[int, float, dict[str, Any]]] = {
    "halfcheetah-medium-v2": (5, 0.5, {}),
    "halfcheetah-medium-replay-v2": (5, 0.5, {}),
    "halfcheetah-medium-expert-v2": (5, 0.5, {"real_ratio": 0.5, "deterministic_backup": True, "patience": 30}),
    "hopper-medium-v2": (5, 1.0, {"alpha": 0.1, "patience": 10}),
    "hopper-medium-replay-v2": (5, 0.1, {"alpha": 0.1, "real_ratio": 0.5}),
    "hopper-medium-expert-v2": (10, 1.0, {"deterministic_backup": True, "patience": 30}),
    "walker2d-medium-v2": (5, 0.5, {"max_dynamics_epochs": 30, "patience": 30}),
    "walker2d-medium-replay-v2": (1, 0.2, {"real_ratio": 0.5}),
    "walker2d-medium-expert-v2": (1, 1.0, {}),
}


def test_defaults() -> None:
    assert dataclasses.asdict(TrainConfig()) == DEFAULTS


@pytest.mark.parametrize("dataset", PAPER)
def test_paper_preset(dataset: str) -> None:
    length, beta, others = PAPER[dataset]
    expected = DEFAULTS | {"rollout_length": length, "beta": beta} | others
    assert dataclasses.asdict(load_preset("paper", dataset)) == expected


def test_paper_preset_names_no_other_dataset() -> None:
    """Besides the nine of the paper, only a bundled one, with the settings of the set it stands in for."""
    tables = tomllib.loads((resources.files("microbench") / "presets.toml").read_text("utf-8"))
    named = set(tables["paper"]["datasets"])
    assert named - set(PAPER) <= set(BUNDLED)
    assert named | {"halfcheetah-medium-v2", "halfcheetah-medium-replay-v2"} == set(PAPER) | (named & set(BUNDLED))
    for name in named & set(BUNDLED):
        alike = name.removeprefix("microbench/").replace("-v0", "-v2")
        assert load_preset("paper", name) == load_preset("paper", alike)


def test_paper_preset_for_an_unknown_dataset_is_the_default() -> None:
    assert load_preset("paper", "mine") == TrainConfig()


@pytest.mark.parametrize("preset", ["paper", "quick"])
def test_overrides_win(preset: str) -> None:
    config = load_preset(preset, "hopper-medium-replay-v2", beta=0.7, hidden=[8, 8])
    assert config.beta == 0.7
    assert config.hidden == (8, 8)
    assert config.alpha == 0.1


def test_quick_preset_is_valid_and_shorter() -> None:
    quick = load_preset("quick", "anything")
    assert quick.epochs * quick.updates_per_epoch <= 100_000
    assert quick.max_dynamics_epochs is not None


@pytest.mark.parametrize(
    ("preset", "overrides", "words"),
    [
        ("papr", {}, "no preset 'papr': did you mean 'paper'"),
        ("paper", {"betta": 1}, "no setting 'betta': did you mean 'beta'"),
        ("paper", {"rollout_len": 1}, "no setting 'rollout_len': did you mean 'rollout_length'"),
    ],
)
def test_unknown_names_suggest_the_nearest(preset: str, overrides: dict[str, Any], words: str) -> None:
    with pytest.raises(UserError, match=words):
        load_preset(preset, "hopper-medium-v2", **overrides)


@pytest.mark.parametrize(
    ("setting", "value"),
    [
        ("real_ratio", 1.1), ("real_ratio", -0.1), ("real_ratio", float("nan")), ("elites", 8), ("elites", 0),
        ("samples", 0), ("batch", 0), ("epochs", 0), ("retain", 0), ("rollout_length", 0), ("patience", 0),
        ("holdout_rows", 0), ("max_dynamics_epochs", 0), ("gap_estimator", "pared"), ("gap_precision", "half"),
        ("hidden", (0,)), ("hidden", ()), ("hidden", (-1, 8)), ("hidden", (2.5,)), ("hidden", ("8",)),
        ("hidden", ([8],)), ("rollout_batch", 10**7 + 1),
        ("hidden", (10**9,)), ("hidden", (8,) * 17), ("hidden", (2**14,) * 8), ("hidden", (True,)),
        ("dynamics_hidden", (200, 200, 200, 0)), ("dynamics_hidden", (2**14,) * 4), ("members", 0), ("members", 10**9),
        ("batch", 10**18), ("batch", 2.5), ("rollout_batch", 10**12), ("epochs", 10**18), ("samples", 10**9),
        ("actor_lr", 0.0), ("critic_lr", float("nan")), ("alpha_lr", float("inf")), ("dynamics_lr", -1.0),
        ("beta", float("inf")), ("beta", 10**400), ("alpha", float("nan")), ("max_alpha", 0.0),
        ("max_dynamics_epochs", 1.5),
        ("gamma", float("nan")),
        ("gamma", 1.5), ("tau", 0.0), ("beta", -1.0), ("alpha", -0.1), ("dynamics_hidden", (200, 200)),
    ],
)  # fmt: skip
def test_values_out_of_range(setting: str, value: Any) -> None:
    """The silent alternative: `pared` would train with independent noise, a negative α ends in NaN."""
    with pytest.raises(UserError, match=f"^{setting} is .*, expected ") as caught:
        load_preset("paper", "hopper-medium-v2", **{setting: value})
    assert one_line(caught.value)


def test_a_model_buffer_that_no_machine_holds_is_refused() -> None:
    with pytest.raises(UserError, match="model buffer"):
        TrainConfig(rollout_batch=10**7, rollout_length=100, retain=2)


def test_the_quick_preset_fixes_its_threads_and_the_reference_schedule_does_not() -> None:
    """So that what it prints does not depend on how many cores there are."""
    assert preset_threads("quick") == 1
    assert preset_threads("paper") is None


@pytest.mark.parametrize(
    ("batch", "real_ratio", "rows"), [(256, 0.05, 12), (256, 0.5, 128), (256, 0.0, 0), (256, 1.0, 256), (10, 0.3, 3)]
)
def test_real_rows(batch: int, real_ratio: float, rows: int) -> None:
    assert TrainConfig(batch=batch, real_ratio=real_ratio).real_rows == rows


def test_the_dynamics_part() -> None:
    part = TrainConfig(
        members=3, elites=2, dynamics_lr=0.1, patience=7, max_dynamics_epochs=9, dynamics_batch=5
    ).dynamics
    assert dataclasses.asdict(part) == {
        "members": 3, "elites": 2, "hidden": (200, 200, 200, 200), "lr": 0.1, "batch": 5, "holdout_rows": 1000,
        "patience": 7, "max_epochs": 9,
    }  # fmt: skip
