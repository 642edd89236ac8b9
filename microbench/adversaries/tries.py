"""Tries: several trainings against one policy, of which the strongest counts, as they depend on seed and settings."""

from dataclasses import dataclass, replace

from microbench.adversaries.ppo import Settings

DEFAULT = Settings()
VARIANTS: tuple[Settings, ...] = (
    DEFAULT,
    replace(DEFAULT, lr=1e-3, log_std=-0.5),
    replace(DEFAULT, log_std=0.5),
    replace(DEFAULT, entropy=1e-3),
)


@dataclass(frozen=True, kw_only=True)
class Try:
    """One training: its number, its own seed and its settings."""

    number: int
    seed: int
    settings: Settings


def planned(tries: int, seed: int) -> list[Try]:
    """The first `tries` trainings; after the last variant they start with the first again, with other seeds."""
    return [Try(number=k, seed=seed + k, settings=VARIANTS[k % len(VARIANTS)]) for k in range(tries)]
