"""MICRO's operator: numbers by hand, its identities, a golden target, and the paper written out in loops."""

import itertools
import math
from collections.abc import Callable
from contextlib import nullcontext
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import torch
from torch import Tensor

import microbench.learning.algorithms.ensemble as ensemble_module
from microbench.data.dataset import Transitions
from microbench.learning.agent import Agent, AgentConfig
from microbench.learning.algorithms import ALGORITHMS
from microbench.learning.algorithms.base import Backup, Batch, soft_bellman_target
from microbench.learning.algorithms.ensemble import member_values
from microbench.learning.algorithms.micro import MICRO, conservative_bellman_target, value_gap
from microbench.learning.config import TrainConfig
from microbench.learning.dynamics import DynamicsEnsemble, Elites
from microbench.learning.networks import Critics, stacked
from microbench.numerics.kernels import fast_float32_matmul
from tests.microbench.toys import ACTIONS, OBS, agent, ensemble, same_members, waves

ROWS = 20  # 0.05 of them is one row


def two_rows(terminal: tuple[float, float] = (0.0, 0.0)) -> Transitions:
    return Transitions(
        obs=torch.zeros(2, 1),
        action=torch.zeros(2, 1),
        reward=torch.tensor([1.0, 2.0]),
        next_obs=torch.tensor([[10.0], [20.0]]),
        terminal=torch.tensor(terminal),
    )


def backup(opinions: list[float], *, beta: float = 0.5) -> Backup:
    """V(s') is s' itself; every imagined row has the same opinions V_i."""
    return Backup(
        gamma=0.9,
        beta=beta,
        value=lambda next_obs: next_obs[:, 0],
        member_values=lambda obs, action: torch.tensor(opinions)[:, None].expand(-1, len(obs)),
    )


def test_value_gap_by_hand() -> None:
    # columns: 4, 7, 10 → 7 − 4 = 3; equal → 0; −5, 1, 1 → −1 + 5 = 4
    opinions = torch.tensor([[4.0, 2.0, -5.0], [7.0, 2.0, 1.0], [10.0, 2.0, 1.0]])
    assert value_gap(opinions).tolist() == [3.0, 0.0, 4.0]


def test_value_gap_of_equal_members_is_exactly_zero() -> None:
    """The mean of E equal floats need not be that float; the gap must be 0 nevertheless."""
    values = torch.randn(1000, generator=torch.Generator().manual_seed(0)) * 1000
    for members in (1, 3, 5, 7):
        assert (value_gap(values.expand(members, -1)) == 0).all()


def test_value_gap_is_never_negative() -> None:
    generator = torch.Generator().manual_seed(0)
    for scale in (1e-6, 1.0, 1e6):
        close = 1000 + scale * torch.randn(5, 2000, generator=generator)
        assert (value_gap(close) >= 0).all()


def test_target_by_hand() -> None:
    """Logged row: 1 + 0.9 · 10 = 10; imagined row: f = 3, 2 + 0.9 · (20 − 0.5 · 3) = 18.65."""
    target = conservative_bellman_target(Batch(rows=two_rows(), real=1), backup([4.0, 7.0, 10.0]))
    assert target.tolist() == pytest.approx([10.0, 18.65])


def test_beta_one_is_the_worst_case_when_opinions_centre_on_the_value() -> None:
    """2 + 0.9 · (20 − 3): with V(s') at the members' mean, β = 1 backs up exactly the least opinion."""
    target = conservative_bellman_target(Batch(rows=two_rows(), real=0), backup([17.0, 20.0, 23.0], beta=1.0))
    assert target[1].item() == pytest.approx(2 + 0.9 * 17)


def test_a_terminal_row_gets_its_reward_alone() -> None:
    for real in (0, 1, 2):
        batch = Batch(rows=two_rows(terminal=(1.0, 1.0)), real=real)
        assert conservative_bellman_target(batch, backup([4.0, 7.0, 10.0])).tolist() == [1.0, 2.0]
        assert soft_bellman_target(batch, backup([4.0, 7.0, 10.0])).tolist() == [1.0, 2.0]


def test_only_imagined_rows_are_evaluated() -> None:
    """f = 0 on logged rows, and nothing is spent on them."""
    seen = []

    def spy(obs: Tensor, action: Tensor) -> Tensor:
        seen.append(obs)
        return torch.zeros(2, len(obs))

    rows = two_rows()
    rows.obs[:] = torch.tensor([[1.0], [2.0]])
    conservative_bellman_target(
        Batch(rows=rows, real=1),
        Backup(gamma=0.9, beta=0.5, value=lambda next_obs: next_obs[:, 0], member_values=spy),
    )
    assert [obs.tolist() for obs in seen] == [[[2.0]]]


@pytest.mark.parametrize(
    ("real", "opinions", "beta"),
    [(0, [4.0, 7.0, 10.0], 0.0), (0, [4.0], 1.0), (0, [4.0, 4.0, 4.0], 1.0), (2, [4.0, 7.0, 10.0], 1.0)],
    ids=["beta 0", "one elite", "identical members", "logged rows"],
)
def test_identities(real: int, opinions: list[float], beta: float) -> None:
    batch, ingredients = Batch(rows=two_rows(), real=real), backup(opinions, beta=beta)
    assert conservative_bellman_target(batch, ingredients).equal(soft_bellman_target(batch, ingredients))


def test_the_record_changes_nothing_but_the_target() -> None:
    assert MICRO.bellman_target is conservative_bellman_target
    assert ALGORITHMS["micro"] is MICRO
    assert ALGORITHMS["sac"].bellman_target is soft_bellman_target


# The whole target, from networks to numbers.


def batch_of(real: int) -> Batch:
    terminal = torch.zeros(ROWS)
    terminal[[3, 17]] = 1.0
    rows = Transitions(
        obs=waves(ROWS, OBS),
        action=waves(ROWS, ACTIONS, start=1),
        reward=2 + waves(ROWS, start=2),
        next_obs=waves(ROWS, OBS, start=3),
        terminal=terminal,
    )
    return Batch(rows=rows, real=real)


def fix_noise(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every draw becomes a wave of its shape."""
    monkeypatch.setattr(ensemble_module, "_normal", lambda shape, generator: waves(*shape, start=4))
    monkeypatch.setattr(Agent, "noise", lambda self, rows: waves(rows, ACTIONS, start=5))


def target_of(learner: Agent, model: DynamicsEnsemble, batch: Batch, *, samples: int, paired: bool) -> Tensor:
    values = partial(
        member_values,
        Elites(model),
        learner.pessimistic_value,
        samples=samples,
        paired=paired,
        generator=learner.generator,
    )
    return learner.target(batch, values)


Row = npt.NDArray[np.float64]
# weight (in, out) and bias (out,) per layer
Layers = list[tuple[Row, Row]]


def numbers(tensor: Tensor) -> Row:
    return tensor.detach().double().numpy()


def softplus(x: Row) -> Row:
    return np.log1p(np.exp(x))


def through(layers: Layers, x: Row, activation: Callable[[Row], Row]) -> Row:
    for weight, bias in layers[:-1]:
        x = activation(x @ weight + bias)
    weight, bias = layers[-1]
    return x @ weight + bias


class StraightLine:
    """The paper, one row, one member and one sample at a time, in numpy and float64."""

    def __init__(self, learner: Agent, model: DynamicsEnsemble, *, samples: int, paired: bool) -> None:
        self.config, self.model, self.samples, self.paired = learner.config, model, samples, paired
        self.alpha = math.exp(learner.log_alpha)
        linear = [layer for layer in learner.actor.modules() if isinstance(layer, torch.nn.Linear)]
        *hidden, mean, log_std = ((numbers(layer.weight).T, numbers(layer.bias)) for layer in linear)
        self.mean, self.log_std = [*hidden, mean], [*hidden, log_std]
        self.critics = [self.member(learner.target_critics, j) for j in range(2)]
        self.dynamics = [self.member(model, i) for i in range(model.members)]

    @staticmethod
    def member(network: Critics | DynamicsEnsemble, member: int) -> Layers:
        layers = stacked(network.layers)
        return [(numbers(layer.weight[member]), numbers(layer.bias[member, 0])) for layer in layers]

    def action(self, s: Row, noise: Row) -> tuple[Row, float]:
        mean = through(self.mean, s, relu)
        std = np.exp(np.clip(through(self.log_std, s, relu), -5, 2))
        u = mean + std * noise
        a = np.tanh(u)
        density = np.exp(-0.5 * ((u - mean) / std) ** 2) / (std * math.sqrt(2 * math.pi))
        return a, float(np.log(density / (1 - a**2 + 1e-6)).sum())

    def q(self, j: int, s: Row, a: Row) -> float:
        return float(through(self.critics[j], np.concatenate([s, a]), relu)[0])

    def next_value(self, row: int, s: Row) -> float:
        if self.config.max_q_backup:
            noise = numbers(waves(10 * ROWS, ACTIONS, start=5))
            tried = [self.action(s, noise[10 * row + k])[0] for k in range(10)]
            return min(max(self.q(j, s, a) for a in tried) for j in range(2))
        a, log_prob = self.action(s, numbers(waves(ROWS, ACTIONS, start=5))[row])
        entropy = 0.0 if self.config.deterministic_backup else self.alpha * log_prob
        return min(self.q(0, s, a), self.q(1, s, a)) - entropy

    def moments(self, member: int, s: Row, a: Row) -> tuple[Row, Row]:
        model = self.model
        x = (np.concatenate([s, a]) - numbers(model.input_mean)) / numbers(model.input_std)
        out = through(self.dynamics[member], x, lambda x: x / (1 + np.exp(-x)))
        mean, log_var = out[: OBS + 1], out[OBS + 1 :]
        log_var = numbers(model.max_log_var) - softplus(numbers(model.max_log_var) - log_var)
        log_var = numbers(model.min_log_var) + softplus(log_var - numbers(model.min_log_var))
        return s + mean[:OBS], np.sqrt(np.exp(log_var[:OBS]))

    def gap(self, row: int, imagined: int, s: Row, a: Row) -> float:
        elites = self.model.elites.tolist()
        drawn = (self.samples, 1 if self.paired else len(elites), imagined)
        state_noise, action_noise = numbers(waves(*drawn, OBS, start=4)), numbers(waves(*drawn, ACTIONS, start=4))
        opinions = []
        for place, member in enumerate(elites):
            mean, std = self.moments(member, s, a)
            which, values = 0 if self.paired else place, []
            for n in range(self.samples):
                s_next = mean + std * state_noise[n, which, row]
                a_next, _ = self.action(s_next, action_noise[n, which, row])
                values.append(min(self.q(0, s_next, a_next), self.q(1, s_next, a_next)))
            opinions.append(sum(values) / self.samples)
        return sum(opinions) / len(opinions) - min(opinions)

    def target(self, batch: Batch) -> Tensor:
        config, targets = self.config, []
        for row in range(ROWS):
            s, a, r, s_next, terminal = (numbers(column[row]) for column in vars(batch.rows).values())
            value = self.next_value(row, s_next)
            if row >= batch.real:
                value -= config.beta * self.gap(row - batch.real, ROWS - batch.real, s, a)
            target = float(r + config.gamma * (1 - terminal) * value)
            targets.append(max(target, 0.0) if config.clamp_target else target)
        return torch.tensor(targets, dtype=torch.float64)


def relu(x: Row) -> Row:
    return np.maximum(x, 0)


BACKUPS: dict[str, dict[str, Any]] = {
    "entropy": {},
    "deterministic": {"deterministic_backup": True},
    "max-q": {"max_q_backup": True},
}


@pytest.mark.parametrize(
    ("option", "clamp", "paired", "real_ratio"),
    [*itertools.product(BACKUPS, (False, True), (False, True), (0.0, 0.05, 0.5, 1.0))],
)
def test_target_equals_the_paper_written_out(
    option: str, clamp: bool, paired: bool, real_ratio: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    fix_noise(monkeypatch)
    config = TrainConfig(
        hidden=(7, 5), beta=0.7, alpha=0.3, clamp_target=clamp, batch=ROWS, real_ratio=real_ratio, **BACKUPS[option]
    )
    learner, model, batch = agent(config), ensemble(), batch_of(config.real_rows)
    expected = StraightLine(learner, model, samples=2, paired=paired).target(batch)
    for kernel in (nullcontext(), fast_float32_matmul()):
        with kernel:
            ours = target_of(learner, model, batch, samples=2, paired=paired)
        assert ours.shape == (ROWS,)
        torch.testing.assert_close(ours.double(), expected, rtol=1e-5, atol=1e-5)
    assert bool((expected < 0).any()) is not clamp  # the clamp had something to do


def test_no_two_options_agree(monkeypatch: pytest.MonkeyPatch) -> None:
    """Otherwise the comparison above could not see an option that is ignored."""
    fix_noise(monkeypatch)
    seen = []
    for settings, paired, real in itertools.product(BACKUPS.values(), (False, True), (0, 1, 10)):
        config = AgentConfig(hidden=(7, 5), beta=0.7, alpha=0.3, clamp_target=False, **settings)
        seen.append(target_of(agent(config), ensemble(), batch_of(real), samples=2, paired=paired))
    for one, other in itertools.combinations(seen, 2):
        assert (one - other).abs().max() > 1e-3


def test_golden_target(monkeypatch: pytest.MonkeyPatch) -> None:
    """A fixed batch, fixed networks, fixed noise: changes of this list are changes of the algorithm."""
    fix_noise(monkeypatch)
    config = AgentConfig(hidden=(7, 5), beta=0.7, alpha=0.3, clamp_target=False)
    target = target_of(agent(config), ensemble(), batch_of(5), samples=10, paired=False)
    torch.testing.assert_close(target, torch.tensor(GOLDEN), rtol=1e-5, atol=1e-5)


GOLDEN = [
    -1.893270,
    -1.027637,
    -0.058918,
    1.623171,
    0.743096,
    -1.229961,
    -3.788004,
    -1.643312,
    1.285090,
    -0.401875,
    -3.854572,
    -1.484116,
    -0.222152,
    -0.990670,
    -3.694499,
    0.463714,
    -0.308475,
    1.096884,
    0.336914,
    -0.518213,
]


def test_beta_zero_and_one_elite_give_the_soft_target_bit_for_bit(monkeypatch: pytest.MonkeyPatch) -> None:
    fix_noise(monkeypatch)
    plain = target_of(agent(algorithm="sac"), ensemble(), batch_of(5), samples=3, paired=False)
    no_charge = AgentConfig(hidden=(7, 5), beta=0.0)
    assert target_of(agent(no_charge), ensemble(), batch_of(5), samples=3, paired=False).equal(plain)
    robust = AgentConfig(hidden=(7, 5), beta=1.0)
    assert target_of(agent(robust), ensemble(elites=(2,)), batch_of(5), samples=3, paired=False).equal(plain)
    assert not target_of(agent(robust), ensemble(), batch_of(5), samples=3, paired=False).equal(plain)


def test_identical_members_with_paired_noise_give_the_soft_target(monkeypatch: pytest.MonkeyPatch) -> None:
    """With independent noise the same members disagree: that is the estimator's Monte Carlo error."""
    fix_noise(monkeypatch)
    robust = AgentConfig(hidden=(7, 5), beta=1.0, clamp_target=False)
    plain = target_of(agent(robust, "sac"), ensemble(), batch_of(5), samples=3, paired=False)
    clones = same_members(ensemble())
    paired = target_of(agent(robust), clones, batch_of(5), samples=3, paired=True)
    torch.testing.assert_close(paired, plain, rtol=0, atol=1e-6)
    independent = target_of(agent(robust), clones, batch_of(5), samples=3, paired=False)
    assert (independent[5:] < plain[5:] - 1e-3).any()
    assert independent[:5].equal(plain[:5])
