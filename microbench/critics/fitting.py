"""The loop that fits action values of a frozen policy by temporal differences; a Method is a record.

Shapes: M members, B batch, S obs, A action; values inside the loop are standardised.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor
from torch.optim import Adam

from microbench.critics.steps import Steps, returns_to_go
from microbench.critics.values import FittedCritic
from microbench.errors import UserError
from microbench.learning.networks import StackedLinear, stacked
from microbench.learning.sac import polyak_update_


class Penalty(Protocol):
    """A term that a method adds to the loss; `progress` grows from 0 to 1 over the fit."""

    def __call__(
        self, layers: Sequence[StackedLinear], obs: Tensor, action: Tensor, q: Tensor, progress: float
    ) -> Tensor:
        """Return a number, for standardised obs (B, S), action (B, A) and their values q (M, B)."""
        ...


@dataclass(frozen=True, kw_only=True)
class Method:
    """A published way to fit Q of a frozen policy.

    next_action  function from the steps to the action (N, A) of the target in the next state
    loss         function from values and targets, both (M, B), to a number
    penalty      term added to the loss, or None
    noise        exploration noise of the victim's rollouts in half-widths of the action box; episodes take turns.
                 More noise covers more actions, in states that the policy itself visits less.
    """

    next_action: Callable[[Steps], Tensor]
    loss: Callable[[Tensor, Tensor], Tensor]
    penalty: Penalty | None = None
    noise: tuple[float, ...] = (0.0,)


@dataclass(frozen=True, kw_only=True)
class Fit:
    """Settings of the loop."""

    gamma: float = 0.99  # discount per environment step; larger looks farther ahead, and is harder to fit
    steps: int = 10_000  # number of updates
    batch: int = 256  # environment steps per update
    members: int = 2  # networks of the ensemble; more make its minimum more pessimistic
    hidden: tuple[int, ...] = (256, 256)  # units of the hidden layers
    lr: float = 1e-3  # learning rate: constant, then linear to 0 over the last third
    tau: float = 0.05  # Polyak step of the target networks; larger follows faster, and is less stable
    seed: int = 0  # random seed of weights and batches

    def __post_init__(self) -> None:
        if not 0 <= self.gamma < 1:
            raise UserError(f"gamma is {self.gamma}, expected a discount of at least 0 and below 1.")
        if min(self.steps, self.batch, self.members, *self.hidden) < 1:
            raise UserError("steps, batch, members and hidden units of a critic must be at least 1.")


def bellman_target(reward: Tensor, terminal: Tensor, next_value: Tensor, gamma: float) -> Tensor:
    """The targets r + γ (1 − terminal) Q̄_j(s', a'), (M, B); every member has its own, so that all stay independent."""
    return reward + gamma * (1 - terminal) * next_value


def fit(
    steps: Steps,
    method: Method,
    config: Fit,
    *,
    low: Tensor,
    high: Tensor,
    listen: Callable[[int, float], None] = lambda step, loss: None,
) -> FittedCritic:
    """The critic after `config.steps` updates; low and high (A,) are the action box.

    It calls `listen(step, loss)` every 100 updates. Equal steps and settings give equal weights.

    Raises:
        UserError: the fit diverged.
    """
    generator = torch.Generator().manual_seed(config.seed)
    sizes = (steps.obs.shape[1], steps.action.shape[1])
    critic, old = (FittedCritic(*sizes, config.hidden, config.members, generator) for _ in range(2))
    critic.standardise(steps, _expected_returns(steps, config.gamma), low, high)
    old.load_state_dict(critic.state_dict())
    rows, following = critic.inputs(steps.obs, steps.action), critic.inputs(steps.next_obs, method.next_action(steps))
    layers = stacked(critic.networks.layers)
    optimiser = Adam(critic.networks.parameters(), lr=config.lr, fused=True)
    for step in range(config.steps):
        optimiser.param_groups[0]["lr"] = config.lr * min(1.0, 3 * (1 - step / config.steps))
        batch = torch.randint(len(steps), (config.batch,), generator=generator)
        obs, action = (part[batch] for part in rows)
        with torch.no_grad():
            next_value = old.in_returns(old.networks(*(part[batch] for part in following)))
            target = bellman_target(steps.reward[batch], steps.terminal[batch], next_value, config.gamma)
        q = critic.networks(obs, action)
        loss = method.loss(q, critic.standardised(target))
        if method.penalty is not None:
            loss = loss + method.penalty(layers, obs, action, q, step / config.steps)
        optimiser.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]  # torch ships this method without annotations
        optimiser.step()
        polyak_update_(old.networks.parameters(), critic.networks.parameters(), config.tau)
        if step % 100 == 99:
            _tell(listen, step + 1, float(loss.detach()))
    return critic.requires_grad_(False)


def _expected_returns(steps: Steps, gamma: float) -> Tensor:
    """Returns-to-go (N,), with the mean reward for ever after a truncation: the initial scale of values."""
    returns, missing = returns_to_go(steps, gamma)
    return returns + missing * steps.reward.mean() / (1 - gamma)


def _tell(listen: Callable[[int, float], None], step: int, loss: float) -> None:
    if not loss < float("inf"):
        raise UserError(f"the fit of the critic diverged after {step} updates; lower its learning rate or gamma.")
    listen(step, loss)
