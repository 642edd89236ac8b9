"""Small files of every family, written by hand from random weights: nothing here was made by the libraries named."""

import base64
import io
import json
import pickle
import re
import zipfile
from collections import OrderedDict
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import torch
from torch import Tensor, nn

from tests.microbench.toys import waves

OBS, ACTIONS, WIDTH = 11, 3, 8  # Hopper's
SEEN = 3 * waves(5, OBS)


def weights(*sizes: int, names: list[str], seed: int = 0) -> dict[str, Tensor]:
    """Layers of the given sizes under these names."""
    generator = torch.Generator().manual_seed(seed)
    tensors: dict[str, Tensor] = {}
    for name, inputs, outputs in zip(names, sizes, sizes[1:], strict=False):
        tensors[f"{name}.weight"] = torch.randn(outputs, inputs, generator=generator) / inputs**0.5
        tensors[f"{name}.bias"] = torch.randn(outputs, generator=generator) / 4
    return tensors


def torch_bytes(thing: object, *, legacy: bool = False) -> bytes:
    buffer = io.BytesIO()
    torch.save(thing, buffer, _use_new_zipfile_serialization=not legacy)
    return buffer.getvalue()


def zipped(members: Mapping[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return buffer.getvalue()


def mlp(*, actions: int = ACTIONS, obs: int = OBS, names: tuple[str, str, str], seed: int = 0) -> dict[str, Tensor]:
    return weights(obs, WIDTH, WIDTH, actions, names=list(names), seed=seed)


# ---- Stable-Baselines3


def sb3_tensors(algorithm: str, obs: int = OBS) -> dict[str, Tensor]:
    if algorithm in ("sac", "tqc"):
        tensors = mlp(obs=obs, names=("actor.latent_pi.0", "actor.latent_pi.2", "actor.mu"))
        tensors |= weights(WIDTH, ACTIONS, names=["actor.log_std"], seed=1)
        outputs = 1 if algorithm == "sac" else 5
        for number in range(2):
            names = [f"critic.qf{number}.{layer}" for layer in (0, 2, 4)]
            tensors |= weights(obs + ACTIONS, WIDTH, WIDTH, outputs, names=names, seed=2 + number)
        return tensors
    if algorithm == "crossq":
        return crossq_tensors()
    if algorithm == "sde":
        return sde_tensors()
    if algorithm == "td3":
        return mlp(obs=obs, names=("actor.mu.0", "actor.mu.2", "actor.mu.4"))
    if algorithm == "ars-linear":  # as newer versions name it
        return {"action_net.0.weight": weights(obs, ACTIONS, names=["a"])["a.weight"]}
    if algorithm == "ars-deep":
        return mlp(obs=obs, names=("action_net.0", "action_net.2", "action_net.4"))
    if algorithm == "ars":
        return {"action_net.weight": weights(obs, ACTIONS, names=["a"])["a.weight"]}
    tensors = mlp(obs=obs, names=("mlp_extractor.policy_net.0", "mlp_extractor.policy_net.2", "action_net"))
    value = ("mlp_extractor.value_net.0", "mlp_extractor.value_net.2", "value_net")
    return tensors | mlp(actions=1, obs=obs, names=value, seed=5) | {"log_std": torch.full((ACTIONS,), -1.0)}


def renormalised(tensors: dict[str, Tensor], prefix: str, widths: dict[int, int]) -> dict[str, Tensor]:
    """Batch renormalisations at these places of a sequence, with so many numbers each."""
    generator = torch.Generator().manual_seed(9)
    folded = dict(tensors)
    for number, width in widths.items():
        for part, low in (("ra_mean", -1.0), ("ra_var", 0.5), ("scale", 0.5), ("bias", -0.5)):
            folded[f"{prefix}{number}.{part}"] = low + torch.rand(width, generator=generator)
        folded[f"{prefix}{number}.steps"] = torch.tensor(5)
    return folded


def crossq_tensors() -> dict[str, Tensor]:
    tensors = mlp(names=("actor.latent_pi.1", "actor.latent_pi.4", "actor.mu"))
    tensors |= weights(WIDTH, ACTIONS, names=["actor.log_std"], seed=1)
    tensors = renormalised(tensors, "actor.latent_pi.", {0: OBS, 3: WIDTH, 6: WIDTH})
    for number in range(2):
        tensors |= critic(numbered(f"critic.qf{number}.", 1, 4, 7), 2 + number)
        tensors = renormalised(tensors, f"critic.qf{number}.", {0: OBS + ACTIONS, 3: WIDTH, 6: WIDTH})
    return tensors


def sde_tensors() -> dict[str, Tensor]:
    tensors = mlp(names=("actor.latent_pi.0", "actor.latent_pi.2", "actor.mu.0"))
    return tensors | {"actor.log_std": torch.zeros(WIDTH, ACTIONS)}


def readable_space(kind: str, **state: Any) -> dict[str, Any]:
    """A space as the readable part of `data` has it."""
    module = re.sub(r"(?<!^)(?=[A-Z])", "_", kind).lower()
    return {":type:": f"<class 'gymnasium.spaces.{module}.{kind}'>", ":serialized:": "gASVAAAA", **state}


def readable_box(low: Any, high: Any, dtype: str = "float64") -> dict[str, Any]:
    """A Box of one axis."""
    ends = {"low": str(np.asarray(low, float)), "high": str(np.asarray(high, float))}
    return readable_space("Box", dtype=dtype, _shape=[len(low)], **ends)


def stored_array(values: Any) -> dict[str, Any]:
    """An array as `data` keeps it: pickled."""
    return {
        ":type:": "<class 'numpy.ndarray'>",
        ":serialized:": base64.b64encode(pickle.dumps(np.asarray(values))).decode(),
    }


def time_feature(high: float = 1.0, dtype: str = "float32") -> dict[str, Any]:
    """The space of Hopper's sensors and a clock between 0 and `high`."""
    return readable_box([*[-np.inf] * OBS, 0.0], [*[np.inf] * OBS, high], dtype)


def sb3(
    algorithm: str = "ppo",
    *,
    obs: int = OBS,
    box: float = 1.0,
    tensors: Mapping[str, Tensor] | None = None,
    legacy: bool = False,
    **data: Any,
) -> bytes:
    space = readable_box(-box * np.ones(ACTIONS), box * np.ones(ACTIONS), "float32")
    known: dict[str, dict[str, Any]] = {
        "ppo": {"clip_range": {}, "gae_lambda": 0.95},
        "sac": {"target_entropy": -3},
        "tqc": {"target_entropy": -3, "top_quantiles_to_drop_per_net": 1},
        "crossq": {"target_entropy": -3},
        "sde": {"target_entropy": -3},
        "td3": {"policy_delay": 2},
        "ars": {"delta_std_schedule": {}},
        "ars-linear": {"delta_std_schedule": {}},
        "ars-deep": {"delta_std_schedule": {}},
    }
    sensed = readable_box([-np.inf] * obs, [np.inf] * obs)
    settings = {"policy_kwargs": {}, "action_space": space, "observation_space": sensed, "seed": 4}
    settings |= {"num_timesteps": 100} | known[algorithm] | data
    members = {
        "data": json.dumps(settings).encode(),
        "policy.pth": torch_bytes(OrderedDict(tensors or sb3_tensors(algorithm, obs)), legacy=legacy),
        "_stable_baselines3_version": b"2.3.0",
    }
    return zipped(members)


class Foreign:
    """An object whose pickle names a class of a package that is not installed."""

    def __init__(self, origin: str, **state: Any) -> None:
        self.origin, self.state = origin, state


class _Naming(pickle._Pickler):
    """Pickles `Foreign` as an instance of the class it names."""

    def save(self, obj: Any, save_persistent_id: bool = True) -> None:
        if not isinstance(obj, Foreign):
            super().save(obj, save_persistent_id)  # type: ignore[misc]  # the Python pickler has it
            return
        module, _, name = obj.origin.rpartition(".")
        write: Callable[[bytes], object] = self.write  # type: ignore[attr-defined]  # the Python pickler has it
        write(b"c" + f"{module}\n{name}\n".encode() + b")\x81")
        self.save(obj.state)
        write(b"b")


def pickled(thing: object) -> bytes:
    buffer = io.BytesIO()
    _Naming(buffer, 2).dump(thing)
    return buffer.getvalue()


def vec_normalize(mean: Any, var: Any, **state: Any) -> bytes:
    running = Foreign("stable_baselines3.common.running_mean_std.RunningMeanStd", mean=mean, var=var, count=9.0)
    attributes = {"obs_rms": running, "clip_obs": 10.0, "epsilon": 1e-8, "norm_obs": True} | state
    return pickled(Foreign("stable_baselines3.common.vec_env.vec_normalize.VecNormalize", **attributes))


# ---- SA-PPO and its successors


def environment(obs: int = OBS, robot: str = "hopper.Hopper") -> Foreign:
    rng = np.random.default_rng(5)
    running = Foreign(
        "policy_gradients.torch_utils.RunningStat", _n=101, _M=rng.normal(size=obs), _S=rng.uniform(50, 150, obs)
    )
    state_filter = Foreign("policy_gradients.torch_utils.ZFilter", rs=running, clip=10.0, center=True)
    inner = Foreign(f"gym.envs.mujoco.{robot}Env", frame_skip=4)
    wrapped = Foreign("gym.wrappers.time_limit.TimeLimit", env=inner)
    return Foreign("policy_gradients.custom_env.Env", env=wrapped, state_filter=state_filter)


def sa_ppo_tensors(outputs: int = ACTIONS, *, seed: int = 0) -> dict[str, Tensor]:
    tensors = mlp(actions=outputs, names=("affine_layers.0", "affine_layers.1", "final_mean"), seed=seed)
    return {"log_stdev": torch.full((outputs,), -0.5)} | tensors


def lstm_tensors(outputs: int = ACTIONS) -> dict[str, Tensor]:
    tensors = sa_ppo_tensors()  # unused, as in the real files
    tensors |= weights(OBS, WIDTH, names=["embedding_layer"], seed=1) | weights(
        WIDTH, outputs, names=["output_layer"], seed=2
    )
    lstm = torch.nn.LSTM(WIDTH, WIDTH)
    generator = torch.Generator().manual_seed(3)
    return tensors | {
        f"lstm.{name}": torch.randn(value.shape, generator=generator) / 3 for name, value in lstm.state_dict().items()
    }


def worst_case_critic() -> dict[str, Tensor]:
    """WocaR's q_model."""
    return weights(OBS + ACTIONS, WIDTH, WIDTH, 1, names=["affine_layers.0", "affine_layers.1", "final"], seed=11)


def sa_ppo(*, recurrent: bool = False, adversary: bool = False, legacy: bool = False, **more: Any) -> bytes:
    """A .model file; torch writes it with an environment of plain marks, which are then replaced by the real pickle."""
    tree: dict[str, Any] = {
        "policy_model": lstm_tensors() if recurrent else sa_ppo_tensors(),
        "val_model": mlp(actions=1, names=("affine_layers.0", "affine_layers.1", "final")),
        "envs": [environment()],
    }
    if adversary:
        tree["adversary_policy_model"] = sa_ppo_tensors(OBS, seed=7)
    return saved(tree | more, legacy=legacy)


def saved(tree: object, *, legacy: bool = False) -> bytes:
    """`torch.save` with a pickler that can name foreign classes."""
    buffer = io.BytesIO()
    module: Any = type("module", (), {"Pickler": _Naming, "dump": staticmethod(_dump)})
    torch.save(tree, buffer, pickle_module=module, _use_new_zipfile_serialization=not legacy)
    return buffer.getvalue()


def _dump(thing: object, file: Any, protocol: int = 2) -> None:
    _Naming(file, protocol).dump(thing)


# ---- the others


def expert_tree() -> dict[str, Any]:
    layers = mlp(names=("0", "2", "out"))
    affine = {
        name: {
            "AffineLayer": {"W": layers[f"{name}.weight"].numpy().T.copy(), "b": layers[f"{name}.bias"].numpy()[None]}
        }
        for name in ("0", "2", "out")
    }
    rng = np.random.default_rng(6)
    mean = rng.normal(size=(1, OBS))
    return {
        "nonlin_type": "tanh",
        "GaussianPolicy": {
            "hidden": {"FeedforwardNet": {"layer_0": affine["0"], "layer_2": affine["2"]}},
            "out": affine["out"],
            "logstdevs_1_Da": np.full((1, ACTIONS), -1.0),
            "obsnorm": {"Standardizer": {"mean_1_D": mean, "meansq_1_D": mean**2 + rng.uniform(0.5, 2, (1, OBS))}},
        },
    }


def expert_pickle() -> bytes:
    return pickle.dumps(expert_tree(), protocol=2)


def hdf5(entries: Mapping[str, Any]) -> bytes:
    buffer = io.BytesIO()
    with h5py.File(buffer, "w") as file:
        for name, value in entries.items():
            file[name] = value
    return buffer.getvalue()


def expert_hdf5() -> bytes:
    def flat(tree: Mapping[str, Any], path: str) -> dict[str, Any]:
        arrays: dict[str, Any] = {}
        for name, value in tree.items():
            arrays |= flat(value, f"{path}/{name}") if isinstance(value, dict) else {f"{path}/{name}": value}
        return arrays

    tree = {"GaussianPolicy": expert_tree()["GaussianPolicy"]}
    return hdf5(flat(tree, "snapshots/iter0000020") | {"snapshots/iter0000000/empty": 0.0})


# ---- CORL, OfflineRL-Kit, d3rlpy, CleanRL, D4RL


def critic(names: tuple[str, str, str], seed: int = 8) -> dict[str, Tensor]:
    return weights(OBS + ACTIONS, WIDTH, WIDTH, 1, names=list(names), seed=seed)


def numbered(prefix: str, *numbers: int) -> Any:
    return tuple(f"{prefix}{number}" for number in numbers)


def corl(algorithm: str) -> dict[str, Any]:
    """The tree of a CORL checkpoint."""
    net = numbered("net.", 0, 2, 4)
    if algorithm == "sac-n":
        tensors = mlp(names=("trunk.0", "trunk.2", "mu")) | weights(WIDTH, ACTIONS, names=["log_sigma"], seed=1)
        members = [critic(numbered("critic.", 0, 2, 4), seed) for seed in (2, 3, 4)]
        stacked = {}
        for name in members[0]:
            parts = [member[name].T if name.endswith("weight") else member[name][None] for member in members]
            stacked[name] = torch.stack(parts)
        return {"actor": tensors, "critic": stacked}
    if algorithm == "cql":
        tensors = mlp(actions=2 * ACTIONS, names=numbered("base_network.", 0, 2, 4))
        tensors |= {"log_std_multiplier.constant": torch.tensor(0.5), "log_std_offset.constant": torch.tensor(-1.0)}
        critics = {f"critic{i}": critic(numbered("network.", 0, 2, 4), i) for i in (1, 2)}
        return {"actor": tensors, **critics, "sac_log_alpha": Foreign("__main__.Scalar", _parameters={})}
    if algorithm == "iql":
        values: dict[str, Tensor] = {}
        for i in (1, 2):
            values |= {f"q{i}.{name}": value for name, value in critic(net, i).items()}
        return {
            "actor": mlp(names=numbered("net.net.", 0, 2, 4)) | {"log_std": torch.full((ACTIONS,), -1.0)},
            "qf": values,
        }
    if algorithm == "awac":
        tensors = mlp(names=numbered("_mlp.", 0, 2, 4)) | {"_log_std": torch.full((ACTIONS,), -1.0)}
        return {"actor": tensors} | {f"critic_{i}": critic(numbered("_mlp.", 0, 2, 4), i) for i in (1, 2)}
    critics = {f"critic_{i}": critic(net, i) for i in (1, 2)} if algorithm == "td3-bc" else {}
    return {"actor": mlp(names=net), "total_it": 7, **critics}


def offlinerl_kit(*, deterministic: bool = False) -> dict[str, Tensor]:
    head = "actor.last" if deterministic else "actor.dist_net.mu"
    tensors = mlp(names=("actor.backbone.model.0", "actor.backbone.model.2", head))
    if not deterministic:
        tensors |= weights(WIDTH, ACTIONS, names=["actor.dist_net.sigma"], seed=1)
    for i in (1, 2):
        layers = (f"critic{i}.backbone.model.0", f"critic{i}.backbone.model.2", f"critic{i}.last")
        tensors |= critic(layers, i)
        tensors |= {name.replace("critic", "critic_old", 1): 0 * value for name, value in critic(layers, i).items()}
    return tensors


def module(tensors: Mapping[str, Tensor], origin: str, **state: Any) -> Foreign:
    """A pickled torch module with these parameters in modules of one level."""
    inner: dict[str, dict[str, Tensor]] = {}
    for name, value in tensors.items():
        place, _, part = name.rpartition(".")
        inner.setdefault(place, {})[part] = value
    modules = {
        place: Foreign("torch.nn.modules.linear.Linear", _parameters=parameters, _modules={})
        for place, parameters in inner.items()
    }
    return Foreign(origin, _parameters={}, _modules=modules, **state)


def rorl() -> bytes:
    policy = mlp(names=("fc0", "fc1", "last_fc")) | weights(WIDTH, ACTIONS, names=["last_fc_log_std"], seed=1)
    members = [critic(("fc0", "fc1", "last_fc"), seed) for seed in (2, 3)]
    stacked = {}
    for name in ("fc0", "fc1", "last_fc"):
        stacked[f"{name}.W"] = torch.stack([member[f"{name}.weight"].T for member in members])
        stacked[f"{name}.b"] = torch.stack([member[f"{name}.bias"][None] for member in members])
    norm = {"norm_input": True, "obs_norm_mean": torch.full((OBS,), 0.5), "obs_norm_std": torch.full((1, OBS), 2.0)}
    origin = "lifelong_rl.policies.models.tanh_gaussian_policy.TanhGaussianPolicy"
    tree = {
        "trainer/policy": module(policy, origin, hidden_activation=torch.nn.functional.elu, layer_norm=None, **norm),
        "trainer/qfs": module(stacked, "lifelong_rl.models.networks.ParallelizedEnsembleFlattenMLP", **norm),
    }
    return saved(tree)


def d3rlpy_parts() -> tuple[dict[str, Any], dict[str, Any]]:
    """The networks and the description."""
    policy = mlp(names=("_encoder._layers.0", "_encoder._layers.2", "_mu"))
    policy |= weights(WIDTH, ACTIONS, names=["_logstd"], seed=1)
    values: dict[str, Tensor] = {}
    for i in (0, 1):
        tensors = critic((f"{i}._encoder._layers.0", f"{i}._encoder._layers.2", f"{i}._fc"), i)
        values |= tensors
    scaler = {"type": "standard", "params": {"mean": [0.1 * i for i in range(OBS)], "std": [1.5] * OBS, "eps": 0.5}}
    params = {
        "observation_scaler": scaler,
        "actor_encoder_factory": {"type": "vector", "params": {"activation": "tanh"}},
    }
    return {"policy": policy, "q_funcs": values}, {"config": {"type": "cql", "params": params}, "action_size": ACTIONS}


def d3rlpy(kind: str = "cql") -> bytes:
    """With a Gaussian of its own spread for IQL and AWAC, with an imitator for BC, with scaled actions for TD3."""
    networks, description = d3rlpy_parts()
    description["config"]["type"] = kind
    policy = networks["policy"]
    if kind in ("iql", "awac"):
        networks["policy"] = {name: value for name, value in policy.items() if not name.startswith("_logstd")}
        networks["policy"]["_logstd"] = torch.linspace(-1, 1, ACTIONS)[None]
    if kind == "bc":
        networks = {"imitator": mlp(names=("_encoder._layers.0", "_encoder._layers.2", "_fc"))}
    if kind == "td3":
        networks["policy"] = mlp(names=("_encoder._layers.0", "_encoder._layers.2", "_fc"))
        scaler = {"type": "min_max", "params": {"minimum": [-1.0, -2.0, 0.0], "maximum": [1.0, 4.0, 1.0]}}
        description["config"]["params"]["action_scaler"] = scaler
    return pickle.dumps({"torch": torch_bytes(networks), "config": json.dumps(description), "version": "2.8.1"})


def cleanrl(algorithm: str) -> Any:
    if algorithm == "ppo":
        tensors = mlp(names=numbered("actor_mean.", 0, 2, 4)) | {"actor_logstd": torch.full((1, ACTIONS), -1.0)}
        return tensors | weights(OBS, WIDTH, WIDTH, 1, names=list(numbered("critic.", 0, 2, 4)), seed=2)
    box = {"action_scale": torch.full((ACTIONS,), 2.0), "action_bias": torch.full((ACTIONS,), 0.5)}
    if algorithm == "sac":
        return mlp(names=("fc1", "fc2", "fc_mean")) | weights(WIDTH, ACTIONS, names=["fc_logstd"], seed=1) | box
    critics = tuple(critic(("fc1", "fc2", "fc3"), i) for i in ((1, 2) if algorithm == "td3" else (1,)))
    return (mlp(names=("fc1", "fc2", "fc_mu")) | box, *critics)


def d4rl_policy(*, inward: bool = False) -> bytes:
    tensors = mlp(names=("fc0", "fc1", "last_fc")) | weights(WIDTH, ACTIONS, names=["last_fc_log_std"], seed=1)
    entries: dict[str, Any] = {"observations": np.zeros((2, OBS), np.float32)}
    for name, value in tensors.items():
        stored = value.T if inward and name.endswith("weight") else value
        entries[f"metadata/policy/{name.replace('.', '/')}"] = stored.numpy()
    return hdf5(entries | {"metadata/policy/nonlinearity": np.bytes_(b"relu")})


def write(path: Path, content: bytes) -> Path:
    path.write_bytes(content)
    return path


def sequential(tensors: dict[str, Tensor], names: list[str], activation: type[nn.Module]) -> nn.Sequential:
    """A torch module with these layers, the oracle of the tests."""
    modules: list[nn.Module] = []
    for name in names:
        weight = tensors[f"{name}.weight"]
        linear = nn.Linear(weight.shape[1], weight.shape[0], bias=f"{name}.bias" in tensors)
        linear.load_state_dict(
            {part: tensors[f"{name}.{part}"] for part in ("weight", "bias") if f"{name}.{part}" in tensors}
        )
        modules += [linear, activation()]
    return nn.Sequential(*modules[:-1])
