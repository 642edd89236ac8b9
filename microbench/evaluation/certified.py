"""How far an action can be moved at the states of clean episodes: what attacks reach, and what certificates prove.

Shapes: N states, S observation, A action. Changes are the largest of the action's components, in half-widths of the
action box: 2 is from one end of the box to the other.
"""

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from attacks import Descend, Feedforward, Noise, Objective, Target, Threat, action_difference
from attacks.certificates import METHODS, largest_change
from attacks.checks import far_below_bound
from microbench.critics.rollouts import roll_out
from microbench.numerics.rows import one_thread
from microbench.tasks import Task

SERIES = ("random", "attack", *METHODS, "bound")

POINTS = 100
"""Random points of the ball around every state."""

STEPS, RESTARTS, CANDIDATES = 20, 4, 40
"""Of the search on the whole action, as `pgd-restarts` has them; that on a single component has one random start."""

TOLERANCE = 1e-3
"""Between the policy in float32 and its layers in float64, of an action."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Certified:
    """One budget at N states: changes (N,) by column, whole changes (N, A) in units of the action, and flags.

    random, attack  the largest change found among random points, and by gradient searches as well
    crown, ibp      what no change exceeds, by either method; `bound` is the smaller of the two
    """

    eps: float
    changes: Mapping[str, Tensor]
    actions: Mapping[str, Tensor]
    flags: tuple[str, ...]


def states_of(target: Target, task: Task, seeds: Sequence[int], most: int) -> Tensor:
    """Observations (N, S) of one clean episode per seed: at most so many, evenly spaced over all their steps."""
    with one_thread():
        obs = roll_out(target, task, seeds).obs
    count = min(most, len(obs))
    return obs[torch.linspace(0, len(obs) - 1, count).long()]


def certified(
    target: Target, network: Feedforward, obs: Tensor, threats: Sequence[Threat], half: Tensor
) -> list[Certified]:
    """Search and bound the change of the action at obs (N, S) for threats of rising eps; half (A,) of the action box.

    Budgets are nested: what is found in one counts for all larger ones, and a bound of one holds for all smaller ones.

    Raises:
        AssertionError: the layers give other actions than the policy, or a search found more than a bound allows.
    """
    _check_layers(target, network, obs)
    reached = [_searched(target, network, obs, threat) for threat in threats]
    bounds = [{name: largest_change(network, obs, threat, name) for name in METHODS} for threat in threats]
    for smaller, larger in itertools.pairwise(reached):
        larger.update({name: torch.maximum(larger[name], smaller[name]) for name in larger})
    for larger, smaller in itertools.pairwise(bounds[::-1]):
        smaller.update({name: torch.minimum(larger[name], smaller[name]) for name in smaller})
    return [
        _certified(float(threat.eps), some | proven, half)
        for threat, some, proven in zip(threats, reached, bounds, strict=True)
    ]


def _certified(eps: float, actions: Mapping[str, Tensor], half: Tensor) -> Certified:
    actions = {**actions, "bound": torch.minimum(actions["crown"], actions["ibp"])}
    assert bool((actions["attack"] <= actions["bound"]).all()), "an attack moved an action by more than its bound"
    changes = {name: (change / half.double()).amax(-1) for name, change in actions.items()}
    return Certified(
        eps=eps, changes=changes, actions=actions, flags=far_below_bound(changes["attack"], changes["bound"])
    )


def _searched(target: Target, network: Feedforward, obs: Tensor, threat: Threat) -> dict[str, Tensor]:
    """The largest change (N, A) of every component, by random points alone and by all searches.

    Every component is pushed up and down by itself, and the whole action away from the clean one. The searches follow
    the policy before its output is cut to the box; what they find is judged by the executed action.
    """
    noise, clean = Noise.from_seeds(range(len(obs))), network(obs)

    def moved(seen: Tensor) -> Tensor:
        return (network(threat.project(obs, seen)) - clean).abs()

    with torch.no_grad():
        drawn = threat.sample(obs, noise, POINTS).unbind(1)
        reached = random = torch.stack([moved(seen) for seen in drawn]).amax(0)
    searches = [Descend(objective=action_difference, steps=STEPS, restarts=RESTARTS, candidates=CANDIDATES)]
    for component in range(clean.shape[1]):
        searches += [Descend(objective=_push(component, sign), steps=STEPS, restarts=1) for sign in (1.0, -1.0)]
    for search in searches:
        reached = torch.maximum(reached, moved(search(target, obs, threat, noise)))
    return {"random": random, "attack": reached}


def _push(component: int, sign: float) -> Objective:
    def push(target: Target, _: Tensor, seen: Tensor) -> Tensor:
        return sign * target.policy(seen)[:, component]

    return push


def _check_layers(target: Target, network: Feedforward, obs: Tensor) -> None:
    with torch.no_grad():
        action = target.policy(obs).double()
    if target.action_box is not None:
        action = torch.clamp(action, *(end.double() for end in target.action_box))
    fits = torch.allclose(network(obs), action, rtol=TOLERANCE, atol=TOLERANCE)
    assert fits, "the layers of the policy give other actions than the policy"
