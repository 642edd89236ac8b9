"""Learned observation adversaries: trained against one frozen policy, on the batched simulator.

sa-rl  decides how every sensor is pushed
pa-ad  decides in which direction the action should change; a few gradient steps find the observation
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

    `decides(sensors, actions)` is the number D of its decisions.
    """

    decides: Callable[[int, int], int]
    show: Show


METHODS: dict[str, Method] = {
    "sa-rl": Method(decides=lambda sensors, actions: sensors, show=sa_rl.show),
    "pa-ad": Method(decides=lambda sensors, actions: actions, show=pa_ad.show),
}
