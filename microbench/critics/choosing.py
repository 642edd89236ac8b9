"""The critic of an attack: the checkpoint's own, or one from a file that the attack's text names.

`min-q(critic="fqe.safetensors")` is `min-q` with the critic of that file, a fitted one or another policy's. Without the
setting, or with `critic=own`, it uses the checkpoint's.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path

import torch
from torch import Tensor

from attacks import Attack, Critic, Noise, Target, Threat
from attacks.language import Spec, parse
from microbench.checkpoints import Overrides, load
from microbench.critics.storing import Origin, is_critic, load_critic
from microbench.errors import UserError
from microbench.tasks import Task
from microbench.tasks.environment import registered

SETTING = "critic"
OWN = "own"


@dataclass(frozen=True, kw_only=True, eq=False)
class FileCritic:
    """A critic from a file. `victim` is the sha256 of its policy; `origin` is None for the critic of a policy file."""

    path: Path
    sha256: str
    env_id: str
    victim: str
    critic: Critic
    critics: Callable[[Tensor, Tensor], Tensor] | None = None
    origin: Origin | None = None

    @property
    def poor(self) -> str:
        """Why the critic must not be trusted; empty if there is no reason."""
        return "" if self.origin is None else self.origin.poor


def split(spec: Spec) -> tuple[Spec, str | None]:
    """The attack without its setting `critic`, and the critic's file; None for the checkpoint's own.

    Raises:
        UserError: the setting is no file name.
    """
    file = spec.settings.get(SETTING, OWN)
    if not isinstance(file, str) or not file:
        raise UserError(f'{spec} names no critic; write critic="FILE" with a file of `microbench critic`, or {OWN}.')
    others = {name: value for name, value in spec.settings.items() if name != SETTING}
    return replace(spec, settings=others), None if file == OWN else file


def asking(spec: Spec, file: str) -> Spec:
    """The attack with this file as its setting `critic`."""
    return replace(spec, settings={**spec.settings, SETTING: file})


def judge(file: str, task: Task, target: Target) -> FileCritic:
    """The critic in a file of `microbench critic`, or in a policy file.

    Raises:
        UserError: the file is missing, has no critic, or its critic belongs to another task.
        OSError: the file cannot be read.
    """
    path = Path(file)
    if not path.is_file():
        raise UserError(f"there is no critic file {path}; fit one with `microbench critic`, or write critic={OWN}.")
    stat = path.stat()
    stored = _read(path, task.env_id, (stat.st_size, stat.st_mtime_ns))
    robots = [registered(env_id).rpartition("-v")[0] for env_id in (stored.env_id, task.env_id)]
    if robots[0] != robots[1]:
        raise UserError(
            f"{path} is a critic of {stored.env_id}, not of {task.env_id}; fit one with `microbench critic`."
        )
    _check_sizes(stored, task, target)
    return stored


@lru_cache(maxsize=8)
def _read(path: Path, env_id: str, stamp: tuple[int, int]) -> FileCritic:
    with path.open("rb") as file:
        start = file.read(1 << 20)
    if is_critic(start):
        stored = load_critic(path)
        return FileCritic(
            path=path,
            sha256=stored.sha256,
            env_id=stored.origin.env_id,
            victim=stored.origin.victim,
            critic=stored.critic,
            critics=stored.critic.members if stored.origin.fit.members > 1 else None,
            origin=stored.origin,
        )
    policy = load(path, Overrides(env_id=env_id) if start[8:10] != b'{"' else Overrides())
    if policy.target.critic is None:
        raise UserError(f"{path} is a policy without a critic; fit one to it with `microbench critic`.")
    return FileCritic(
        path=path,
        sha256=policy.sha256,
        env_id=policy.env_id,
        victim=policy.sha256,
        critic=policy.target.critic,
        critics=policy.target.critics,
    )


def _check_sizes(stored: FileCritic, task: Task, target: Target) -> None:
    obs = target.blank
    try:
        with torch.no_grad():
            fine = stored.critic(obs, torch.zeros(1, task.action_size)).shape == (1,)
    except (RuntimeError, ValueError):
        fine = False
    if not fine:
        raise UserError(
            f"{stored.path} is a critic of other sizes than {task.env_id} with {obs.shape[1]} numbers of observation "
            f"and memory and {task.action_size} actions; fit one to this policy with `microbench critic`."
        )


def judged_by(target: Target, stored: FileCritic) -> Target:
    """The target with this critic in place of its own, and with its ensemble, if any, in place of the target's."""
    return replace(target, critic=stored.critic, critics=stored.critics)


def asks_critic(attack: Attack, target: Target) -> bool:
    """Whether the attack uses a critic: it is run once on a dummy row with a spy.

    An attack that raises ValueError counts as using one.
    """
    calls = []
    obs = target.blank

    def spy(state: Tensor, action: Tensor) -> Tensor:
        calls.append(True)
        return action.sum(-1)

    def spies(state: Tensor, action: Tensor) -> Tensor:
        return torch.stack([spy(state, action), spy(state, action)])

    threat = Threat(eps=1e-3, scale=torch.ones_like(obs[0]), unit="raw")
    try:
        attack(replace(target, critic=spy, critics=spies), obs, threat, Noise.from_seeds([0]))
    except ValueError:
        return True
    return bool(calls)


def named(text: str, critics: Sequence[str]) -> list[str]:
    """The attack's text once for every critic, with the file as its setting; unchanged for the checkpoint's own."""
    spec = parse(text)
    if SETTING in spec.settings or not critics:
        return [text]
    return [text if critic == OWN else str(asking(spec, critic)) for critic in critics]
