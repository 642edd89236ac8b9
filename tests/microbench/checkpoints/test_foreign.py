"""Policies of others: what is read is what their own networks compute, and what is not known is said."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from microbench.adversaries import loading
from microbench.adversaries.loading import load_adversary
from microbench.checkpoints import Checkpoint, Overrides, load, reload
from microbench.checkpoints.containers.content import Content, read_content
from microbench.errors import UserError
from microbench.evaluation.attacked import find_attack
from tests.microbench.checkpoints import foreign_files as files
from tests.microbench.checkpoints.foreign_files import ACTIONS, OBS, SEEN, WIDTH, sequential, write
from tests.microbench.checkpoints.foreign_table import FILES
from tests.microbench.toys import one_line, waves


def loaded(tmp_path: Path, name: str, **overrides: Any) -> Checkpoint:
    return load(write(tmp_path / name, FILES[name]()), Overrides(**overrides))


@pytest.mark.parametrize("name", FILES)
def test_every_family_is_told_by_content_and_not_by_name(tmp_path: Path, name: str) -> None:
    checkpoint = load(write(tmp_path / "policy", FILES[name]()))
    assert checkpoint.env_id == "Hopper-v4"
    assert (checkpoint.dataset, checkpoint.target.scale("raw").tolist()) == ("", [1.0] * OBS)
    again = reload(checkpoint.source)
    memory = torch.zeros(5, 0) if again.target.memory is None else again.target.memory.start.expand(5, -1)
    obs = torch.cat([SEEN, memory], 1)
    assert again.target.policy(obs).equal(checkpoint.target.policy(obs))
    assert again.sha256 == checkpoint.sha256


PPO = ["mlp_extractor.policy_net.0", "mlp_extractor.policy_net.2", "action_net"]


def test_sb3_ppo_is_tanh_layers_without_a_squash(tmp_path: Path) -> None:
    checkpoint = loaded(tmp_path, "sb3-ppo.zip")
    net = sequential(files.sb3_tensors("ppo"), PPO, nn.Tanh)
    torch.testing.assert_close(checkpoint.target.policy(SEEN), net(SEEN))
    spread = checkpoint.target.require_distribution()(SEEN).stddev
    torch.testing.assert_close(spread, torch.full((5, ACTIONS), np.exp(-1.0), dtype=torch.float32))
    assert (checkpoint.algorithm, checkpoint.train_seed, checkpoint.target.critic) == ("ppo", 4, None)


def test_sb3_reads_the_activation_that_the_file_names(tmp_path: Path) -> None:
    kwargs = {"activation_fn": "<class 'torch.nn.modules.activation.ReLU'>"}
    path = write(tmp_path / "p.zip", files.sb3("ppo", policy_kwargs=kwargs))
    net = sequential(files.sb3_tensors("ppo"), PPO, nn.ReLU)
    torch.testing.assert_close(load(path).target.policy(SEEN), net(SEEN))
    assert load(path).inferred["activation"] == "relu: the file says so"


def test_sb3_normalises_with_the_statistics_beside_the_file(tmp_path: Path) -> None:
    mean, var = np.linspace(-1, 1, OBS), np.linspace(0.5, 4, OBS)
    plain = loaded(tmp_path, "sb3-ppo.zip")
    assert "no vecnormalize.pkl" in plain.inferred["observations"]
    write(tmp_path / "vecnormalize.pkl", files.vec_normalize(mean, var, clip_obs=2.0))
    checkpoint = load(tmp_path / "sb3-ppo.zip")
    z = ((SEEN - torch.tensor(mean).float()) / torch.tensor(np.sqrt(var + 1e-8)).float()).clamp(-2, 2)
    torch.testing.assert_close(checkpoint.target.policy(SEEN), plain.target.policy(z))
    torch.testing.assert_close(checkpoint.target.scale("policy-norm"), torch.tensor(np.sqrt(var)).float())
    assert checkpoint.sha256 != plain.sha256 == checkpoint.source.file_sha256  # other statistics are another policy
    write(tmp_path / "vecnormalize.pkl", files.vec_normalize(mean, var, norm_obs=False))
    assert load(tmp_path / "sb3-ppo.zip").target.policy(SEEN).equal(plain.target.policy(SEEN))


def test_sb3_sac_has_a_spread_and_the_smaller_of_two_critics(tmp_path: Path) -> None:
    target = loaded(tmp_path, "sb3-sac.zip").target
    tensors = files.sb3_tensors("sac")
    trunk = sequential(tensors, ["actor.latent_pi.0", "actor.latent_pi.2", "actor.mu"], nn.ReLU)
    torch.testing.assert_close(target.policy(SEEN), trunk(SEEN).tanh())
    action = target.policy(SEEN)
    values = [
        sequential(tensors, [f"critic.qf{i}.{layer}" for layer in (0, 2, 4)], nn.ReLU)(torch.cat([SEEN, action], 1))
        for i in range(2)
    ]
    torch.testing.assert_close(target.require_critic()(SEEN, action), torch.minimum(*values)[:, 0])
    hidden = trunk[:-1](SEEN)
    log_std = hidden @ tensors["actor.log_std.weight"].T + tensors["actor.log_std.bias"]
    torch.testing.assert_close(target.require_distribution()(SEEN).stddev, log_std.clamp(-20, 2).exp())


def test_sb3_tqc_leaves_out_the_largest_quantiles(tmp_path: Path) -> None:
    target = loaded(tmp_path, "sb3-tqc.zip").target
    tensors, action = files.sb3_tensors("tqc"), 0.1 * waves(5, ACTIONS)
    both = [
        sequential(tensors, [f"critic.qf{i}.{layer}" for layer in (0, 2, 4)], nn.ReLU)(torch.cat([SEEN, action], 1))
        for i in range(2)
    ]
    kept = np.sort(torch.cat(both, 1).detach().numpy(), 1)[:, :8]  # 2 × 5 quantiles without one per critic
    np.testing.assert_allclose(target.require_critic()(SEEN, action).numpy(), kept.mean(1), rtol=1e-5)


def test_sb3_ars_is_linear_and_td3_is_squashed(tmp_path: Path) -> None:
    linear = loaded(tmp_path, "sb3-ars.zip")
    torch.testing.assert_close(linear.target.policy(SEEN), SEEN @ files.sb3_tensors("ars")["action_net.weight"].T)
    td3 = loaded(tmp_path, "sb3-td3.zip")
    net = sequential(files.sb3_tensors("td3"), ["actor.mu.0", "actor.mu.2", "actor.mu.4"], nn.ReLU)
    torch.testing.assert_close(td3.target.policy(SEEN), net(SEEN).tanh())


@pytest.mark.parametrize(("name", "squashed"), [("ars-linear", False), ("ars-deep", True)])
def test_sb3_squashes_ars_only_if_it_has_hidden_layers(tmp_path: Path, name: str, squashed: bool) -> None:
    checkpoint = load(write(tmp_path / "p.zip", files.sb3(name))).target.policy(SEEN)
    tensors = files.sb3_tensors(name)
    net = sequential(tensors, [layer.removesuffix(".weight") for layer in tensors if "weight" in layer], nn.ReLU)
    torch.testing.assert_close(checkpoint, net(SEEN).tanh() if squashed else net(SEEN))


def test_sb3_squashes_ppo_where_the_file_says_so(tmp_path: Path) -> None:
    path = write(tmp_path / "p.zip", files.sb3(box=0.4, policy_kwargs={"squash_output": True}))
    net = sequential(files.sb3_tensors("ppo"), PPO, nn.Tanh)
    torch.testing.assert_close(load(path).target.policy(SEEN), 0.4 * net(SEEN).tanh())


@pytest.mark.parametrize("name", ["sac", "tqc"])
def test_sb3_critics_take_actions_that_are_scaled_from_the_box(tmp_path: Path, name: str) -> None:
    plain = load(write(tmp_path / "p.zip", files.sb3(name))).target
    small = load(write(tmp_path / "q.zip", files.sb3(name, box=0.4))).target
    action = waves(5, ACTIONS).clamp(-1, 1)
    torch.testing.assert_close(small.policy(SEEN), 0.4 * plain.policy(SEEN))
    torch.testing.assert_close(
        small.require_critic()(SEEN, 0.4 * action), plain.require_critic()(SEEN, action), rtol=1e-5, atol=1e-5
    )


def renormalised(x: Tensor, tensors: dict[str, Tensor], place: str) -> Tensor:
    mean, variance, scale, bias = (tensors[f"{place}.{part}"] for part in ("ra_mean", "ra_var", "scale", "bias"))
    return scale * (x - mean) / (variance + 1e-3).sqrt() + bias


def test_crossq_renormalises_before_every_layer(tmp_path: Path) -> None:
    target, tensors = loaded(tmp_path, "sb3-crossq.zip").target, files.crossq_tensors()

    def through(x: Tensor, prefix: str, last: str) -> Tensor:
        for place in (0, 3):
            x = renormalised(x, tensors, f"{prefix}{place}")
            x = (x @ tensors[f"{prefix}{place + 1}.weight"].T + tensors[f"{prefix}{place + 1}.bias"]).relu()
        return renormalised(x, tensors, f"{prefix}6") @ tensors[f"{last}.weight"].T + tensors[f"{last}.bias"]

    action = through(SEEN, "actor.latent_pi.", "actor.mu").tanh()
    torch.testing.assert_close(target.policy(SEEN), action, rtol=1e-4, atol=1e-5)
    spread = through(SEEN, "actor.latent_pi.", "actor.log_std").clamp(-20, 2).exp()
    torch.testing.assert_close(target.require_distribution()(SEEN).stddev, spread, rtol=1e-4, atol=1e-5)
    both = [through(torch.cat([SEEN, action], 1), f"critic.qf{i}.", f"critic.qf{i}.7")[:, 0] for i in range(2)]
    torch.testing.assert_close(target.require_critic()(SEEN, action), torch.minimum(*both), rtol=1e-4, atol=1e-4)


def test_state_dependent_exploration_cuts_the_mean(tmp_path: Path) -> None:
    checkpoint = loaded(tmp_path, "sb3-sde.zip").target
    net = sequential(files.sde_tensors(), ["actor.latent_pi.0", "actor.latent_pi.2", "actor.mu.0"], nn.ReLU)
    far = 20 * SEEN
    assert (net(far).abs() > 2).any()
    torch.testing.assert_close(checkpoint.policy(far), net(far).clamp(-2, 2).tanh())
    assert checkpoint.distribution is None


def test_a_part_that_sb3_policies_do_not_have_is_not_left_out(tmp_path: Path) -> None:
    tensors = files.sb3_tensors("ppo") | {"mlp_extractor.policy_net.1.running_mean": torch.zeros(WIDTH)}
    members = {"data": b"{}", "policy.pth": files.torch_bytes(tensors)}
    assert "has batch normalisation (mlp_extractor" in refusal(write(tmp_path / "p.zip", files.zipped(members)))
    tensors = files.sb3_tensors("ppo") | {"mlp_extractor.gate": torch.zeros(WIDTH)}
    members = {"data": b"{}", "policy.pth": files.torch_bytes(tensors)}
    assert "has the unknown part mlp_extractor.gate" in refusal(write(tmp_path / "p.zip", files.zipped(members)))


def test_a_time_feature_is_a_clock_that_travels_with_the_row(tmp_path: Path) -> None:
    checkpoint = load(write(tmp_path / "p.zip", files.sb3("ppo", obs=OBS + 1, observation_space=files.time_feature())))
    memory = checkpoint.target.memory
    assert memory is not None
    assert memory.start.tolist() == [0.0]
    net = sequential(files.sb3_tensors("ppo", OBS + 1), PPO, nn.Tanh)
    for step in (0.0, 250.0):
        seen = torch.cat([SEEN, torch.full((5, 1), step)], 1)
        expected = net(torch.cat([SEEN, torch.full((5, 1), 1 - step / 1000)], 1))
        torch.testing.assert_close(checkpoint.target.policy(seen), expected)
        assert memory.advance(seen, seen).flatten().tolist() == [step + 1] * 5
    assert "1 − step/1000" in checkpoint.inferred["clock"]


def z_filtered(obs: Tensor) -> Tensor:
    running = files.environment().state["state_filter"].state["rs"].state
    std = np.sqrt(running["_S"] / 100) + 1e-8
    return ((obs - torch.tensor(running["_M"]).float()) / torch.tensor(std).float()).clamp(-10, 10)


@pytest.mark.parametrize("name", ["sa-ppo.model", "sa-ppo-legacy.model"])
def test_sa_ppo_filters_observations_and_does_not_squash(tmp_path: Path, name: str) -> None:
    checkpoint = loaded(tmp_path, name)
    net = sequential(files.sa_ppo_tensors(), ["affine_layers.0", "affine_layers.1", "final_mean"], nn.Tanh)
    torch.testing.assert_close(checkpoint.target.policy(SEEN), net(z_filtered(SEEN)))
    running = files.environment().state["state_filter"].state["rs"].state
    np.testing.assert_allclose(checkpoint.target.scale("policy-norm").numpy(), np.sqrt(running["_S"] / 100), rtol=1e-5)
    assert checkpoint.inferred["task"] == "Hopper-v4: the file names Hopper"


def test_wocar_has_a_critic_of_normalised_observations(tmp_path: Path) -> None:
    checkpoint = loaded(tmp_path, "wocar.model")
    action = waves(5, ACTIONS)
    net = sequential(files.worst_case_critic(), ["affine_layers.0", "affine_layers.1", "final"], nn.Tanh)
    expected = net(torch.cat([z_filtered(SEEN), action], 1))[:, 0]
    torch.testing.assert_close(checkpoint.target.require_critic()(SEEN, action), expected)
    assert "WocaR" in checkpoint.inferred["critic"]
    other = files.sa_ppo(q_model=files.weights(OBS, WIDTH, 1, names=["affine_layers.0", "final"]))
    odd = load(write(tmp_path / "o.model", other))
    assert odd.target.critic is None
    assert odd.inferred["critic"] == "none: the q_model in the file takes 11 numbers, not 14"


def test_an_lstm_is_torchs_lstm_over_a_whole_episode(tmp_path: Path) -> None:
    target = loaded(tmp_path, "lstm.model").target
    tensors, memory = files.lstm_tensors(), target.memory
    assert memory is not None
    lstm = nn.LSTM(WIDTH, WIDTH)
    lstm.load_state_dict({name[5:]: value for name, value in tensors.items() if name.startswith("lstm.")})
    episode = waves(7, OBS, start=2.0)
    embedded = z_filtered(episode) @ tensors["embedding_layer.weight"].T + tensors["embedding_layer.bias"]
    outputs, _ = lstm(embedded[:, None])
    expected = outputs[:, 0] @ tensors["output_layer.weight"].T + tensors["output_layer.bias"]
    state = memory.start[None]
    for obs, action in zip(episode, expected, strict=True):
        seen = torch.cat([obs[None], state], 1)
        torch.testing.assert_close(target.policy(seen)[0], action)
        state = memory.advance(seen, seen)


def test_a_single_file_actor_needs_what_it_does_not_say(tmp_path: Path) -> None:
    tensors = files.mlp(names=("l1", "l2", "l3"))
    relu, tanh = (sequential(tensors, ["l1", "l2", "l3"], kind) for kind in (nn.ReLU, nn.Tanh))
    checkpoint = loaded(tmp_path, "td3.pth")
    torch.testing.assert_close(checkpoint.target.policy(SEEN), relu(SEEN).tanh())
    assert "the file does not say" in checkpoint.inferred["activation"]
    other = loaded(tmp_path, "td3.pth", activation="tanh", max_action=0.4)
    torch.testing.assert_close(other.target.policy(SEEN), 0.4 * tanh(SEEN).tanh())
    plain = loaded(tmp_path, "td3.pth", squash="none")
    torch.testing.assert_close(plain.target.policy(SEEN), relu(SEEN))
    assert len({checkpoint.sha256, other.sha256, plain.sha256}) == 3


def test_twice_as_many_outputs_as_actions_are_mean_and_spread(tmp_path: Path) -> None:
    target = loaded(tmp_path, "sac.pth").target
    net = sequential(
        files.mlp(actions=2 * ACTIONS, names=("net.0", "net.2", "net.4")), ["net.0", "net.2", "net.4"], nn.ReLU
    )
    torch.testing.assert_close(target.policy(SEEN), net(SEEN)[:, :ACTIONS].tanh())
    torch.testing.assert_close(target.require_distribution()(SEEN).stddev, net(SEEN)[:, ACTIONS:].clamp(-20, 2).exp())


@pytest.mark.parametrize("name", ["expert.pkl", "expert.h5"])
def test_an_expert_is_standardised_tanh_layers(tmp_path: Path, name: str) -> None:
    target = loaded(tmp_path, name).target
    stored = files.expert_tree()["GaussianPolicy"]["obsnorm"]["Standardizer"]
    std = np.sqrt(stored["meansq_1_D"] - stored["mean_1_D"] ** 2) + 1e-6
    z = ((SEEN.numpy() - stored["mean_1_D"]) / std).astype(np.float32)
    net = sequential(files.mlp(names=("0", "2", "out")), ["0", "2", "out"], nn.Tanh)
    torch.testing.assert_close(target.policy(SEEN), net(torch.from_numpy(z)), rtol=1e-4, atol=1e-5)


def test_statistics_of_a_dataset_are_a_unit_and_only_on_request_a_part_of_the_policy(tmp_path: Path) -> None:
    numbers = str(list(range(1, OBS + 1)))
    stats = write(tmp_path / "s.json", f'{{"mean": {numbers}, "std": {numbers}}}'.encode())
    policy = write(tmp_path / "t.json", f'{{"mean": {numbers}, "std": {numbers}, "eps": 1, "policy": true}}'.encode())
    plain, unit = loaded(tmp_path, "td3.pth"), loaded(tmp_path, "td3.pth", obs_stats=stats)
    assert unit.target.scale("dataset-std").tolist() == list(range(1, OBS + 1))
    assert unit.target.policy(SEEN).equal(plain.target.policy(SEEN))
    assert unit.sha256 != plain.sha256  # another meaning of eps must not be another row of the same cell
    write(stats, stats.read_bytes().replace(b"11]", b"12]"))
    with pytest.raises(UserError, match="was replaced while it was evaluated"):
        reload(unit.source)
    normalised = loaded(tmp_path, "td3.pth", obs_stats=policy)
    mean = torch.arange(1.0, OBS + 1)
    torch.testing.assert_close(normalised.target.policy(SEEN), plain.target.policy((SEEN - mean) / (mean + 1)))
    assert sorted(normalised.target.obs_scale) == ["policy-norm", "raw"]


def test_an_adversary_pushes_by_its_clipped_output_in_the_victims_units(tmp_path: Path) -> None:
    from attacks import Noise, Threat

    path = write(tmp_path / "a.model", FILES["atla.model"]())
    target, attack = load(path).target, find_attack(f"adversary:{path}")
    threat = Threat(eps=0.2, scale=target.scale("policy-norm"), unit="policy-norm")
    net = sequential(files.sa_ppo_tensors(OBS, seed=7), ["affine_layers.0", "affine_layers.1", "final_mean"], nn.Tanh)
    expected = SEEN + 0.2 * target.scale("policy-norm") * net(z_filtered(SEEN)).clamp(-1, 1)
    torch.testing.assert_close(attack(target, SEEN, threat, Noise.from_seeds(range(5))), expected)
    other = Threat(eps=0.2, scale=target.scale("raw"), unit="raw")
    with pytest.raises(UserError, match="--unit policy-norm"):
        attack(target, SEEN, other, Noise.from_seeds(range(5)))


def test_an_adversary_is_read_once_until_its_file_changes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    read: list[Path] = []

    def counted(path: Path) -> Content:
        read.append(path)
        return read_content(path)

    monkeypatch.setattr(loading, "read_content", counted)
    path = tmp_path / "a.model"
    path.write_bytes(files.sa_ppo(adversary=True))
    first = find_attack(f"adversary:{path}")
    assert find_attack(f"adversary:{path}") is first
    path.write_bytes(files.sa_ppo(adversary=True, recurrent=True))
    assert find_attack(f"adversary:{path}") is not first
    assert read == [path, path]


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (files.sa_ppo, "no adversary_policy_model"),
        (lambda: b"nothing", "no adversary_policy_model"),
    ],
)
def test_no_adversary_is_told(tmp_path: Path, content: Any, words: str) -> None:
    path = write(tmp_path / "a.model", content())
    with pytest.raises(UserError, match=words) as caught:
        load_adversary(path)
    assert one_line(caught.value)


def refusal(path: Path, **overrides: Any) -> str:
    with pytest.raises(UserError) as caught:
        load(path, Overrides(**overrides))
    assert one_line(caught.value)
    return str(caught.value)


def test_unknown_layers_are_refused_and_not_left_out(tmp_path: Path) -> None:
    tensors = files.mlp(names=("l1", "l2", "l3")) | {"norm1.weight": torch.ones(WIDTH)}
    assert "has layer normalisation" in refusal(write(tmp_path / "p", files.torch_bytes(tensors)))
    tensors = files.mlp(names=("l1", "l2", "l3")) | {"gate.weight": torch.ones(WIDTH)}
    assert "is of no known family (tensors l1.weight" in refusal(write(tmp_path / "p", files.torch_bytes(tensors)))


def test_sizes_of_two_tasks_ask_for_one(tmp_path: Path) -> None:
    tensors = files.mlp(obs=17, actions=6, names=("l1", "l2", "l3"))
    path = write(tmp_path / "p", files.torch_bytes(tensors))
    assert "HalfCheetah-v4, Walker2d-v4 have; say with --env" in refusal(path)
    assert load(path, Overrides(env_id="Walker2d-v4")).env_id == "Walker2d-v4"
    odd = write(tmp_path / "q", files.torch_bytes(files.mlp(obs=5, actions=2, names=("l1", "l2", "l3"))))
    assert "no known task has; say with --env" in refusal(odd)


@pytest.mark.parametrize(
    ("overrides", "words"),
    [
        ({"activation": "rellu"}, "did you mean 'relu'"),
        ({"squash": "tan"}, "did you mean 'tanh'"),
        ({"max_action": 0.0}, "--max-action 0 is no half-width"),
        ({"family": "sb4"}, "did you mean 'sb3'"),
        ({"family": "microbench"}, "damaged or foreign"),
        ({"family": "sb3"}, "is not of the family sb3"),
        ({"obs_stats": Path("nowhere.json")}, "No such file"),
    ],
)
def test_wrong_overrides_are_told(tmp_path: Path, overrides: Any, words: str) -> None:
    path = write(tmp_path / "p", FILES["td3.pth"]())
    with pytest.raises((UserError, OSError), match=words):
        load(path, Overrides(**overrides))
