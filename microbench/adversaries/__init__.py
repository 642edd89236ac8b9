"""Learned observation adversaries: trained against one frozen policy, on the batched simulator.

sa-rl     decides how every sensor is pushed
pa-ad     decides in which direction the action should change; a few gradient steps find the observation
evolved   pushes every sensor by a linear map of the observation, found by evolution on whole episodes
constant  pushes every sensor by one offset for the whole episode, found likewise
"""

from collections.abc import Callable
from dataclasses import dataclass

from torch import Tensor

from attacks import Noise, Target, Threat
from microbench.adversaries import pa_ad, sa_rl

Show = Callable[[Target, Tensor, Tensor, Threat, Noise], Tensor]
"""`show(target, obs (B, S + H), decision (B, D), threat, noise) → seen (B, S + H)`."""


@dataclass(frozen=True, kw_only=True)
class Method:
    """What a learned adversary decides, and what the policy is shown for it.

    `decides(sensors, actions)` is the number D of its decisions, `steps` the environment steps of a usual training;
    `evolves` says that it is found by evolution and not by gradients of its own.
    """

    decides: Callable[[int, int], int]
    show: Show
    steps: int = 1_000_000
    evolves: bool = False


METHODS: dict[str, Method] = {
    "sa-rl": Method(decides=lambda sensors, actions: sensors, show=sa_rl.show),
    "pa-ad": Method(decides=lambda sensors, actions: actions, show=pa_ad.show),
    "evolved": Method(decides=lambda sensors, actions: sensors, show=sa_rl.show, steps=2_000_000, evolves=True),
    "constant": Method(decides=lambda sensors, actions: sensors, show=sa_rl.show, steps=1_000_000, evolves=True),
}
