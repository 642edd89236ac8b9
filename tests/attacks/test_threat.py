from dataclasses import replace
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from attacks import Threat
from tests.attacks.toys import SENSORS, WIDE_SCALE, noise, observations, threat

NORMS = ["linf", "l2"]


@pytest.mark.parametrize(
    ("wrong", "sentence"),
    [
        ({"eps": -0.1}, "at least 0"),
        ({"eps": float("nan")}, "finite"),
        ({"eps": float("inf")}, "finite"),
        ({"eps": torch.tensor([[0.1], [-1.0]])}, "at least 0"),
        ({"eps": torch.tensor([0.1, 0.2])}, r"shape \(B, 1\)"),
        ({"scale": torch.tensor([1.0, -1.0])}, "scale"),
        ({"scale": torch.tensor([1.0, float("inf")])}, "scale"),
        ({"scale": torch.ones(2, 2)}, "scale"),
        ({"norm": "l1"}, "'l1' is unknown; choose one of: linf, l2"),
        ({"unit": "std"}, "'std' is unknown; choose one of: dataset-std"),
    ],
)
def test_a_wrong_threat_is_refused(wrong: dict[str, Any], sentence: str) -> None:
    arguments: dict[str, Any] = {"eps": 0.1, "scale": torch.ones(2), **wrong}
    with pytest.raises(ValueError, match=sentence):
        Threat(**arguments)


def test_half_width_is_eps_times_scale() -> None:
    scale = torch.tensor([1.0, 0.0, 4.0])
    assert Threat(eps=0.5, scale=scale).half_width.tolist() == [0.5, 0.0, 2.0]
    per_row = Threat(eps=torch.tensor([[0.5], [0.25]]), scale=scale)
    assert per_row.half_width.tolist() == [[0.5, 0.0, 2.0], [0.25, 0.0, 1.0]]


def test_the_box_clips_every_sensor_to_its_own_half_width() -> None:
    box = Threat(eps=0.5, scale=torch.tensor([1.0, 0.0, 4.0]))
    seen = box.project(torch.tensor([[1.0, 2.0, 3.0]]), torch.tensor([[9.0, 9.0, 2.5]]))
    assert seen.tolist() == [[1.5, 2.0, 2.5]]


def test_the_l2_ball_shrinks_the_change_in_units_of_scale() -> None:
    ball = Threat(eps=1.0, scale=torch.tensor([1.0, 2.0, 0.0]), norm="l2")
    clean = torch.zeros(2, 3)
    # In units: (3, 4, hidden), length 5, so a fifth of it; the second row is inside already.
    seen = ball.project(clean, torch.tensor([[3.0, 8.0, 7.0], [0.6, 0.8, 0.0]]))
    torch.testing.assert_close(seen, torch.tensor([[0.6, 1.6, 0.0], [0.6, 0.8, 0.0]]))


@pytest.mark.parametrize("norm", NORMS)
def test_project_is_idempotent_and_keeps_points_inside(norm: str) -> None:
    ball, obs = threat(0.3, norm=norm), observations(50)
    once = ball.project(obs, obs + 3 * observations(50, seed=1))
    assert ball.inside(obs, once).all()
    torch.testing.assert_close(ball.project(obs, once), once, rtol=0, atol=1e-6)
    near = obs + 0.1 * observations(50, seed=1).clamp(-1, 1)
    assert ball.project(obs, near).equal(near)


@pytest.mark.parametrize("norm", NORMS)
def test_eps_zero_returns_obs_bit_for_bit(norm: str) -> None:
    obs = observations(4)
    obs[0, 0], obs[1, 1], obs[2, 2], obs[3, 3] = -0.0, 0.0, 1e-45, 1e30
    seen = threat(0.0, norm=norm).project(obs, obs + 1)
    assert seen.view(torch.int32).equal(obs.view(torch.int32))  # −0.0 == 0.0, so compare the bits
    drawn = threat(0.0, norm=norm).sample(obs, noise(4), 3)[:, 1]
    assert drawn.contiguous().view(torch.int32).equal(obs.view(torch.int32))


@pytest.mark.parametrize("norm", NORMS)
def test_eps_per_row_equals_a_threat_per_row(norm: str) -> None:
    obs, eps = observations(3), torch.tensor([[0.0], [0.1], [0.7]])
    together = threat(eps, norm=norm)
    seen = together.project(obs, obs + 2)
    drawn = together.sample(obs, noise(3), 4)
    for row in range(3):
        alone = threat(float(eps[row]), norm=norm)
        assert alone.project(obs[[row]], obs[[row]] + 2).equal(seen[[row]])
        assert alone.sample(obs[[row]], noise(1, first=row), 4).equal(drawn[[row]])
        assert together.rows([row]).project(obs[[row]], obs[[row]] + 2).equal(seen[[row]])


def test_rows_index_eps_per_row_and_leave_a_common_eps() -> None:
    common = threat(0.1)
    assert common.rows([1]) is common
    chosen = threat(torch.tensor([[0.1], [0.2], [0.3]])).rows(torch.tensor([True, False, True])).eps
    assert isinstance(chosen, Tensor)
    assert chosen.equal(torch.tensor([[0.1], [0.3]]))


@pytest.mark.parametrize("norm", NORMS)
def test_a_nan_of_the_attack_raises_and_a_nan_of_the_world_stays(norm: str) -> None:
    obs = observations(2)
    broken = obs.clone()
    broken[1, 2] = float("nan")
    with pytest.raises(ValueError, match="NaN or infinity"):
        threat(0.1, norm=norm).project(obs, broken)
    seen = threat(0.1, norm=norm).project(broken, obs + 1)
    assert seen.isnan().equal(broken.isnan())
    assert threat(0.1, norm=norm).inside(broken, seen).tolist() == [True, False]


def test_a_wrong_shape_or_type_raises() -> None:
    with pytest.raises(ValueError, match=r"like obs, \(2, 5\), not \(5,\)"):
        threat().project(observations(2), observations(2)[0])
    with pytest.raises(ValueError, match="not str"):
        threat().project(observations(2), "the robot is upright")  # type: ignore[arg-type]  # a hostile attack
    with pytest.raises(ValueError, match="2 sensors and the scale of the threat has 5"):
        threat().project(torch.zeros(3, 2), torch.zeros(3, 2))


def test_the_dtype_of_obs_is_kept() -> None:
    obs = observations(2)
    assert threat().project(obs, obs.double() + 1).dtype == torch.float32
    assert threat().project(obs.double(), obs).dtype == torch.float64


@pytest.mark.parametrize("norm", NORMS)
def test_inside_notices_a_thousandth_too_much_and_a_touched_hidden_sensor(norm: str) -> None:
    ball = Threat(eps=0.1, scale=torch.tensor([1.0, 0.0]), norm="l2" if norm == "l2" else "linf")
    obs = torch.tensor([[3.0, 1.0]]).expand(4, 2)
    seen = obs + torch.tensor([[0.1, 0.0], [-0.1, 0.0], [0.1001, 0.0], [0.0, 1e-6]])
    assert ball.inside(obs, seen).tolist() == [True, True, False, False]


def test_uniform_in_the_box_has_the_variance_of_a_uniform() -> None:
    drawn = threat(0.5, wide=True).sample(torch.zeros(1, SENSORS), noise(1), 40_000)[0] / (0.5 * WIDE_SCALE)
    torch.testing.assert_close(drawn.var(0), torch.full((SENSORS,), 1 / 3), rtol=0.03, atol=0)
    assert drawn.abs().max() <= 1.0001


def test_uniform_in_the_l2_ball_has_the_radius_of_a_uniform() -> None:
    drawn = threat(0.5, wide=True, norm="l2").sample(torch.zeros(1, SENSORS), noise(1), 40_000)[0] / (0.5 * WIDE_SCALE)
    radius = drawn.norm(dim=-1)
    assert radius.max() <= 1.0001
    # P(r < x) = x^d: the median radius of the 5-dimensional ball is 0.5^(1/5).
    assert radius.median() == pytest.approx(0.5 ** (1 / 5), abs=0.01)
    assert drawn.mean(0).abs().max() < 0.02


@pytest.mark.parametrize("norm", NORMS)
def test_steepest_is_the_best_change_for_a_linear_function(norm: str) -> None:
    ball, gradient = threat(0.2, wide=True, norm=norm), observations(1, seed=3)
    step = ball.steepest(gradient)
    reached = float((step * gradient).sum())
    scaled = gradient * WIDE_SCALE
    # Dual norms: min over the ball of ⟨g, δ⟩ is −eps·‖scale·g‖₁ for linf and −eps·‖scale·g‖₂ for l2.
    assert reached == pytest.approx(-0.2 * float(scaled.norm(p=1 if norm == "linf" else 2)), rel=1e-5)
    drawn = ball.sample(torch.zeros(1, SENSORS), noise(1), 2000)[0]
    assert float((drawn @ gradient[0]).min()) > reached
    assert ball.steepest(torch.zeros(1, SENSORS)).eq(0).all()


@pytest.mark.parametrize("norm", NORMS)
def test_boundary_goes_all_the_way_in_the_direction_reached(norm: str) -> None:
    ball, obs = threat(0.2, norm=norm), torch.zeros(1, SENSORS)
    seen = torch.tensor([[0.03, -0.04, 0.0, 0.0, 0.0]])
    expected = [0.2, -0.2] if norm == "linf" else [0.12, -0.16]
    torch.testing.assert_close(ball.boundary(obs, seen)[0, :2], torch.tensor(expected))
    assert ball.boundary(obs, seen)[0, 2:].eq(0).all()


@settings(max_examples=200, deadline=None)
@given(
    eps=st.one_of(st.just(0.0), st.floats(1e-6, 10)),
    scale=st.lists(st.one_of(st.just(0.0), st.floats(0.05, 12)), min_size=SENSORS, max_size=SENSORS),
    size=st.sampled_from([1e-6, 1.0, 1e4]),
    far=st.sampled_from([1e-3, 1.0, 1e6, 1e30]),
    norm=st.sampled_from(NORMS),
    seed=st.integers(0, 10_000),
)
def test_every_projection_and_sample_is_inside(
    eps: float, scale: list[float], size: float, far: float, norm: str, seed: int
) -> None:
    ball = Threat(eps=eps, scale=torch.tensor(scale), norm="l2" if norm == "l2" else "linf")
    obs = observations(3, seed) * size
    seen = ball.project(obs, obs + far * observations(3, seed + 1))
    assert ball.inside(obs, seen).all()
    drawn = ball.sample(obs, noise(3, seed), 4)
    assert all(bool(ball.inside(obs, drawn[:, i]).all()) for i in range(4))
    assert ball.inside(obs, ball.project(obs, ball.boundary(obs, seen))).all()
    hidden = torch.tensor(scale) * eps == 0
    assert seen[:, hidden].equal(obs[:, hidden])


def test_hidden_sensors_do_not_count_towards_the_dimension_of_the_l2_ball() -> None:
    scale = torch.tensor([1.0, 0.0, 2.0, 0.0])
    drawn = Threat(eps=0.5, scale=scale, norm="l2").sample(torch.zeros(1, 4), noise(1), 40_000)[0]
    radius = (drawn[:, [0, 2]] / (0.5 * scale[[0, 2]])).norm(dim=-1)
    assert radius.median() == pytest.approx(0.5 ** (1 / 2), abs=0.01)


# Within the range of the data


def bounded(eps: float | Tensor = 0.3, norm: str = "linf", low: float = -0.5, high: float = 0.4) -> Threat:
    return replace(threat(eps, norm=norm), low=torch.full((SENSORS,), low), high=torch.full((SENSORS,), high))


def test_bounds_cut_what_is_shown_and_never_the_truth() -> None:
    ball = Threat(eps=1.0, scale=torch.ones(4), low=torch.zeros(4), high=torch.ones(4))
    obs = torch.tensor([[0.5, 2.0, -3.0, 0.9]])
    # 2 lies above the range: it may come back by the budget, and not go farther out. −3 likewise.
    up, down = (ball.project(obs, obs + sign * 9) for sign in (1, -1))
    torch.testing.assert_close(up, torch.tensor([[1.0, 2.0, -2.0, 1.0]]))
    torch.testing.assert_close(down, torch.tensor([[0.0, 1.0, -3.0, 0.0]]))
    assert ball.project(obs, obs).equal(obs)
    assert ball.inside(obs, obs).all()


def test_one_bound_alone_will_do() -> None:
    ball = Threat(eps=1.0, scale=torch.ones(1), low=torch.zeros(1))
    obs = torch.tensor([[0.5]])
    assert ball.project(obs, obs - 9).item() == 0
    assert ball.project(obs, obs + 9).item() == 1.5


@pytest.mark.parametrize("bad", [torch.zeros(2), torch.full((SENSORS,), torch.nan)])
def test_wrong_bounds_are_refused(bad: Tensor) -> None:
    with pytest.raises(ValueError, match=r"low and high must be numbers, one per sensor: shape \(5,\)"):
        replace(threat(), low=bad)


@pytest.mark.parametrize("norm", NORMS)
def test_inside_notices_what_is_beyond_a_bound_by_a_thousandth(norm: str) -> None:
    ball = Threat(eps=9.0, scale=torch.ones(2), norm="l2" if norm == "l2" else "linf", high=torch.ones(2))
    obs = torch.tensor([[0.0, 0.0]]).expand(3, 2)
    seen = torch.tensor([[1.0, 0.5], [1.001, 0.5], [-5.0, 1.0]])
    assert ball.inside(obs, seen).tolist() == [True, False, True]


@settings(max_examples=150, deadline=None)
@given(
    eps=st.one_of(st.just(0.0), st.floats(1e-6, 10)),
    scale=st.lists(st.one_of(st.just(0.0), st.floats(0.05, 12)), min_size=SENSORS, max_size=SENSORS),
    size=st.sampled_from([1e-3, 1.0, 1e3]),
    ends=st.tuples(st.floats(-2, 2), st.floats(-2, 2)),
    norm=st.sampled_from(NORMS),
    seed=st.integers(0, 10_000),
)
def test_every_projection_and_sample_is_inside_the_bounds_too(
    eps: float, scale: list[float], size: float, ends: tuple[float, float], norm: str, seed: int
) -> None:
    low, high = (torch.full((SENSORS,), size * end) for end in sorted(ends))
    ball = Threat(eps=eps, scale=torch.tensor(scale), norm="l2" if norm == "l2" else "linf", low=low, high=high)
    obs = observations(3, seed) * size
    seen = ball.project(obs, obs + 10 * observations(3, seed + 1))
    drawn = ball.sample(obs, noise(3, seed), 4)
    for points in (seen, *drawn.unbind(1), ball.project(obs, ball.boundary(obs, seen))):
        assert ball.inside(obs, points).all()
        assert ((points >= torch.minimum(low, obs)) & (points <= torch.maximum(high, obs))).all()


@pytest.mark.parametrize("norm", NORMS)
def test_the_projection_within_bounds_is_the_nearest_point(norm: str) -> None:
    """Against a solver that knows nothing of balls: the distance of no feasible point is smaller."""
    ball = replace(bounded(0.7, norm=norm), scale=torch.tensor([0.5, 1.0, 2.0, 1.0, 1.0]))
    obs, wanted = observations(40), observations(40) + 2 * observations(40, seed=1)
    nearest = ball.project(obs, wanted)
    distance = ((nearest - wanted) / ball.scale).norm(dim=-1)
    rivals = ball.sample(obs, noise(40), 300)  # (B, N, S)
    toward = nearest.unsqueeze(1) + torch.rand(40, 300, 1, generator=torch.Generator().manual_seed(0)) * (
        rivals - nearest.unsqueeze(1)
    )  # the set is convex: these are feasible, and many are near
    nearest = ((toward - wanted.unsqueeze(1)) / ball.scale).norm(dim=-1).amin(1)
    assert (nearest >= distance - 1e-5).all()


def test_the_projection_onto_a_ball_within_a_box_by_hand() -> None:
    # (3, 4) with room 1 for the first: the first stops at 1, the other takes what the radius 2 leaves, √3.
    ball = Threat(eps=2.0, scale=torch.ones(2), norm="l2", high=torch.tensor([1.0, 9.0]))
    seen = ball.project(torch.zeros(1, 2), torch.tensor([[3.0, 4.0]]))
    torch.testing.assert_close(seen, torch.tensor([[1.0, 3**0.5]]))


def test_uniform_within_bounds_is_uniform_in_what_is_left_of_the_box() -> None:
    ball = Threat(eps=1.0, scale=torch.ones(1), low=torch.tensor([-0.2]))
    drawn = ball.sample(torch.zeros(1, 1), noise(1), 40_000).flatten()
    assert drawn.min() >= -0.2
    assert drawn.mean() == pytest.approx(0.4, abs=0.01)
    assert drawn.var() == pytest.approx(1.2**2 / 12, rel=0.03)
