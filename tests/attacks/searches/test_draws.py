"""Random points by name."""

from itertools import product

import pytest
import torch

from attacks import ATTACKS, Threat
from attacks.searches.draws import DRAWS, drawing
from tests.attacks.toys import SENSORS, WIDE_SCALE, Networks, noise, observations, threat

every_draw = pytest.mark.parametrize("name", DRAWS)


@every_draw
@pytest.mark.parametrize("norm", ["linf", "l2"])
def test_every_point_is_inside_and_a_rows_own(name: str, norm: str) -> None:
    ball, obs = threat(torch.tensor([[0.1], [0.0], [2.0]]), wide=True, norm=norm), observations(3)
    drawn = DRAWS[name](ball, obs, noise(3), 7)
    assert drawn.shape == (3, 7, SENSORS)
    assert all(bool(ball.inside(obs, drawn[:, i]).all()) for i in range(7))
    assert drawn[1].equal(obs[1].expand(7, -1))
    assert DRAWS[name](ball.rows([2]), obs[[2]], noise(1, first=2), 7).equal(drawn[[2]])


def test_corners_are_all_corners_and_each_is_drawn() -> None:
    drawn = drawing("corner")(threat(0.5, wide=True), torch.zeros(1, SENSORS), noise(1), 4000)[0] / (0.5 * WIDE_SCALE)
    assert drawn.abs().sub(1).abs().max() < 1e-6
    assert set(map(tuple, drawn.sign().int().tolist())) == set(product((-1, 1), repeat=SENSORS))


def test_points_on_the_edge_of_an_ellipsoid_have_its_radius_in_every_direction() -> None:
    drawn = drawing("corner")(threat(0.5, wide=True, norm="l2"), torch.zeros(1, SENSORS), noise(1), 4000)[0]
    units = drawn / (0.5 * WIDE_SCALE)
    assert units.norm(dim=-1).sub(1).abs().max() < 1e-5
    assert units.mean(0).abs().max() < 0.036  # 5 standard errors of a coordinate with variance 1/5
    assert (units.square().mean(0) - 0.2).abs().max() < 0.015


def test_hidden_sensors_stay_and_count_nowhere() -> None:
    scale = torch.tensor([1.0, 0.0, 2.0])
    drawn = drawing("corner")(Threat(eps=1.0, scale=scale, norm="l2"), torch.ones(1, 3), noise(1), 50)[0] - 1
    assert drawn[:, 1].eq(0).all()
    assert (drawn[:, [0, 2]] / scale[[0, 2]]).norm(dim=-1).sub(1).abs().max() < 1e-5


def test_a_clipped_normal_is_at_the_edge_as_often_as_a_normal_is_beyond_one_deviation() -> None:
    drawn = drawing("gaussian")(threat(0.5, wide=True), torch.zeros(1, SENSORS), noise(1), 10_000)[0]
    at_edge = (drawn.abs() >= 0.4999 * WIDE_SCALE).float().mean()
    assert float(at_edge) == pytest.approx(0.3173, abs=0.011)  # 5 standard errors


def test_random_attacks_are_these_draws() -> None:
    obs, target = observations(4), Networks().target()
    for name, draw in (("random", "uniform"), ("random-corner", "corner"), ("random-gaussian", "gaussian")):
        expected = DRAWS[draw](threat(), obs, noise(4), 1)[:, 0]
        assert ATTACKS[name](target, obs, threat(), noise(4)).equal(expected)


def test_an_unknown_draw_names_those_that_exist() -> None:
    with pytest.raises(ValueError, match="no draw 'sobol'; choose one of uniform, corner, gaussian"):
        drawing("sobol")
