"""The target: a policy, and everything else that an attacker knows. B batch, S observation, A action."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Protocol

import torch
from torch import Tensor
from torch.distributions import Normal

from attacks.adapted import FORMS, Adapted, as_vector
from attacks.feedforward import Feedforward

GRADIENTS = "gradients"
"""The name, in an attack's `needs`, of a policy that is differentiable in the observation."""


class Policy(Protocol):
    """A deterministic policy in evaluation mode: the action of a row depends on its own observation only."""

    def __call__(self, obs: Tensor, /) -> Tensor:
        """Return the executed action (B, A) for obs (B, S), differentiably."""
        ...


class Critic(Protocol):
    """The value of an action; a critic with an ensemble reduces it itself, usually by the minimum."""

    def __call__(self, obs: Tensor, action: Tensor, /) -> Tensor:
        """Return the value (B,) of action (B, A) in the state obs (B, S), differentiably."""
        ...


@dataclass(frozen=True, kw_only=True, eq=False)
class Memory:
    """The memory of a recurrent policy: H numbers per row, carried from one step of an episode to the next.

    The memory is the last H columns of obs, which is then (B, S + H): however an attack rearranges rows, each keeps its
    own memory. The budget of these columns is 0.

    start    the memory (H,) at the start of an episode
    advance  (seen, obs), both (B, S + H) → the memory (B, H) of the next step. A policy may read seen only; obs, the
             true state, is there for an attacker with a memory.
    """

    start: Tensor
    advance: Callable[[Tensor, Tensor], Tensor]


@dataclass(frozen=True, kw_only=True, eq=False)
class Target:
    """A policy and everything else that the attacker knows.

    Functions may be torch modules in single or double precision, or NumPy functions, which give no gradients
    (`attacks.adapted`). Vectors may be tensors, arrays or lists; ValueError for anything else.

    policy        obs (B, S) → action (B, A), the action that is executed
    critic        obs (B, S), action (B, A) → value (B,); None if the checkpoint has none
    critics       the same for each of several, (K, B); None unless there are at least two
    state_value   obs (B, S) → the value (B,) of a state under the policy; None if the checkpoint has none
    obs_scale     unit name → raw half-width (S,) of one unit of eps, for every unit this target offers; may be left out
                  where a Threat brings its own scale
    obs_bounds    smallest and largest observation (S,) of the data; None if they are not known
    action_box    smallest and largest action (A,); None if they are not known
    distribution  obs (B, S) → Normal (B, A) *before* the tanh, or around a squashed mean if the policy was trained so;
                  None if the policy has none
    memory        None for a policy that decides by the present observation alone
    network       the policy written out as layers, for certificates; None if it is no feed-forward network
    """

    policy: Policy
    critic: Critic | None = None
    critics: Callable[[Tensor, Tensor], Tensor] | None = None
    state_value: Callable[[Tensor], Tensor] | None = None
    obs_scale: Mapping[str, Tensor] = field(default_factory=dict)
    obs_bounds: tuple[Tensor, Tensor] | None = None
    action_box: tuple[Tensor, Tensor] | None = None
    distribution: Callable[[Tensor], Normal] | None = None
    memory: Memory | None = None
    network: Feedforward | None = None

    def __post_init__(self) -> None:
        for name in FORMS:
            function = getattr(self, name)
            if function is not None and not isinstance(function, Adapted):
                object.__setattr__(self, name, Adapted(function, name))
        scales = {unit: as_vector(f"obs_scale[{unit!r}]", scale) for unit, scale in self.obs_scale.items()}
        object.__setattr__(self, "obs_scale", scales)
        for name in ("obs_bounds", "action_box"):
            if (ends := getattr(self, name)) is not None:
                object.__setattr__(self, name, tuple(as_vector(name, end) for end in ends))

    def scale(self, unit: str) -> Tensor:
        """Return the raw half-width (S,) of one unit of eps; ValueError if this target lacks the unit."""
        if unit not in self.obs_scale:
            offered = ", ".join(self.obs_scale) or "none"
            raise ValueError(
                f"eps cannot be measured in the unit {unit!r} here, because the target only offers: "
                f"{offered}; choose one of these."
            )
        return self.obs_scale[unit]

    def open_scale(self, unit: str) -> Tensor:
        """Return `scale` (S + H,) for a Threat: 0 for the H columns of the memory, which no attack may change."""
        scale = self.scale(unit)
        return torch.cat([scale, torch.zeros_like(self.start, dtype=scale.dtype)])

    @property
    def start(self) -> Tensor:
        """The memory (H,) at the start of an episode; empty for a policy without memory."""
        return torch.zeros(0) if self.memory is None else self.memory.start

    @property
    def blank(self) -> Tensor:
        """A dummy row (1, S + H): zeros for the sensors, then the memory of a new episode."""
        known = [*self.obs_scale.values(), *(self.obs_bounds or ())]
        if not known:
            raise ValueError(
                'The target does not say how many sensors it has; give obs_scale, for example {"raw": torch.ones(S)}.'
            )
        size = len(known[0])
        return torch.cat([torch.zeros(size), self.start])[None]

    def has(self, need: str) -> bool:
        """Return whether the target has a field that an attack needs, or `GRADIENTS` of the action."""
        if need != GRADIENTS:
            return getattr(self, need) is not None
        with torch.enable_grad():
            return bool(self.policy(self.blank.requires_grad_()).requires_grad)

    def require_critic(self) -> Critic:
        """Return the critic; ValueError if there is none, with an attack that runs without one."""
        if self.critic is None:
            raise ValueError(
                "This attack minimises a critic's value and the target has no critic; "
                "use the attack action-diff or random, or fit a critic first."
            )
        return self.critic

    def require_critics(self) -> Callable[[Tensor, Tensor], Tensor]:
        """Return the ensemble of critics; ValueError if there is none, with an attack that runs without one."""
        if self.critics is None:
            raise ValueError(
                "This attack needs several critics side by side and the target has not: use the objective value, with "
                "the one critic that there is (the attack min-q), or the attack action-diff."
            )
        return self.critics

    def require_state_value(self) -> Callable[[Tensor], Tensor]:
        """Return the state value V; ValueError if there is none, with an attack that runs without one."""
        if self.state_value is None:
            raise ValueError(
                "This attack lowers a state's value V(s) and the target has no such network; use the attack min-q "
                "if it has a critic Q(s, a), else action-diff."
            )
        return self.state_value

    def require_obs_bounds(self) -> tuple[Tensor, Tensor]:
        """Return the smallest and the largest observation (S,), (S,) of the data; ValueError if they are not known."""
        if self.obs_bounds is None:
            raise ValueError(
                "The range of the data's observations is not known here; give the target its obs_bounds (for a policy "
                "file, the statistics of its dataset), or do without the range."
            )
        return self.obs_bounds

    def require_action_box(self) -> tuple[Tensor, Tensor]:
        """Return the smallest and the largest action (A,), (A,); ValueError if they are not known."""
        if self.action_box is None:
            raise ValueError(
                "This attack looks for the worst action and the target does not say its action box; name an action, "
                "as in targeted(action=1), or use the attack pgd."
            )
        return self.action_box

    def require_distribution(self) -> Callable[[Tensor], Normal]:
        """Return the pre-tanh distribution; ValueError if there is none, with an attack that runs without one."""
        if self.distribution is None:
            raise ValueError(
                "This attack compares action distributions and the target only has a deterministic action; "
                "use the objective action_difference (the attack action-diff)."
            )
        return self.distribution
