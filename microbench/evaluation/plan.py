"""What is to be evaluated: cells × episodes, cut into chunks that one process runs in lock step."""

import itertools
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field

# Rows per chunk: enough for the physics to be the bottleneck, few enough for a frequent progress report.
FEWEST_EPISODES, MOST_EPISODES = 10, 100

HELD_OUT = 10**12
"""From this seed on episodes only measure what others chose."""

HELD_OUT_BLOCK = 10**6
"""Seeds that every `--seed` has for itself among those."""


def held_out(seed: int) -> int:
    """The seed of the first episode that measures what the command with this `--seed` chooses."""
    return HELD_OUT + HELD_OUT_BLOCK * seed


@dataclass(frozen=True, kw_only=True, order=True)
class Cell:
    """One condition of an evaluation; eps 0 without attack and factor 1 without perturbation are the clean one.

    `alias` is what results call the attack where that is not its own name. `files` are the hashes of the files that
    attack and perturbation name (`named_files`), None where nobody has looked.
    """

    attack: str = "none"
    eps: float = 0.0
    perturbation: str = "none"
    factor: float = 1.0
    alias: str = ""
    files: tuple[str, str] | None = field(default=None, compare=False)

    @property
    def shown(self) -> str:
        """What results call the attack."""
        return self.alias or self.attack


CLEAN = Cell()


@dataclass(frozen=True, kw_only=True)
class Episode:
    """One episode of one cell; its seed is common to all cells, so that they are compared in pairs."""

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
    """Pieces of equal length under the same attack, some for every worker; results depend on neither cut nor order.

    One piece of every attack comes first, so that soon it is known what each costs; the others follow as planned.
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
