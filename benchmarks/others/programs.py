"""Exports as Stable-Baselines3 documents them: policies as TorchScript, and as ONNX by both of torch's exporters."""

import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch

from benchmarks.others.stable_baselines import made
from benchmarks.others.written import Rows, Written, disturbed, tensor
from microbench.checkpoints import Overrides

PACKAGES = ("stable_baselines3", "sb3_contrib", "onnx", "onnxscript")
KINDS = ("PPO", "A2C", "SAC", "TD3", "TQC", "CrossQ")
HOW = ("traced", "frozen", "optimised", "dynamo", "TorchScript exporter")


class Deterministic(torch.nn.Module):
    """What the documentation wraps: the policy of PPO with value and likelihood, or the actor of SAC alone."""

    def __init__(self, policy: Any) -> None:
        super().__init__()
        self.policy = policy

    def forward(self, observation: torch.Tensor) -> Any:
        """The action first."""
        return self.policy(observation, deterministic=True)


class Actor(torch.nn.Module):
    """Of TD3, whose actor takes no such word."""

    def __init__(self, policy: Any) -> None:
        super().__init__()
        self.policy = policy

    def forward(self, observation: torch.Tensor) -> Any:
        """The action."""
        return self.policy(observation)


def written(folder: Path, _: Path | None) -> Iterator[Written]:
    """Every algorithm in every way of exporting it."""
    torch.distributions.Distribution.set_default_validate_args(False)  # torch.export stops at such checks
    for kind in KINDS:
        model = made(kind, "Hopper-v4", {})
        disturbed(model.policy)
        module = Actor(model.actor) if kind == "TD3" else Deterministic(getattr(model, "actor", model.policy))
        for how in HOW:
            path = folder / f"{kind}-{how}"
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                export(module.eval(), how, path)
            yield Written(name=f"{kind}, {how}", path=path, policy=act(module), overrides=Overrides(env_id="Hopper-v4"))


def export(module: torch.nn.Module, how: str, path: Path) -> None:
    """Write it; one row, no dynamic axes, as documented."""
    jit: Any = torch.jit
    example = torch.zeros(1, 11)
    if how in ("dynamo", "TorchScript exporter"):
        more: dict[str, Any] = {"external_data": False} if how == "dynamo" else {"opset_version": 17}
        torch.onnx.export(module, (example,), str(path), dynamo=how == "dynamo", verbose=False, **more)
        return
    program = jit.trace(module, example, check_trace=False)
    program = program if how == "traced" else jit.freeze(program)
    jit.save(jit.optimize_for_inference(program) if how == "optimised" else program, str(path))


def act(module: torch.nn.Module) -> Any:
    def call(obs: Rows) -> Any:
        with torch.no_grad():
            output = module(tensor(obs))
        return output[0] if isinstance(output, tuple) else output

    return call
