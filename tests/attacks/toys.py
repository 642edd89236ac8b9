"""Targets whose worst case is known, and small random networks."""

from dataclasses import dataclass, field

import torch
from torch import Tensor
from torch.distributions import Normal

from attacks import Descend, Noise, Target, Threat

SENSORS, ACTIONS = 5, 2
# The range of dataset standard deviations over the D4RL locomotion sets: from slow angles to joint speeds.
WIDE_SCALE = torch.tensor([0.05, 0.075, 1.0, 5.61, 12.0])


def linear_target(seed: int = 0, *, critic: bool = True, dtype: torch.dtype = torch.float32) -> tuple[Target, Tensor]:
    """Return π(s) = Ws, Q(s, a) = ⟨1, s⟩ + ⟨c, a⟩ and the gradient Wᵀc (S,) of Q(s, π(ŝ)) with respect to ŝ."""
    generator = torch.Generator().manual_seed(seed)
    weight = torch.randn(ACTIONS, SENSORS, generator=generator, dtype=dtype)
    price = torch.randn(ACTIONS, generator=generator, dtype=dtype)
    target = Target(
        policy=lambda obs: obs @ weight.T,
        critic=(lambda obs, action: obs.sum(-1) + action @ price) if critic else None,
        critics=(lambda obs, action: (obs.sum(-1) + action @ price).expand(2, -1)) if critic else None,
        state_value=lambda obs: obs.sum(-1),
        obs_scale={"raw": torch.ones(SENSORS), "dataset-std": WIDE_SCALE},
        obs_bounds=(torch.full((SENSORS,), -2.0), torch.full((SENSORS,), 2.0)),
        action_box=(torch.full((ACTIONS,), -1.0), torch.full((ACTIONS,), 1.0)),
        distribution=lambda obs: Normal(obs @ weight.T, torch.full((len(obs), ACTIONS), 0.5, dtype=dtype)),
    )
    return target, weight.T @ price


def network(inputs: int, outputs: int, seed: int, gain: float = 2.0) -> torch.nn.Sequential:
    """Return a curved two-layer network: `gain` widens the default initialisation."""
    generator = torch.Generator().manual_seed(seed)
    net = torch.nn.Sequential(torch.nn.Linear(inputs, 24), torch.nn.Tanh(), torch.nn.Linear(24, outputs))
    with torch.no_grad():
        for parameter in net.parameters():
            bound = gain / parameter.shape[-1] ** 0.5
            parameter.uniform_(-bound, bound, generator=generator)
    return net


@dataclass
class Networks:
    """A random tanh policy and critic that remember what they were called with."""

    seed: int = 0
    shown: list[Tensor] = field(default_factory=list)
    judged: list[Tensor] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.actor = network(SENSORS, ACTIONS, 2 * self.seed)
        self.value = network(SENSORS + ACTIONS, 1, 2 * self.seed + 1)
        self.second = network(SENSORS + ACTIONS, 1, 2 * self.seed + 1001)
        self.state = network(SENSORS, 1, 2 * self.seed + 2001)

    def policy(self, obs: Tensor) -> Tensor:
        self.shown.append(obs.detach())
        action: Tensor = torch.tanh(self.actor(obs))
        return action

    def critic(self, obs: Tensor, action: Tensor) -> Tensor:
        self.judged.append(obs.detach())
        value: Tensor = self.value(torch.cat([obs, action], dim=-1))
        return value.squeeze(-1)

    def critics(self, obs: Tensor, action: Tensor) -> Tensor:
        other: Tensor = self.second(torch.cat([obs, action], dim=-1))
        return torch.stack([self.critic(obs, action), other.squeeze(-1)])

    def state_value(self, obs: Tensor) -> Tensor:
        value: Tensor = self.state(obs)
        return value.squeeze(-1)

    def distribution(self, obs: Tensor) -> Normal:
        mean = self.actor(obs)
        return Normal(mean, torch.exp(0.1 * mean))

    def target(self, *, critic: bool = True) -> Target:
        """All that a target can offer, or only a deterministic policy."""
        scales = {"raw": torch.ones(SENSORS), "dataset-std": WIDE_SCALE}
        if not critic:
            return Target(policy=self.policy, obs_scale=scales)
        return Target(
            policy=self.policy,
            critic=self.critic,
            critics=self.critics,
            state_value=self.state_value,
            obs_scale=scales,
            obs_bounds=(torch.full((SENSORS,), -1.5), torch.full((SENSORS,), 1.5)),
            action_box=(-torch.ones(ACTIONS), torch.ones(ACTIONS)),
            distribution=self.distribution,
        )


def observations(rows: int, seed: int = 0) -> Tensor:
    return torch.randn(rows, SENSORS, generator=torch.Generator().manual_seed(seed))


def noise(rows: int, first: int = 0) -> Noise:
    return Noise.from_seeds(range(first, first + rows))


def threat(eps: float | Tensor = 0.1, *, wide: bool = False, norm: str = "linf") -> Threat:
    scale = WIDE_SCALE if wide else torch.ones(SENSORS)
    return Threat(eps=eps, scale=scale, unit="raw", norm="l2" if norm == "l2" else "linf")


def descended(gradient: Tensor, start: Tensor, ball: Threat, search: Descend) -> Tensor:
    """Return where the search ends from start (B, S) on the linear objective ⟨gradient, seen⟩."""
    target, obs = linear_target()[0], torch.zeros_like(start)
    return search.descend(lambda target, obs, seen: seen @ gradient, target, obs, start, ball)[0]


@dataclass
class Recorder:
    """An objective that remembers which points it was asked about."""

    seen: list[Tensor] = field(default_factory=list)

    def __call__(self, target: Target, obs: Tensor, seen: Tensor) -> Tensor:
        self.seen.append(seen)
        return (seen - obs).sum(-1)


def gaussian_target(log_std: float = 0.0) -> Target:
    """A policy that acts with the mean and whose pre-tanh std depends on the observation."""
    mean, spread = network(SENSORS, ACTIONS, 5), network(SENSORS, ACTIONS, 6)
    return Target(
        policy=lambda obs: torch.tanh(mean(obs)),
        distribution=lambda obs: Normal(mean(obs), torch.exp(spread(obs) + log_std)),
        obs_scale={},
    )
