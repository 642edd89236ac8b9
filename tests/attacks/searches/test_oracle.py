"""The oracle in worlds small enough to know by heart."""

from dataclasses import dataclass, field

import pytest
import torch
from torch import Tensor

from attacks import ATTACKS, REFERENCES, Noise, Oracle, Target, Threat, World, value
from attacks.searches.oracle import Constant, directions
from tests.attacks.toys import noise, observations, threat

CHEAP = tuple(ATTACKS[name] for name in ("fgsm", "pgd", "min-q"))


@dataclass
class Ledge:
    """A walker at x that goes where it believes to be, and falls off a ledge at −1.5 unless it keeps to the right.

    A step to the right costs it 0.1, one to the left earns 0.1; both come to 1 beside that, as long as it lives.
    """

    x: Tensor  # (B, 1)
    tried: list[Tensor] = field(default_factory=list)

    def fork(self, n: int) -> "Walkers":
        return Walkers(x=self.x.repeat_interleave(n, 0), tried=self.tried)


@dataclass
class Walkers:
    x: Tensor
    tried: list[Tensor]

    def __post_init__(self) -> None:
        self.alive = torch.ones(len(self.x), dtype=torch.bool)

    def step(self, seen: Tensor, /) -> tuple[Tensor, Tensor, Tensor]:
        self.tried.append(seen.clone())
        going = self.alive.clone()
        reward = torch.where(going, 1 - 0.1 * (seen - self.x)[:, 0].sign(), 0.0).double()
        self.x = torch.where(going.unsqueeze(1), seen, self.x)
        self.alive = going & (self.x[:, 0] > -1.5)
        return self.x, reward, self.alive.clone()


GREEDY = Target(
    policy=lambda obs: obs,
    critic=lambda obs, action: 0.01 * (obs - action)[:, 0],  # right about the next reward, blind for the ledge
    obs_scale={"raw": torch.ones(1)},
)
STEP = Threat(eps=1.0, scale=torch.ones(1), unit="raw")
START = torch.tensor([[0.0], [0.25]])


def seen_by(oracle: Oracle, world: World, obs: Tensor, target: Target = GREEDY, within: Threat = STEP) -> Tensor:
    return oracle.in_world(world)(target, obs, within, noise(len(obs)))


def test_a_greedy_critic_misleads_cheap_attacks_and_not_the_oracle() -> None:
    """Two steps to the left earn 2.2 and the end, five to the right 4.5."""
    for attack in CHEAP[:2]:
        assert attack(GREEDY, START, STEP, noise(2)).tolist() == (START + 1).tolist()
    seen = seen_by(Oracle(horizon=5, cheap=CHEAP), Ledge(START), START)
    assert seen.tolist() == (START - 1).tolist()


def test_with_a_horizon_of_one_it_is_greedy_itself() -> None:
    seen = seen_by(Oracle(horizon=1, cheap=CHEAP, bootstrap=False), Ledge(START), START)
    assert bool((seen > START).all())


def test_the_critic_judges_what_comes_after_the_horizon() -> None:
    """After one step the true reward says right (0.9 against 1.1), this critic left, by more."""
    fears_the_ledge = Target(
        policy=GREEDY.policy, critic=lambda obs, action: 10 * action[:, 0], obs_scale={"raw": torch.ones(1)}
    )
    oracle = Oracle(horizon=1, candidates=4)
    assert seen_by(oracle, Ledge(START), START, fears_the_ledge).tolist() == (START - 1).tolist()
    without = Oracle(horizon=1, candidates=4, bootstrap=False)
    assert bool((seen_by(without, Ledge(START), START, fears_the_ledge) > START).all())


def test_several_critics_judge_by_their_mean_unless_another_judge_is_named() -> None:
    """Their mean fears the ledge, their own reduction the other side."""
    both = Target(
        policy=GREEDY.policy,
        critic=lambda obs, action: -10 * action[:, 0],
        critics=lambda obs, action: torch.stack([5 * action[:, 0], 15 * action[:, 0]]),
        obs_scale={"raw": torch.ones(1)},
    )
    oracle = Oracle(horizon=1, candidates=4)
    assert seen_by(oracle, Ledge(START), START, both).tolist() == (START - 1).tolist()
    named = Oracle(horizon=1, candidates=4, judge=value)
    assert seen_by(named, Ledge(START), START, both).tolist() == (START + 1).tolist()


def test_an_episode_that_ended_has_no_value_after_it() -> None:
    """At −1 the step to the left ends it with 1.1; the critic would charge −100 for being there."""
    high = Target(policy=GREEDY.policy, critic=lambda obs, action: obs[:, 0] * 100, obs_scale={"raw": torch.ones(1)})
    obs = torch.tensor([[-1.0]])
    seen = seen_by(Oracle(horizon=1, candidates=4), Ledge(obs), obs, high)
    assert seen.item() == -1.0  # clean: 1 − 100; left: 1.1 and nothing more


def test_copies_of_cheap_attacks_go_on_under_them_and_changes_are_kept_up() -> None:
    world = Ledge(torch.zeros(1, 1))
    seen_by(Oracle(horizon=3, candidates=3, cheap=CHEAP[:1], bootstrap=False), world, world.x)
    clean, fgsm, first, second, fresh = torch.stack(world.tried).squeeze(-1).unbind(1)
    assert clean.tolist() == [0, 0, 0]
    assert fgsm.tolist() == [1, 2, 3]
    assert sorted([first.tolist(), second.tolist()]) == [[-1, -2, -2], [1, 2, 3]]  # it fell and stays
    assert -1 < fresh[0] < 1
    assert fresh.diff().tolist() == pytest.approx([1, 1])  # fgsm goes on


def test_what_a_target_cannot_serve_is_left_out() -> None:
    blind = Target(policy=lambda obs: obs.detach().round(), obs_scale={"raw": torch.ones(1)})
    world = Ledge(START)
    seen = seen_by(Oracle(horizon=5, candidates=2, cheap=CHEAP), world, START, blind)
    assert len(world.tried[0]) == len(START) * 3  # the clean point, a change that is kept up, a fresh one
    assert bool(threat_inside(START, seen))


def threat_inside(obs: Tensor, seen: Tensor) -> Tensor:
    return STEP.inside(obs, seen).all()


@pytest.mark.parametrize("norm", ["linf", "l2"])
def test_directions_are_fixed_and_fill_the_budget(norm: str) -> None:
    obs, within = observations(4), threat(0.3, wide=True, norm=norm)
    for direction in directions(6, obs.shape[1]):
        seen = Constant(direction=direction)(GREEDY, obs, within, noise(4))
        change = (seen - obs).double() / within.scale
        size = change.abs().amax(1) if norm == "linf" else change.norm(dim=1)
        assert torch.allclose(size, torch.full_like(size, 0.3), atol=1e-5)
    assert torch.equal(directions(6, 3)[0], -directions(6, 3)[1])
    assert torch.equal(directions(6, 3)[:4], directions(4, 3))


def test_rows_do_not_depend_on_the_batch_they_are_in() -> None:
    obs = torch.linspace(-1, 1, 6).unsqueeze(1)
    oracle = Oracle(candidates=5, horizon=3, cheap=CHEAP, bootstrap=False)
    together = seen_by(oracle, Ledge(obs), obs)
    for i in range(len(obs)):
        row = obs[i : i + 1]
        alone = oracle.in_world(Ledge(row))(GREEDY, row, STEP, Noise.from_seeds([i]))
        assert torch.equal(alone, together[i : i + 1])


def test_copies_of_one_row_draw_the_same_numbers() -> None:
    copies = noise(2).copies(3).uniform(4)
    assert torch.equal(copies[0], copies[1])
    assert torch.equal(copies[0], copies[2])
    assert not torch.equal(copies[0], copies[3])
    assert not torch.equal(copies[0], noise(1).uniform(4)[0])


def test_without_a_world_it_says_what_it_needs() -> None:
    with pytest.raises(ValueError, match="only in a simulator"):
        REFERENCES["oracle"](GREEDY, START, STEP, noise(2))


@pytest.mark.parametrize("settings", [{"candidates": -1}, {"horizon": 0}])
def test_settings_out_of_range_are_told(settings: dict[str, int]) -> None:
    with pytest.raises(ValueError, match="candidates >= 0 and horizon >= 1"):
        Oracle(**settings)  # type: ignore[arg-type]
