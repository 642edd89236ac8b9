"""OfflineRL-Kit: policies of its own classes, whose state dicts its trainers save as policy.pth."""

import sys
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import torch

from benchmarks.others.sources import package
from benchmarks.others.written import Rows, Written, disturbed, tensor
from microbench.checkpoints import Overrides

PACKAGES = ("gym", "tensorboard")  # which its modules import
SENSORS, ACTIONS, WIDTHS = 11, 3, (32, 32)
PLAIN, NORMALISED = Overrides(), Overrides(obs_stats=Path("none"))
BOX = SimpleNamespace(low=[-1.0] * ACTIONS, high=[1.0] * ACTIONS)
KINDS = ("SAC", "CQL", "MCQ", "MOPO", "COMBO", "RAMBO", "MOBILE", "EDAC", "IQL", "TD3BC", "BC")


def written(folder: Path, sources: Path | None) -> Iterator[Written]:
    """A file per algorithm; models of the dynamics, which are not in these files, are left out."""
    assert sources is not None
    sys.path.insert(0, str(sources / "OfflineRL-Kit"))
    for kind in KINDS:
        policy = made(kind)
        disturbed(policy)
        path = folder / f"{kind}-policy.pth"
        torch.save(policy.state_dict(), path)
        yield Written(
            name=kind,
            path=path,
            policy=partial(policy.select_action, deterministic=True),
            critic=partial(value, policy) if kind != "BC" else None,
            spread=None if kind in ("TD3BC", "BC") else partial(spread, policy),
            overrides=NORMALISED if kind == "TD3BC" else PLAIN,
        )


def value(policy: Any, obs: Rows, action: Rows) -> Any:
    """The smallest of the critics that are trained."""
    parts = dict(policy.named_children())
    critics = [parts[name] for name in ("critic1", "critic2", "critic_q1", "critic_q2") if name in parts]
    critics += list(parts["critics"]) if isinstance(parts.get("critics"), torch.nn.ModuleList) else []
    critics = critics or [parts["critics"]]
    with torch.no_grad():
        every = [critic(tensor(obs), tensor(action)).reshape(-1, len(obs)) for critic in critics]
    return torch.cat(every).amin(0)


def spread(policy: Any, obs: Rows) -> Any:
    with torch.no_grad():
        return policy.actor(tensor(obs)).stddev


def made(kind: str) -> Any:
    """The policy object with its networks, as the example of this algorithm builds it."""
    policies = package("offlinerlkit.policy")
    actor, optimiser = actor_of(kind), torch.optim.Adam([torch.zeros(1)])
    if kind == "BC":
        return policies.BCPolicy(actor, optimiser)
    if kind == "EDAC":
        return policies.EDACPolicy(actor, ensemble(), optimiser, optimiser)
    if kind == "MOBILE":
        critics = torch.nn.ModuleList([critic() for _ in range(3)])
        return policies.MOBILEPolicy(None, actor, critics, optimiser, optimiser)
    twins = (critic(), critic())
    if kind == "IQL":
        values = package("offlinerlkit.modules").Critic(mlp(SENSORS), "cpu")
        return policies.IQLPolicy(actor, *twins, values, *[optimiser] * 4, action_space=BOX)
    if kind == "MCQ":
        behavior = package("offlinerlkit.nets").VAE(SENSORS, ACTIONS, 16, 2 * ACTIONS, 1.0, "cpu")
        return policies.MCQPolicy(actor, *twins, behavior, *[optimiser] * 4)
    before = (None,) if kind in ("MOPO", "COMBO", "RAMBO") else ()
    count = 4 if kind == "RAMBO" else 3
    more: dict[str, Any] = {"action_space": BOX} if kind in ("CQL", "COMBO") else {}
    return getattr(policies, f"{kind}Policy")(*before, actor, *twins, *[optimiser] * count, **more)


def actor_of(kind: str) -> Any:
    modules = package("offlinerlkit.modules")
    if kind in ("TD3BC", "BC"):
        return modules.Actor(mlp(SENSORS), ACTIONS, max_action=1.0, device="cpu")
    shape = {"latent_dim": WIDTHS[-1], "output_dim": ACTIONS, "max_mu": 1.0}
    if kind == "IQL":
        return modules.ActorProb(mlp(SENSORS), modules.DiagGaussian(**shape, unbounded=False, conditioned_sigma=False))
    return modules.ActorProb(mlp(SENSORS), modules.TanhDiagGaussian(**shape, unbounded=True, conditioned_sigma=True))


def critic() -> Any:
    return package("offlinerlkit.modules").Critic(mlp(SENSORS + ACTIONS), "cpu")


def ensemble() -> Any:
    return package("offlinerlkit.modules").EnsembleCritic(SENSORS, ACTIONS, WIDTHS, num_ensemble=4, device="cpu")


def mlp(inputs: int) -> Any:
    return package("offlinerlkit.nets").MLP(inputs, WIDTHS)
