"""The plan of an evaluation: cells × episodes, split into chunks that one process runs in lock step."""

import itertools
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field

# Rows per chunk: enough for the physics to be the bottleneck, few enough for a frequent progress report.
FEWEST_EPISODES, MOST_EPISODES = 10, 100

HELD_OUT = 10**12
"""First seed of the held-out episodes, which measure an attack that other episodes chose."""

HELD_OUT_BLOCK = 10**6
"""Number of held-out seeds reserved for each `--seed`."""


def held_out(seed: int) -> int:
    """The seed of the first held-out episode of a command with this `--seed`."""
    return HELD_OUT + HELD_OUT_BLOCK * seed


@dataclass(frozen=True, kw_only=True, order=True)
class Cell:
    """One condition of an evaluation; the clean one has no attack, eps 0, no perturbation and factor 1.

    alias  the attack's name in results, if it differs from `attack`
    files  hashes of the files that attack and perturbation name (`named_files`); None before they are computed
    """

    attack: str = "none"
    eps: float = 0.0
    perturbation: str = "none"
    factor: float = 1.0
    alias: str = ""
    files: tuple[str, str] | None = field(default=None, compare=False)

    @property
    def shown(self) -> str:
        """The attack's name in results."""
        return self.alias or self.attack


CLEAN = Cell()


@dataclass(frozen=True, kw_only=True)
class Episode:
    """One episode of one cell; all cells use the same seeds, so that their episodes are compared in pairs."""

    cell: Cell
    number: int
    seed: int


Chunk = tuple[Episode, ...]


def plan_episodes(cells: Iterable[Cell], episodes: int, seed: int, first: int = 0) -> list[Episode]:
    """Every cell once, in order, with episodes numbered from `first`; episode i has the seed `seed` + i."""
    return [
        Episode(cell=cell, number=number, seed=seed + number)
        for cell in dict.fromkeys(cells)
        for number in range(first, first + episodes)
    ]


def chunks(episodes: Sequence[Episode], workers: int = 1) -> Iterator[Chunk]:
    """Split episodes into chunks of one attack and about equal length; results depend on neither split nor order.

    One chunk of every attack comes first, so that the cost of each is known early; the others follow as planned.
    """
    most = min(MOST_EPISODES, max(FEWEST_EPISODES, -(-len(episodes) // workers)))
    pieces: list[Chunk] = []
    for _, group in itertools.groupby(episodes, key=lambda episode: episode.cell.attack):
        rows = tuple(group)
        size = -(-len(rows) // -(-len(rows) // most))
        pieces += [rows[start : start + size] for start in range(0, len(rows), size)]
    first = {piece[0].cell.attack: number for number, piece in reversed(list(enumerate(pieces)))}
    ahead = set(first.values())
    yield from (piece for number, piece in enumerate(pieces) if number in ahead)
    yield from (piece for number, piece in enumerate(pieces) if number not in ahead)
