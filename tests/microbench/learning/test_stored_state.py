"""A stored state is read whole or not at all, and settings are compared by value."""

import io

import torch

from microbench.learning.stored_state import differences, read_state


def stored(state: object) -> bytes:
    buffer = io.BytesIO()
    torch.save(state, buffer)
    return buffer.getvalue()


def test_a_state_comes_back_as_it_was_stored() -> None:
    state = read_state(stored({"epoch": 3, "weights": torch.arange(4.0)}))
    assert state is not None
    assert state["epoch"] == 3
    assert state["weights"].tolist() == [0.0, 1.0, 2.0, 3.0]


def test_damage_and_other_objects_are_no_state() -> None:
    """A flipped bit in the numbers is found by the checksum alone: torch would load it."""
    content = stored({"weights": torch.full((64,), 1.5)})
    place = content.index(torch.full((64,), 1.5).numpy().tobytes()) + 7
    flipped = content[:place] + bytes([content[place] ^ 1]) + content[place + 1 :]
    assert torch.load(io.BytesIO(flipped), weights_only=True)["weights"][1] != 1.5
    assert [read_state(bad) for bad in (flipped, content[:-40], b"", stored([1, 2]))] == [None] * 4


def test_differences_name_both_values() -> None:
    assert differences({"seed": 1, "steps": 9}, {"seed": 2, "steps": 9}) == ["seed 1 instead of 2"]
    assert differences({}, {"eps": None}) == []
    assert differences({}, {"eps": None}, missing=...) == ["eps None instead of None"]
