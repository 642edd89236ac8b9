"""What certificates know of a policy is the policy: layers give its executed actions, or there are none."""

from pathlib import Path

import pytest
import torch

from microbench.checkpoints import Overrides, load
from tests.microbench.checkpoints.foreign_files import SEEN, mlp, torch_bytes, write
from tests.microbench.checkpoints.foreign_table import FILES

OPAQUE = {"lstm.model", "traced.pt", "scripted.pt", "frozen.pt", "actor.onnx"}


@pytest.mark.parametrize("name", FILES)
def test_the_layers_of_a_file_give_its_executed_actions(tmp_path: Path, name: str) -> None:
    target = load(write(tmp_path / name, FILES[name]())).target
    if name in OPAQUE:
        assert target.network is None
        return
    assert target.network is not None
    obs = torch.cat([SEEN, 5 * SEEN, -100 * SEEN])
    low, high = target.require_action_box()
    expected = torch.clamp(target.policy(obs), low, high).double()
    torch.testing.assert_close(target.network(obs), expected, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("activation", ["gelu", "silu", "leaky_relu(3)"])
def test_an_activation_without_bounds_leaves_no_layers(tmp_path: Path, activation: str) -> None:
    file = write(tmp_path / "td3.pth", torch_bytes(mlp(names=("l1", "l2", "l3"))))
    assert load(file, Overrides(activation=activation)).target.network is None


def test_the_layers_of_a_run_give_its_actions(runs: Path) -> None:
    target = load(next(runs.rglob("policy.safetensors"))).target
    assert target.network is not None
    obs = torch.randn(20, len(target.scale("raw")), generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(target.network(obs), target.policy(obs).double(), rtol=1e-5, atol=1e-5)
