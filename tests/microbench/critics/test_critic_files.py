"""Critic files, and which critic an attack asks."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load, save

import attacks
from attacks import Noise, Target
from attacks.language import parse
from microbench.critics import Fit, FittedCritic
from microbench.critics.choosing import asks_critic, judge, named, split
from microbench.critics.storing import Origin, load_critic, save_critic
from microbench.errors import UserError
from microbench.evaluation.attacked import Conditions, attacked, find_attack, with_critics
from microbench.evaluation.plan import Cell
from microbench.learning.networks import stacked
from microbench.tasks import find_task
from tests.microbench.small_run import write_policy
from tests.microbench.toys import one_line

HOPPER = find_task("Hopper-v4")
REPORT = {"r2": 0.9, "ranking": 0.5}
ORIGIN = Origin(
    env_id="Hopper-v4",
    method="fqe",
    victim="1" * 64,
    source="2 episodes",
    fit=Fit(hidden=(4,), members=2),
    method_settings={},
    report=REPORT,
)


def critic(sign: float = 1.0, obs: int = 11, actions: int = 3) -> FittedCritic:
    """Q = ±(sum of actions), about: one hidden unit stays in its linear half."""
    fitted = FittedCritic(obs, actions, (4,), 2, torch.Generator().manual_seed(0))
    first, last = stacked(fitted.networks.layers)
    with torch.no_grad():
        for parameter in fitted.parameters():
            parameter.zero_()
        first.weight[:, obs:, 0] = sign
        first.bias[:, :, 0] = 10.0
        last.weight[:, 0] = 1.0
    return fitted


def written(path: Path, sign: float = 1.0, **changes: Any) -> Path:
    save_critic(path, critic(sign), replace(ORIGIN, **changes))
    return path


@pytest.fixture(scope="module")
def target(tmp_path_factory: pytest.TempPathFactory) -> Target:
    return write_policy(tmp_path_factory.mktemp("victim") / "policy.safetensors").target


def test_what_is_stored_is_what_is_loaded(tmp_path: Path) -> None:
    path = written(tmp_path / "fqe.safetensors")
    stored = load_critic(path)
    assert stored.origin == ORIGIN
    obs, action = torch.randn(5, 11), torch.rand(5, 3)
    assert torch.equal(stored.critic(obs, action), critic()(obs, action))
    assert not any(parameter.requires_grad for parameter in stored.critic.parameters())
    assert list(tmp_path.iterdir()) == [path]
    before = path.read_bytes()
    assert written(path).read_bytes() == before


def described(content: bytes, **changes: Any) -> bytes:
    """The file with another description."""
    header = json.loads(content[8 : 8 + int.from_bytes(content[:8], "little")])
    about = json.loads(header["__metadata__"]["microbench"]) | changes
    return save(load(content), {"microbench": json.dumps(about)})


def refit(content: bytes, **changes: Any) -> bytes:
    header = json.loads(content[8 : 8 + int.from_bytes(content[:8], "little")])
    fit = json.loads(header["__metadata__"]["microbench"])["fit"]
    return described(content, fit=fit | changes)


def weights(content: bytes, **changes: torch.Tensor) -> bytes:
    header = json.loads(content[8 : 8 + int.from_bytes(content[:8], "little")])
    return save(load(content) | changes, header["__metadata__"])


@pytest.mark.parametrize(
    "damage",
    [
        lambda content: b"",
        lambda content: content[:100],
        lambda content: content[:-7],
        lambda content: b"\x80\x02cos\nsystem\n" + content,
        lambda content: b"\xff" * 16 + content,
        lambda content: save(load(content)),
        lambda content: described(content, format=2),
        lambda content: described(content, family="microbench"),
        lambda content: described(content, victim=3),
        lambda content: described(content, more="of it"),
        lambda content: described(content, report={}),
        lambda content: described(content, report={"r2": "good", "ranking": 0.5}),
        lambda content: refit(content, hidden=[10**6, 10**6]),
        lambda content: refit(content, hidden=["wide"]),
        lambda content: refit(content, members=10**9),
        lambda content: refit(content, gamma=2.0),
        lambda content: refit(content, hidden=[-16, 16]),
        lambda content: refit(content, members=-1),
        lambda content: refit(content, lr="much"),
        lambda content: weights(content, obs_std=torch.zeros(11)),
        lambda content: weights(content, action_scale=-torch.ones(3)),
        lambda content: weights(content, value_scale=torch.tensor(float("inf"))),
        lambda content: refit(content, wings=2),
        lambda content: weights(content, obs_mean=torch.zeros(10**5)),
        lambda content: weights(content, obs_mean=torch.full((11,), float("nan"))),
        lambda content: weights(content, **{"networks.layers.2.weight": torch.zeros(2, 1, 1)}),
    ],
)
def test_a_damaged_or_foreign_file_is_refused_in_one_sentence(damage: Any, tmp_path: Path, target: Target) -> None:
    path = written(tmp_path / "fqe.safetensors")
    path.write_bytes(damage(path.read_bytes()))
    with pytest.raises(UserError) as error:
        load_critic(path)
    assert one_line(error.value)
    assert str(path) in str(error.value)
    with pytest.raises(UserError) as error:
        judge(str(path), HOPPER, target)
    assert one_line(error.value)


def test_a_critic_is_split_off_the_attacks_text() -> None:
    assert split(parse('pgd(steps=50,critic="a b.safetensors")@2')) == (
        parse("pgd(steps=50)@2"),
        "a b.safetensors",
    )
    assert split(parse("pgd(critic=own)")) == (parse("pgd"), None)
    assert split(parse("pgd")) == (parse("pgd"), None)
    assert find_attack('pgd(critic="x",steps=3)') == attacks.resolve("pgd(steps=3)")
    for wrong in ("pgd(critic=3)", "pgd(critic=true)", 'pgd(critic="")'):
        with pytest.raises(UserError, match="names no critic"):
            find_attack(wrong)


def test_critics_are_written_into_texts_side_by_side(target: Target) -> None:
    assert named("pgd@2", ["own", "a.st"]) == ["pgd@2", 'pgd(critic="a.st")@2']
    assert named('pgd(critic="b.st")', ["own", "a.st"]) == ['pgd(critic="b.st")']
    cells = [Cell(), Cell(attack="random", eps=0.1), Cell(attack="min-q", eps=0.1), Cell(attack="action-diff", eps=0.1)]
    texts = [cell.attack for cell in with_critics(cells, ["own", "a.st"], target)]
    assert texts == ["none", "random", "min-q", 'min-q(critic="a.st")', "action-diff"]
    assert with_critics(cells, (), target) == cells


def test_which_attacks_ask_a_critic(target: Target) -> None:
    asking = {name for name in attacks.ATTACKS if asks_critic(attacks.ATTACKS[name], replace(target, critic=None))}
    assert {"fgsm", "pgd", "pgd-restarts", "min-q", "min-q-mixed", "q-mean", "q-std", "targeted"} <= asking
    assert asking & {"random", "random-corner", "action-diff", "action-kl", "compat:sa-ppo-mad"} == set()


@pytest.mark.parametrize("name", ["fgsm", "pgd", "min-q"])
def test_the_critic_that_is_named_is_the_one_that_is_asked(name: str, tmp_path: Path, target: Target) -> None:
    """Two critics that want opposite actions: the attack follows the one in its text, whatever it has itself."""
    files = {sign: written(tmp_path / f"{sign}.safetensors", sign) for sign in (1.0, -1.0)}
    obs = torch.randn(16, 11, generator=torch.Generator().manual_seed(0)) / 3
    conditions = Conditions(env_id="Hopper-v4")
    for victim in (target, replace(target, critic=None)):
        sums = {}
        for sign, path in files.items():
            cells = [Cell(attack=f'{name}(critic="{path}")', eps=0.5)] * len(obs)
            under = attacked(victim, HOPPER, conditions, cells)
            assert under.attack is not None
            assert under.threat is not None
            seen = under.attack(under.target, obs, under.threat, Noise.from_seeds(range(len(obs))))
            sums[sign] = victim.policy(seen).sum(1).detach()
        clean = victim.policy(obs).sum(1).detach()
        assert bool((sums[1.0] <= clean).all())
        assert bool((sums[-1.0] >= clean).all())
        assert float(sums[1.0].mean()) < float(clean.mean()) < float(sums[-1.0].mean())


def test_a_replaced_file_is_read_again(tmp_path: Path, target: Target) -> None:
    path = written(tmp_path / "fqe.safetensors")
    first = judge(str(path), HOPPER, target)
    assert judge(str(path), HOPPER, target) is first
    written(path, method="robust-sarsa")
    again = judge(str(path), HOPPER, target)
    assert again.origin is not None
    assert again.origin.method == "robust-sarsa"


def test_critics_of_other_tasks_and_sizes_are_refused(tmp_path: Path, target: Target) -> None:
    other = written(tmp_path / "walker.safetensors", env_id="Walker2d-v4")
    wide = tmp_path / "wide.safetensors"
    save_critic(wide, critic(obs=12), ORIGIN)
    actor = write_policy(tmp_path / "policy.safetensors", "Walker2d-v4").path
    for path, word in (
        (other, "of Walker2d-v4"),
        (wide, "other sizes"),
        (tmp_path / "no", "no critic"),
        (actor, "Walker2d-v4"),
    ):
        with pytest.raises(UserError, match=word) as error:
            judge(str(path), HOPPER, target)
        assert one_line(error.value)


def test_the_critic_of_another_policy_is_an_independent_one(tmp_path: Path, target: Target) -> None:
    other = write_policy(tmp_path / "other.safetensors", seed=5)
    other_critic = judge(str(other.path), HOPPER, target)
    assert other_critic.victim == other.sha256
    assert other.target.critic is not None
    obs, action = torch.randn(4, 11), torch.rand(4, 3)
    assert torch.equal(other_critic.critic(obs, action), other.target.critic(obs, action))
    assert other_critic.poor == ""
