"""A learned adversary with random weights, as its file holds it."""

from typing import Any

import torch

from microbench.adversaries.ppo import Settings
from microbench.adversaries.storing import Origin, Stored

S = 5


VICTIM = "ab" * 32


def stored(method: str = "sa-rl", decisions: int = S, **origin: Any) -> Stored:
    about: dict[str, Any] = {"eps": 0.1, "unit": "raw", "norm": "linf", "steps": 4096, "seed": 7, "env_id": "Hopper-v4"}
    generator = torch.Generator().manual_seed(0)
    sizes = ((8, S), (8, 8), (decisions, 8))
    return Stored(
        origin=Origin(**(about | {"method": method, "victim": VICTIM} | origin)),
        settings=Settings(lr=2e-3, hidden=(8, 8)),
        layers=tuple((torch.randn(a, b, generator=generator), torch.randn(a, generator=generator)) for a, b in sizes),
        mean=torch.linspace(-1, 1, S),
        std=torch.linspace(0.5, 2, S),
        curve=[{"steps": 2048.0, "return": None}, {"steps": 4096.0, "return": 12.5}],
    )
