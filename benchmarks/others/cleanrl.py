"""CleanRL's single files: agents of PPO, TD3, DDPG and SAC, saved as those files save them."""

from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import gymnasium
import torch

from benchmarks.others.sources import names_of
from benchmarks.others.written import Rows, Written, disturbed, tensor
from microbench.checkpoints import Overrides


def written(folder: Path, sources: Path | None) -> Iterator[Written]:
    """One file per algorithm and box."""
    assert sources is not None
    code = {kind: names_of(sources / "cleanrl" / "cleanrl" / f"{kind}_continuous_action.py") for kind in KINDS}
    for env_id, box in (("Hopper-v4", 1.0), ("Humanoid-v4", 0.4)):
        spaces = gymnasium.make(env_id)
        envs = SimpleNamespace(
            single_observation_space=spaces.observation_space,
            single_action_space=spaces.action_space,
            action_space=spaces.action_space,
        )
        for kind, names in code.items():
            yield one(folder, kind, f"{kind.upper()}, {env_id}", names, envs, box)


def one(folder: Path, kind: str, name: str, names: dict[str, Any], envs: Any, box: float) -> Written:
    path = folder / f"{name.replace(', ', '-')}.cleanrl_model"
    overrides = Overrides(obs_stats=Path("none")) if kind == "ppo" else Overrides()
    if kind == "ppo":
        agent: Any = disturbed(names["Agent"](envs))
        torch.save(agent.state_dict(), path)
        spread = quiet(lambda obs: agent.actor_logstd.exp().expand(len(obs), -1))
        state = quiet(lambda obs: agent.critic(obs)[:, 0])
        act = quiet(agent.actor_mean)
        return Written(name=name, path=path, policy=act, state=state, spread=spread, overrides=overrides, box=box)
    actor: Any = disturbed(names["Actor"](envs))
    if kind == "sac":  # the file saves nothing; people save the actor
        torch.save(actor.state_dict(), path)
        mean = quiet(lambda obs: actor.get_action(obs)[2])
        return Written(name=name, path=path, policy=mean, spread=quiet(lambda obs: actor(obs)[1].exp()), box=box)
    critics = [disturbed(names["QNetwork"](envs), seed) for seed in range(KINDS[kind])]
    torch.save((actor.state_dict(), *[critic.state_dict() for critic in critics]), path)

    def value(obs: Rows, action: Rows) -> Any:
        with torch.no_grad():
            return torch.cat([critic(tensor(obs), tensor(action)) for critic in critics], 1).amin(1)

    return Written(name=name, path=path, policy=quiet(actor), critic=value, box=box)


def quiet(of: Any) -> Any:
    """A function of rows without gradients."""

    def call(obs: Rows) -> Any:
        with torch.no_grad():
            return of(tensor(obs))

    return call


KINDS = {"ppo": 0, "td3": 2, "ddpg": 1, "sac": 0}
"""How many critics each file saves."""
