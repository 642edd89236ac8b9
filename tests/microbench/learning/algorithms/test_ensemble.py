"""V_i: expected next values according to each elite member."""

import math

import pytest
import torch
from torch import Tensor

import microbench.learning.algorithms.ensemble as ensemble_module
from microbench.learning.algorithms.ensemble import member_values
from microbench.learning.algorithms.micro import value_gap
from microbench.learning.dynamics import DynamicsEnsemble, Elites
from microbench.learning.networks import stacked
from tests.microbench.toys import ACTIONS, OBS, agent, ensemble, same_members, waves


class Known:
    """Three elites with means 0, 1, 5 and standard deviations 1, 1, 2 in every one of two features."""

    def next_obs(self, obs: Tensor, action: Tensor) -> tuple[Tensor, Tensor]:
        ones = torch.ones(len(obs), 2)
        return torch.stack([0 * ones, ones, 5 * ones]), torch.stack([ones, ones, 2 * ones])


KNOWN: Elites = Known()  # type: ignore[assignment]  # the one method that member_values needs


def linear(next_obs: Tensor, noise: Tensor) -> Tensor:
    return next_obs.sum(-1) + noise.sum(-1)


def values(elites: Elites = KNOWN, *, samples: int, paired: bool, rows: int = 4, seed: int = 0) -> Tensor:
    return member_values(
        elites,
        linear,
        torch.zeros(rows, OBS),
        torch.zeros(rows, ACTIONS),
        samples=samples,
        paired=paired,
        generator=torch.Generator().manual_seed(seed),
    )


def test_paired_noise_by_hand(monkeypatch: pytest.MonkeyPatch) -> None:
    """All noise ½, two features, two actions: V_i = 2 (μ_i + σ_i / 2) + 1 = 2, 4, 13."""
    monkeypatch.setattr(ensemble_module, "_normal", lambda shape, generator: torch.full(shape, 0.5))
    for paired in (True, False):
        each = values(samples=3, paired=paired, rows=2)
        assert each.tolist() == [[2.0, 2.0], [4.0, 4.0], [13.0, 13.0]]


def test_the_mean_is_over_samples(monkeypatch: pytest.MonkeyPatch) -> None:
    """State noise 1 in the first sample and −3 in the second: V_1 = mean(2, −6) = −2, V_3 = mean(14, −2) = 6."""

    def noise(shape: tuple[int, ...], generator: torch.Generator) -> Tensor:
        drawn = torch.zeros(shape)
        if shape[-1] == 2 and drawn.ndim == 4 and not seen:
            drawn[0], drawn[1] = 1.0, -3.0
        seen.append(shape)
        return drawn

    seen: list[tuple[int, ...]] = []
    monkeypatch.setattr(ensemble_module, "_normal", noise)
    each = values(samples=2, paired=False, rows=1)
    assert each[:, 0].tolist() == [-2.0, 0.0, 6.0]
    assert seen == [(2, 3, 1, 2), (2, 3, 1, ACTIONS)]


def test_paired_members_see_the_same_noise() -> None:
    """Members 1 and 2 differ by 1 in both means and in nothing else: by 2 in value, whatever was drawn."""
    paired = values(samples=2, paired=True)
    torch.testing.assert_close(paired[1] - paired[0], torch.full((4,), 2.0))
    assert paired[0].std() > 0.1  # rows have noise of their own
    independent = values(samples=2, paired=False)
    assert (independent[1] - independent[0] - 2).abs().max() > 0.1


@pytest.mark.parametrize("paired", [True, False])
def test_values_are_unbiased(paired: bool) -> None:
    """E V_i = 2 μ_i, with a standard deviation of √(2 σ_i² + 2) / √N."""
    each = values(samples=4000, paired=paired, rows=20)
    assert each.shape == (3, 20)
    for row, mean, std in zip(each, (0.0, 2.0, 10.0), (1.0, 1.0, 2.0), strict=True):
        spread = math.sqrt((2 * std**2 + ACTIONS) / 4000)
        assert (row - mean).abs().max() < 5 * spread
        assert row.std().item() == pytest.approx(spread, rel=0.5)


def test_draws_come_from_the_generator_alone() -> None:
    torch.manual_seed(1)
    first = values(samples=2, paired=False)
    torch.manual_seed(2)
    before = torch.get_rng_state()
    assert values(samples=2, paired=False).equal(first)
    assert torch.get_rng_state().equal(before)
    assert not values(samples=2, paired=False, seed=1).equal(first)


def test_only_elites_have_a_say() -> None:
    """Garbage in the member that is no elite changes nothing; in an elite it changes that elite's value only."""
    learner, obs, action = agent(), waves(6, OBS), waves(6, ACTIONS)

    def values_of(model: DynamicsEnsemble) -> Tensor:
        generator = torch.Generator().manual_seed(0)
        return member_values(
            Elites(model), learner.pessimistic_value, obs, action, samples=2, paired=True, generator=generator
        )

    model = ensemble(elites=(0, 2, 3))
    clean = values_of(model)
    assert clean.shape == (3, 6)
    with torch.no_grad():
        stacked(model.layers)[0].weight[1] = 100.0
    assert values_of(model).equal(clean)
    with torch.no_grad():
        stacked(model.layers)[0].weight[2] = 100.0
    changed = values_of(model)
    assert changed[0].equal(clean[0])
    assert changed[2].equal(clean[2])
    assert not changed[1].isclose(clean[1]).any()


def test_identical_members_disagree_by_rounding_at_most() -> None:
    """Rows of a large batch are evaluated in chunks, so equal rows may differ in the last bit; more they may not."""
    learner, clones = agent(), same_members(ensemble())
    for rows in (1, 7, 300):
        generator = torch.Generator().manual_seed(0)
        each = member_values(
            Elites(clones),
            learner.pessimistic_value,
            waves(rows, OBS),
            waves(rows, ACTIONS),
            samples=10,
            paired=True,
            generator=generator,
        )
        gap = value_gap(each)
        assert (gap >= 0).all()
        assert gap.max() <= 1e-6


def test_no_rows_give_no_values() -> None:
    assert values(samples=2, paired=False, rows=0).shape == (3, 0)


def test_values_carry_no_gradient() -> None:
    learner = agent()
    each = member_values(
        Elites(ensemble()),
        learner.pessimistic_value,
        waves(2, OBS).requires_grad_(),
        waves(2, ACTIONS),
        samples=1,
        paired=True,
        generator=torch.Generator(),
    )
    assert not each.requires_grad
