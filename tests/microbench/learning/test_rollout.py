"""Imagined transitions: who leaves a rollout when, and a model buffer that can be imagined again."""

import io
import math
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor

from microbench.data.dataset import Transitions
from microbench.learning.dynamics import DynamicsEnsemble
from microbench.learning.networks import Actor
from microbench.learning.rollout import Imagination, roll_out
from microbench.tasks import imagined
from tests.microbench.toys import OBS, agent, ensemble, leaves, transitions, waves


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


class Counter:
    """A model whose states count up by one: next_obs = obs + 1, reward = first feature of obs."""

    def step(self, obs: Tensor, action: Tensor, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        return obs + 1, obs[:, 0]


COUNTER: DynamicsEnsemble = Counter()  # type: ignore[assignment]  # the one method that a rollout needs


def counted(starts: list[float], length: int, until: float = 3.0) -> Transitions:
    obs = torch.tensor(starts)[:, None].expand(-1, OBS)
    return roll_out(
        COUNTER,
        agent().actor,
        obs,
        length=length,
        terminal=lambda next_obs: next_obs[:, 0] >= until,
        generator=seeded(),
    )


def test_finished_rows_leave() -> None:
    """From 0, 2 and −5 for four steps, ending at 3: the second ends at once, the first after three steps."""
    rows = counted([0.0, 2.0, -5.0], 4)
    assert rows.obs[:, 0].tolist() == [0, 2, -5, 1, -4, 2, -3, -2]
    assert rows.next_obs[:, 0].tolist() == [1, 3, -4, 2, -3, 3, -2, -1]
    assert rows.reward.tolist() == [0, 2, -5, 1, -4, 2, -3, -2]
    assert rows.terminal.tolist() == [0, 1, 0, 0, 0, 1, 0, 0]
    assert rows.terminal.dtype == torch.float32


def test_a_rollout_ends_when_everybody_has() -> None:
    assert counted([2.0, 2.5], 100).next_obs[:, 0].tolist() == [3.0, 3.5]


def test_actions_are_samples_of_the_policy_at_the_rows_obs() -> None:
    """A policy of almost no spread: each action is its mode at the row's own obs."""
    actor = agent().actor
    with torch.no_grad():
        actor.log_std.weight.zero_()
        actor.log_std.bias.fill_(-5.0)
    rows = roll_out(ensemble(), actor, waves(30, OBS), length=3, terminal=leaves, generator=seeded())
    torch.testing.assert_close(rows.action, actor(rows.obs), rtol=0, atol=0.04)
    again = roll_out(ensemble(), actor, waves(30, OBS), length=3, terminal=leaves, generator=seeded())
    assert again.action.equal(rows.action)


HOPPER_RULE: list[tuple[list[float], bool]] = [
    ([1.2, 0.0, 0.0], False),
    ([0.71, 0.19, 99.9], False),
    ([0.7, 0.0, 0.0], True),
    ([0.5, 0.0, 0.0], True),
    ([1.2, 0.2, 0.0], True),
    ([1.2, -0.3, 0.0], True),
    ([1.2, 0.0, 100.0], True),
    ([1.2, 0.0, -1000.0], True),  # passes in the reference code, whose parenthesis is misplaced
    ([500.0, 0.0, 0.0], False),  # the height is no part of the bound of 100
    ([math.inf, 0.0, 0.0], True),
    ([1.2, 0.0, math.nan], True),
    ([math.nan, 0.0, 0.0], True),
    ([1.2, 0.0, -math.inf], True),
]
WALKER_RULE: list[tuple[list[float], bool]] = [
    ([1.2, 0.0, 0.0], False),
    ([0.81, -0.99, -99.9], False),
    ([1.99, 0.99, 99.9], False),
    ([0.8, 0.0, 0.0], True),
    ([2.0, 0.0, 0.0], True),
    ([1.2, 1.0, 0.0], True),
    ([1.2, -1.0, 0.0], True),
    ([1.2, 0.0, -100.0], True),
    ([1.2, 0.0, math.nan], True),
]
CHEETAH_RULE: list[tuple[list[float], bool]] = [
    ([-0.5, 3.0, 99.9], False),
    ([-0.5, 3.0, 100.0], True),
    ([-0.5, 3.0, -100.0], True),
    ([-0.5, math.nan, 0.0], True),
]


@pytest.mark.parametrize(
    ("rule", "cases"),
    [
        (imagined.hopper_falls, HOPPER_RULE),
        (imagined.walker2d_falls, WALKER_RULE),
        (imagined.half_cheetah_ends, CHEETAH_RULE),
    ],
    ids=["hopper", "walker2d", "halfcheetah"],
)
def test_termination_rules(rule: Callable[[Tensor], Tensor], cases: list[tuple[list[float], bool]]) -> None:
    next_obs = torch.tensor([obs for obs, _ in cases])
    assert rule(next_obs).tolist() == [ends for _, ends in cases]
    rows = roll_out(_Teleport(), agent().actor, next_obs, length=2, terminal=rule, generator=seeded())
    survivors = sum(not ends for _, ends in cases)
    assert len(rows) == len(cases) + survivors
    assert rows.terminal.tolist() == [float(ends) for _, ends in cases] + [0.0] * survivors


class _Teleport(DynamicsEnsemble):
    """A model in which every state stays what it is."""

    def __init__(self) -> None:
        torch.nn.Module.__init__(self)

    def step(self, obs: Tensor, action: Tensor, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        return obs, torch.zeros(len(obs))


def imagination(seed: int = 0, **changes: Any) -> Imagination:
    settings: dict[str, Any] = {"batch": 12, "length": 3, "retain": 2, "terminal": leaves}
    return Imagination(ensemble(), transitions(50), **(settings | changes), generator=seeded(seed))


def move(actor: Actor) -> None:
    """Train a little, as it were."""
    with torch.no_grad():
        for parameter in actor.parameters():
            parameter.mul_(0.9)


def test_the_buffer_keeps_the_last_rollouts() -> None:
    buffer, actor = imagination(), agent().actor
    rollouts = []
    for _ in range(4):
        rollouts.append(buffer.imagine(actor))
        assert buffer.rows is not None
        kept = Transitions.cat(rollouts[-2:])
        assert all(vars(buffer.rows)[name].equal(vars(kept)[name]) for name in vars(kept))
    assert not rollouts[0].action[:12].equal(rollouts[1].action[:12])


def test_rollouts_start_from_logged_states() -> None:
    buffer = imagination(batch=500, length=1)
    rows = buffer.imagine(agent().actor)
    assert len(rows) == 500
    same = (rows.obs[:, None] == transitions(50).obs).all(-1)
    assert (same.sum(1) == 1).all()
    assert same.any(0).all()  # drawn from everywhere
    assert not (rows.action[:, None] == transitions(50).action).all(-1).any()  # but the policy acts


def test_a_later_change_of_the_actor_does_not_reach_the_past() -> None:
    buffer, actor = imagination(), agent().actor
    buffer.imagine(actor)
    before = {name: tensor.clone() for name, tensor in buffer.state_dict()["origins"][0]["actor"].items()}
    move(actor)
    after = buffer.state_dict()["origins"][0]["actor"]
    assert all(before[name].equal(after[name]) for name in before)


def test_the_buffer_is_imagined_again_bit_for_bit() -> None:
    buffer, actor = imagination(), agent().actor
    for _ in range(3):
        buffer.imagine(actor)
        move(actor)
    stored = io.BytesIO()
    torch.save(buffer.state_dict(), stored)
    present = [parameter.clone() for parameter in actor.parameters()]
    again = imagination(seed=7)
    again.load_state_dict(torch.load(io.BytesIO(stored.getvalue()), weights_only=True), actor)
    assert all(one.equal(other) for one, other in zip(actor.parameters(), present, strict=True))
    for _ in range(2):
        assert buffer.rows is not None
        assert again.rows is not None
        assert all(vars(again.rows)[name].equal(vars(buffer.rows)[name]) for name in vars(buffer.rows))
        buffer.imagine(actor)
        again.imagine(actor)


def test_a_loaded_buffer_holds_nothing_of_its_own() -> None:
    """The state of a run that has imagined once, loaded into a buffer that has imagined twice."""
    buffer, used, actor = imagination(), imagination(seed=7), agent().actor
    empty = buffer.state_dict()
    buffer.imagine(actor)
    for _ in range(2):
        used.imagine(actor)
    used.load_state_dict(buffer.state_dict(), actor)
    assert buffer.rows is not None
    assert used.rows is not None
    assert used.rows.action.equal(buffer.rows.action)
    used.load_state_dict(empty, actor)
    assert used.rows is None


def test_nothing_but_the_generator_is_drawn_from() -> None:
    before = torch.get_rng_state()
    one = imagination().imagine(agent().actor)
    assert torch.get_rng_state().equal(before)
    torch.manual_seed(123)
    assert imagination().imagine(agent().actor).action.equal(one.action)
    assert not imagination(seed=1).imagine(agent().actor).action.equal(one.action)
