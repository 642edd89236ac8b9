"""Networks inside what people put around them, and files that are no policy: read right, or called what they are."""

import gzip
from pathlib import Path
from typing import Any

import gymnasium
import numpy as np
import pytest
import torch
from safetensors.torch import save
from torch import Tensor

from microbench.checkpoints import Overrides, load
from microbench.checkpoints.activations import activation, of_class
from microbench.checkpoints.statistics import read_statistics
from microbench.checkpoints.task_of import OTHERS, named_tasks, others_of
from microbench.errors import UserError
from microbench.learning.runs import find_policy
from microbench.tasks import TASKS, find_task
from tests.microbench.checkpoints import foreign_files as files
from tests.microbench.checkpoints.foreign_files import OBS, WIDTH, write
from tests.microbench.checkpoints.foreign_table import FILES
from tests.microbench.toys import one_line, waves

SEEN = 3 * waves(5, OBS)
ACTOR = files.mlp(names=("l1", "l2", "l3"))
CRITIC = files.critic(("l1", "l2", "l3"))
MEAN = np.zeros(OBS)


def prefixed(prefix: str, tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    return {f"{prefix}{name}": value for name, value in tensors.items()}


def refusal(path: Path, **overrides: Any) -> str:
    with pytest.raises(UserError) as caught:
        load(path, Overrides(**overrides))
    assert one_line(caught.value)
    return str(caught.value)


CONTAINERS: dict[str, Any] = {
    "an entry model_state_dict": {"model_state_dict": ACTOR, "optimizer_state_dict": {}, "epoch": 3},
    "an entry state_dict": {"state_dict": ACTOR, "epoch": 3},
    "an actor beside a critic": {"actor": ACTOR, "critic": CRITIC, "total_it": 5},
    "a policy with its optimizer": {"policy": ACTOR, "policy_optimizer": {"state": {}, "param_groups": []}},
    "targets": {"actor_state_dict": ACTOR, "actor_target_state_dict": ACTOR, "critic_target": CRITIC},
    "an agent in an entry": {"agent": {"actor": ACTOR, "critic_1": CRITIC}},
    "DataParallel": prefixed("module.", ACTOR),
    "torch.compile": prefixed("_orig_mod.", ACTOR),
    "both, in an entry": {"state_dict": prefixed("_orig_mod.module.", ACTOR)},
    "an agent's own names": prefixed("actor.", ACTOR) | prefixed("critic.", CRITIC),
    "a compiled actor of an agent": prefixed("actor._orig_mod.", ACTOR) | prefixed("critic.", CRITIC),
    "an agent's names in an entry": {"model": prefixed("actor.", ACTOR) | {"log_alpha": torch.zeros(1)}, "step": 7},
}


@pytest.mark.parametrize("name", CONTAINERS)
def test_a_network_is_found_inside_common_containers(tmp_path: Path, name: str) -> None:
    plain = load(write(tmp_path / "plain.pth", files.torch_bytes(ACTOR))).target.policy(SEEN)
    checkpoint = load(write(tmp_path / "p.pt", files.torch_bytes(CONTAINERS[name])))
    assert checkpoint.target.policy(SEEN).equal(plain)
    assert "is read, and nothing else" in checkpoint.inferred["container"]


@pytest.mark.parametrize(
    "tree",
    [
        {"model_state_dict": ACTOR, "obs_rms": {"mean": torch.zeros(OBS), "var": torch.ones(OBS)}},
        {"actor": ACTOR, "obs_mean": torch.zeros(OBS), "obs_std": torch.ones(OBS)},
        prefixed("actor.", ACTOR) | {"obs_rms.mean": torch.zeros(OBS), "obs_rms.var": torch.ones(OBS)},
        {"agent": prefixed("actor.", ACTOR) | {"normalizer.mean": torch.zeros(OBS)}},
    ],
)
def test_statistics_beside_a_network_are_not_passed_over(tmp_path: Path, tree: Any) -> None:
    path = write(tmp_path / "p.pt", files.torch_bytes(tree))
    assert "may be statistics of observations" in refusal(path)
    assert load(path, Overrides(obs_stats=Path("none"))).family == "state-dict"


@pytest.mark.parametrize(
    ("tree", "words"),
    [
        (prefixed("actor.", ACTOR) | {"shared.0.weight": torch.ones(OBS, OBS)}, "of no known family"),
        ({"actor": ACTOR, "encoder": {"0.weight": torch.ones(OBS, OBS)}}, "of no known family"),
        ({"policy": ACTOR, "pi": {name: value + 1 for name, value in ACTOR.items()}}, "several networks that could be"),
    ],
)
def test_a_part_of_a_policy_is_not_taken_for_all_of_it(tmp_path: Path, tree: Any, words: str) -> None:
    assert words in refusal(write(tmp_path / "p.pt", files.torch_bytes(tree)))


@pytest.mark.parametrize("algorithm", ["ppo", "sac", "td3", "sde", "crossq"])
def test_weights_of_sb3_alone_are_those_of_the_zip(tmp_path: Path, algorithm: str) -> None:
    tensors = files.sb3_tensors(algorithm)
    whole = load(write(tmp_path / "p.zip", files.sb3(algorithm))).target.policy(SEEN)
    shapes: list[Any] = [tensors, {"policy": tensors, "policy.optimizer": {"state": {}, "param_groups": []}}]
    if algorithm != "ppo":
        shapes.append({name.removeprefix("actor."): value for name, value in tensors.items() if "actor." in name})
    for number, tree in enumerate(shapes):
        checkpoint = load(write(tmp_path / f"{number}.pt", files.torch_bytes(tree)))
        assert checkpoint.family == "sb3"
        torch.testing.assert_close(checkpoint.target.policy(SEEN), whole)


VEC_NORMALIZE = files.vec_normalize(MEAN, MEAN + 1)
BUFFER = files.pickled(
    files.Foreign("stable_baselines3.common.buffers.ReplayBuffer", pos=3, device=torch.device("cpu"))
)
MODULE = files.saved(files.module(ACTOR, "my_project.Actor"))
LFS = b"version https://git-lfs.github.com/spec/v1\noid sha256:" + b"0" * 64 + b"\nsize 19332096\n"
NORMED = ACTOR | {"bn.running_mean": torch.zeros(WIDTH)}
TRANSFORMER = {"embed_timestep.weight": torch.ones(9, 4), "transformer.h.0.attn.weight": torch.ones(4, 4)}
RECURRENT = files.sb3(tensors=files.sb3_tensors("ppo") | {"lstm_actor.weight_ih_l0": torch.ones(4, 4)})
NOT_POLICIES: dict[str, tuple[bytes, str]] = {
    "empty": (b"", "holds 0 bytes (Empty file); download"),
    "a pointer of Git LFS": (
        LFS,
        "is a Git LFS pointer in place of the file; fetch the file itself with `git lfs pull`",
    ),
    "a web page": (b"\n<!DOCTYPE html>\n<html></html>\n", "is an HTML page"),
    "an error of a server": (b"<?xml version='1.0'?><Error/>", "is an XML text"),
    "JSON": (b'{"message": "Not Found"}', "is a JSON text and no policy"),
    "a text": (b"cannot be found\n", "is a text and no policy"),
    "gzip": (gzip.compress(b"weights"), "is packed with gzip; unpack it"),
    "a zip cut short": (files.sb3()[:400], "is a zip archive that was cut short"),
    "an archive of models": (files.zipped({"run/model.zip": b"", "run/log.txt": b""}), "(run/model.zip); unpack it"),
    "Stable-Baselines 2": (files.zipped({"data": b"", "parameters": b"", "parameter_list": b""}), "Stable-Baselines 2"),
    "VecNormalize": (VEC_NORMALIZE, "holds the statistics of a VecNormalize and no policy; give the zip"),
    "a replay buffer": (BUFFER, "holds a replay buffer and no policy"),
    "a whole module": (MODULE, "holds a whole pickled object (my_project.Actor), whose class decides"),
    "whole modules in a dict": (files.saved({"actor": files.module(ACTOR, "rl.Actor")}), "pickled object (rl.Actor)"),
    "safetensors of others": (save({"w": torch.ones(3)}), "is a safetensors file that another program wrote"),
    "critics": (files.torch_bytes(prefixed("qf0.", CRITIC)), "holds critics and no actor"),
    "batch normalisation": (files.torch_bytes(NORMED), "has batch normalisation"),
    "a Decision Transformer": (files.torch_bytes(TRANSFORMER), "is a Decision Transformer"),
    "a Q-network": (files.torch_bytes(prefixed("q_net.", ACTOR)), "holds a Q-network, which chooses among discrete"),
    "convolutions": (files.torch_bytes({"conv1.weight": torch.ones(4, 3, 2, 2)}), "has convolutions"),
    "RecurrentPPO": (RECURRENT, "a recurrent policy (RecurrentPPO)"),
    "code": (b"cposix\nsystem\n.", "store the state_dict() of the policy"),
    "an optimizer": (files.torch_bytes({"state": {}, "param_groups": []}), "holds the state of an optimizer"),
    "a dataset": (files.hdf5({"observations": np.zeros((2, OBS))}), "is an HDF5 file without a policy"),
}


@pytest.mark.parametrize("name", NOT_POLICIES)
def test_a_file_that_is_no_policy_is_called_what_it_is(tmp_path: Path, name: str) -> None:
    content, words = NOT_POLICIES[name]
    sentence = refusal(write(tmp_path / "p", content))
    assert words in sentence
    assert "a unknown file" not in sentence
    assert "damaged" not in sentence


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (LFS, "is a Git LFS pointer in place of the file and holds no statistics"),
        (files.sb3(), "is the zip of a model of Stable-Baselines3 and holds no statistics"),
        (b"", r"holds 0 bytes (Empty file) and holds no statistics"),
        (BUFFER, "holds a replay buffer and no policy; expected a vecnormalize.pkl"),
    ],
)
def test_a_file_given_as_statistics_is_called_what_it_is(tmp_path: Path, content: bytes, words: str) -> None:
    with pytest.raises(UserError) as caught:
        read_statistics(write(tmp_path / "s", content))
    assert words in str(caught.value)
    assert one_line(caught.value)


def test_a_folder_of_others_names_the_files_in_it(tmp_path: Path) -> None:
    (tmp_path / "Hopper-v4_1").mkdir()
    best = write(tmp_path / "Hopper-v4_1" / "best_model.zip", b"")
    with pytest.raises(UserError, match="is no run folder; give one of the files in it") as caught:
        find_policy(tmp_path / "Hopper-v4_1", Path("runs"))
    assert str(best) in str(caught.value)


@pytest.mark.parametrize(
    ("sizes", "names"),
    [
        ((348, 17), ["Humanoid-v5", "HumanoidStandup-v5"]),
        ((376, 17), ["Humanoid-v4", "HumanoidStandup-v4"]),
        ((8, 2), ["Swimmer-v4", "LunarLanderContinuous-v3"]),
        ((23, 7), ["Pusher-v4"]),
        ((11, 2), ["Reacher-v4"]),
    ],
)
def test_sizes_that_tasks_without_a_record_have_are_asked_about(
    tmp_path: Path, sizes: tuple[int, int], names: list[str]
) -> None:
    tensors = files.mlp(obs=sizes[0], actions=sizes[1], names=("l1", "l2", "l3"))
    sentence = refusal(write(tmp_path / "p.pth", files.torch_bytes(tensors)))
    assert all(name in sentence for name in names)
    assert "--env" in sentence


def test_the_sizes_of_gymnasiums_other_tasks_are_its_own() -> None:
    for env_id, sizes in OTHERS.items():
        try:
            env = gymnasium.make(env_id, disable_env_checker=True)
        except (gymnasium.error.DependencyNotInstalled, ImportError):  # of Box2D, or of an older MuJoCo
            continue
        assert (env.observation_space.shape, env.action_space.shape) == ((sizes[0],), (sizes[1],)), env_id
        env.close()


def test_every_continuous_task_of_gymnasium_is_in_a_table() -> None:
    prefixes = ("gymnasium.envs.mujoco", "gymnasium.envs.box2d", "gymnasium.envs.classic_control")
    discrete = {"CartPole", "MountainCar", "Acrobot", "LunarLander", "CarRacing"}
    for env_id, spec in gymnasium.registry.items():
        others = env_id.rpartition("-v")[0] in {*discrete, "Evil"}  # Evil is what another test registers
        if str(spec.entry_point).startswith(prefixes) and not others:
            assert env_id in TASKS or env_id in OTHERS, env_id


def test_a_file_named_after_another_task_is_asked_about(tmp_path: Path) -> None:
    content = files.torch_bytes(ACTOR)
    assert load(write(tmp_path / "my-hopper_policy.pth", content)).env_id == "Hopper-v4"
    assert "as Hopper-v4 has, and is named after BipedalWalker" in refusal(
        write(tmp_path / "BipedalWalker.pth", content)
    )
    (tmp_path / "Swimmer-v3_1").mkdir()
    assert "is named after Swimmer" in refusal(write(tmp_path / "Swimmer-v3_1" / "best_model.pth", content))
    assert load(write(tmp_path / "policy.pth", content)).inferred["task"].startswith("Hopper-v4: by its sizes")


@pytest.mark.parametrize(
    ("name", "robots"),
    [
        ("ppo-HumanoidStandup-v4.zip", ["HumanoidStandup"]),
        ("inverted_double_pendulum.pt", ["InvertedDoublePendulum"]),
        ("merchant.pt", []),
    ],
)
def test_the_longest_name_counts(name: str, robots: list[str]) -> None:
    assert named_tasks(Path(name)) == robots


def test_twice_the_actions_of_the_task_that_was_said_are_mean_and_spread(tmp_path: Path) -> None:
    path = write(tmp_path / "p.pth", files.torch_bytes(files.mlp(obs=11, actions=2, names=("l1", "l2", "l3"))))
    two, one = (load(path, Overrides(env_id=env_id)) for env_id in ("Reacher-v4", "InvertedDoublePendulum-v4"))
    assert [checkpoint.target.policy(SEEN).shape[1] for checkpoint in (two, one)] == [2, 1]
    assert others_of(11, 1) == ["InvertedDoublePendulum-v4"]


@pytest.mark.parametrize(
    ("env_id", "near"),
    [
        ("Hopper-v2", "Hopper-v4"),
        ("HalfCheetah-v3", "HalfCheetah-v4"),
        ("Reacher-v2", "Reacher-v4"),
        ("halfcheetah-medium-v2", "HalfCheetah-v4"),
        ("walker2d-medium-expert-v0", "Walker2d-v4"),
        ("pen-human-v0", "pen-v1"),
    ],
)
def test_ids_of_the_past_and_of_datasets_name_the_task_that_is_meant(env_id: str, near: str) -> None:
    with pytest.raises(UserError, match=f"there is no task '{env_id}': did you mean '{near}'") as caught:
        find_task(env_id)
    assert one_line(caught.value)


CLASS = "<class 'torch.nn.modules.activation.{}'>"


@pytest.mark.parametrize(
    ("readable", "name"),
    [
        (CLASS.format("ReLU"), "relu"),
        (CLASS.format("LeakyReLU"), "leaky_relu"),
        (f"functools.partial({CLASS.format('LeakyReLU')}, 0.2)", "leaky_relu(0.2)"),
        (f"functools.partial({CLASS.format('LeakyReLU')}, negative_slope=0.2, inplace=True)", "leaky_relu(0.2)"),
        (f"functools.partial({CLASS.format('LeakyReLU')}, 0.01)", "leaky_relu"),
        (f"functools.partial({CLASS.format('ELU')}, alpha=0.5)", "elu(0.5)"),
        (f"functools.partial({CLASS.format('ReLU')}, inplace=True)", "relu"),
        (f"functools.partial({CLASS.format('ReLU')})", "relu"),
    ],
)
def test_the_readable_form_of_an_activation(readable: str, name: str) -> None:
    assert of_class(readable) == name
    assert activation(name) is not None


@pytest.mark.parametrize(
    "readable",
    [
        f"functools.partial({CLASS.format('GELU')}, approximate='tanh')",
        f"functools.partial({CLASS.format('LeakyReLU')}, 0.2, False, 3)",
        f"functools.partial({CLASS.format('ELU')}, __import__('os'))",
        "<class 'my.activation.ReLU'>",
        "<function <lambda>>",
        CLASS.format("Mish"),
        CLASS.format("PReLU"),
    ],
)
def test_an_activation_that_is_not_known_stays_unknown(readable: str) -> None:
    assert activation(of_class(readable)) is None


def test_activations_with_a_number_are_torchs(tmp_path: Path) -> None:
    x = waves(5, OBS)
    for text, module in (("leaky_relu(0.2)", torch.nn.LeakyReLU(0.2)), ("elu(0.5)", torch.nn.ELU(0.5))):
        function = activation(text)
        assert function is not None
        torch.testing.assert_close(function(x), module(x))
    path = write(tmp_path / "p.pth", FILES["td3.pth"]())
    one, other = (
        load(path, Overrides(activation=name)).target.policy(SEEN) for name in ("leaky_relu(0.2)", "leaky_relu")
    )
    assert not one.equal(other)
    assert "did you mean 'leaky_relu'" in refusal(path, activation="leaky_relu(x)")
