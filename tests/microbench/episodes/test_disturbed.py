"""Signals between world and policy: rows keep their own, order is kept, and what changed is told."""

from dataclasses import dataclass, field

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from attacks import ATTACKS, Target, Threat
from microbench.episodes.disturbed import Disturbances
from microbench.episodes.loop import run_episodes
from perturbations import Signals
from tests.microbench.episodes.scripted import Scripted, Spy

Floats = NDArray[np.float64]


@dataclass
class Shift(Signals):
    """Adds to observations and actions; pushes body 1 along x."""

    obs: float = 0.0
    action: float = 0.0
    push: float | None = None
    heard: list[float] = field(default_factory=list)

    def seen(self, obs: Floats) -> Floats:
        self.heard.append(float(obs[1]))
        return obs + self.obs

    def executed(self, action: NDArray[np.float32]) -> NDArray[np.float32]:
        return action + np.float32(self.action)

    def wrench(self) -> Floats | None:
        if self.push is None:
            return None
        return np.array([[0.0] * 6, [self.push, 0, 0, 0, 0, 0]])


@dataclass
class Doubled(Signals):
    """Doubles what is seen."""

    def seen(self, obs: Floats) -> Floats:
        return 2 * obs


def test_rows_keep_their_own_signals_when_others_have_left() -> None:
    disturbances = Disturbances([[Shift(obs=1)], [], [Shift(obs=10, action=0.5)]])
    obs, action = np.zeros((2, 2)), np.zeros((2, 1), np.float32)
    assert disturbances.seen(obs, np.array([1, 2])).tolist() == [[0, 0], [10, 10]]
    assert disturbances.executed(action, np.array([0, 2])).tolist() == [[0], [0.5]]
    assert not obs.any()
    assert not action.any()
    assert disturbances.changed.tolist() == [False, False, True]


def test_several_act_in_their_order() -> None:
    one, other = Shift(obs=1), Doubled()
    obs, ids = np.array([[3.0, 4.0]]), np.array([0])
    assert Disturbances([[one, other]]).seen(obs, ids).tolist() == [[8, 10]]
    assert Disturbances([[other, one]]).seen(obs, ids).tolist() == [[7, 9]]


def test_pushes_add_up_and_rows_without_get_zeros() -> None:
    disturbances = Disturbances([[Shift(push=1), Shift(push=2)], [Shift()], [Shift(push=0.0)]])
    wrench = disturbances.wrench(np.array([0, 1, 2]))
    assert wrench is not None
    assert wrench[:, 1, 0].tolist() == [3, 0, 0]
    assert np.count_nonzero(wrench) == 1
    assert disturbances.changed.tolist() == [True, False, False]
    assert disturbances.wrench(np.array([1])) is None
    assert Disturbances([[], []]).wrench(np.array([0, 1])) is None


def test_without_any_the_arrays_go_through_untouched() -> None:
    obs, ids = np.zeros((2, 2)), np.array([0, 1])
    assert Disturbances([(), ()]).seen(obs, ids) is obs


def test_the_loop_shows_disturbed_observations_and_executes_disturbed_actions() -> None:
    """The policy's action is 0.01 times the first observation, which the sensors report 100 too high."""
    world, first = Scripted([2, 2]), Shift(obs=100, action=0.25)
    done = run_episodes(Target(policy=Spy(), obs_scale={}), world, [10, 20], disturbances=Disturbances([[first], []]))
    assert first.heard == [0, 1, 2]  # the observation of reset is reported, too
    actions = [action for _, row in world.steps for action in row]
    assert actions == pytest.approx([1 + 0.25, 0.2, 1 + 0.25, 0.2])  # cut to 1, then disturbed
    assert done.returns == pytest.approx([2 * 11.25, 2 * 20.2])
    assert done.disturbed.tolist() == [True, False]


def test_an_attack_starts_from_what_the_sensors_report() -> None:
    world, policy = Scripted([1]), Spy()
    threat = Threat(eps=torch.full((1, 1), 0.5), scale=torch.ones(2))
    target = Target(policy=policy, obs_scale={})
    run_episodes(target, world, [10], ATTACKS["random"], threat, Disturbances([[Shift(obs=3)]]))
    shown = policy.shown[-1][0]
    assert (shown - torch.tensor([13.0, 3.0])).abs().max() <= 0.5
    assert not torch.equal(shown, torch.tensor([13.0, 3.0]))
