"""The self-checks of an evaluation: when they look, that they change nothing, and what they say of whole episodes."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

import reports
from attacks import ATTACKS, Attack, Descend, Memory, Noise, Target, Threat, value
from microbench.episodes import probing
from microbench.episodes.loop import Episodes, run_episodes
from microbench.evaluation.attacked import Conditions
from microbench.evaluation.chunk import evaluate_chunk
from microbench.evaluation.plan import Cell, plan_episodes
from microbench.numerics.rows import one_thread
from tests.microbench.episodes.scripted import Scripted, real_target
from tests.microbench.small_run import write_policy

LONG = 65  # steps, with probes at 0, 4, 8, 16, 32 and 64


def acting(act: Callable[[Tensor], Tensor]) -> Target:
    """A policy of one action that is paid for; its critic says that a smaller action is worse."""
    return Target(policy=act, critic=lambda obs, action: action.sum(-1), obs_scale={})


def run(
    target: Target, attack: Attack, lengths: Sequence[int] = (LONG,) * 3, eps: float = 0.5, first: int = 0
) -> Episodes:
    threat = Threat(eps=torch.full((len(lengths), 1), eps), scale=torch.ones(2))
    return run_episodes(target, Scripted(lengths), range(first, first + len(lengths)), attack, threat)


@dataclass(frozen=True)
class Recorded:
    """An attack that remembers when it was asked what it minimises: once per episode and once per probe."""

    asked: list[int]
    calls: list[int]
    steps: int = 1

    def objective_for(self, target: Target) -> object:
        self.asked.append(len(self.calls) - 1)
        return value

    def __call__(self, target: Target, obs: Tensor, threat: Threat, noise: Noise) -> Tensor:
        self.calls.append(len(obs))
        return obs


def test_probes_get_rarer() -> None:
    attack = Recorded([], [])
    run(acting(lambda obs: obs[:, :1]), attack, [100])
    assert len(attack.calls) == 100
    assert attack.asked == [0, 4, 8, 16, 32, 64]


@pytest.mark.parametrize("name", ATTACKS)
def test_looking_changes_nothing(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    lengths = [20, 2, 9, 17]
    with one_thread():
        looked = run(real_target(), ATTACKS[name], lengths)
        monkeypatch.setattr(probing.Probing, "look", lambda *arguments: None)
        alone = run(real_target(), ATTACKS[name], lengths)
    assert np.array_equal(looked.returns, alone.returns)
    assert np.array_equal(looked.lengths, alone.lengths)


def test_flags_do_not_depend_on_the_grouping() -> None:
    """Episodes of a policy that is flat in some states, together, in threes and alone."""

    def partly(obs: Tensor) -> Tensor:
        return torch.where(obs[:, :1] < 3, torch.round(3 * obs[:, 1:]) + 0 * obs[:, :1], 0.1 * obs[:, :1])

    lengths = [70, 40, 9, 17, 33, 1]

    def flags(start: int, stop: int) -> list[tuple[str, ...]]:
        return list(run(acting(partly), ATTACKS["pgd"], lengths[start:stop], first=start).flags)

    with one_thread():
        together = flags(0, 6)
        for cut in (1, 3):
            assert together == [one for start in range(0, 6, cut) for one in flags(start, start + cut)]
    assert {flag for one in together for flag in one} == {"zero-gradient", "blackbox-beats-whitebox"}
    assert () in together


dice = torch.Generator().manual_seed(0)


@pytest.mark.parametrize(
    ("act", "expected"),
    [
        (lambda obs: torch.tanh(obs[:, :1] + 50), {"zero-gradient"}),
        (lambda obs: torch.round(4 * obs[:, :1]) + 0 * obs[:, :1], {"zero-gradient", "blackbox-beats-whitebox"}),
        (lambda obs: obs[:, :1] + torch.randn(len(obs), 1, generator=dice), {"stochastic-policy"}),
        (lambda obs: torch.tanh(obs[:, :1] - obs[:, 1:]), set()),
    ],
    ids=["saturated", "quantised", "random", "honest"],
)
def test_a_mask_raises_its_flags(act: Callable[[Tensor], Tensor], expected: set[str]) -> None:
    """Its first flag in every episode, and no other than its flags in any of twenty."""
    raised = run(acting(act), ATTACKS["pgd"], [LONG] * 20).flags
    assert {flag for flags in raised for flag in flags} == expected
    assert len({flags[:1] for flags in raised}) == 1


def test_an_attack_that_stops_short_is_told() -> None:
    short = Descend(steps=10, step_size=0.01, restarts=0, snap=False)
    for flags in run(acting(lambda obs: obs[:, :1] - 2 * obs[:, 1:]), short).flags:
        assert "unused-budget" in flags


@pytest.mark.parametrize("eps", [0.0, 0.5])
def test_a_row_without_a_budget_is_not_judged(eps: float) -> None:
    threat = Threat(eps=torch.tensor([[0.0], [eps]]), scale=torch.ones(2))
    flat = acting(lambda obs: 0 * obs[:, :1])
    done = run_episodes(flat, Scripted([LONG, LONG]), [0, 1], ATTACKS["pgd"], threat)
    assert done.flags == ((), ("zero-gradient",) if eps else ())


def test_clean_episodes_are_not_judged() -> None:
    assert run_episodes(acting(lambda obs: 0 * obs[:, :1]), Scripted([LONG]), [0]).flags == ((),)


def test_a_memory_is_no_sensor() -> None:
    """The gradient that the attacker cannot use, that of what a policy remembers, hides nothing."""

    def act(obs: Tensor) -> Tensor:
        return obs[:, 2:] + 0 * obs[:, :1]

    memory = Memory(start=torch.zeros(1), advance=lambda seen, obs: seen[:, 2:] + 1)
    target = Target(policy=act, critic=lambda obs, action: action.sum(-1), obs_scale={}, memory=memory)
    threat = Threat(eps=torch.tensor([[0.5]]), scale=torch.tensor([1.0, 1.0, 0.0]))
    assert run_episodes(target, Scripted([LONG]), [0], ATTACKS["pgd"], threat).flags == (("zero-gradient",),)


def test_a_flag_reaches_the_rows_and_the_page_explains_it(tmp_path: Path) -> None:
    """A policy whose actions are saturated everywhere, attacked through all of the evaluator."""
    checkpoint = write_policy(tmp_path / "policy.safetensors")
    saturated = replace(checkpoint.target, policy=lambda obs: torch.tanh(obs[:, :3] + 50))
    cells = plan_episodes([Cell(attack="pgd", eps=0.1)], 3, seed=0)
    rows = evaluate_chunk(replace(checkpoint, target=saturated), Conditions(env_id="Hopper-v4"), tuple(cells))
    assert rows["flags"].tolist() == ["zero-gradient"] * 3
    assert "had nothing to follow" in reports.html_page(rows)
