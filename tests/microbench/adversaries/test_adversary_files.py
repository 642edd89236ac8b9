"""Files of learned adversaries: what comes back, what is refused in one sentence, and the attack they make."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load, save
from torch import nn

from attacks import Noise, Target, Threat
from microbench.adversaries.learned import Learned
from microbench.adversaries.loading import load_adversary
from microbench.adversaries.storing import FAMILY, parse_adversary, save_adversary
from microbench.checkpoints import load as load_policy
from microbench.errors import UserError
from microbench.evaluation.attacked import find_attack
from tests.microbench.adversaries.adversary_files import VICTIM, S, stored
from tests.microbench.toys import one_line

SCALE = torch.tensor([0.5, 1.0, 2.0, 0.1, 3.0])


def learned(**origin: Any) -> Learned:
    return Learned(path=Path("a.safetensors"), stored=stored(**origin))


def target(memory: bool = False) -> Target:
    return Target(policy=lambda obs: obs[:, :2], obs_scale={"raw": SCALE, "range": SCALE})


def test_a_file_comes_back_as_it_was(tmp_path: Path) -> None:
    path, before = tmp_path / "a.safetensors", stored("pa-ad", 3)
    path.write_bytes(save_adversary(before))
    attack = load_adversary(path)
    assert isinstance(attack, Learned)
    after = attack.stored
    assert (after.origin, after.settings, after.curve) == (before.origin, before.settings, before.curve)
    for one, other in zip(
        (after.mean, after.std, *sum(after.layers, ())), (before.mean, before.std, *sum(before.layers, ())), strict=True
    ):
        assert torch.equal(one, other)
    assert find_attack(f"adversary:{path}") is attack
    assert save_adversary(after) == path.read_bytes()


def test_sa_rl_pushes_by_its_clipped_mean_in_units_of_the_threat() -> None:
    attack, obs = learned(), 3 * torch.randn(11, S, generator=torch.Generator().manual_seed(1))
    net = nn.Sequential(nn.Linear(S, 8), nn.Tanh(), nn.Linear(8, 8), nn.Tanh(), nn.Linear(8, S)).requires_grad_(False)
    parameters = [tensor for layer in attack.stored.layers for tensor in layer]
    for parameter, tensor in zip(net.parameters(), parameters, strict=True):
        parameter.copy_(tensor)
    z = ((obs - attack.stored.mean) / attack.stored.std).clamp(-10, 10)
    for eps in (0.1, 0.4):
        threat = Threat(eps=eps, scale=SCALE, unit="raw")
        seen = attack(target(), obs, threat, Noise.from_seeds(range(11)))
        torch.testing.assert_close(seen, obs + eps * SCALE * net(z).clamp(-1, 1))


@pytest.mark.parametrize(("method", "decisions"), [("sa-rl", S), ("pa-ad", 2)])
@pytest.mark.parametrize("norm", ["linf", "l2"])
def test_a_batch_is_its_rows_and_stays_in_the_ball(method: str, decisions: int, norm: str) -> None:
    attack = Learned(path=Path("a"), stored=stored(method, decisions, norm=norm))
    scale = SCALE * torch.tensor([1, 1, 0, 1, 1])  # one sensor is closed
    obs = torch.randn(11, S, generator=torch.Generator().manual_seed(2))
    eps = torch.linspace(0, 0.5, 11)[:, None]
    threat = Threat(eps=eps, scale=scale, unit="raw", norm=norm)  # type: ignore[arg-type]  # Threat checks the name
    seen = attack(target(), obs, threat, Noise.from_seeds(range(11)))
    assert bool(threat.inside(obs, seen).all())
    assert torch.equal(seen[:, 2], obs[:, 2])
    assert torch.equal(seen[0], obs[0])
    assert bool((seen[1:] != obs[1:]).any(1).all())
    for row in range(11):
        alone = attack(target(), obs[row : row + 1], threat.rows([row]), Noise.from_seeds([row]))
        assert torch.equal(alone[0], seen[row])


@pytest.mark.parametrize(("method", "decisions"), [("sa-rl", S), ("pa-ad", 2)])
def test_what_is_shown_stays_in_the_range_of_the_data_where_that_is_asked(method: str, decisions: int) -> None:
    attack = Learned(path=Path("a"), stored=stored(method, decisions))
    obs = torch.randn(40, S, generator=torch.Generator().manual_seed(3)).clamp(-0.9, 0.9)
    free = Threat(eps=1.0, scale=SCALE, unit="raw")
    bounded = Threat(eps=1.0, scale=SCALE, unit="raw", low=torch.full((S,), -1.0), high=torch.full((S,), 1.0))
    seen = attack(target(), obs, bounded, Noise.from_seeds(range(40)))
    assert bool(bounded.inside(obs, seen).all())
    assert bool((seen.abs() <= 1).all())
    assert bool((attack(target(), obs, free, Noise.from_seeds(range(40))).abs() > 1).any())


@pytest.mark.parametrize(
    ("victim", "unit", "norm", "words"),
    [
        ("cd" * 32, "raw", "linf", "another policy (abababab…, this one is cdcdcdcd…)"),
        (VICTIM, "range", "linf", "--unit raw --norm linf"),
        (VICTIM, "raw", "l2", "--unit raw --norm linf"),
    ],
)
def test_another_policy_unit_or_norm_is_refused(victim: str, unit: str, norm: str, words: str) -> None:
    with pytest.raises(UserError) as caught:
        learned().check(victim, unit, norm)
    assert words in str(caught.value)
    assert one_line(caught.value)
    learned().check(VICTIM, "raw", "linf")


def test_the_attack_itself_refuses_another_ball_or_robot() -> None:
    obs, noise = torch.zeros(2, S), Noise.from_seeds([0, 1])
    with pytest.raises(UserError, match="--unit raw"):
        learned()(target(), obs, Threat(eps=0.1, scale=SCALE, unit="range"), noise)
    other = Target(policy=lambda obs: obs, obs_scale={"raw": torch.ones(3)})
    with pytest.raises(UserError, match="observes 5 sensors, this policy has 3"):
        learned()(other, torch.zeros(2, 3), Threat(eps=0.1, scale=torch.ones(3), unit="raw"), noise)


def about(content: bytes) -> dict[str, Any]:
    header = json.loads(content[8 : 8 + int.from_bytes(content[:8], "little")])
    output: dict[str, Any] = json.loads(header["__metadata__"]["microbench"])
    return output


def changed(tensors: dict[str, Any] | None = None, **output: Any) -> bytes:
    """The file with other tensors (None takes one out) and another description."""
    content = save_adversary(stored())
    kept = {name: tensor for name, tensor in (load(content) | (tensors or {})).items() if tensor is not None}
    description = {name: value for name, value in (about(content) | output).items() if value is not None}
    return save(kept, {"microbench": json.dumps(description)})


HOSTILE = {
    "other outputs than sensors": lambda: save_adversary(stored("sa-rl", S - 2)),
    "a spread of zero": lambda: save_adversary(replace(stored(), std=torch.zeros(S))),
    "a spread below zero": lambda: save_adversary(replace(stored(), std=-torch.ones(S))),
    "a mean that is not finite": lambda: save_adversary(replace(stored(), mean=torch.full((S,), torch.nan))),
    "a budget below zero": lambda: save_adversary(stored(eps=-0.1)),
    "cut": lambda: save_adversary(stored())[:-40],
    "header cut": lambda: save_adversary(stored())[:60],
    "a policy's": lambda: changed(family="microbench"),
    "no description": lambda: save({"mean": torch.zeros(1)}),
    "newer": lambda: changed(format=99),
    "no method": lambda: changed(method=None),
    "unknown method": lambda: changed(method="voodoo"),
    "eps is a text": lambda: changed(eps="0.1"),
    "settings of nobody": lambda: changed(settings={"hidden": [8], "power": 3}),
    "no curve": lambda: changed(curve=None),
    "no mean": lambda: changed({"mean": None}),
    "another mean": lambda: changed({"mean": torch.zeros(4)}),
    "std 0": lambda: changed({"std": torch.zeros(S)}),
    "a layer less": lambda: changed({"layers.1.weight": None, "layers.1.bias": None}),
    "layers that do not fit": lambda: changed({"layers.1.weight": torch.zeros(8, 9)}),
    "no matrix": lambda: changed({"layers.0.weight": torch.zeros(8)}),
    "not finite": lambda: changed({"layers.0.bias": torch.full((8,), torch.nan)}),
    "whole numbers": lambda: changed({"mean": torch.zeros(S, dtype=torch.int64)}),
}


@pytest.mark.parametrize("name", sorted(HOSTILE))
def test_a_damaged_or_foreign_file_is_refused_in_one_sentence(tmp_path: Path, name: str) -> None:
    path = tmp_path / "a.safetensors"
    path.write_bytes(HOSTILE[name]())
    with pytest.raises(UserError) as caught:
        load_adversary(path)
    assert one_line(caught.value)
    assert str(path) in str(caught.value)


def test_every_cut_and_flipped_file_is_read_or_refused(tmp_path: Path) -> None:
    content = save_adversary(stored())
    generator = torch.Generator().manual_seed(0)
    for number in range(300):
        place = int(torch.randint(1400, (), generator=generator))
        damaged = bytearray(content)
        damaged[place] ^= 1 << (number % 8)
        output = "a sentence."
        try:
            parse_adversary(tmp_path, bytes(damaged if number % 3 else damaged[:place]))
        except UserError as error:
            output = str(error)
        assert one_line(output)


def test_an_adversary_is_no_policy(tmp_path: Path) -> None:
    path = tmp_path / "a.safetensors"
    path.write_bytes(save_adversary(stored()))
    with pytest.raises(UserError, match=FAMILY):
        load_policy(path)
