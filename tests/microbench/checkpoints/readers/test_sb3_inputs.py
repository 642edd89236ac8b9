"""Inputs of Stable-Baselines3 policies: wrappers around the sensors are read as in training, or refused."""

import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from gymnasium.spaces import Box

from microbench.checkpoints import Checkpoint, Overrides, load
from microbench.checkpoints.containers.pickles import Stub, read_pickle
from microbench.checkpoints.readers.sb3_statistics import was_normalised
from microbench.errors import UserError
from microbench.evaluation.workers.sent import policy_files, read_policy
from tests.microbench.checkpoints import foreign_files as files
from tests.microbench.checkpoints.foreign_files import ACTIONS, OBS, write
from tests.microbench.toys import one_line, waves

SEEN = 3 * waves(5, OBS)
MEAN, VAR = np.linspace(-1, 1, OBS), np.linspace(0.5, 4, OBS)
SENSED = files.stored_array(np.zeros((1, OBS)))
NORMALISED = files.stored_array(np.zeros((1, OBS), np.float32))
WITH: dict[str, Any] = {
    "_last_obs": NORMALISED,
    "_last_original_obs": SENSED,
}  # what a file says of observations that were normalised
WITHOUT: dict[str, Any] = {"_last_obs": SENSED, "_last_original_obs": None}


def refusal(path: Path, **overrides: Any) -> str:
    with pytest.raises(UserError) as caught:
        load(path, Overrides(**overrides))
    assert one_line(caught.value)
    return str(caught.value)


def model(path: Path, algorithm: str = "ppo", **data: Any) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    return write(path, files.sb3(algorithm, **data))


def statistics(path: Path, shift: float = 0.0, **state: Any) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    return write(path, files.vec_normalize(MEAN + shift, VAR, **state))


def acts_on_normalised(checkpoint: Checkpoint, folder: Path) -> bool:
    plain = load(model(folder / "plain" / "model.zip", **WITHOUT)).target.policy
    z = (SEEN - torch.tensor(MEAN).float()) / torch.tensor(np.sqrt(VAR + 1e-8)).float()
    return torch.allclose(checkpoint.target.policy(SEEN), plain(z.clamp(-10, 10)), atol=1e-6)


@pytest.mark.parametrize("kind", ["PCG64", "MT19937", "Philox", "SFC64"])
@pytest.mark.parametrize("protocol", [2, 4, 5])
def test_a_generator_in_a_pickle_is_a_stub_and_makes_nothing(kind: str, protocol: int) -> None:
    generator = np.random.Generator(getattr(np.random, kind)(3))
    assert isinstance(read_pickle(pickle.dumps(generator, protocol)), Stub)
    assert isinstance(read_pickle(pickle.dumps(np.random.RandomState(3), protocol)), Stub)


def test_other_functions_of_numpys_generators_stay_refused() -> None:
    for name in ("__pyx_unpickle_Enum", "randbits"):
        with pytest.raises(pickle.UnpicklingError, match="which no policy needs"):
            read_pickle(f"cnumpy.random.bit_generator\n{name}\n.".encode())


def test_a_space_that_was_seeded_does_not_hide_the_statistics_beside_it(tmp_path: Path) -> None:
    space = Box(-1, 1, (3,))
    space.seed(4)
    assert isinstance(read_pickle(pickle.dumps(space)), Stub)


@pytest.mark.parametrize(
    ("zip_name", "pickle_name"),
    [
        ("ppo_hopper.zip", "vec_normalize.pkl"),
        ("ppo_hopper.zip", "vecnormalize.pkl"),
        ("ppo_hopper.zip", "vecnorm.pkl"),
        ("ppo_hopper.zip", "ppo_hopper_vecnormalize.pkl"),
        ("best_model.zip", "Hopper-v4/vecnormalize.pkl"),
        ("rl_model_1000_steps.zip", "rl_model_vecnormalize_1000_steps.pkl"),
        ("ppo-Hopper-v4.zip", "ppo-Hopper-v4/vec_normalize.pkl"),
    ],
)
def test_statistics_are_found_where_their_writers_put_them(tmp_path: Path, zip_name: str, pickle_name: str) -> None:
    path = model(tmp_path / "run" / zip_name, **WITH)
    statistics(tmp_path / "run" / pickle_name)
    checkpoint = load(path)
    assert acts_on_normalised(checkpoint, tmp_path)
    again = read_policy(policy_files(checkpoint.source), checkpoint.source)  # as in a worker without this disk
    assert again.target.policy(SEEN).equal(checkpoint.target.policy(SEEN))


def test_statistics_that_are_lost_are_asked_for(tmp_path: Path) -> None:
    path = model(tmp_path / "a" / "model.zip", **WITH)
    elsewhere = statistics(tmp_path / "e" / "vecnorm.pkl")
    words = refusal(path)
    assert "was trained with VecNormalize" in words
    assert f"--obs-stats FILE (perhaps {elsewhere})" in words
    assert "--obs-stats none" in words
    assert acts_on_normalised(load(path, Overrides(obs_stats=elsewhere)), tmp_path)
    plain = load(path, Overrides(obs_stats=Path("none")))
    assert plain.inferred["observations"] == "as they are: said on the command line"
    assert not acts_on_normalised(plain, tmp_path)
    unit = write(tmp_path / "unit.json", f'{{"mean": {[0] * OBS}, "std": {[1] * OBS}}}'.encode())
    assert 'part of it only with "policy": true' in refusal(path, obs_stats=unit)


def test_none_is_none_whatever_lies_beside_the_file(tmp_path: Path) -> None:
    path = model(tmp_path / "m" / "model.zip")
    statistics(tmp_path / "m" / "vecnormalize.pkl")
    assert acts_on_normalised(load(path), tmp_path)
    assert not acts_on_normalised(load(path, Overrides(obs_stats=Path("none"))), tmp_path)


def test_of_several_statistics_none_is_taken(tmp_path: Path) -> None:
    path = model(tmp_path / "model.zip", **WITH)
    statistics(tmp_path / "vecnormalize.pkl")
    statistics(tmp_path / "vec_normalize.pkl")
    assert load(path).family == "sb3"  # copies of one content are no question
    statistics(tmp_path / "vec_normalize.pkl", shift=1.0)
    assert "several files of VecNormalize" in refusal(path)


def test_statistics_beside_a_policy_that_was_trained_without_are_asked_about(tmp_path: Path) -> None:
    path = model(tmp_path / "model.zip", **WITHOUT)
    assert "was trained without VecNormalize" in load(path).inferred["observations"]
    statistics(tmp_path / "vecnormalize.pkl")
    assert "was trained on observations as they are" in refusal(path)


def test_statistics_of_another_step_are_not_taken(tmp_path: Path) -> None:
    path = model(tmp_path / "rl_model_1000_steps.zip", **WITH)
    statistics(tmp_path / "rl_model_vecnormalize_2000_steps.pkl")
    assert "are not in the file" in refusal(path)


def test_a_vecnormalize_of_rewards_leaves_observations_as_they_are(tmp_path: Path) -> None:
    path = model(tmp_path / "model.zip", _last_obs=None, _last_original_obs=SENSED)
    assert "are not in the file" in refusal(path)  # it had a VecNormalize, of whatever
    rewards = files.pickled(
        files.Foreign("stable_baselines3.common.vec_env.vec_normalize.VecNormalize", norm_obs=False)
    )
    write(tmp_path / "vecnormalize.pkl", rewards)
    assert load(path).inferred["observations"] == "as they are: vecnormalize.pkl is of a VecNormalize of rewards alone"
    assert "of rewards alone" in refusal(path, obs_stats=tmp_path / "vecnormalize.pkl")


@pytest.mark.parametrize(
    ("data", "normalised"),
    [
        ({**WITH, "target_entropy": -3}, True),  # SAC always keeps both; their number types differ
        ({"_last_obs": SENSED, "_last_original_obs": SENSED, "target_entropy": -3}, False),
        ({"_last_obs": SENSED, "_last_original_obs": SENSED, "gae_lambda": 0.9}, False),  # of rewards alone
        ({"_last_obs": NORMALISED, "_last_original_obs": NORMALISED, "gae_lambda": 0.9}, True),  # sensors of float32
        ({"_last_obs": NORMALISED, "_last_original_obs": NORMALISED, "target_entropy": -3}, None),
        ({"_last_original_obs": None, "gae_lambda": 0.9, "num_timesteps": 9}, False),
        ({"_last_original_obs": None, "gae_lambda": 0.9, "num_timesteps": 0}, None),  # never trained
        ({"gae_lambda": 0.9}, None),
    ],
)
def test_what_the_last_observations_say_of_a_vecnormalize(data: dict[str, Any], normalised: bool | None) -> None:
    assert was_normalised(data) is normalised


@pytest.mark.parametrize(
    ("config", "normalised"),
    [
        ("- - - n_steps\n    - 512\n  - - normalize\n    - true\n", True),
        ("normalize: false\n", False),
        ("normalize: \"{'norm_obs': False, 'norm_reward': True}\"\n", False),
        ("normalize: dict(norm_obs=True, norm_reward=False)\n", True),
        ("policy: MlpPolicy\n", None),
    ],
)
def test_what_a_config_of_rl_zoo3_says_of_a_vecnormalize(config: str, normalised: bool | None) -> None:
    assert was_normalised({}, config) is normalised


@pytest.mark.parametrize(
    ("space", "data", "shown"),
    [
        (files.time_feature(), {}, 0.75),
        (files.time_feature(1000.0, "float64"), {}, 250.0),
        (files.time_feature(np.inf, "float64"), {}, 250.0),
        (files.time_feature(1.0, "float64"), {"_last_obs": files.stored_array([[*[0.0] * OBS, 1 - 7 / 1000]])}, 0.75),
        (
            files.time_feature(1.0, "float64"),
            {"_last_obs": files.stored_array([[*[0.0] * OBS, float(np.float32(7 / 1000))]])},
            0.25,
        ),
    ],
)
def test_which_clock_it_is_is_read_from_what_the_file_stores(
    tmp_path: Path, space: dict[str, Any], data: dict[str, Any], shown: float
) -> None:
    checkpoint = load(model(tmp_path / "p.zip", obs=OBS + 1, observation_space=space, **data))
    net = load(model(tmp_path / "q.zip", obs=OBS + 1), Overrides(env_id="Custom-v0")).target.policy  # 12 sensors
    at = torch.cat([SEEN, torch.full((5, 1), 250.0)], 1)
    torch.testing.assert_close(checkpoint.target.policy(at), net(torch.cat([SEEN, torch.full((5, 1), shown)], 1)))


def test_a_last_input_that_nothing_explains_is_asked_about(tmp_path: Path) -> None:
    path = model(tmp_path / "p.zip", obs=OBS + 1)
    assert "one more than its task has sensors" in refusal(path)
    both = files.time_feature(1.0, "float64")
    assert "alike" in refusal(model(tmp_path / "p.zip", obs=OBS + 1, observation_space=both))
    write(tmp_path / "config.yml", b"env_wrapper: sb3_contrib.common.wrappers.TimeFeatureWrapper\n")
    assert "config.yml names" in load(path).inferred["clock"]


@pytest.mark.parametrize(
    ("space", "words"),
    [
        (files.readable_space("Discrete", n="3", _shape=[]), "the action space Discrete(3)"),
        (files.readable_space("MultiDiscrete", nvec="[3 2]", _shape=[2]), "the action space MultiDiscrete([3 2])"),
        (files.readable_space("MultiBinary", n=3, _shape=[3]), "the action space MultiBinary(3)"),
        (files.readable_space("Tuple", _shape=None), "the action space Tuple"),
        (files.readable_space("Box", _shape=[2, 3]), "the action space Box(2 × 3)"),
    ],
)
def test_actions_that_are_no_vector_are_refused_by_name(tmp_path: Path, space: Any, words: str) -> None:
    for overrides in ({}, {"env_id": "Hopper-v4"}):
        assert words in refusal(model(tmp_path / "p.zip", action_space=space), **overrides)


@pytest.mark.parametrize(
    ("space", "words"),
    [
        (
            files.readable_space("Dict", spaces="{'achieved': Box(-9.0, 9.0, (3,), float32), 'observation': Box(8)}"),
            "a dictionary, Dict(achieved, observation)",
        ),
        (files.readable_space("Discrete", n="11", _shape=[]), "the observation space Discrete(11)"),
        (files.readable_space("Box", _shape=[84, 84, 4]), "the shape 84 × 84 × 4"),
        (files.readable_space("Box", _shape=[4, 11]), "the shape 4 × 11"),
        (files.readable_box([0.0] * 20, [1.0] * 20), "a features extractor of its own stands between"),
    ],
)
def test_observations_that_are_no_vector_are_refused_by_name(tmp_path: Path, space: Any, words: str) -> None:
    assert words in refusal(model(tmp_path / "p.zip", observation_space=space))


def test_stacked_frames_are_told_by_sizes_and_by_the_zoos_config(tmp_path: Path) -> None:
    path = model(tmp_path / "p.zip", obs=4 * OBS)
    for overrides in ({}, {"env_id": "Hopper-v4"}):
        assert "44 numbers, 4 × 11: it observes 4 stacked frames" in refusal(path, **overrides)
    assert load(path, Overrides(env_id="Custom-v0")).env_id == "Custom-v0"
    write(tmp_path / "config.yml", b"frame_stack: 2\n")
    assert "2 stacked frames" in refusal(path, env_id="Custom-v0")


@pytest.mark.parametrize(
    ("data", "words"),
    [
        ({"policy_class": {"__module__": "my_project.nets"}}, "a policy class from 'my_project.nets'"),
        ({"policy_kwargs": {"features_extractor_class": "<class 'nets.Mine'>"}}, "the features extractor 'Mine'"),
        ({"policy_kwargs": {"activation_fn": "<function <lambda> at 0x7f>"}}, "--activation"),
        ({"policy_kwargs": {"activation_fn": "<class 'nets.activation.ReLU'>"}}, "--activation"),
        ({"policy_kwargs": {"activation_fn": "<class 'torch.nn.modules.activation.Mish'>"}}, "'mish'"),
    ],
)
def test_what_the_weights_do_not_show_is_not_passed_over(tmp_path: Path, data: Any, words: str) -> None:
    assert words in refusal(model(tmp_path / "p.zip", **data))


def test_ddpg_is_told_from_td3(tmp_path: Path) -> None:
    settings = {"policy_delay": 1, "target_noise_clip": 0.0, "target_policy_noise": 0.1}
    assert load(model(tmp_path / "p.zip", "td3", **settings)).algorithm == "ddpg"
    assert load(model(tmp_path / "p.zip", "td3", policy_delay=2, target_noise_clip=0.5)).algorithm == "td3"


def test_another_action_box_than_the_tasks_is_noted(tmp_path: Path) -> None:
    assert "action-box" not in load(model(tmp_path / "p.zip")).inferred
    note = load(model(tmp_path / "q.zip", box=0.4)).inferred["action-box"]
    assert note.startswith("up to 0.4, the actuators of Hopper-v4 take 1: if a wrapper rescaled actions")


def test_parts_in_torchs_older_format_are_the_same_policy(tmp_path: Path) -> None:
    new, old = (load(model(tmp_path / f"{legacy}.zip", legacy=legacy)) for legacy in (False, True))
    assert new.target.policy(SEEN).equal(old.target.policy(SEEN))


def test_crossq_with_state_dependent_exploration_is_renormalised_too(tmp_path: Path) -> None:
    tensors = files.crossq_tensors()
    gaussian = load(model(tmp_path / "p.zip", "crossq", tensors=tensors)).target.policy
    for part in ("weight", "bias"):
        tensors[f"actor.mu.0.{part}"] = tensors.pop(f"actor.mu.{part}")
        tensors.pop(f"actor.log_std.{part}")
    tensors["actor.log_std"] = torch.zeros(files.WIDTH, ACTIONS)
    explored = load(model(tmp_path / "q.zip", "crossq", tensors=tensors, policy_kwargs={"clip_mean": 100.0}))
    torch.testing.assert_close(explored.target.policy(SEEN), gaussian(SEEN))
    assert explored.algorithm == "crossq"
