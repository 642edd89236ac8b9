"""The unit of eps where a policy brings none: measured on its own clean episodes, the same for everybody."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch

import perturbations
import reports
from attacks import Target
from microbench.checkpoints import load
from microbench.commands.units import digest, measured, needs_unit, record, unit_of
from microbench.episodes.loop import deterministic_action
from microbench.errors import UserError
from microbench.evaluation.attacked import Conditions
from microbench.evaluation.plan import CLEAN, Cell
from microbench.evaluation.rollout_std import rollout_std, with_rollout_std
from microbench.numerics.rows import one_thread
from microbench.seeds import ROLLOUT_STD
from microbench.tasks import TASKS, Task, find_task
from microbench.tasks.environment import make_env
from tests.microbench.checkpoints.foreign_files import write
from tests.microbench.checkpoints.foreign_table import FILES
from tests.microbench.small_run import Shell, write_policy

HOPPER = TASKS["Hopper-v4"]
FEW = ("--episodes", "2", "--workers", "1", "--env", "Hopper-v4")


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    write(tmp_path / "plain_sb3.zip", FILES["sb3-td3.zip"]())
    return tmp_path


@pytest.fixture
def no_report(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reports, "write_report", lambda *_: {}, raising=False)


def rows(folder: str = "runs") -> pd.DataFrame:
    (path,) = Path(folder).rglob("results.csv")
    return pd.read_csv(path, keep_default_na=False)


def scale(folder: str = "runs", run: int = -1) -> dict[str, object]:
    (path,) = Path(folder).rglob("results.json")
    stored: dict[str, object] = json.loads(path.read_text())["runs"][run]["scale"]
    return stored


def test_the_first_command_gives_a_table_that_names_its_unit(here: Path, drawing_shell: Shell) -> None:
    done = drawing_shell("attack", "plain_sb3.zip", "--eps", "0.05", "--attack", "random", *FEW)
    assert done.code == 0, done.err
    assert "Eps unit: rollout-std, linf norm." in done.out
    (line,) = [line for line in done.err.splitlines() if "rollout-std" in line]
    assert line.startswith("microbench: plain_sb3.zip has no statistics of observations")
    assert set(rows()["unit"]) == {"", "rollout-std"}  # nothing is measured in clean episodes
    (table,) = Path("runs").rglob("table.md")
    assert "rollout-std" in table.read_text()
    (page,) = Path("runs").rglob("index.html")
    assert "rollout-std" in page.read_text()
    (plot,) = Path("runs").rglob("degradation_eps.svg")
    assert "std of clean episodes" in plot.read_text()


def test_a_plain_loop_of_gymnasium_measures_the_same_unit(tmp_path: Path) -> None:
    target = write_policy(tmp_path / "policy.safetensors").target
    shown = []
    env = make_env("Hopper-v4")
    with one_thread():
        for seed in ROLLOUT_STD:
            obs, over = env.reset(seed=seed)[0], False
            while not over:
                shown.append(obs.astype(np.float32))
                action = deterministic_action(target.policy, torch.from_numpy(shown[-1])[None])[0]
                obs, _, terminated, truncated, _ = env.step(action)
                over = terminated or truncated
    env.close()
    by_hand = np.stack(shown).astype(np.float64).std(0)
    assert rollout_std(target, HOPPER).numpy() == pytest.approx(by_hand, rel=1e-6)


def test_a_recurrent_policy_has_a_unit_of_its_sensors_alone(here: Path) -> None:
    write(here / "lstm.model", FILES["lstm.model"]())
    target = load(here / "lstm.model").target
    with_unit = with_rollout_std(target, find_task("Hopper-v4"))
    assert with_unit.scale("rollout-std").shape == (11,)
    assert with_unit.open_scale("rollout-std")[11:].eq(0).all()


class Counting:
    """A world of `steps` steps whose sensors show the time, times `speeds`, and 0.1."""

    action_low, action_high = -np.ones(1, np.float32), np.ones(1, np.float32)

    def __init__(self, speeds: tuple[float, ...], steps: int = 5) -> None:
        self.n, self._speeds, self._steps, self._time = len(ROLLOUT_STD), np.array(speeds), steps, 0

    def reset(self, seeds: object) -> Any:
        assert seeds == ROLLOUT_STD
        return self._shown(self.n)

    def step(self, action: Any, ids: Any) -> Any:
        self._time += 1
        over = np.full(len(ids), self._time == self._steps)
        return self._shown(len(ids)), np.ones(len(ids)), over, ~over & False

    def close(self) -> None:
        """Nothing is open."""

    def _shown(self, rows: int) -> Any:
        return np.tile(np.float32(0.1) + self._time * self._speeds, (rows, 1))


def in_world(monkeypatch: pytest.MonkeyPatch, world: Counting) -> torch.Tensor:
    monkeypatch.setattr("microbench.evaluation.rollout_std.make_simulator", lambda *_: world)
    monkeypatch.setattr("microbench.evaluation.rollout_std.nominal_model", lambda _: None)
    target = Target(policy=lambda obs: obs[:, :1], obs_scale={"raw": torch.ones(2)})
    return rollout_std(target, Task(env_id="Counting-v0", obs_size=2, action_size=1))


def test_a_sensor_that_never_moves_is_closed_to_attacks(monkeypatch: pytest.MonkeyPatch) -> None:
    """The times 0 … 4 have a variance of 2; 0.1 in float32, fifty times, has a mean that is not quite 0.1."""
    scale = in_world(monkeypatch, Counting((1.0, 0.0)))
    assert scale.tolist() == [pytest.approx(2**0.5), 0.0]


def test_what_never_moves_at_all_has_no_unit(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(UserError, match="no sensor moves"):
        in_world(monkeypatch, Counting((0.0, 0.0)))


def test_neither_workers_nor_seed_nor_episodes_change_it(here: Path, shell: Shell, no_report: None) -> None:
    common = ("attack", "plain_sb3.zip", "--eps", "0.3", "--attack", "action-diff", "--env", "Hopper-v4")
    assert shell(*common, "--episodes", "12", "--workers", "1", "--out", "one").code == 0
    assert shell(*common, "--episodes", "12", "--workers", "2", "--out", "two").code == 0
    assert shell(*common, "--episodes", "2", "--workers", "1", "--seed", "77", "--out", "other").code == 0
    pd.testing.assert_frame_equal(rows("one"), rows("two"), check_exact=True)
    assert scale("one") == scale("two") == scale("other")
    under = rows("one").set_index("attack")["return"]
    assert (under["action-diff"].to_numpy() != under["none"].to_numpy()).any()


def test_resumed_rows_share_the_unit_of_those_before(
    here: Path, shell: Shell, no_report: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    common = ("attack", "plain_sb3.zip", "--eps", "0.3", "--attack", "action-diff", *FEW, "--out", "one")
    assert shell(*common).code == 0
    monkeypatch.setattr("microbench.commands.units.rollout_std", lambda *_: torch.full((11,), 9.0))  # a newer MuJoCo
    assert shell(*common, "--episodes", "4", "--resume").code == 0
    assert scale("one", 0) == scale("one", 1)
    again = ("attack", "plain_sb3.zip", "--eps", "0.3", "--attack", "action-diff", *FEW, "--episodes", "4")
    monkeypatch.undo()
    monkeypatch.chdir(here)
    assert shell(*again, "--out", "two").code == 0
    one, two = (rows(name).sort_values(["attack", "episode"], ignore_index=True) for name in ("one", "two"))
    pd.testing.assert_frame_equal(one, two)


def test_the_unit_is_on_record_before_the_first_row(here: Path, shell: Shell, monkeypatch: pytest.MonkeyPatch) -> None:
    def killed(*_: object) -> Any:
        raise KeyboardInterrupt

    monkeypatch.setattr("microbench.studies.measure.evaluate_episodes", killed)
    assert shell("attack", "plain_sb3.zip", "--eps", "0.3", "--attack", "random", *FEW, "--out", "one").code == 130
    values = scale("one")["values"]
    assert isinstance(values, list)
    assert values == rollout_std(load(here / "plain_sb3.zip").target, HOPPER).tolist()
    assert scale("one")["sha256"] == digest(values)


@pytest.mark.parametrize("change", [{"values": [1.0] * 11}, {"sha256": "0"}, {"task": "Hopper-v5"}, {"first_seed": 0}])
def test_a_record_that_does_not_fit_is_not_believed(here: Path, change: dict[str, object]) -> None:
    checkpoint = load(here / "plain_sb3.zip")
    conditions = Conditions(env_id="Hopper-v4", unit="rollout-std")
    true = measured(checkpoint, conditions, asked="rollout-std")
    about = record(checkpoint, true)
    past = [{"checkpoint": checkpoint.sha256, "scale": {**about["scale"], **change}}]
    assert measured(checkpoint, conditions, asked="rollout-std", past=past).scale == true.scale


def test_it_can_be_asked_for_where_there_is_another(here: Path, shell: Shell, no_report: None) -> None:
    write(here / "p.model", FILES["sa-ppo.model"]())
    done = shell("attack", "p.model", "--eps", "0.1", "--attack", "random", "--unit", "rollout-std", *FEW)
    assert done.code == 0, done.err
    assert set(rows()["unit"]) == {"", "rollout-std"}  # nothing is measured in clean episodes
    assert "has no statistics" not in done.err
    wrong = shell("attack", "p.model", "--eps", "0.1", "--attack", "random", "--unit", "rolout-std", *FEW)
    assert wrong.is_one_sentence
    assert "did you mean 'rollout-std'" in wrong.err
    lacking = shell("attack", "p.model", "--eps", "0.1", "--attack", "random", "--unit", "range", *FEW)
    assert lacking.is_one_sentence
    assert "has no range; choose --unit raw, policy-norm, rollout-std" in lacking.err


def test_what_needs_no_unit_asks_for_none(here: Path, shell: Shell, no_report: None) -> None:
    done = shell("perturb", "plain_sb3.zip", "--mass", "0.9:1.1:2", "--perturbation", "latency=0,1", *FEW)
    assert done.code == 0, done.err
    assert "rollout-std" not in done.err
    assert "Eps unit: none" in done.out
    assert set(rows()["unit"]) == {""}


@pytest.mark.parametrize("perturbation", ["sensor-noise=0.1", "sensor-bias=0.1", "mass=1.1,sensor-noise=0.1"])
def test_disturbed_sensors_are_measured_in_it(here: Path, shell: Shell, no_report: None, perturbation: str) -> None:
    done = shell("perturb", "plain_sb3.zip", "--perturbation", perturbation, *FEW)
    assert done.code == 0, done.err
    assert set(rows()["unit"]) == {"", "rollout-std"}  # nothing is measured in clean episodes
    assert "in rollout-std" in done.err


def test_only_attacks_and_sensors_need_a_unit() -> None:
    assert not needs_unit([CLEAN, Cell(perturbation="mass=1.2,latency", factor=1.0)])
    assert needs_unit([CLEAN, Cell(attack="random", eps=0.0)])
    assert needs_unit([Cell(perturbation="sensor-noise=1,mass", factor=1.0)])
    assert not any(perturbations.needs_scale(name) for name in perturbations.PERTURBATIONS if "sensor" not in name)


def test_a_unit_of_the_policy_comes_first(tmp_path: Path) -> None:
    own = write_policy(tmp_path / "policy.safetensors")
    assert unit_of(own, None) == unit_of(own, None, needed=False) == "dataset-std"
    bare = replace(own, target=replace(own.target, obs_scale={"raw": torch.ones(11)}))
    assert (unit_of(bare, None), unit_of(bare, None, needed=False), unit_of(bare, "raw")) == (
        "rollout-std",
        "none",
        "raw",
    )
    with pytest.raises(UserError, match="no unit 'none'"):
        unit_of(bare, "none")
