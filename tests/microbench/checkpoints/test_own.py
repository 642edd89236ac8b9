"""Policy files: what comes out is what went in, to the bit, and anything else is refused in a sentence."""

import hashlib
import io
import json
import pickle
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load, save
from torch import Tensor

from microbench.checkpoints import load_own, save_own
from microbench.checkpoints.own import PolicyOrigin
from microbench.errors import UserError
from microbench.learning.agent import Agent, AgentConfig, make_agent
from microbench.learning.algorithms import ALGORITHMS
from tests.microbench import toys
from tests.microbench.small_run import policy_bytes

ORIGIN = PolicyOrigin(env_id="Hopper-v4", algorithm="micro", train_seed=3, updates=7, score=12.5)


def agent(**box: Any) -> Agent:
    return make_agent(
        toys.OBS, toys.ACTIONS, AgentConfig(hidden=(16, 24)), ALGORITHMS["micro"], seed=1, device=toys.CPU, **box
    )


def about(content: bytes) -> dict[str, Any]:
    header = json.loads(content[8 : 8 + int.from_bytes(content[:8], "little")])
    description: dict[str, Any] = json.loads(header["__metadata__"]["microbench"])
    return description


def rewritten(content: bytes, tensors: dict[str, Tensor] | None = None, **description: Any) -> bytes:
    """The file with tensors replaced (a missing entry stays as it is) or other words in its description."""
    changed = {name: value for name, value in (load(content) | (tensors or {})).items() if value is not None}
    return save(changed, {"microbench": json.dumps(about(content) | description)})


def refusal(path: Path, content: bytes) -> str:
    path.write_bytes(content)
    with pytest.raises(UserError) as caught:
        load_own(path)
    assert str(path) in str(caught.value)
    return str(caught.value)


def test_actions_values_and_distributions_are_the_agents_bit_for_bit(tmp_path: Path) -> None:
    trained = agent(action_low=[-2.0, -1.0], action_high=[1.0, 3.0])
    path = tmp_path / "policy.safetensors"
    path.write_bytes(save_own(trained, toys.dataset(), ORIGIN))
    target = load_own(path).target
    obs, action = toys.transitions().obs, toys.transitions().action
    assert target.policy(obs).equal(trained.actor(obs))
    assert target.require_critic()(obs, action).equal(trained.critics(obs, action).amin(0))
    distribution, expected = target.require_distribution()(obs), trained.actor.head(obs)
    assert distribution.mean.equal(expected.mean)
    assert distribution.stddev.equal(expected.log_std.exp())


def test_a_file_says_where_it_comes_from_and_what_a_unit_of_eps_is(tmp_path: Path) -> None:
    path, data = tmp_path / "policy.safetensors", toys.dataset()
    path.write_bytes(save_own(agent(), data, ORIGIN))
    checkpoint = load_own(path)
    assert checkpoint.sha256 == hashlib.sha256(path.read_bytes()).hexdigest()
    assert (checkpoint.env_id, checkpoint.algorithm, checkpoint.dataset, checkpoint.train_seed) == (
        "Hopper-v4",
        "micro",
        "toy",
        3,
    )
    assert (checkpoint.stored_score, checkpoint.family, checkpoint.path) == (12.5, "microbench", path)
    assert (
        checkpoint.target.scale("dataset-std").tolist() == data.obs.std(0, dtype=np.float64).astype(np.float32).tolist()
    )
    assert checkpoint.target.scale("range").tolist() == np.ptp(data.obs, axis=0).tolist()
    assert checkpoint.target.scale("raw").tolist() == [1, 1, 1]
    assert sorted(checkpoint.target.obs_scale) == ["dataset-std", "range", "raw"]


def test_a_recipe_is_stored_and_a_file_of_before_has_none(tmp_path: Path) -> None:
    path = tmp_path / "policy.safetensors"
    path.write_bytes(save_own(agent(), toys.dataset(), replace(ORIGIN, recipe="00ff12ab34cd")))
    assert load_own(path).recipe == "00ff12ab34cd"
    description = about(path.read_bytes())
    del description["recipe"]
    path.write_bytes(save(load(path.read_bytes()), {"microbench": json.dumps(description)}))
    assert load_own(path).recipe == ""


@pytest.mark.parametrize("recipe", [5, None, ["0"], "no hash", "\x1b[2J", "a" * 65])
def test_a_recipe_that_is_no_hash_is_refused(tmp_path: Path, recipe: Any) -> None:
    assert "does not say its recipe" in refusal(tmp_path / "p", rewritten(policy_bytes(), recipe=recipe))


def test_gradients_stop_at_the_observation(tmp_path: Path) -> None:
    path = tmp_path / "policy.safetensors"
    path.write_bytes(save_own(agent(), toys.dataset(), ORIGIN))
    target = load_own(path).target
    obs = toys.transitions(4).obs.requires_grad_()
    value = target.require_critic()(obs.detach(), target.policy(obs))
    (gradient,) = torch.autograd.grad(value.sum(), obs)
    assert (gradient != 0).any(1).all()
    parameters = list(target.policy.parameters())  # type: ignore[attr-defined]  # of the network behind it
    assert len(parameters) > 3
    assert not any(parameter.requires_grad for parameter in parameters)


def test_equal_agents_give_equal_bytes() -> None:
    assert save_own(agent(), toys.dataset(), ORIGIN) == save_own(agent(), toys.dataset(), ORIGIN)


def test_a_missing_file_is_told(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="there is no policy file"):
        load_own(tmp_path / "policy.safetensors")


@pytest.mark.parametrize("kept", [0, 7, 8, 100, 1000, -1])
def test_a_truncated_file_is_refused(tmp_path: Path, kept: int) -> None:
    assert "damaged or foreign" in refusal(tmp_path / "p", policy_bytes()[:kept])


@pytest.mark.parametrize("content", [b"{}", b"\x00" * 4096, b"\xff" * 4096, b"# a text\n" * 99])
def test_a_foreign_file_is_refused(tmp_path: Path, content: bytes) -> None:
    assert "damaged or foreign" in refusal(tmp_path / "p", content)


def test_other_families_and_newer_formats_are_refused(tmp_path: Path) -> None:
    assert "that another program wrote" in refusal(tmp_path / "p", save({"a": torch.zeros(1)}))
    assert "that another program wrote" in refusal(tmp_path / "p", save({"a": torch.zeros(1)}, {"microbench": "{}"}))
    assert "damaged or foreign" in refusal(tmp_path / "p", save({"a": torch.zeros(1)}, {"microbench": "[1]"}))
    assert "damaged or foreign" in refusal(tmp_path / "p", save({"a": torch.zeros(1)}, {"microbench": "no JSON"}))
    assert "family 'other'" in refusal(tmp_path / "p", rewritten(policy_bytes(), family="other"))
    assert "format 2; expected 'microbench', format 1" in refusal(tmp_path / "p", rewritten(policy_bytes(), format=2))


@pytest.mark.parametrize("name", ["obs_std", "obs_mean", "obs_range", "actor.mean.bias", "critics.layers.0.weight"])
def test_missing_and_misshapen_tensors_are_refused(tmp_path: Path, name: str) -> None:
    content = policy_bytes()
    without: dict[str, Any] = {name: None}
    message = refusal(tmp_path / "p", rewritten(content, without))
    assert name in message
    assert "' has (" in refusal(tmp_path / "p", rewritten(content, {name: torch.zeros(2, 2)}))


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("obs_std", torch.full((11,), torch.nan)),
        ("obs_std", -torch.ones(11)),
        ("obs_range", -torch.ones(11)),
        ("obs_low", torch.full((11,), -torch.inf)),
        ("actor.mean.bias", torch.full((3,), torch.nan)),
        ("actor.action_scale", torch.zeros(3)),
        ("critics.layers.2.bias", torch.full((2, 1, 1), torch.inf)),
        ("actor.mean.bias", torch.zeros(3, dtype=torch.float64)),
    ],
)
def test_numbers_that_no_policy_has_are_refused(tmp_path: Path, name: str, value: Tensor) -> None:
    message = refusal(tmp_path / "p", rewritten(policy_bytes(), {name: value}))
    assert name in message or "a standard deviation or range of observations is below 0" in message


def test_a_sensor_that_never_moved_has_no_spread_and_is_read(tmp_path: Path) -> None:
    std = torch.ones(11)
    std[4] = 0.0
    (tmp_path / "p").write_bytes(rewritten(policy_bytes(), {"obs_std": std}))
    assert load_own(tmp_path / "p").target.scale("dataset-std").tolist() == std.tolist()


def test_a_file_of_before_has_no_bounds_and_is_read(tmp_path: Path) -> None:
    without: dict[str, Any] = {"obs_low": None}
    (tmp_path / "old").write_bytes(rewritten(policy_bytes(), without))
    (tmp_path / "new").write_bytes(policy_bytes())
    assert load_own(tmp_path / "old").target.obs_bounds is None
    target = load_own(tmp_path / "new").target
    low, high = target.require_obs_bounds()
    assert (high - low).equal(target.scale("range"))
    assert "' has (2, 2)" in refusal(tmp_path / "p", rewritten(policy_bytes(), {"obs_low": torch.zeros(2, 2)}))


def test_unknown_tensors_are_refused(tmp_path: Path) -> None:
    for name in ("extra", "actor.extra", "critics.layers.9.bias"):
        message = refusal(tmp_path / "p", rewritten(policy_bytes(), {name: torch.zeros(3)}))
        assert f"'{name}' has (3,), expected no such tensor" in message


@pytest.mark.parametrize("hidden", [None, [8, 8], "abc", [16], [16, -1], [16, 16.5], {}])
def test_a_wrong_description_of_the_layers_is_refused(tmp_path: Path, hidden: Any) -> None:
    refusal(tmp_path / "p", rewritten(policy_bytes(), hidden=hidden))


@pytest.mark.parametrize(("name", "value"), [("env_id", 5), ("train_seed", "0"), ("score", []), ("dataset", None)])
def test_a_wrong_origin_is_refused(tmp_path: Path, name: str, value: Any) -> None:
    assert f"does not say its {name}" in refusal(tmp_path / "p", rewritten(policy_bytes(), **{name: value}))


def torch_bytes(thing: object) -> bytes:
    buffer = io.BytesIO()
    torch.save(thing, buffer)
    return buffer.getvalue()


class Hostile:
    """Unpickling it would leave a file behind."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> Any:
        return Path.touch, (self.path,)


@pytest.mark.parametrize("write", [pickle.dumps, torch_bytes])
def test_a_hostile_file_runs_nothing(tmp_path: Path, write: Any) -> None:
    trace = tmp_path / "trace"
    content = write(Hostile(trace))
    pickle.loads(pickle.dumps(Hostile(tmp_path / "proof")))  # the trap works
    assert (tmp_path / "proof").exists()
    assert "damaged or foreign" in refusal(tmp_path / "p", content)
    assert not trace.exists()
