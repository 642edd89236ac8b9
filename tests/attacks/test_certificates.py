"""Attack ≤ truth ≤ bound: certificates are never violated, and of linear policies they are the truth."""

import itertools

import pytest
import torch
from torch import Tensor

from attacks import ATTACKS, Descend, Noise, Target, Threat, action_difference
from attacks.certificates import METHODS, largest_change
from attacks.feedforward import Feedforward, curve
from attacks.relaxation import lines

SENSORS, ACTIONS, ROWS = 5, 2, 6
SCALE = torch.tensor([0.05, 0.3, 1.0, 2.0, 0.0])
BOX = (torch.full((SENSORS,), -1.0), torch.full((SENSORS,), 1.0))
ACTIVATIONS = ("relu", "tanh", "sigmoid", "leaky_relu(0.2)", "elu(0.5)")


def random_network(
    seed: int, activation: str = "tanh", squash: str = "tanh", hidden: tuple[int, ...] = (16, 12)
) -> Feedforward:
    """A network whose inputs are normalised and clipped, some of them beyond the clip."""
    generator = torch.Generator().manual_seed(seed)
    sizes = (SENSORS, *hidden, ACTIONS)
    layers = [
        (2 * torch.randn(b, a, generator=generator) / a**0.5, 0.3 * torch.randn(b, generator=generator))
        for a, b in itertools.pairwise(sizes)
    ]
    outputs = {"tanh": lambda z: 0.1 + 0.4 * torch.tanh(z), "cut": lambda z: z.clamp(-0.4, 0.4), "none": lambda z: z}
    return Feedforward(
        layers=layers,
        activation=activation,
        mean=torch.randn(SENSORS, generator=generator),
        std=0.5 + torch.rand(SENSORS, generator=generator),
        clip=1.5,
        output=outputs[squash],
    )


def observations(seed: int = 0, rows: int = ROWS) -> Tensor:
    return torch.randn(rows, SENSORS, generator=torch.Generator().manual_seed(seed))


def budget(eps: float | Tensor, norm: str = "linf", *, in_range: bool = False) -> Threat:
    low, high = BOX if in_range else (None, None)
    return Threat(eps=eps, scale=SCALE, unit="raw", norm="l2" if norm == "l2" else "linf", low=low, high=high)


def change(network: Feedforward, obs: Tensor, seen: Tensor) -> Tensor:
    return (network(seen) - network(obs)).abs()


def noise(rows: int = ROWS) -> Noise:
    return Noise.from_seeds(range(rows))


CASES = [
    (activation, squash, norm, in_range)
    for activation, squash in zip(ACTIVATIONS, ("tanh", "none", "cut", "tanh", "cut"), strict=True)
    for norm, in_range in (("linf", False), ("linf", True), ("l2", False), ("l2", True))
]


@pytest.mark.parametrize(("activation", "squash", "norm", "in_range"), CASES)
def test_no_point_of_the_budget_changes_the_action_by_more_than_a_bound(
    activation: str, squash: str, norm: str, in_range: bool
) -> None:
    network, obs = random_network(1, activation, squash), observations()
    target = Target(policy=network, obs_scale={"raw": SCALE})
    search = Descend(objective=action_difference, steps=20, restarts=4)
    for eps in (0.01, 0.2, 1.0):
        threat = budget(eps, norm, in_range=in_range)
        rows = threat.sample(obs, noise(), 200).flatten(0, 1)
        drawn = threat.project(obs.repeat_interleave(200, 0), rows).reshape(ROWS, 200, SENSORS)
        pushed = search(target, obs, threat, noise())
        for method in METHODS:
            bound = largest_change(network, obs, threat, method)
            assert bool((change(network, obs.unsqueeze(1), drawn) <= bound.unsqueeze(1)).all())
            assert bool((change(network, obs, pushed) <= bound).all())


@pytest.mark.slow
@pytest.mark.parametrize("activation", ACTIVATIONS)
@pytest.mark.parametrize("squash", ["tanh", "cut", "none"])
def test_a_hundred_thousand_random_and_a_thousand_optimised_points_stay_within_the_bounds(
    activation: str, squash: str
) -> None:
    for seed, norm in itertools.product(range(3), ("linf", "l2")):
        network, obs = random_network(seed, activation, squash, (32, 32, 16)), observations(seed, 50)
        target = Target(policy=network, obs_scale={"raw": SCALE})
        for eps in (0.05, 0.5):
            threat = budget(eps, norm)
            bounds = [largest_change(network, obs, threat, method) for method in METHODS]
            drawn = threat.sample(obs, noise(50), 2000)
            rows = obs.repeat_interleave(20, 0)
            pushed = Descend(objective=action_difference, steps=40, restarts=2)(target, rows, threat, noise(1000))
            for bound in bounds:
                assert bool((change(network, obs.unsqueeze(1), drawn) <= bound.unsqueeze(1)).all())
                assert bool((change(network, rows, pushed) <= bound.repeat_interleave(20, 0)).all())


@pytest.mark.parametrize("name", [name for name in ATTACKS if not name.startswith("compat:rorl")])
def test_every_built_in_attack_stays_below_its_bound(name: str) -> None:
    network, obs = random_network(2), observations()
    target = Target(
        policy=network,
        critic=lambda obs, action: obs.sum(-1) + action.sum(-1),
        critics=lambda obs, action: torch.stack([obs.sum(-1) + action.sum(-1), obs.sum(-1) - action[:, 0]]),
        state_value=lambda obs: obs.square().sum(-1),
        obs_scale={"raw": SCALE},
        obs_bounds=BOX,
        action_box=(torch.full((ACTIONS,), -0.3), torch.full((ACTIONS,), 0.5)),
        distribution=lambda obs: torch.distributions.Normal(network(obs).to(obs), torch.ones(len(obs), ACTIONS)),
    )
    for norm in ("linf", "l2"):
        threat = budget(0.3, norm)
        seen = threat.project(obs, ATTACKS[name](target, obs, threat, noise()))
        for method in METHODS:
            assert bool((change(network, obs, seen) <= largest_change(network, obs, threat, method)).all())


@pytest.mark.parametrize("method", METHODS)
def test_of_a_linear_policy_the_bound_is_the_dual_norm(method: str) -> None:
    weight, bias = torch.randn(ACTIONS, SENSORS, generator=torch.Generator().manual_seed(3)), torch.ones(ACTIONS)
    std = torch.tensor([0.5, 1.0, 2.0, 4.0, 1.0])
    network = Feedforward(layers=[(weight, bias)], activation="relu", mean=torch.ones(SENSORS), std=std)
    slope, obs = (weight / std).double(), observations().double()
    for eps in (1e-3, 0.1, 2.0):
        box = (slope.abs() * eps * SCALE).sum(-1)
        ellipsoid = (slope * eps * SCALE).square().sum(-1).sqrt()
        for norm, truth in (("linf", box), ("l2", ellipsoid)):
            bound = largest_change(network, obs, budget(eps, norm), method)
            torch.testing.assert_close(bound, truth.expand(ROWS, -1), rtol=1e-5, atol=0)


def test_of_a_squashed_linear_policy_the_bound_is_the_farther_end() -> None:
    """z = 2·s + 0.5 at s = 0.25 with a half-width of 0.1: tanh lies between tanh(0.8) and tanh(1.2)."""
    network = Feedforward(
        layers=[(torch.tensor([[2.0]]), torch.tensor([0.5]))], activation="tanh", output=lambda z: 3 * torch.tanh(z)
    )
    obs = torch.tensor([[0.25]], dtype=torch.float64)
    bound = largest_change(network, obs, Threat(eps=0.1, scale=torch.ones(1, dtype=torch.float64)))
    truth = 3 * (torch.tensor(1.0).double().tanh() - torch.tensor(0.8).double().tanh())
    torch.testing.assert_close(bound, truth.expand(1, 1), rtol=1e-7, atol=0)


def test_a_cut_output_and_a_clipped_input_bound_the_change() -> None:
    network = Feedforward(
        layers=[(torch.tensor([[1.0, 1.0]]), torch.zeros(1))],
        activation="relu",
        mean=torch.zeros(2),
        std=torch.ones(2),
        clip=1.0,
        output=lambda z: z.clamp(-1.0, 1.5),
    )
    obs = torch.tensor([[5.0, 0.9], [0.5, 0.5]])  # z = 1 + [0.4, 1] around 1.9, and [0, 1] + [0, 1] around 1
    bound = largest_change(network, obs, Threat(eps=0.5, scale=torch.ones(2)))
    torch.testing.assert_close(bound, torch.tensor([[0.1], [1.0]]).double(), rtol=1e-5, atol=0)


@pytest.mark.parametrize("norm", ["linf", "l2"])
def test_rows_do_not_depend_on_their_batch(norm: str) -> None:
    network, obs = random_network(4), observations(rows=70)  # more than are bounded at once
    eps = torch.linspace(0, 0.5, 70).unsqueeze(1)
    for method in METHODS:
        together = largest_change(network, obs, budget(eps, norm), method)
        alone = [largest_change(network, obs[i : i + 1], budget(eps[i : i + 1], norm), method) for i in range(70)]
        torch.testing.assert_close(together, torch.cat(alone), rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("norm", ["linf", "l2"])
@pytest.mark.parametrize("method", METHODS)
def test_no_budget_is_no_change_and_hidden_sensors_count_nothing(norm: str, method: str) -> None:
    network, obs = random_network(5), observations()
    assert bool((largest_change(network, obs, budget(0.0, norm), method) == 0).all())
    hidden = Threat(eps=3.0, scale=torch.zeros(SENSORS), norm="l2" if norm == "l2" else "linf")
    assert bool((largest_change(network, obs, hidden, method) == 0).all())


@pytest.mark.parametrize("norm", ["linf", "l2"])
@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_interval_bounds_grow_with_the_budget_and_end_at_the_action_box(activation: str, norm: str) -> None:
    network, obs = random_network(6, activation), observations()
    bounds = [largest_change(network, obs, budget(eps, norm), "ibp") for eps in (0.0, 0.01, 0.1, 1.0, 100.0)]
    assert all(bool((smaller <= larger).all()) for smaller, larger in itertools.pairwise(bounds))
    assert float(bounds[-1].max()) <= 0.8 + 1e-6  # from one end of the box to the other


@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_linear_relaxation_is_tighter_than_intervals_on_average_at_small_budgets(activation: str) -> None:
    """A measurement, not a theorem: single rows may be the other way round."""
    mean = {}
    for method in METHODS:
        bounds = [
            largest_change(random_network(seed, activation, "none"), observations(seed), budget(0.1), method)
            for seed in range(5)
        ]
        mean[method] = float(torch.stack(bounds).mean())
    assert mean["crown"] < 0.8 * mean["ibp"]


@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_lines_stay_on_their_side_of_the_curve(activation: str) -> None:
    known = curve(activation)
    assert known is not None
    ends = torch.randn(2, 4000, generator=torch.Generator().manual_seed(0), dtype=torch.float64) * 4
    ends[:, :500] *= 10  # saturated
    ends[1, 500:600] = ends[0, 500:600] + 1e-12  # hardly an interval
    low, high = ends.amin(0, keepdim=True), ends.amax(0, keepdim=True)
    below, above = lines(known, low, high)
    for part in torch.linspace(0, 1, 101, dtype=torch.float64):
        x = low + part * (high - low)
        assert bool((below.slope * x + below.offset <= known.function(x)).all())
        assert bool((above.slope * x + above.offset >= known.function(x)).all())


@pytest.mark.parametrize(
    "name", ["gelu", "silu", "tanh(2)", "leaky_relu(1.5)", "leaky_relu(-0.1)", "elu(x)", "nothing"]
)
def test_what_falls_somewhere_or_is_not_convex_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match="has no bounds here; expected relu"):
        Feedforward(layers=[(torch.ones(1, 1), torch.ones(1))], activation=name)


def test_sizes_that_do_not_fit_are_refused() -> None:
    with pytest.raises(ValueError, match="are no network"):
        Feedforward(layers=[(torch.ones(3, 2), torch.ones(3)), (torch.ones(1, 2), torch.ones(1))], activation="relu")
    with pytest.raises(ValueError, match=r"needs obs \(B, 5\)"):
        largest_change(random_network(0), torch.zeros(2, 4), budget(0.1))
