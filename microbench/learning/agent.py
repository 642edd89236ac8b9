"""The soft actor-critic agent: networks, optimisers and one update with an exchangeable Bellman target."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Literal

import torch
from torch import Tensor
from torch.optim import Adam

from microbench.learning import sac
from microbench.learning.algorithms.base import Algorithm, Backup, Batch, MemberValues
from microbench.learning.networks import Actor, Critics, chunks

_STATEFUL = ("actor", "critics", "target_critics", "actor_optimiser", "critic_optimiser", "alpha_optimiser")
METRICS = ("critic_loss", "actor_loss", "alpha", "q", "target", "entropy")


GapPrecision = Literal["float32", "bfloat16"]


@dataclass(frozen=True, kw_only=True)
class AgentConfig:
    """Hyperparameters of the actor-critic part; the defaults are those of the MICRO reference."""

    hidden: tuple[int, ...] = (256, 256)  # units per layer of actor and critics
    actor_lr: float = 1e-4
    critic_lr: float = 3e-4
    alpha_lr: float = 1e-4
    gamma: float = 0.99  # discount per environment step
    tau: float = 0.005  # Polyak step of the target critics
    beta: float = 0.5  # weight of the robust part of MICRO's target on imagined rows
    gap_precision: GapPrecision = "float32"  # or bfloat16, in products between hidden layers of the gap's values
    alpha: float | None = None  # fixed temperature; None tunes it towards the target entropy −|A|
    max_alpha: float | None = 1.0  # a tuned temperature never exceeds this
    deterministic_backup: bool = False  # leave the entropy term out of V(s')
    max_q_backup: bool = False  # V(s') from the best of 10 actions per critic
    clamp_target: bool = True  # clamp targets to ≥ 0: right only where returns cannot be negative


@dataclass(kw_only=True)
class Agent:
    """Actor, critics and temperature with their optimisers, on one device.

    `generator` draws every action noise of the updates; its state is part of `state_dict`.
    """

    config: AgentConfig
    algorithm: Algorithm
    actor: Actor
    critics: Critics
    target_critics: Critics
    generator: torch.Generator
    log_alpha: Tensor = field(init=False)  # a number; trained only when config.alpha is None
    actor_optimiser: Adam = field(init=False)
    critic_optimiser: Adam = field(init=False)
    alpha_optimiser: Adam = field(init=False)

    def __post_init__(self) -> None:
        config, device = self.config, self.device
        start = 1.0 if config.alpha is None else config.alpha
        self.log_alpha = torch.tensor(start, device=device).log().requires_grad_(config.alpha is None)
        self.target_critics.load_state_dict(self.critics.state_dict())
        self.target_critics.requires_grad_(False)
        on_gpu = device.type == "cuda"  # the step is then counted on the device, so an update can be captured
        self.actor_optimiser = Adam(self.actor.parameters(), lr=config.actor_lr, fused=True, capturable=on_gpu)
        self.critic_optimiser = Adam(self.critics.parameters(), lr=config.critic_lr, fused=True, capturable=on_gpu)
        self.alpha_optimiser = Adam([self.log_alpha], lr=config.alpha_lr, capturable=on_gpu)

    @property
    def device(self) -> torch.device:
        """The device of the parameters."""
        return next(self.actor.parameters()).device

    def update(self, batch: Batch, member_values: MemberValues) -> Tensor:
        """Update critics, actor, temperature and target critics once, in this order; returns METRICS as (6,)."""
        rows, config = batch.rows, self.config
        alpha = self.log_alpha.detach().exp()
        target = self.target(batch, member_values)
        q = self.critics(rows.obs, rows.action)  # (M, B)
        critic_loss = sac.critic_loss(q, target)
        _step(self.critic_optimiser, critic_loss)

        action, log_prob = self.actor.sample(rows.obs, self.noise(len(rows)))
        actor_loss = sac.actor_loss(self.critics(rows.obs, action, frozen=True), log_prob, alpha)
        _step(self.actor_optimiser, actor_loss)

        if config.alpha is None:
            self._update_temperature(log_prob)
        sac.polyak_update_(self.target_critics.parameters(), self.critics.parameters(), config.tau)
        metrics = (critic_loss, actor_loss, alpha, q.mean(), target.mean(), -log_prob.mean())
        return torch.stack(metrics).detach()

    @torch.no_grad()
    def target(self, batch: Batch, member_values: MemberValues) -> Tensor:
        """The critics' regression target (B,): the algorithm's Bellman target, clamped if `clamp_target` is set."""
        backup = Backup(
            gamma=self.config.gamma,
            beta=self.config.beta,
            value=self.next_value,
            member_values=member_values,
        )
        target = self.algorithm.bellman_target(batch, backup)
        return target.clamp(min=0) if self.config.clamp_target else target

    def _update_temperature(self, log_prob: Tensor) -> None:
        _step(self.alpha_optimiser, sac.temperature_loss(self.log_alpha, log_prob, self.target_entropy))
        with torch.no_grad():
            self.log_alpha.clamp_(max=self.max_log_alpha)

    @property
    def target_entropy(self) -> float:
        """−|A|, in nats."""
        return -float(self.actor.mean.out_features)

    @cached_property
    def max_log_alpha(self) -> float:
        """The upper bound of log α; inf without one."""
        bound = self.config.max_alpha
        return math.inf if bound is None else torch.tensor(bound).log().item()  # in float32, as log α is

    def next_value(self, next_obs: Tensor) -> Tensor:
        """V(s') of the backup, (B, S) → (B,), without the entropy term if `deterministic_backup` is set."""
        if self.config.max_q_backup:
            return self._best_of_ten_value(next_obs)
        action, log_prob = self.actor.sample(next_obs, self.noise(len(next_obs)))
        alpha = 0.0 if self.config.deterministic_backup else self.log_alpha.exp()
        return sac.soft_value(self.target_critics(next_obs, action), log_prob, alpha)

    def _best_of_ten_value(self, next_obs: Tensor) -> Tensor:
        """min_j max_k Q̄_j(s', a_k) over 10 sampled actions; (B, S) → (B,). No entropy, as in CQL's reference."""
        repeated = next_obs.repeat_interleave(10, 0)
        action = self.actor.act(repeated, self.noise(len(repeated)))
        q: Tensor = self.target_critics(repeated, action)  # (M, 10 B)
        return q.view(len(q), len(next_obs), 10).amax(-1).amin(0)

    @torch.no_grad()
    def pessimistic_value(self, obs: Tensor, noise: Tensor) -> Tensor:
        """min_j Q̄_j(s, a), a ~ π(·|s) sampled with standard normal noise (B, A); (B, S) → (B,). No entropy term."""
        parts, half = [], self.config.gap_precision == "bfloat16"
        for rows in chunks(obs):
            action = self.actor.act(obs[rows], noise[rows], half=half)
            parts.append(self.target_critics(obs[rows], action, half=half).amin(0))
        return torch.cat(parts)

    @property
    def generators(self) -> tuple[torch.Generator]:
        """The generators of all random numbers in an update."""
        return (self.generator,)

    def changing(self) -> list[Tensor]:
        """All tensors that an update changes, detached but on the same memory."""
        networks = (self.actor, self.critics, self.target_critics)
        optimisers = (self.actor_optimiser, self.critic_optimiser, self.alpha_optimiser)
        parameters = [parameter for network in networks for parameter in network.parameters()]
        moments = [tensor for of in optimisers for state in of.state.values() for tensor in state.values()]
        return [tensor.detach() for tensor in (*parameters, self.log_alpha)] + moments

    def state_dict(self) -> dict[str, Any]:
        """The values of everything that an update changes."""
        return {name: getattr(self, name).state_dict() for name in _STATEFUL} | {
            "log_alpha": self.log_alpha.detach().clone(),
            "generator": self.generator.get_state(),
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue where `state_dict` was taken."""
        for name in _STATEFUL:
            getattr(self, name).load_state_dict(state[name])
        with torch.no_grad():
            self.log_alpha.copy_(state["log_alpha"])
        self.generator.set_state(state["generator"])

    def noise(self, rows: int) -> Tensor:
        """Standard normal noise (rows, A) from the agent's own generator."""
        size = self.actor.mean.out_features
        return torch.randn(rows, size, generator=self.generator, device=self.device)


def make_agent(
    obs_size: int,
    action_size: int,
    config: AgentConfig,
    algorithm: Algorithm,
    *,
    seed: int,
    device: torch.device,
    action_low: Sequence[float] | None = None,
    action_high: Sequence[float] | None = None,
) -> Agent:
    """A new agent whose initial weights and later noise follow from `seed` alone."""
    start = torch.Generator().manual_seed(seed)  # weights are drawn on the CPU: the same on every device
    bounds = {"action_low": action_low, "action_high": action_high}
    actor = Actor(obs_size, action_size, config.hidden, **bounds, generator=start)
    critics = Critics(obs_size, action_size, config.hidden, generator=start)
    targets = Critics(obs_size, action_size, config.hidden, generator=start)
    return Agent(
        config=config,
        algorithm=algorithm,
        actor=actor.to(device),
        critics=critics.to(device),
        target_critics=targets.to(device),
        generator=torch.Generator(device).manual_seed(seed),
    )


def _step(optimiser: Adam, loss: Tensor) -> None:
    optimiser.zero_grad(set_to_none=True)
    loss.backward()  # type: ignore[no-untyped-call]  # torch ships this method without annotations
    optimiser.step()
