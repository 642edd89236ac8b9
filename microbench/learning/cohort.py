"""Agents of several seeds that learn in one program, with one batched product for all of them.

Shapes: S seeds, M critics, B batch, O obs, A action.
"""

from collections.abc import Sequence
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.optim import Adam

from microbench.learning import sac
from microbench.learning.agent import Agent
from microbench.learning.algorithms.base import Batch, MemberValues
from microbench.learning.networks import LOG_STD_BOUNDS, GaussianHead, squashed_sample, stacked

Stack = dict[str, nn.Parameter]  # (S, …) per name of a parameter


class Cohort:
    """S agents of one configuration, updated together; their parameters become views of stacked ones.

    Optimiser states become views as well, so an agent can be rolled out, evaluated and stored as if it were alone. Each
    learns what it would learn alone, from the same random numbers, up to the rounding of batched products. Targets are
    computed agent by agent: one gap is large enough to fill the machine, and any algorithm's target works unchanged.
    """

    def __init__(self, agents: Sequence[Agent]) -> None:
        self.agents = tuple(agents)
        first = agents[0]
        self._actor = _stack([agent.actor for agent in agents])
        self._critics = _stack([agent.critics for agent in agents])
        self._targets = _stack([agent.target_critics for agent in agents])
        self._log_alpha = nn.Parameter(torch.stack([agent.log_alpha.detach() for agent in agents]))  # (S,)
        self._log_alpha.requires_grad_(first.config.alpha is None)
        for agent, log_alpha in zip(agents, self._log_alpha.detach(), strict=True):
            agent.log_alpha.data = log_alpha
        self._actor_optimiser = _Together(list(self._actor.values()), [agent.actor_optimiser for agent in agents])
        self._critic_optimiser = _Together(list(self._critics.values()), [agent.critic_optimiser for agent in agents])
        self._alpha_optimiser = _Together([self._log_alpha], [agent.alpha_optimiser for agent in agents])

    @property
    def generators(self) -> list[torch.Generator]:
        """The generators of all random numbers in an update."""
        return [agent.generator for agent in self.agents]

    def changing(self) -> list[Tensor]:
        """All tensors that an update changes: those of every agent, and the cohort's own step counters."""
        optimisers = (self._actor_optimiser, self._critic_optimiser, self._alpha_optimiser)
        counters = [state["step"] for of in optimisers for state in of.adam.state.values()]
        return [tensor for agent in self.agents for tensor in agent.changing()] + counters

    def update(self, batches: Sequence[Batch], member_values: Sequence[MemberValues]) -> Tensor:
        """Do the work of `Agent.update` for all agents at once; returns METRICS as (S, 6)."""
        config = self.agents[0].config
        self._actor_optimiser.adam.param_groups[0]["lr"] = self.agents[0].actor_optimiser.param_groups[0]["lr"]
        alpha = self._log_alpha.detach().exp()
        per_agent = zip(self.agents, batches, member_values, strict=True)
        target = torch.stack([agent.target(batch, values) for agent, batch, values in per_agent])  # (S, B)
        obs, action = (torch.stack([getattr(batch.rows, name) for batch in batches]) for name in ("obs", "action"))
        q = self._q(obs, action)  # (S, M, B)
        critic_loss = torch.vmap(sac.critic_loss)(q, target)
        self._critic_optimiser.step(critic_loss)

        noise = torch.stack([agent.noise(obs.shape[1]) for agent in self.agents])
        sampled, log_prob = squashed_sample(self._head(obs), noise, self.agents[0].actor)
        actor_loss = torch.vmap(sac.actor_loss)(self._q(obs, sampled, frozen=True), log_prob, alpha)
        self._actor_optimiser.step(actor_loss)

        if config.alpha is None:
            self._update_temperature(log_prob)
        sac.polyak_update_(self._targets.values(), self._critics.values(), config.tau)
        metrics = (critic_loss, actor_loss, alpha, q.mean((1, 2)), target.mean(1), -log_prob.mean(1))
        return torch.stack(metrics, 1).detach()

    def _update_temperature(self, log_prob: Tensor) -> None:
        agent = self.agents[0]
        losses = [sac.temperature_loss(*of, agent.target_entropy) for of in zip(self._log_alpha, log_prob, strict=True)]
        self._alpha_optimiser.step(torch.stack(losses))
        with torch.no_grad():
            self._log_alpha.clamp_(max=agent.max_log_alpha)

    def _head(self, obs: Tensor) -> GaussianHead:
        """The policies' Gaussians, each actor at its own rows; obs (S, B, O)."""
        x = obs
        for layer in range(len(self.agents[0].actor.layers)):
            x = functional.relu(self._linear(f"layers.{layer}", x), inplace=True)
        return GaussianHead(self._linear("mean", x), self._linear("log_std", x).clamp(*LOG_STD_BOUNDS))

    def _linear(self, name: str, x: Tensor) -> Tensor:
        weight, bias = self._actor[f"{name}.weight"], self._actor[f"{name}.bias"]
        return torch.baddbmm(bias[:, None], x, weight.mT)

    def _q(self, obs: Tensor, action: Tensor, *, frozen: bool = False) -> Tensor:
        """Action values of every agent's critics at its own rows: (S, B, O), (S, B, A) → (S, M, B)."""
        critics = self.agents[0].critics
        x = torch.cat([obs, action], -1).repeat_interleave(critics.members, 0)  # (S M, B, O + A)
        for layer in range(len(stacked(critics.layers))):
            weight, bias = (self._critics[f"layers.{layer}.{kind}"].flatten(0, 1) for kind in ("weight", "bias"))
            if layer:
                x = functional.relu(x, inplace=True)
            x = torch.baddbmm(*((bias.detach(), x, weight.detach()) if frozen else (bias, x, weight)))
        return x.view(len(obs), critics.members, -1)


def _stack(networks: Sequence[nn.Module]) -> Stack:
    """All parameters of networks of one shape, stacked; the networks' own parameters become views of them."""
    stack: Stack = {}
    for name, first in networks[0].named_parameters():
        own = [network.get_parameter(name) for network in networks]
        stack[name] = nn.Parameter(torch.stack([parameter.detach() for parameter in own]), first.requires_grad)
        for parameter, view in zip(own, stack[name].detach(), strict=True):
            parameter.data = view
    return stack


class _Together:
    """One optimiser that continues those of all agents; their states become views of its own."""

    def __init__(self, stack: list[nn.Parameter], optimisers: Sequence[Adam]) -> None:
        settings = optimisers[0].param_groups[0]
        self.adam = Adam(stack, **{name: settings[name] for name in ("lr", "fused", "capturable")})
        self._steps: list[Tensor] = []  # one counter per agent, which may later continue alone
        own = [cast(list[Tensor], optimiser.param_groups[0]["params"]) for optimiser in optimisers]
        for parameter, *members in zip(stack, *own, strict=True):
            self._adopt(parameter, members, optimisers)

    def _adopt(self, parameter: nn.Parameter, members: list[Tensor], optimisers: Sequence[Adam]) -> None:
        states = [optimiser.state.get(member, {}) for optimiser, member in zip(optimisers, members, strict=True)]
        zero = torch.zeros_like(members[0])
        moments = {name: torch.stack([of.get(name, zero) for of in states]) for name in ("exp_avg", "exp_avg_sq")}
        kind = self.adam.param_groups[0]
        on = parameter.device if kind["fused"] or kind["capturable"] else torch.device("cpu")  # where Adam counts
        step = states[0].get("step", torch.zeros((), device=on))
        self.adam.state[parameter] = moments | {"step": step.clone()}
        for place, (optimiser, member) in enumerate(zip(optimisers, members, strict=True)):
            self._steps.append(step.clone())
            optimiser.state[member] = {name: of[place] for name, of in moments.items()} | {"step": self._steps[-1]}

    def step(self, losses: Tensor) -> None:
        """Minimise losses (S,) by their sum: an agent's gradient comes from its own loss alone."""
        self.adam.zero_grad(set_to_none=True)
        losses.sum().backward()  # type: ignore[no-untyped-call]  # torch ships this method without annotations
        self.adam.step()
        torch._foreach_add_(self._steps, 1)
