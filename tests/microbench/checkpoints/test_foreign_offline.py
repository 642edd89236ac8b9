"""Policies of offline libraries: every family's own network as the oracle, and statistics that are never invented."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from microbench.checkpoints import Checkpoint, Overrides, load
from microbench.errors import UserError
from tests.microbench.checkpoints import foreign_files as files
from tests.microbench.checkpoints.foreign_files import ACTIONS, OBS, SEEN, sequential, write
from tests.microbench.toys import one_line

STATS = f'{{"mean": {[0.25] * OBS}, "std": {[2.0] * OBS}}}'
NONE = Path("none")


def loaded(tmp_path: Path, tree: Any, obs_stats: Path | None = None) -> Checkpoint:
    content = tree if isinstance(tree, bytes) else files.saved(tree)
    return load(write(tmp_path / "policy", content), Overrides(obs_stats=obs_stats))


def values(tensors: dict[str, Tensor], names: list[str], obs: Tensor, action: Tensor) -> Tensor:
    q: Tensor = sequential(tensors, names, nn.ReLU)(torch.cat([obs, action], 1))[:, 0]
    return q


def layers(prefix: str) -> list[str]:
    return [f"{prefix}{number}" for number in (0, 2, 4)]


def test_corl_sac_n_takes_the_smallest_of_its_ensemble(tmp_path: Path) -> None:
    tree = files.corl("sac-n")
    target = loaded(tmp_path, tree).target
    torch.testing.assert_close(
        target.policy(SEEN), sequential(tree["actor"], ["trunk.0", "trunk.2", "mu"], nn.ReLU)(SEEN).tanh()
    )
    action = target.policy(SEEN)
    members = [files.critic(files.numbered("critic.", 0, 2, 4), seed) for seed in (2, 3, 4)]
    expected = torch.stack([values(member, layers("critic."), SEEN, action) for member in members]).amin(0)
    torch.testing.assert_close(target.require_critic()(SEEN, action), expected)
    assert target.require_distribution()(SEEN).stddev.max() <= np.exp(2.0)


NORMALISED = [
    ("td3-bc", "net.", ["net.", "critic_1", "critic_2"], "tanh"),
    ("bc", "net.", None, "tanh"),
    ("iql", "net.net.", None, "tanh"),
    ("awac", "_mlp.", ["_mlp.", "critic_1", "critic_2"], "none"),
]


@pytest.mark.parametrize(("algorithm", "actor", "critics", "squash"), NORMALISED)
def test_corl_normalises_with_statistics_that_must_be_given(
    tmp_path: Path, algorithm: str, actor: str, critics: list[str] | None, squash: str
) -> None:
    tree = files.corl(algorithm)
    with pytest.raises(UserError, match="--obs-stats FILE") as caught:
        loaded(tmp_path, tree)
    assert "--obs-stats none" in str(caught.value)
    net = sequential(tree["actor"], layers(actor), nn.ReLU)
    plain = loaded(tmp_path, tree, NONE)
    normalised = loaded(tmp_path, tree, write(tmp_path / "s.json", STATS.encode()))
    z = (SEEN - 0.25) / (2 + 1e-3)
    for checkpoint, obs in ((plain, SEEN), (normalised, z)):
        expected = net(obs).tanh() if squash == "tanh" else net(obs)
        torch.testing.assert_close(checkpoint.target.policy(SEEN), expected)
    assert normalised.target.scale("policy-norm").tolist() == pytest.approx([2.001] * OBS)
    assert plain.algorithm == algorithm
    assert plain.sha256 != normalised.sha256
    if critics is not None:
        action = normalised.target.policy(SEEN)
        both = [values(tree[name], layers(critics[0]), z, action) for name in critics[1:]]
        torch.testing.assert_close(normalised.target.require_critic()(SEEN, action), torch.minimum(*both))


def test_corl_iql_has_twin_values_in_one_network(tmp_path: Path) -> None:
    tree = files.corl("iql")
    target, action = loaded(tmp_path, tree, NONE).target, torch.zeros(5, ACTIONS)
    both = [values(tree["qf"], layers(f"q{i}.net."), SEEN, action) for i in (1, 2)]
    torch.testing.assert_close(target.require_critic()(SEEN, action), torch.minimum(*both))


def test_corl_iql_is_a_gaussian_around_the_squashed_mean(tmp_path: Path) -> None:
    tree = files.corl("iql")
    checkpoint = loaded(tmp_path, tree, NONE).target
    around = checkpoint.require_distribution()(SEEN)
    torch.testing.assert_close(around.mean, sequential(tree["actor"], layers("net.net."), nn.ReLU)(SEEN).tanh())
    torch.testing.assert_close(around.stddev, torch.full((5, ACTIONS), np.exp(-1.0), dtype=torch.float32))


def test_corl_cql_scales_and_shifts_its_log_std(tmp_path: Path) -> None:
    tree = files.corl("cql")
    target = loaded(tmp_path, tree, NONE).target
    out = sequential(tree["actor"], layers("base_network."), nn.ReLU)(SEEN)
    torch.testing.assert_close(target.policy(SEEN), out[:, :ACTIONS].tanh())
    expected = (0.5 * out[:, ACTIONS:] - 1).clamp(-20, 2).exp()
    torch.testing.assert_close(target.require_distribution()(SEEN).stddev, expected)


def test_offlinerl_kit_reads_live_critics_and_not_their_slow_copies(tmp_path: Path) -> None:
    tree = files.offlinerl_kit()
    target = loaded(tmp_path, tree).target
    names = ["actor.backbone.model.0", "actor.backbone.model.2", "actor.dist_net.mu"]
    torch.testing.assert_close(target.policy(SEEN), sequential(tree, names, nn.ReLU)(SEEN).tanh())
    action = target.policy(SEEN)
    both = [
        values(tree, [f"critic{i}.backbone.model.0", f"critic{i}.backbone.model.2", f"critic{i}.last"], SEEN, action)
        for i in (1, 2)
    ]
    torch.testing.assert_close(target.require_critic()(SEEN, action), torch.minimum(*both))
    with pytest.raises(UserError, match="deterministic policy of OfflineRL-Kit"):
        loaded(tmp_path, files.offlinerl_kit(deterministic=True))


def test_offlinerl_kits_bc_does_not_normalise(tmp_path: Path) -> None:
    tree = {name: value for name, value in files.offlinerl_kit(deterministic=True).items() if name.startswith("actor.")}
    checkpoint = loaded(tmp_path, tree)
    names = ["actor.backbone.model.0", "actor.backbone.model.2", "actor.last"]
    torch.testing.assert_close(checkpoint.target.policy(SEEN), sequential(tree, names, nn.ReLU)(SEEN).tanh())
    assert (checkpoint.algorithm, checkpoint.inferred["observations"][:11]) == ("bc", "as they are")


def test_offlinerl_kit_reads_edacs_stack_of_critics(tmp_path: Path) -> None:
    tree = {name: value for name, value in files.offlinerl_kit().items() if name.startswith("actor.")}
    stack = files.corl("sac-n")["critic"]
    tree |= {name.replace("critic.", "critics.model."): value for name, value in stack.items()}
    target, action = loaded(tmp_path, tree).target, torch.zeros(5, ACTIONS)
    members = [files.critic(files.numbered("critic.", 0, 2, 4), seed) for seed in (2, 3, 4)]
    expected = torch.stack([values(member, layers("critic."), SEEN, action) for member in members]).amin(0)
    torch.testing.assert_close(target.require_critic()(SEEN, action), expected)


def test_rorl_is_read_out_of_whole_modules(tmp_path: Path) -> None:
    checkpoint, z = loaded(tmp_path, files.rorl()), (SEEN - 0.5) / 2
    net = sequential(files.mlp(names=("fc0", "fc1", "last_fc")), ["fc0", "fc1", "last_fc"], nn.ELU)
    torch.testing.assert_close(checkpoint.target.policy(SEEN), net(z).tanh())
    assert checkpoint.inferred["activation"] == "elu: the file says so"
    action = checkpoint.target.policy(SEEN)
    members = [files.critic(("fc0", "fc1", "last_fc"), seed) for seed in (2, 3)]
    both = [
        sequential(member, ["fc0", "fc1", "last_fc"], nn.ELU)(torch.cat([z, action], 1))[:, 0] for member in members
    ]
    torch.testing.assert_close(checkpoint.target.require_critic()(SEEN, action), torch.minimum(*both))
    assert checkpoint.target.scale("policy-norm").tolist() == [2.0] * OBS


def test_d3rlpy_says_its_activation_and_its_scaler(tmp_path: Path) -> None:
    networks, _ = files.d3rlpy_parts()
    checkpoint = loaded(tmp_path, files.d3rlpy())
    z = (SEEN - 0.1 * torch.arange(OBS)) / 2.0  # std 1.5 + eps 0.5
    names = ["_encoder._layers.0", "_encoder._layers.2", "_mu"]
    torch.testing.assert_close(checkpoint.target.policy(SEEN), sequential(networks["policy"], names, nn.Tanh)(z).tanh())
    assert checkpoint.inferred["activation"] == "tanh: the file says so"
    action = checkpoint.target.policy(SEEN)
    both = [
        sequential(networks["q_funcs"], [f"{i}._encoder._layers.0", f"{i}._encoder._layers.2", f"{i}._fc"], nn.Tanh)(
            torch.cat([z, action], 1)
        )[:, 0]
        for i in (0, 1)
    ]
    torch.testing.assert_close(checkpoint.target.require_critic()(SEEN, action), torch.minimum(*both))
    assert (checkpoint.algorithm, checkpoint.target.scale("policy-norm").tolist()) == ("cql", [2.0] * OBS)


@pytest.mark.parametrize(("kind", "low", "high"), [("iql", -5, 2), ("awac", -6, 0)])
def test_d3rlpys_own_spread_lies_within_its_bounds(tmp_path: Path, kind: str, low: float, high: float) -> None:
    checkpoint = loaded(tmp_path, files.d3rlpy(kind)).target
    around = checkpoint.require_distribution()(SEEN)
    row = low + (high - low) * torch.sigmoid(torch.linspace(-1, 1, ACTIONS))
    torch.testing.assert_close(around.stddev, row.exp().expand(5, -1))
    torch.testing.assert_close(around.mean, checkpoint.policy(SEEN))


def test_d3rlpys_bc_has_an_imitator(tmp_path: Path) -> None:
    checkpoint, z = loaded(tmp_path, files.d3rlpy("bc")), (SEEN - 0.1 * torch.arange(OBS)) / 2.0
    names = ("_encoder._layers.0", "_encoder._layers.2", "_fc")
    net = sequential(files.mlp(names=names), list(names), nn.Tanh)
    torch.testing.assert_close(checkpoint.target.policy(SEEN), net(z).tanh())


def test_d3rlpys_critics_take_scaled_actions(tmp_path: Path) -> None:
    scaled, plain = loaded(tmp_path, files.d3rlpy("td3")).target, loaded(tmp_path, files.d3rlpy("cql")).target
    action = torch.tensor([[0.5, 1.0, 0.5]] * 5)  # of the boxes −1 to 1, −2 to 4, 0 to 1
    inner = torch.tensor([[0.5, 0.0, 0.0]] * 5)
    torch.testing.assert_close(scaled.require_critic()(SEEN, action), plain.require_critic()(SEEN, inner))


@pytest.mark.parametrize("kind", ["bcq", "bear", "crr", "plas", "plas_with_perturbation"])
def test_d3rlpy_policies_that_are_more_than_a_network_are_refused(tmp_path: Path, kind: str) -> None:
    with pytest.raises(UserError, match=f"is of {kind}, which (chooses among sampled|decodes its) actions") as caught:
        loaded(tmp_path, files.d3rlpy(kind))
    assert one_line(caught.value)


def test_cleanrl_ddpg_has_one_critic(tmp_path: Path) -> None:
    actor, critic = files.cleanrl("ddpg")
    target = loaded(tmp_path, (actor, critic)).target
    expected = 0.5 + 2 * sequential(actor, ["fc1", "fc2", "fc_mu"], nn.ReLU)(SEEN).tanh()
    torch.testing.assert_close(target.policy(SEEN), expected)
    torch.testing.assert_close(
        target.require_critic()(SEEN, expected), values(critic, ["fc1", "fc2", "fc3"], SEEN, expected)
    )


def test_cleanrl_td3_has_its_own_box(tmp_path: Path) -> None:
    actor, *critics = files.cleanrl("td3")
    target = loaded(tmp_path, files.cleanrl("td3")).target
    expected = 0.5 + 2 * sequential(actor, ["fc1", "fc2", "fc_mu"], nn.ReLU)(SEEN).tanh()
    torch.testing.assert_close(target.policy(SEEN), expected)
    both = [values(one, ["fc1", "fc2", "fc3"], SEEN, expected) for one in critics]
    torch.testing.assert_close(target.require_critic()(SEEN, expected), torch.minimum(*both))


def test_cleanrl_sac_bends_its_log_std(tmp_path: Path) -> None:
    tensors = files.cleanrl("sac")
    hidden = sequential(tensors, ["fc1", "fc2", "fc_mean"], nn.ReLU)[:-1](SEEN)
    raw = hidden @ tensors["fc_logstd.weight"].T + tensors["fc_logstd.bias"]
    checkpoint = loaded(tmp_path, tensors).target.require_distribution()(SEEN).stddev
    torch.testing.assert_close(checkpoint, (-5 + 3.5 * (raw.tanh() + 1)).exp())


def test_cleanrl_ppo_needs_the_statistics_of_its_wrapper(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="PPO agent of CleanRL") as caught:
        loaded(tmp_path, files.cleanrl("ppo"))
    assert one_line(caught.value)
    target = loaded(tmp_path, files.cleanrl("ppo"), write(tmp_path / "s.json", STATS.encode())).target
    net = sequential(files.cleanrl("ppo"), layers("actor_mean."), nn.Tanh)
    far = 100 * SEEN  # beyond the wrapper's clip at 10
    torch.testing.assert_close(target.policy(far), net(((far - 0.25) / 2).clamp(-10, 10)))


@pytest.mark.parametrize("inward", [False, True])
def test_policies_inside_datasets_are_read_whichever_way_they_are_stored(tmp_path: Path, inward: bool) -> None:
    checkpoint = loaded(tmp_path, files.d4rl_policy(inward=inward))
    net = sequential(files.mlp(names=("fc0", "fc1", "last_fc")), ["fc0", "fc1", "last_fc"], nn.ReLU)
    torch.testing.assert_close(checkpoint.target.policy(SEEN), net(SEEN).tanh())
    assert checkpoint.inferred["activation"] == "relu: the file says so"


def test_statistics_can_be_a_datasets_own(tmp_path: Path) -> None:
    obs = np.random.default_rng(0).normal(2, 3, (50, OBS)).astype(np.float32)
    path = write(tmp_path / "d.hdf5", files.hdf5({"observations": obs}))
    target = loaded(tmp_path, files.corl("td3-bc"), path).target
    expected = obs.astype(np.float64).std(0)
    np.testing.assert_allclose(target.scale("policy-norm").numpy(), expected + 1e-3, rtol=1e-5)
    np.testing.assert_allclose(target.scale("dataset-std").numpy(), expected, rtol=1e-5)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (lambda: files.saved(files.Foreign("rlkit.torch.sac.policies.TanhGaussianPolicy")), "whole pickled object"),
    ],
)
def test_known_formats_that_are_not_read_are_refused_with_the_reason(tmp_path: Path, content: Any, words: str) -> None:
    with pytest.raises(UserError, match=words) as caught:
        loaded(tmp_path, content())
    assert one_line(caught.value)
    assert "module:callable" in str(caught.value)


def test_a_part_that_a_family_does_not_have_is_not_left_out(tmp_path: Path) -> None:
    tree = files.corl("sac-n")
    tree["actor"]["trunk.1.running_mean"] = torch.zeros(8)
    with pytest.raises(UserError, match=r"has batch normalisation \(trunk\.1\.running_mean\)"):
        loaded(tmp_path, tree)
