"""One update of the agent: what it changes, in which order, and where gradients may flow."""

import copy
import io
import math
from typing import Any

import pytest
import torch
from torch import Tensor

import microbench.learning.agent as agent_module
from microbench.learning import sac
from microbench.learning.agent import METRICS, Agent, AgentConfig, make_agent
from microbench.learning.algorithms import ALGORITHMS
from microbench.learning.algorithms.base import Batch
from microbench.learning.networks import CHUNK_ROWS
from tests.microbench.toys import ACTIONS, CPU, OBS, agent, transitions, waves, weights

TINY = AgentConfig(hidden=(7, 5), clamp_target=False)


def batch(real: int = 4) -> Batch:
    return Batch(rows=transitions(16), real=real)


def no_gap(obs: Tensor, action: Tensor) -> Tensor:
    return torch.zeros(2, len(obs))


def test_target_critics_start_as_copies_that_cannot_be_trained() -> None:
    learner = make_agent(OBS, ACTIONS, TINY, ALGORITHMS["sac"], seed=0, device=CPU)
    pairs = list(zip(learner.critics.parameters(), learner.target_critics.parameters(), strict=True))
    assert all(one.equal(other) and one is not other for one, other in pairs)
    assert not any(parameter.requires_grad for parameter in learner.target_critics.parameters())


def test_update_order_is_critic_actor_temperature_polyak(monkeypatch: pytest.MonkeyPatch) -> None:
    learner, seen = agent(TINY), []
    names = {
        id(learner.critic_optimiser): "critics",
        id(learner.actor_optimiser): "actor",
        id(learner.alpha_optimiser): "temperature",
    }
    step, polyak = agent_module._step, sac.polyak_update_

    def spy_step(optimiser: Any, loss: Tensor) -> None:
        seen.append(names[id(optimiser)])
        step(optimiser, loss)

    def spy_polyak(target: Any, source: Any, tau: float) -> None:
        seen.append("polyak")
        assert tau == 0.005
        polyak(target, source, tau)

    monkeypatch.setattr(agent_module, "_step", spy_step)
    monkeypatch.setattr(sac, "polyak_update_", spy_polyak)
    learner.update(batch(), no_gap)
    assert seen == ["critics", "actor", "temperature", "polyak"]


def test_an_update_written_out(monkeypatch: pytest.MonkeyPatch) -> None:
    """An update equals one with plain modules, autograd on everything, and torch's Adam, step by step."""
    monkeypatch.setattr(Agent, "noise", lambda self, rows: waves(rows, ACTIONS, start=5))
    learner = agent(TINY)
    actor, critics, targets = copy.deepcopy((learner.actor, learner.critics, learner.target_critics))
    metrics = dict(zip(METRICS, learner.update(batch(), no_gap).tolist(), strict=True))

    rows, noise, alpha = batch().rows, waves(16, ACTIONS, start=5), 1.0
    with torch.no_grad():
        action, log_prob = actor.sample(rows.next_obs, noise)
        value = torch.minimum(*targets(rows.next_obs, action)) - alpha * log_prob
        target = rows.reward + 0.99 * (1 - rows.terminal) * value
    optimiser = torch.optim.Adam(critics.parameters(), lr=3e-4)
    q = critics(rows.obs, rows.action)
    critic_loss = ((q[0] - target) ** 2).mean() / 2 + ((q[1] - target) ** 2).mean() / 2
    critic_loss.backward()
    optimiser.step()
    optimiser = torch.optim.Adam(actor.parameters(), lr=1e-4)
    action, log_prob = actor.sample(rows.obs, noise)
    actor_loss = (alpha * log_prob - torch.minimum(*critics(rows.obs, action))).mean()
    actor_loss.backward()  # type: ignore[no-untyped-call]  # torch has no annotation here
    optimiser.step()
    with torch.no_grad():
        for slow, fast in zip(targets.parameters(), critics.parameters(), strict=True):
            slow.copy_(0.995 * slow + 0.005 * fast)

    for ours, theirs in ((learner.actor, actor), (learner.critics, critics), (learner.target_critics, targets)):
        for one, other in zip(ours.parameters(), theirs.parameters(), strict=True):
            torch.testing.assert_close(one, other, rtol=1e-5, atol=1e-6)
    expected = {
        "critic_loss": critic_loss, "actor_loss": actor_loss, "alpha": torch.tensor(1.0),
        "q": q.mean(), "target": target.mean(), "entropy": -log_prob.mean(),
    }  # fmt: skip
    assert metrics == pytest.approx({name: value.item() for name, value in expected.items()}, rel=1e-5)


def test_gradients_do_not_flow_into_targets(monkeypatch: pytest.MonkeyPatch) -> None:
    learner, seen = agent(TINY), []
    loss = sac.critic_loss

    def spy(q: Tensor, target: Tensor) -> Tensor:
        seen.append((q.requires_grad, target.requires_grad))
        return loss(q, target)

    monkeypatch.setattr(sac, "critic_loss", spy)
    learner.update(batch(), no_gap)
    assert seen == [(True, False)]
    assert all(parameter.grad is None for parameter in learner.target_critics.parameters())


def test_critics_get_no_gradient_from_the_actor(monkeypatch: pytest.MonkeyPatch) -> None:
    learner = agent(TINY)
    seen: list[bool] = []
    step = agent_module._step

    def spy(optimiser: Any, loss: Tensor) -> None:
        before = [None if p.grad is None else p.grad.clone() for p in learner.critics.parameters()]
        step(optimiser, loss)
        if optimiser is learner.actor_optimiser:
            after = [parameter.grad for parameter in learner.critics.parameters()]
            seen.extend(a is not None and b is not None and a.equal(b) for a, b in zip(after, before, strict=True))

    monkeypatch.setattr(agent_module, "_step", spy)
    learner.update(batch(), no_gap)
    assert len(seen) == 6
    assert all(seen)


def test_a_fixed_temperature_stays() -> None:
    learner = agent(AgentConfig(hidden=(7, 5), alpha=0.1))
    for _ in range(3):
        metrics = dict(zip(METRICS, learner.update(batch(), no_gap).tolist(), strict=True))
        assert metrics["alpha"] == pytest.approx(0.1)


@pytest.mark.parametrize(
    ("log_prob", "max_alpha", "log_alpha"),
    [
        (-5.0, 1.0, -1e-4),  # less sure than the target entropy −2 asks: cool down by one Adam step
        (5.0, 1.0, 0.0),  # too sure: would warm up, but α ≤ 1
        (5.0, None, 1e-4),
        (5.0, 0.5, math.log(0.5)),
    ],
)
def test_temperature_step_and_clamp(log_prob: float, max_alpha: float | None, log_alpha: float) -> None:
    learner = agent(AgentConfig(hidden=(7, 5), max_alpha=max_alpha))
    learner._update_temperature(torch.full((4,), log_prob))
    assert learner.log_alpha.item() == pytest.approx(log_alpha, abs=1e-7)


def test_target_entropy_is_minus_the_number_of_actions() -> None:
    """At log π = |A| the gradient vanishes and log α stays."""
    learner = agent(TINY)
    learner._update_temperature(torch.full((4,), float(ACTIONS)))
    assert learner.log_alpha.item() == 0.0


def test_entropy_belongs_to_the_next_value_only() -> None:
    """The pessimistic value that f is made of has no entropy term; a deterministic backup has none either."""
    obs, noise = waves(6, OBS), waves(6, ACTIONS)
    learner = agent(AgentConfig(hidden=(7, 5), alpha=0.7))
    action, log_prob = learner.actor.sample(obs, noise)
    least = learner.target_critics(obs, action).amin(0)
    assert learner.pessimistic_value(obs, noise).equal(least)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Agent, "noise", lambda self, rows: noise)
        torch.testing.assert_close(learner.next_value(obs), least - 0.7 * log_prob)
        dry = agent(AgentConfig(hidden=(7, 5), alpha=0.7, deterministic_backup=True))
        assert dry.next_value(obs).equal(least)


def test_pessimistic_value_in_chunks_equals_one_pass() -> None:
    learner, rows = agent(TINY), CHUNK_ROWS + 7
    obs, noise = waves(rows, OBS), waves(rows, ACTIONS)
    whole = learner.target_critics(obs, learner.actor.act(obs, noise)).amin(0)
    torch.testing.assert_close(learner.pessimistic_value(obs, noise), whole)
    assert learner.pessimistic_value(obs[:0], noise[:0]).shape == (0,)


def test_clamped_targets_are_not_negative() -> None:
    for clamp in (True, False):
        config = AgentConfig(hidden=(7, 5), clamp_target=clamp)
        target = agent(config).target(batch(), lambda obs, action: torch.tensor([[0.0], [1e3]]).expand(2, len(obs)))
        assert bool((target < 0).any()) is not clamp


def test_updates_learn_a_constant_reward() -> None:
    """Reward 1, always terminal: Q must go to 1."""
    learner = agent(AgentConfig(hidden=(7, 5), critic_lr=1e-2))
    rows = transitions(64)
    rows.reward[:], rows.terminal[:] = 1.0, 1.0
    for _ in range(300):
        metrics = dict(zip(METRICS, learner.update(Batch(rows=rows, real=64), no_gap).tolist(), strict=True))
    assert metrics["target"] == 1.0
    assert metrics["q"] == pytest.approx(1.0, abs=0.05)


def test_equal_seeds_give_equal_numbers() -> None:
    def run(seed: int) -> dict[str, Tensor]:
        learner = make_agent(OBS, ACTIONS, TINY, ALGORITHMS["micro"], seed=seed, device=CPU)
        for _ in range(3):
            learner.update(batch(), no_gap)
        return weights(learner)

    first, again, other = run(0), run(0), run(1)
    assert all(first[key].equal(again[key]) for key in first)
    trained = [key for key in first if "action_" not in key]
    assert not any(first[key].equal(other[key]) for key in trained)


def test_state_dict_continues_bit_for_bit() -> None:
    straight = make_agent(OBS, ACTIONS, TINY, ALGORITHMS["micro"], seed=0, device=CPU)
    for _ in range(5):
        straight.update(batch(), no_gap)
    buffer = io.BytesIO()
    torch.save(straight.state_dict(), buffer)
    resumed = make_agent(OBS, ACTIONS, TINY, ALGORITHMS["micro"], seed=7, device=CPU)
    resumed.load_state_dict(torch.load(io.BytesIO(buffer.getvalue()), weights_only=True))
    for learner in (straight, resumed):
        for _ in range(5):
            learner.update(batch(), no_gap)
    assert all(one.equal(weights(resumed)[key]) for key, one in weights(straight).items())
    assert straight.log_alpha.equal(resumed.log_alpha)
    assert straight.log_alpha.item() < 0


def test_max_q_backup_takes_the_least_critic_of_the_best_actions(monkeypatch: pytest.MonkeyPatch) -> None:
    """Critic 1 sees 0 … 9 and critic 2 sees 9 … 0: min_j max_k is 9, the other way round it would be 4."""
    learner = agent(AgentConfig(hidden=(7, 5), max_q_backup=True))
    rising = torch.arange(10.0)
    values = torch.stack([torch.cat([rising, rising + 100]), torch.cat([rising.flip(0), rising.flip(0) - 100])])
    monkeypatch.setattr(learner.target_critics, "forward", lambda obs, action: values)
    assert learner.next_value(waves(2, OBS)).tolist() == [9.0, -91.0]
