"""Many agents in one program: each learns what it would learn alone, and stays an agent of its own."""

import copy
import io
from typing import Any

import pytest
import torch
from torch import Tensor

from microbench.learning.agent import METRICS, Agent, AgentConfig, make_agent
from microbench.learning.algorithms import ALGORITHMS
from microbench.learning.algorithms.base import Batch
from microbench.learning.cohort import Cohort
from microbench.learning.networks import stacked
from tests.microbench.toys import ACTIONS, CPU, OBS, transitions, weights

OPTIONS: dict[str, dict[str, Any]] = {
    "tuned temperature": {},
    "fixed temperature": {"alpha": 0.1},
    "free temperature": {"max_alpha": None, "alpha_lr": 0.1},
    "deterministic backup": {"deterministic_backup": True},
    "max-q backup": {"max_q_backup": True},
    "no clamp": {"clamp_target": False},
}
MOMENTS = ("exp_avg", "exp_avg_sq", "step")


def agents(count: int = 3, algorithm: str = "micro", **options: Any) -> list[Agent]:
    settings: dict[str, Any] = {"hidden": (7, 5), "actor_lr": 1e-2, "critic_lr": 1e-2} | options
    config = AgentConfig(**settings)
    return [
        make_agent(OBS, ACTIONS, config, ALGORITHMS[algorithm], seed=seed, device=CPU, action_high=(1.0, 2.0))
        for seed in range(count)
    ]


def batch(seed: int) -> Batch:
    return Batch(rows=transitions(16, seed), real=4)


def opinions(obs: Tensor, action: Tensor) -> Tensor:
    """Two members, who disagree by the first observation."""
    return torch.stack([obs[:, 0], 2 * obs[:, 0]])


def learn_alone(learners: list[Agent], updates: int) -> Tensor:
    rows = [[agent.update(batch(10 * s + k), opinions) for k in range(updates)] for s, agent in enumerate(learners)]
    return torch.stack([torch.stack(of) for of in rows], 1)


def learn_together(learners: list[Agent], updates: int) -> Tensor:
    cohort = Cohort(learners)
    return torch.stack(
        [
            cohort.update([batch(10 * s + k) for s in range(len(learners))], [opinions] * len(learners))
            for k in range(updates)
        ]
    )


def moments(agent: Agent) -> dict[str, Tensor]:
    moments_of: dict[str, Tensor] = {}
    for name in ("actor_optimiser", "critic_optimiser", "alpha_optimiser"):
        for number, state in getattr(agent, name).state_dict()["state"].items():
            moments_of |= {f"{name}.{number}.{kind}": state[kind] for kind in MOMENTS}
    return moments_of


def assert_same(one: Agent, other: Agent) -> None:
    """Networks, temperature and optimisers agree to rounding, generators to the bit."""
    for ours, wanted in ((weights(one), weights(other)), (moments(one), moments(other))):
        moved = {key: value for key, value in wanted.items() if key in ours}
        assert len(moved) == len(wanted)
        for key, value in wanted.items():
            torch.testing.assert_close(ours[key], value, rtol=1e-4, atol=2e-6, msg=key)
    torch.testing.assert_close(one.log_alpha, other.log_alpha, rtol=1e-5, atol=1e-6)
    assert one.generator.get_state().equal(other.generator.get_state())


@pytest.mark.parametrize("algorithm", ALGORITHMS)
@pytest.mark.parametrize("option", OPTIONS)
def test_each_learns_what_it_learns_alone(option: str, algorithm: str) -> None:
    alone, together = (agents(algorithm=algorithm, **OPTIONS[option]) for _ in range(2))
    before = [weights(agent) for agent in together]
    separate, common = learn_alone(alone, 5), learn_together(together, 5)
    assert common.shape == (5, 3, len(METRICS))
    torch.testing.assert_close(common, separate, rtol=1e-4, atol=1e-5)
    for one, other, start in zip(together, alone, before, strict=True):
        if OPTIONS[option].get("alpha") is not None:  # alone, an optimiser that never steps has no state
            other.alpha_optimiser.load_state_dict(one.alpha_optimiser.state_dict())
        assert_same(one, other)
        trained = [key for key in start if "action_" not in key]
        assert not any(start[key].isclose(weights(one)[key], atol=1e-5, rtol=0).all() for key in trained)


def test_agents_do_not_see_each_other() -> None:
    """Another neighbour, and even one whose numbers are lost, changes nothing."""
    learners, others = agents(3), agents(3)
    with torch.no_grad():
        stacked(others[1].critics.layers)[0].weight.fill_(torch.nan)
    learn_together(learners, 3)
    learn_together(others, 3)
    assert_same(others[0], learners[0])
    assert_same(others[2], learners[2])
    assert weights(others[1])["critics.layers.0.weight"].isnan().any()


def test_going_on_alone_or_together_after_a_stop() -> None:
    """The states of a cohort's agents are those of agents: through a file, and on in either way."""
    straight, stopped = agents(2), agents(2)
    learn_alone(straight, 3)
    learn_together(stopped, 3)
    resumed = agents(2)
    for old, new in zip(stopped, resumed, strict=True):
        stored = io.BytesIO()
        torch.save(old.state_dict(), stored)
        new.load_state_dict(torch.load(io.BytesIO(stored.getvalue()), weights_only=True))
    learn_alone(straight, 2)
    learn_together(resumed, 2)
    learn_alone(stopped, 2)
    for one, other, wanted in zip(resumed, stopped, straight, strict=True):
        assert_same(one, wanted)
        assert_same(other, wanted)


def test_a_cohort_uses_the_actors_present_learning_rate() -> None:
    learners = agents(2)
    cohort = Cohort(learners)
    for agent in learners:
        agent.actor_optimiser.param_groups[0]["lr"] = 0.0
    before = [copy.deepcopy(agent.actor) for agent in learners]
    cohort.update([batch(0), batch(1)], [opinions] * 2)
    for agent, old in zip(learners, before, strict=True):
        pairs = zip(agent.actor.parameters(), old.parameters(), strict=True)
        assert all(one.equal(other) for one, other in pairs)


def test_critics_are_not_trained_by_the_actors() -> None:
    """With a critic rate of 0 they stay, whatever the actor's loss asks for."""
    learners = agents(2, critic_lr=0.0)
    before = [weights(agent) for agent in learners]
    learn_together(learners, 2)
    for agent, old in zip(learners, before, strict=True):
        assert all(old[key].equal(value) for key, value in weights(agent).items() if key.startswith("critics"))
