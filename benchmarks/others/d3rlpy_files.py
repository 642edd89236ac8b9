"""d3rlpy: algorithms as their `save` writes them, with and without scalers, and their exports of policies."""

import functools
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch

from benchmarks.others.written import Rows, Written, disturbed, tensor
from microbench.checkpoints import Overrides

PACKAGES = ("d3rlpy",)
SENSORS, ACTIONS = 11, 3
KINDS = ("SAC", "TD3", "DDPG", "TD3PlusBC", "CQL", "CalQL", "IQL", "AWAC", "BC")
REFUSED = {"CRR": "chooses among", "BEAR": "chooses among", "BCQ": "chooses among", "PLAS": "decodes"}
HOPPER = Overrides(env_id="Hopper-v4")


def written(folder: Path, _: Path | None) -> Iterator[Written]:
    """Every algorithm plain, with both scalers, and as TorchScript and ONNX; those with samples are to be refused."""
    for kind in KINDS:
        for scaled in (False, True):
            algorithm = made(kind, **(scalers() if scaled else {}))
            name = f"{kind}{', scalers' if scaled else ''}"
            yield one(folder, name, algorithm, scaled)
            yield from exports(folder, name, algorithm, scaled)
    extra = {
        "BC, stochastic": {"policy_type": "stochastic"},
        "SAC, min-max observations": {"observation_scaler": ranged()},
    }
    for name, settings in extra.items():
        yield one(folder, name, made(name.partition(",")[0], **settings), False)
    for activation in ("tanh", "gelu", "swish"):
        yield one(folder, f"SAC, {activation}", made("SAC", **encoders(activation)), False)
    for kind, words in REFUSED.items():
        path = folder / f"{kind}.d3"
        made(kind).save(str(path))
        yield Written(name=kind, path=path, refusal=words)


def one(folder: Path, name: str, algorithm: Any, scaled: bool) -> Written:
    path = folder / f"{name.replace(', ', '-')}.d3"
    algorithm.save(str(path))
    networks = algorithm.impl.modules
    policy: Any = networks.imitator if hasattr(networks, "imitator") else networks.policy
    observations, actions = algorithm.config.observation_scaler, algorithm.config.action_scaler

    def seen(obs: Rows) -> torch.Tensor:
        return tensor(obs) if observations is None else observations.transform(tensor(obs))

    def value(obs: Rows, action: Rows) -> Any:
        with torch.no_grad():  # its critics were trained on scaled actions
            executed = tensor(action) if actions is None else actions.transform(tensor(action))
            every = [q(seen(obs), executed).q_value for q in networks.q_funcs]
        return torch.cat(every, 1).amin(1)

    def spread(obs: Rows) -> Any:
        with torch.no_grad():
            return policy(seen(obs)).logstd.exp()

    with torch.no_grad():
        random = policy(seen(np.zeros((1, SENSORS), np.float32))).logstd is not None
    return Written(
        name=f"{name}, .d3",
        path=path,
        policy=lambda obs: algorithm.predict(obs),
        critic=value if hasattr(networks, "q_funcs") else None,
        spread=spread if random else None,
        overrides=HOPPER,
        box=2.0 if scaled else 1.0,
    )


def exports(folder: Path, name: str, algorithm: Any, scaled: bool) -> Iterator[Written]:
    """What `save_policy` writes; the last of all, because it freezes the parameters."""
    newest = torch.onnx.export
    for kind in ("pt", "onnx"):
        path = folder / f"{name.replace(', ', '-')}.{kind}"
        torch.onnx.export = functools.partial(newest, dynamo=False)  # d3rlpy 2.8 was written for this exporter
        algorithm.save_policy(str(path))
        torch.onnx.export = newest
        policy = algorithm.predict
        yield Written(name=f"{name}, .{kind}", path=path, policy=policy, overrides=HOPPER, box=2.0 if scaled else 1.0)


def made(kind: str, **settings: Any) -> Any:
    """An algorithm with disturbed networks."""
    from d3rlpy import algos

    algorithm = getattr(algos, f"{kind}Config")(**settings).create(device="cpu:0")
    algorithm.create_impl((SENSORS,), ACTIONS)
    for part in vars(algorithm.impl.modules).values():
        if isinstance(part, torch.nn.Module):
            disturbed(part)
    return algorithm


def scalers() -> dict[str, Any]:
    """Standardised observations, and actions between −0.5 and 2, or −2 and 1."""
    from d3rlpy import preprocessing

    mean, std = np.linspace(-1, 1, SENSORS), np.linspace(0.5, 2, SENSORS)
    low, high = np.array([-0.5, -2.0, -1.0]), np.array([2.0, 1.0, 1.5])
    return {
        "observation_scaler": preprocessing.StandardObservationScaler(mean=mean, std=std),
        "action_scaler": preprocessing.MinMaxActionScaler(minimum=low, maximum=high),
    }


def ranged() -> Any:
    from d3rlpy import preprocessing

    return preprocessing.MinMaxObservationScaler(
        minimum=np.linspace(-3, -1, SENSORS), maximum=np.linspace(1, 2, SENSORS)
    )


def encoders(activation: str) -> dict[str, Any]:
    from d3rlpy import models

    factory = models.VectorEncoderFactory([32, 32], activation=activation)
    return {"actor_encoder_factory": factory, "critic_encoder_factory": factory}
