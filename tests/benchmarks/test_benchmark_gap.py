"""What the gap benchmark computes, on networks small enough to know; nothing here is timed."""

import pytest
import torch

from benchmarks import gap_estimator as benchmark
from benchmarks import scaling, seeds
from benchmarks.training import flops, measure
from microbench.learning.config import TrainConfig
from microbench.learning.dynamics import Elites
from tests.microbench.toys import ACTIONS, OBS, agent, ensemble, same_members, small_config, waves

ROWS = waves(12, OBS), waves(12, ACTIONS)


def test_bias_spread_and_correlation_by_hand() -> None:
    """Two estimates of the gaps 1 and 3, whose mean is 2: errors 1, 1 and 1, 0; spreads 0 and √½."""
    numbers = benchmark.describe(torch.tensor([[2.0, 4.0], [2.0, 3.0]]), torch.tensor([1.0, 3.0]))
    expected = {"bias": 0.75 / 2, "error": 0.75**0.5 / 2, "spread": 0.25**0.5 / 2, "correlation": 1.0}
    assert numbers == pytest.approx(expected)
    reversed_order = benchmark.describe(torch.tensor([[3.0, 1.0]]).repeat(2, 1), torch.tensor([1.0, 3.0]))
    assert reversed_order == pytest.approx({"bias": 0.0, "error": 1.0, "spread": 0.0, "correlation": -1.0})


def test_many_draws_approach_the_truth_from_either_side() -> None:
    """With enough samples both estimators mean the same gap; with one, independent noise makes it larger."""
    trained, elites = agent(), Elites(ensemble())
    value = trained.pessimistic_value
    exact = benchmark.truth(elites, value, ROWS, 1000)
    for kind in benchmark.ESTIMATORS:
        estimates = benchmark.gap(elites, value, ROWS, 1000, 7, kind).double()
        torch.testing.assert_close(estimates, exact, rtol=0, atol=0.1 * float(exact.mean()) + 0.05)
    single = torch.stack([benchmark.gap(elites, value, ROWS, 1, seed, "independent") for seed in range(20)])
    paired = torch.stack([benchmark.gap(elites, value, ROWS, 1, seed, "paired") for seed in range(20)])
    bias, paired_bias = ((estimates.double().mean(0) - exact).mean() for estimates in (single, paired))
    assert bias > paired_bias + 0.05


def test_equal_members_have_no_gap_but_what_independent_noise_makes() -> None:
    trained, clones = agent(), Elites(same_members(ensemble()))
    assert benchmark.truth(clones, trained.pessimistic_value, ROWS, 50).max() < 1e-6
    assert benchmark.gap(clones, trained.pessimistic_value, ROWS, 2, 0, "independent").min() > 0


def test_the_cost_of_an_update_grows_with_samples_and_seeds(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scaling, "AXES", {"N": [{"samples": 4}], "S": [{"seeds": 2}]})
    parts = scaling.variants(small_config(), "Hopper-v4")
    assert [part.name for part in parts] == ["unchanged", "N = 4", "S = 2"]
    work = flops(parts)
    assert work["S = 2"] == pytest.approx(2 * work["unchanged"])
    assert work["unchanged"] < work["N = 4"] < 2 * work["unchanged"]
    table = scaling.table(measure(parts, 1), work)
    assert table.loc["unchanged", "× unchanged"] == "1.00"


def test_seeds_in_one_program_and_in_turns_make_as_many_updates() -> None:
    config: TrainConfig = small_config()
    for together in (True, False):
        runs = seeds.make_runs("Hopper-v4", config, (0, 1))
        seeds.learner(runs, together=together)(3)
        steps = [run.agent.critic_optimiser.state_dict()["state"][0]["step"].item() for run in runs]
        assert steps == [3.0, 3.0]
