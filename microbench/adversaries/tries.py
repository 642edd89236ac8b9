"""Tries: several trainings against one policy, of which the strongest counts, as they depend on seed and settings."""

from dataclasses import dataclass, replace

from microbench.adversaries import METHODS, evolution
from microbench.adversaries.ppo import Settings

DEFAULT = Settings()
VARIANTS: tuple[Settings, ...] = (
    DEFAULT,
    replace(DEFAULT, lr=1e-3, log_std=-0.5),
    replace(DEFAULT, log_std=0.5),
    replace(DEFAULT, entropy=1e-3),
)
EVOLUTIONS: tuple[evolution.Settings, ...] = (evolution.Settings(),)
"""Restarts of an evolution differ in their seed alone."""


@dataclass(frozen=True, kw_only=True)
class Try:
    """One training: its number, its own seed and its settings."""

    number: int
    seed: int
    settings: Settings | evolution.Settings


def planned(tries: int, seed: int, method: str = "sa-rl") -> list[Try]:
    """The first `tries` trainings; with more than there are variants, these begin again with other seeds."""
    variants = EVOLUTIONS if METHODS[method].evolves else VARIANTS
    return [Try(number=k, seed=seed + k, settings=variants[k % len(variants)]) for k in range(tries)]
