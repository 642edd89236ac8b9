"""Imagined transitions: the policy rolled out in the dynamics ensemble, and the buffer that keeps them.

Shapes: B rows still alive, S obs, A action.
"""

from collections import deque
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from microbench.data.dataset import Transitions
from microbench.learning.dynamics import DynamicsEnsemble
from microbench.learning.networks import Actor, chunks

TerminalRule = Callable[[Tensor], Tensor]  # next_obs (B, S) → bool (B,)


@torch.no_grad()
def roll_out(
    model: DynamicsEnsemble,
    actor: Actor,
    obs: Tensor,
    *,
    length: int,
    terminal: TerminalRule,
    generator: torch.Generator,
) -> Transitions:
    """Imagined transitions of up to `length` steps from every start state (B, S); terminated rows stop."""
    steps = []
    for _ in range(length):
        noise = torch.randn(len(obs), actor.mean.out_features, generator=generator, device=obs.device)
        action = torch.cat([actor.act(obs[rows], noise[rows]) for rows in chunks(obs)])
        next_obs, reward = model.step(obs, action, generator)
        ended = terminal(next_obs)
        steps.append(
            Transitions(obs=obs, action=action, reward=reward, next_obs=next_obs, terminal=ended.to(reward.dtype))
        )
        obs = next_obs[~ended]
        if not len(obs):
            break
    return Transitions.cat(steps)


class Imagination:
    """The model buffer: the imagined transitions of the last `retain` rollouts.

    A rollout is a function of the policy's weights and the generator's state, so only these two are stored. After an
    interruption the buffer is imagined again, row for row, instead of being written to the disk at every epoch.
    """

    def __init__(
        self,
        model: DynamicsEnsemble,
        logged: Transitions,
        *,
        batch: int,
        length: int,
        retain: int,
        terminal: TerminalRule,
        generator: torch.Generator,
    ) -> None:
        self.model, self.logged, self.generator = model, logged, generator
        self.batch, self.length, self.terminal = batch, length, terminal
        self._origins: deque[dict[str, Any]] = deque(maxlen=retain)
        self._rollouts: deque[Transitions] = deque(maxlen=retain)
        self.rows: Transitions | None = None

    def imagine(self, actor: Actor) -> Transitions:
        """Roll the policy out from `batch` logged states, keep the transitions, and return them."""
        weights = {name: tensor.clone() for name, tensor in actor.state_dict().items()}
        self._origins.append({"actor": weights, "generator": self.generator.get_state()})
        starts = self.logged.sample(self.batch, self.generator).obs
        rollout = roll_out(
            self.model, actor, starts, length=self.length, terminal=self.terminal, generator=self.generator
        )
        self._rollouts.append(rollout)
        self.rows = Transitions.cat(list(self._rollouts))
        return rollout

    def state_dict(self) -> dict[str, Any]:
        """The origins of the buffer's rollouts and the generator's present state."""
        return {"origins": list(self._origins), "generator": self.generator.get_state()}

    def load_state_dict(self, state: dict[str, Any], actor: Actor) -> None:
        """Imagine the buffer again; `actor` lends its architecture and has its own weights again afterwards."""
        present = {name: tensor.clone() for name, tensor in actor.state_dict().items()}
        self._origins.clear()
        self._rollouts.clear()
        self.rows = None
        for origin in state["origins"]:
            actor.load_state_dict(origin["actor"])
            self.generator.set_state(origin["generator"])
            self.imagine(actor)
        actor.load_state_dict(present)
        self.generator.set_state(state["generator"])
