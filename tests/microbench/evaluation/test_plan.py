"""Plans: every cell once, common seeds, and pieces that together are the whole."""

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from microbench.evaluation.plan import CLEAN, FEWEST_EPISODES, MOST_EPISODES, Cell, Episode, chunks, plan_episodes

CELLS = [CLEAN, Cell(attack="pgd", eps=0.1), Cell(attack="pgd", eps=0.2), Cell(perturbation="mass", factor=0.5)]


def test_every_cell_has_the_same_numbered_and_seeded_episodes() -> None:
    planned = plan_episodes(CELLS, 3, seed=7)
    assert len(planned) == 12
    for cell in CELLS:
        own = [(episode.number, episode.seed) for episode in planned if episode.cell == cell]
        assert own == [(0, 7), (1, 8), (2, 9)]


def test_a_cell_named_twice_is_run_once_and_order_is_kept() -> None:
    planned = plan_episodes([CELLS[2], CLEAN, CELLS[2], Cell()], 1, seed=0)
    assert [episode.cell for episode in planned] == [CELLS[2], CLEAN]


@given(
    st.lists(st.sampled_from(CELLS), min_size=1, max_size=4),
    st.integers(1, 400),
    st.integers(1, 64),
)
def test_pieces_are_the_whole_and_of_one_attack(cells: list[Cell], episodes: int, workers: int) -> None:
    planned = plan_episodes(cells, episodes, seed=0)
    pieces = list(chunks(planned, workers))
    place = {episode: number for number, episode in enumerate(planned)}
    assert sorted((episode for piece in pieces for episode in piece), key=place.__getitem__) == planned
    assert all(
        [place[b] - place[a] for a, b in itertools.pairwise(piece)] == [1] * (len(piece) - 1) for piece in pieces
    )
    assert all(len({episode.cell.attack for episode in piece}) == 1 for piece in pieces)
    assert all(0 < len(piece) <= MOST_EPISODES for piece in pieces)


def test_a_piece_of_every_attack_comes_first_and_the_rest_as_planned() -> None:
    planned = plan_episodes([CLEAN, *(Cell(attack=name, eps=0.1) for name in ("pgd", "fgsm"))], 200, seed=0)
    pieces = list(chunks(planned))
    assert [piece[0].cell.attack for piece in pieces] == ["none", "pgd", "fgsm", "none", "pgd", "fgsm"]
    assert [piece[0].number for piece in pieces] == [0, 0, 0, 100, 100, 100]


@pytest.mark.parametrize(
    ("episodes", "workers", "sizes"),
    [
        (110, 1, [55, 55]),
        (110, 2, [55, 55]),
        (110, 4, [28, 28, 28, 26]),
        (110, 100, [10] * 11),
        (201, 1, [67, 67, 67]),
        (7, 100, [7]),
        (0, 2, []),
    ],
)
def test_pieces_are_even_and_there_are_some_for_every_worker(episodes: int, workers: int, sizes: list[int]) -> None:
    planned = [Episode(cell=CLEAN, number=number, seed=number) for number in range(episodes)]
    assert [len(piece) for piece in chunks(planned, workers)] == sizes
    assert FEWEST_EPISODES == 10
