"""Parts of a file that attacks need beside the policy, and the sentences for missing ones."""

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from attacks import ATTACKS, Noise, Target, Threat, resolve
from attacks.objectives import NEEDS
from attacks.target import GRADIENTS
from microbench.checkpoints import Overrides, load
from microbench.checkpoints.offers import WAYS_OUT, WHAT, missing, needing, servable
from microbench.checkpoints.task_of import actuator_box
from microbench.evaluation.attacked import find_attack
from tests.microbench.checkpoints import foreign_files as files
from tests.microbench.checkpoints.foreign_files import ACTIONS, OBS, write
from tests.microbench.checkpoints.foreign_table import FILES
from tests.microbench.small_run import write_policy
from tests.microbench.toys import waves

SEEN, ACTION = 3 * waves(5, OBS), waves(5, ACTIONS)
BOX = (-torch.ones(ACTIONS), torch.ones(ACTIONS))


def stored(tmp_path: Path, name: str) -> Target:
    return load(write(tmp_path / name, FILES[name]())).target


def layered(tensors: dict[str, Tensor], names: list[str], x: Tensor) -> Tensor:
    """Tanh layers by hand: the oracle."""
    for name in names[:-1]:
        x = torch.tanh(x @ tensors[f"{name}.weight"].T + tensors[f"{name}.bias"])
    return (x @ tensors[f"{names[-1]}.weight"].T + tensors[f"{names[-1]}.bias"])[:, 0]


def test_the_state_value_of_sb3s_ppo(tmp_path: Path) -> None:
    names = ["mlp_extractor.value_net.0", "mlp_extractor.value_net.2", "value_net"]
    expected = layered(files.sb3_tensors("ppo"), names, SEEN)
    torch.testing.assert_close(stored(tmp_path, "sb3-ppo.zip").require_state_value()(SEEN), expected)
    assert stored(tmp_path, "sb3-sac.zip").state_value is None


def test_the_state_value_of_cleanrls_ppo(tmp_path: Path) -> None:
    tree = files.cleanrl("ppo")
    path = write(tmp_path / "p.cleanrl_model", files.torch_bytes(tree))
    target = load(path, Overrides(obs_stats=Path("none"))).target
    expected = layered(tree, ["critic.0", "critic.2", "critic.4"], SEEN)
    torch.testing.assert_close(target.require_state_value()(SEEN), expected)


def test_the_state_value_of_sa_ppo_sees_normalised_observations(tmp_path: Path) -> None:
    target = stored(tmp_path, "sa-ppo.model")
    tensors = files.mlp(actions=1, names=("affine_layers.0", "affine_layers.1", "final"))
    checkpoint = load(tmp_path / "sa-ppo.model")
    norm = files.environment().state["state_filter"].state["rs"].state
    std = torch.as_tensor((norm["_S"] / (norm["_n"] - 1)) ** 0.5).float()
    inputs = ((SEEN - torch.as_tensor(norm["_M"]).float()) / std).clamp(-10, 10)
    expected = layered(tensors, ["affine_layers.0", "affine_layers.1", "final"], inputs)
    torch.testing.assert_close(target.require_state_value()(SEEN), expected, rtol=1e-4, atol=1e-4)
    assert checkpoint.target.critic is None
    assert stored(tmp_path, "lstm.model").state_value is None  # it would need a memory of its own


@pytest.mark.parametrize(
    "name", ["sb3-sac.zip", "corl-sac-n.pt", "offlinerl-kit.pth", "rorl.pt", "d3rlpy.d3", "cleanrl-td3.cleanrl_model"]
)
def test_an_ensembles_minimum_is_the_critic(tmp_path: Path, name: str) -> None:
    target = stored(tmp_path, name)
    members = target.require_critics()(SEEN, ACTION)
    assert len(members) >= 2
    assert members.std(0).min() > 0
    torch.testing.assert_close(members.amin(0), target.require_critic()(SEEN, ACTION))


def test_tqcs_members_are_means_of_all_quantiles(tmp_path: Path) -> None:
    target = stored(tmp_path, "sb3-tqc.zip")
    members = target.require_critics()(SEEN, ACTION)
    assert members.shape == (2, 5)
    # Without the largest quantiles the mean of the rest is lower than the mean of all.
    assert (target.require_critic()(SEEN, ACTION) < members.mean(0)).all()


def test_a_run_of_ours_offers_its_ensemble_bounds_and_box(tmp_path: Path) -> None:
    target = write_policy(tmp_path / "policy.safetensors").target
    obs, action = SEEN[:, :OBS], ACTION
    torch.testing.assert_close(target.require_critics()(obs, action).amin(0), target.require_critic()(obs, action))
    low, high = target.require_obs_bounds()
    torch.testing.assert_close(high - low, target.scale("range"))
    assert [end.tolist() for end in target.require_action_box()] == [[-1.0] * ACTIONS, [1.0] * ACTIONS]


def test_a_squashed_policys_box_is_where_its_actions_lie(tmp_path: Path) -> None:
    low, high = stored(tmp_path, "cleanrl-td3.cleanrl_model").require_action_box()
    assert (low.tolist(), high.tolist()) == ([-1.5] * ACTIONS, [2.5] * ACTIONS)


def test_a_cut_policys_box_is_that_of_the_actuators(tmp_path: Path) -> None:
    low, high = stored(tmp_path, "sa-ppo.model").require_action_box()
    assert (low.tolist(), high.tolist()) == ([-1.0] * ACTIONS, [1.0] * ACTIONS)
    humanoid = actuator_box("Humanoid-v4")
    assert humanoid is not None
    assert humanoid[1].tolist() == pytest.approx([0.4] * 17)
    assert actuator_box("pen-v1") is None


def test_a_dataset_gives_bounds_and_the_unit_range(tmp_path: Path) -> None:
    obs = np.random.default_rng(0).normal(size=(50, OBS)).astype(np.float32)
    stats = write(tmp_path / "d.hdf5", files.hdf5({"observations": obs}))
    target = load(write(tmp_path / "p.zip", FILES["sb3-sac.zip"]()), Overrides(obs_stats=stats)).target
    low, high = target.require_obs_bounds()
    assert low.numpy() == pytest.approx(obs.min(0))
    assert high.numpy() == pytest.approx(obs.max(0))
    assert target.scale("range").numpy() == pytest.approx(obs.max(0) - obs.min(0), rel=1e-6)


def test_every_need_has_a_way_out() -> None:
    named = {need for attack in ATTACKS.values() for need in attack.needs(full())}  # type: ignore[attr-defined]  # records
    assert named | set(NEEDS.values()) == set(WAYS_OUT) == set(WHAT)


def test_the_needs_of_all_attacks_in_words() -> None:
    names = needing()
    assert names["a value V(s)"] == ["v-min", "compat:sa-ppo-critic"]
    assert names["the range of actions"] == ["targeted"]
    assert {"fgsm", "pgd", "action-diff", "targeted"} <= set(names["gradients"])
    assert not {"fgsm", "pgd"} & set(names["a critic Q(s, a)"])  # they change the action where there is none


def full(**without: Any) -> Target:
    """A target with everything that an attack may need."""
    parts: dict[str, Any] = {
        "policy": lambda obs: torch.tanh(obs[:, :ACTIONS]),
        "critic": lambda obs, action: action.sum(-1),
        "critics": lambda obs, action: torch.stack([action.sum(-1), -action.sum(-1)]),
        "state_value": lambda obs: obs.sum(-1),
        "distribution": lambda obs: torch.distributions.Normal(obs[:, :ACTIONS], 1.0),
        "obs_scale": {"raw": torch.ones(OBS)},
        "obs_bounds": (-torch.ones(OBS), torch.ones(OBS)),
        "action_box": BOX,
    }
    return Target(**(parts | without))


@pytest.mark.parametrize(
    ("name", "without", "sentence"),
    [
        ("min-q", {"critic": None}, "needs a critic"),
        ("min-q-mixed", {"critic": None}, "needs a critic"),
        ("q-mean", {"critics": None}, "needs several critics"),
        ("q-std", {"critics": None}, "needs several critics"),
        ("compat:tirl-min-q", {"critics": None}, "needs several critics"),
        ("v-min", {"state_value": None}, r"needs a value V\(s\)"),
        ("action-kl", {"distribution": None}, "needs a distribution"),
        ("pgd(objective=action_kl)", {"distribution": None}, "needs a distribution"),
        ("compat:tirl-actor-mad", {"obs_bounds": None}, "--obs-stats"),
        ("targeted", {"action_box": None}, r"targeted\(action=1\)"),
        ("targeted", {"critic": None}, "needs a critic"),
        ("pgd", {"policy": lambda obs: obs[:, :ACTIONS].detach()}, "needs gradients"),
        ("targeted(action=1)", {"policy": lambda obs: obs[:, :ACTIONS].detach()}, "needs gradients"),
    ],
)
def test_what_is_missing_is_told_before_and_refused_when_it_runs(
    name: str, without: dict[str, Any], sentence: str
) -> None:
    attack, target = find_attack(name), full(**without)
    assert re.search(sentence, missing(attack, target))
    assert missing(attack, full()) == ""
    with pytest.raises(ValueError, match=r"\w"):
        attack(target, torch.zeros(2, OBS), Threat(eps=0.1, scale=torch.ones(OBS)), Noise.from_seeds([0, 1]))


class Greedy:
    """Anybody's attack, which says what it needs."""

    wanted: tuple[str, ...] = ("state_value",)

    @classmethod
    def needs(cls, target: Target) -> tuple[str, ...]:
        return cls.wanted

    def __call__(self, target: Target, obs: Tensor, threat: Threat, noise: Noise) -> Tensor:
        return obs


def test_anybodys_attack_may_say_what_it_needs(monkeypatch: pytest.MonkeyPatch) -> None:
    assert missing(Greedy(), full()) == ""
    assert missing(Greedy(), full(state_value=None)).startswith("it needs a value V(s)")
    monkeypatch.setattr(Greedy, "wanted", ("luck",))
    assert missing(Greedy(), full()).startswith("it says that it needs 'luck'; expected some of gradients, critic")


def test_what_needs_nothing_or_can_do_without_is_served() -> None:
    bare = Target(policy=lambda obs: torch.tanh(obs[:, :ACTIONS]), obs_scale={"raw": torch.ones(OBS)})
    served = {name for name, why in servable(bare).items() if not why and not name.startswith("compat:")}
    assert served == {"random", "random-corner", "random-gaussian", "fgsm", "pgd", "pgd-restarts", "action-diff"}
    assert missing(resolve("targeted(action=0)"), bare) == ""
    assert missing(resolve("microbench.checkpoints.offers:missing"), bare) == ""  # anybody's that does not say
    assert GRADIENTS in WAYS_OUT
