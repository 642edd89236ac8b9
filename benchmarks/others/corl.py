"""CORL's single files: trainers whose state is saved as those files save it."""

from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import torch

from benchmarks.others.sources import names_of
from benchmarks.others.written import Rows, Written, disturbed, tensor
from microbench.checkpoints import Overrides

SENSORS, ACTIONS, WIDTH = 11, 3, 32
NORMALISED = Overrides(obs_stats=Path("none"))
Parts = tuple[Any, Any, list[Any]]  # trainer, actor, critics (obs, action) → values


def written(folder: Path, sources: Path | None) -> Iterator[Written]:
    """A file per algorithm."""
    assert sources is not None
    for kind, (make, overrides) in KINDS.items():
        names = names_of(sources / "CORL" / "algorithms" / "offline" / f"{kind}.py")
        for name, maker in make.items():
            trainer, actor, critics = maker(names)
            path = folder / f"{name}.pt"
            torch.save(trainer.state_dict(), path)
            yield Written(
                name=name,
                path=path,
                policy=partial(act, actor),
                critic=partial(value, critics) if critics else None,
                spread=partial(SPREADS[name], actor) if name in SPREADS else None,
                overrides=overrides,
            )


def act(actor: Any, obs: Rows) -> Any:
    """The action of one row after the other, as the files evaluate."""
    actor.eval()
    with torch.no_grad():
        return [actor.act(row, "cpu") for row in obs]


def value(critics: list[Any], obs: Rows, action: Rows) -> Any:
    """The smallest of all critics."""
    with torch.no_grad():
        every = [critic(tensor(obs), tensor(action)) for critic in critics]
    return torch.stack([one.reshape(-1, len(obs)) for one in every]).flatten(0, 1).amin(0)


def adam(*modules: Any) -> Any:
    return torch.optim.Adam([parameter for module in modules for parameter in module.parameters()])


def bc(names: dict[str, Any]) -> Parts:
    actor = disturbed(names["Actor"](SENSORS, ACTIONS, 1.0))
    return names["BC"](1.0, actor, adam(actor), device="cpu"), actor, []


def td3_bc(names: dict[str, Any]) -> Parts:
    actor = disturbed(names["Actor"](SENSORS, ACTIONS, 1.0))
    critics = [disturbed(names["Critic"](SENSORS, ACTIONS), seed) for seed in (1, 2)]
    first, second = critics
    trainer = names["TD3_BC"](1.0, actor, adam(actor), first, adam(first), second, adam(second), device="cpu")
    return trainer, actor, critics


def awac(names: dict[str, Any]) -> Parts:
    actor = disturbed(names["Actor"](SENSORS, ACTIONS, WIDTH))
    critics = [disturbed(names["Critic"](SENSORS, ACTIONS, WIDTH), seed) for seed in (1, 2)]
    first, second = critics
    trainer = names["AdvantageWeightedActorCritic"](actor, adam(actor), first, adam(first), second, adam(second))
    return trainer, actor, critics


def cql(names: dict[str, Any]) -> Parts:
    actor = disturbed(names["TanhGaussianPolicy"](SENSORS, ACTIONS, 1.0))
    critics = [disturbed(names["FullyConnectedQFunction"](SENSORS, ACTIONS), seed) for seed in (1, 2)]
    first, second = critics
    trainer = names["ContinuousCQL"](
        first, adam(first), second, adam(second), actor, adam(actor), target_entropy=-3.0, device="cpu"
    )
    return trainer, actor, critics


def iql(names: dict[str, Any], kind: str) -> Parts:
    actor = disturbed(names[kind](SENSORS, ACTIONS, 1.0))
    both, values = disturbed(names["TwinQ"](SENSORS, ACTIONS)), disturbed(names["ValueFunction"](SENSORS))
    trainer = names["ImplicitQLearning"](1.0, actor, adam(actor), both, adam(both), values, adam(values), device="cpu")
    return trainer, actor, [both]


def sac_n(names: dict[str, Any], kind: str) -> Parts:
    last = (False,) if kind == "LBSAC" else ()  # initialised as EDAC is
    layer_norm = (False,) if kind == "LBSAC" else ()
    actor = disturbed(names["Actor"](SENSORS, ACTIONS, WIDTH, *last))
    critic = disturbed(names["VectorizedCritic"](SENSORS, ACTIONS, WIDTH, 5, *layer_norm, *last))
    return names[kind](actor, adam(actor), critic, adam(critic)), actor, [critic]


def of_normal(actor: Any, obs: Rows) -> Any:
    """IQL's own distribution."""
    with torch.no_grad():
        return actor(tensor(obs)).stddev


def of_awac(actor: Any, obs: Rows) -> Any:
    with torch.no_grad():
        return actor._get_policy(tensor(obs)).stddev


def of_sac(actor: Any, obs: Rows) -> Any:
    with torch.no_grad():
        return actor.log_sigma(actor.trunk(tensor(obs))).clip(-5, 2).exp()


def of_cql(actor: Any, obs: Rows) -> Any:
    with torch.no_grad():
        _, log_std = torch.split(actor.base_network(tensor(obs)), ACTIONS, dim=-1)
        return (actor.log_std_multiplier() * log_std + actor.log_std_offset()).clamp(-20, 2).exp()


KINDS: dict[str, tuple[dict[str, Callable[[dict[str, Any]], Parts]], Overrides]] = {
    "any_percent_bc": ({"BC": bc}, NORMALISED),
    "td3_bc": ({"TD3+BC": td3_bc}, NORMALISED),
    "awac": ({"AWAC": awac}, NORMALISED),
    "cql": ({"CQL": cql}, NORMALISED),
    "iql": (
        {"IQL": partial(iql, kind="GaussianPolicy"), "IQL deterministic": partial(iql, kind="DeterministicPolicy")},
        NORMALISED,
    ),
    "sac_n": ({"SAC-N": partial(sac_n, kind="SACN")}, Overrides()),
    "edac": ({"EDAC": partial(sac_n, kind="EDAC")}, Overrides()),
    "lb_sac": ({"LB-SAC": partial(sac_n, kind="LBSAC")}, Overrides()),
}
SPREADS: dict[str, Callable[[Any, Rows], Any]] = {
    "IQL": of_normal,
    "AWAC": of_awac,
    "CQL": of_cql,
    **{name: of_sac for name in ("SAC-N", "EDAC", "LB-SAC")},
}
