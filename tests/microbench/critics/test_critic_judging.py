"""The report of a fit: numbers by hand, and actions tried in the simulator."""

from collections.abc import Callable
from dataclasses import replace

import pytest
import torch
from torch import Tensor

from attacks import Target
from microbench.critics.judging import _outcomes, of_actions, on_policy, poor
from microbench.critics.rollouts import roll_out
from microbench.critics.steps import returns_to_go
from microbench.tasks import find_task
from tests.microbench.critics.chains import GAMMA, chain
from tests.microbench.small_run import write_policy

HOPPER = find_task("Hopper-v4")


@pytest.fixture(scope="module")
def victim(tmp_path_factory: pytest.TempPathFactory) -> Target:
    return write_policy(tmp_path_factory.mktemp("victim") / "policy.safetensors").target


def known(values: Tensor) -> Callable[[Tensor, Tensor], Tensor]:
    return lambda obs, action: values[: len(obs)]


def test_the_report_by_hand() -> None:
    steps = chain(50)
    returns, _ = returns_to_go(steps, GAMMA)
    exact, shifted = (on_policy(known(returns + shift), steps, GAMMA) for shift in (0.0, 3.0))
    assert (exact["r2"], exact["rmse"], exact["correlation"]) == pytest.approx((1, 0, 1))
    assert shifted["rmse"] == pytest.approx(3, rel=1e-5)
    assert [bias for bias in shifted["bias"] if bias] == pytest.approx([3.0] * 4, rel=1e-5)
    assert shifted["r2"] == pytest.approx(1 - 9 / float(returns.var(correction=0)), rel=1e-4)
    assert on_policy(known(torch.zeros(200)), steps, GAMMA)["correlation"] == 0


def test_returns_that_were_cut_off_are_filled_up_and_left_out_where_that_would_decide() -> None:
    steps = replace(chain(50), terminal=torch.zeros(200))
    tenth = on_policy(known(torch.full((200,), 7.0)), steps, 0.1)
    assert tenth["steps"] == 150  # the last step has a weight of 0.1 missing, the others 0.01 and less
    returns, _ = returns_to_go(steps, GAMMA)
    report = on_policy(known(torch.full((200,), 7.0)), steps, GAMMA)  # 0.66 and more are missing everywhere
    assert report["steps"] == 50
    assert report["return_mean"] == pytest.approx(float(returns[::4].mean()) + 7 * GAMMA**4, rel=1e-5)


def test_poor_critics_are_told() -> None:
    assert poor({"r2": 0.5}) == ""
    assert "is 0.30, below 0.5" in poor({"r2": 0.3})
    assert poor({"r2": -1.0})


def test_the_policys_own_action_gets_its_own_return(victim: Target) -> None:
    seeds, times = [7, 8], torch.tensor([2, 5])
    steps = roll_out(victim, HOPPER, seeds)
    rows = steps.lengths.cumsum(0) - steps.lengths + times
    tried = steps.action[rows][:, None].repeat(1, 2, 1)
    tried[:, 1] = torch.tensor([1.0, -1.0, 1.0])
    outcomes = _outcomes(victim, HOPPER, seeds, times, tried, 0.99)
    torch.testing.assert_close(outcomes[:, 0], returns_to_go(steps, 0.99)[0][rows], rtol=1e-4, atol=1e-4)
    assert (outcomes[:, 0] != outcomes[:, 1]).all()


def test_a_critic_that_knows_all_does_all_the_damage_and_its_opposite_none(
    victim: Target, monkeypatch: pytest.MonkeyPatch
) -> None:
    steps, seeds = roll_out(victim, HOPPER, range(3)), range(3)
    truth = torch.tensor([[3.0, 1, 2, 5, 4, 8, 7, 6]]).repeat(3, 1)
    monkeypatch.setattr("microbench.critics.judging._outcomes", lambda *_: truth)
    for sign, ranking, least in ((1, 1.0, 1.0), (-1, -1.0, -1.0)):
        report = of_actions(
            known(sign * truth.flatten()), victim, HOPPER, steps, seeds, 0.99, torch.Generator().manual_seed(0)
        )
        assert report["ranking"] == pytest.approx(ranking)
        assert report["damage"] == pytest.approx(least)
