"""Targets of one's own: whatever their functions are made of, they are attacked or refused in one sentence."""

import ast
import copy
import pickle
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

import attacks
import perturbations
from attacks import ATTACKS, Target, Threat, needs_of
from attacks.objectives import action_difference
from attacks.searches.sampling import loss_and_gradient
from tests.attacks.toys import ACTIONS, SENSORS, linear_target, network, noise, observations, threat

WEIGHT = np.linspace(-1, 1, SENSORS * ACTIONS).reshape(SENSORS, ACTIONS)
NUMPY: dict[str, Callable[[Any], Any]] = {
    "of a tensor's own array": lambda obs: np.tanh(obs.numpy() @ WEIGHT),
    "of whatever becomes an array": lambda obs: np.tanh(np.asarray(obs) @ WEIGHT),
    "of arrays alone": lambda obs: np.tanh(np.matmul(WEIGHT.T, obs.T, dtype=np.float64).T),
    "that multiplies from the left": lambda obs: np.tanh((WEIGHT.T @ obs.T).T),
}


def servable(target: Target) -> list[str]:
    return [name for name, attack in ATTACKS.items() if all(target.has(need) for need in needs_of(attack, target))]


@pytest.mark.filterwarnings("ignore:.*array_wrap.*:DeprecationWarning", "ignore:.*array__.*:DeprecationWarning")
@pytest.mark.parametrize("form", NUMPY)
def test_a_numpy_policy_is_attacked_without_gradients_and_told_so_by_those_with(form: str) -> None:
    target = Target(policy=NUMPY[form], obs_scale={"raw": np.ones(SENSORS)})  # type: ignore[dict-item]  # it becomes a tensor
    obs = observations(6)
    expected = np.tanh(obs.double().numpy() @ WEIGHT)
    assert target.policy(obs).dtype == torch.float32
    assert target.policy(obs).numpy() == pytest.approx(expected, abs=1e-6)
    assert not target.has("gradients")
    assert set(servable(target)) == {"random", "random-corner", "random-gaussian", "compat:micro-q-std"} | {
        "compat:sa-ppo-random"
    }
    for name in servable(target):
        assert threat(0.2).inside(obs, ATTACKS[name](target, obs, threat(0.2), noise(6))).all()
    with pytest.raises(ValueError, match=r"is not differentiable.*use the attack random or min-q"):
        ATTACKS["pgd"](target, obs, threat(0.2), noise(6))


def test_a_numpy_critic_is_searched_like_one_of_torch() -> None:
    torch_target, _ = linear_target()
    critic = torch_target.require_critic()
    of_numpy: Any = lambda obs, action: critic(obs, action).detach().numpy()  # noqa: E731
    target = replace(torch_target, critic=of_numpy)
    obs = observations(6)
    seen = [ATTACKS["min-q"](one, obs, threat(0.2), noise(6)) for one in (torch_target, target)]
    assert seen[0].equal(seen[1])


@pytest.mark.parametrize("name", ["fgsm", "pgd", "min-q", "action-diff", "q-mean", "v-min", "targeted", "min-q-mixed"])
def test_networks_in_double_precision_are_attacked_in_single(name: str) -> None:
    actor, critic, value = (network(n, m, seed) for n, m, seed in ((5, 2, 0), (7, 1, 1), (5, 1, 2)))
    box = (np.full(ACTIONS, -1.0), np.full(ACTIONS, 1.0))

    def target() -> Target:
        return Target(
            policy=actor,
            critic=lambda obs, action: critic(torch.cat([obs, action], 1))[:, 0],
            critics=lambda obs, action: critic(torch.cat([obs, action], 1)).T.expand(2, -1),
            state_value=lambda obs: value(obs)[:, 0],
            action_box=box,  # type: ignore[arg-type]  # arrays become tensors
        )

    obs = observations(6)
    single = ATTACKS[name](target(), obs, threat(0.3), noise(6))
    for net in (actor, critic, value):
        net.double()
    double = ATTACKS[name](target(), obs, threat(0.3), noise(6))
    assert double.dtype == torch.float32
    torch.testing.assert_close(single, double, atol=1e-3, rtol=1e-3)


def test_gradients_pass_the_change_of_precision() -> None:
    net = network(SENSORS, ACTIONS, 0).double()
    obs = observations(4)
    other = obs + 0.1
    by_hand = other.double().requires_grad_()
    (-(net(by_hand) - net(obs.double())).square().sum()).backward()
    assert by_hand.grad is not None
    gradient = loss_and_gradient(action_difference, Target(policy=net), obs, other)[1]
    torch.testing.assert_close(gradient.double(), by_hand.grad, atol=1e-5, rtol=1e-4)


def test_a_policy_alone_is_enough_where_the_threat_has_the_scale() -> None:
    target, obs = Target(policy=network(SENSORS, ACTIONS, 0)), observations(3)
    seen = ATTACKS["pgd"](target, obs, Threat(eps=0.1, scale=[1.0] * SENSORS, unit="raw"), noise(3))  # type: ignore[arg-type]  # a list becomes a tensor
    assert (seen != obs).any()
    with pytest.raises(ValueError, match="does not say how many sensors it has; give obs_scale"):
        target.has("gradients")


@pytest.mark.parametrize("scale", [np.full(SENSORS, 0.5), [0.5] * SENSORS, torch.full((SENSORS,), 0.5)])
def test_scales_and_bounds_may_be_arrays_and_lists(scale: Any) -> None:
    bounds = (np.full(SENSORS, -1.0), [1.0] * SENSORS)
    target = Target(policy=torch.tanh, obs_scale={"raw": scale}, obs_bounds=bounds)  # type: ignore[arg-type]  # as above
    ball = Threat(eps=0.1, scale=target.scale("raw"), unit="raw", low=bounds[0], high=bounds[1])  # type: ignore[arg-type]  # as above
    obs = observations(4)
    assert ball.inside(obs, ATTACKS["random"](target, obs, ball, noise(4))).all()
    assert target.open_scale("raw").tolist() == [0.5] * SENSORS


@pytest.mark.parametrize("scale", [0.5, np.ones((2, 3)), "wide", [[1.0]], None])
def test_a_scale_that_is_no_vector_is_refused(scale: Any) -> None:
    with pytest.raises(ValueError, match=r"obs_scale\['raw'\] must be a vector of numbers"):
        Target(policy=torch.tanh, obs_scale={"raw": scale})


@pytest.mark.parametrize(
    ("policy", "sentence"),
    [
        (lambda obs: obs @ torch.ones(3, 2), r"The policy failed on obs \(8, 5\) in float32 \(.*\); it must return"),
        (lambda obs: obs.tolist(), r"The policy returned list, not a tensor: action \(B, A\)\."),
        (lambda obs: None, "The policy returned NoneType, not a tensor"),
        (lambda obs, more: obs, "The policy failed on .* missing 1 required positional argument"),
    ],
)
def test_a_policy_that_is_none_is_told_in_one_sentence(policy: Any, sentence: str) -> None:
    target = Target(policy=policy, obs_scale={"raw": torch.ones(SENSORS)})
    with pytest.raises(ValueError, match=sentence) as error:
        ATTACKS["pgd"](target, observations(4), threat(), noise(4))
    assert "\n" not in str(error.value)


def test_a_full_device_stays_what_it_is() -> None:
    def full(obs: Tensor) -> Tensor:
        raise torch.OutOfMemoryError("out of memory: dtype")

    with pytest.raises(torch.OutOfMemoryError):
        Target(policy=full).policy(torch.zeros(1, 2))


@pytest.mark.parametrize("package", [attacks, perturbations])
def test_errors_of_the_leaves_speak_no_command_line(package: Any) -> None:
    """What is used as a library names its own arguments: no sentence has an option such as --eps."""
    folder = Path(package.__file__).parent
    for path in [*folder.glob("*.py"), *(folder.parent / "microbench" / "wrappers").glob("*.py")]:
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.Raise):
                texts = [part.value for part in ast.walk(node) if isinstance(part, ast.Constant)]
                assert not [text for text in texts if isinstance(text, str) and "--" in text], path


def test_a_module_keeps_its_parameters_and_travels() -> None:
    net = network(SENSORS, ACTIONS, 0)
    target = Target(policy=net)
    policy: Any = target.policy
    assert list(policy.parameters()) == list(net.parameters())
    assert replace(target, critic=None).policy is policy
    obs = observations(3)
    for other in (pickle.loads(pickle.dumps(policy)), copy.deepcopy(policy)):
        assert other(obs).equal(net(obs))
