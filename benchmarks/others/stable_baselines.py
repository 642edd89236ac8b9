"""Stable-Baselines3 and sb3-contrib: models as their `save` writes them, VecNormalize beside one of them."""

import copy
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch

from benchmarks.others.written import Rows, Written, disturbed, tensor
from microbench.checkpoints import Overrides

PACKAGES = ("stable_baselines3", "sb3_contrib")
KINDS: dict[str, dict[str, Any]] = {
    "SAC": {},
    "SAC gSDE": {"use_sde": True},
    "TD3": {},
    "DDPG": {},
    "TQC": {},
    "TQC gSDE": {"use_sde": True},
    "TQC 3 critics, 2 dropped": {"policy_kwargs": {"n_critics": 3}, "top_quantiles_to_drop_per_net": 2},
    "CrossQ": {},
    "PPO": {},
    "PPO ELU": {"policy_kwargs": {"activation_fn": torch.nn.ELU, "net_arch": [32]}},
    "PPO gSDE": {"use_sde": True},
    "PPO gSDE squashed": {"use_sde": True, "policy_kwargs": {"squash_output": True}},
    "PPO separate": {"policy_kwargs": {"net_arch": {"pi": [16, 16, 16], "vf": [8]}, "share_features_extractor": False}},
    "A2C": {},
    "TRPO": {},
    "ARS": {},
    "ARS linear": {"policy": "LinearPolicy"},
    "RecurrentPPO": {"policy": "MlpLstmPolicy"},
}


def written(folder: Path, _: Path | None) -> Iterator[Written]:
    """A file per algorithm, on a task with the box ±1 and on one with ±0.4."""
    for env_id, box in (("Hopper-v4", 1.0), ("Humanoid-v4", 0.4)):
        for kind, settings in KINDS.items():
            yield one(folder, kind, env_id, box, settings)
    yield normalised(folder)


def one(folder: Path, kind: str, env_id: str, box: float, settings: dict[str, Any]) -> Written:
    name = f"{kind}, {env_id}"
    model = made(kind, env_id, settings)
    disturbed(model.policy)
    path = folder / f"{kind.replace(' ', '-').replace(',', '')}-{env_id}.zip"
    model.save(path)
    if kind == "RecurrentPPO":
        return Written(name=name, path=path, refusal="a recurrent policy")

    def act(obs: Rows) -> Any:
        return model.predict(obs, deterministic=True)[0]

    def value(obs: Rows, action: Rows) -> Any:
        exact = copy.deepcopy(model.critic).double()  # hundreds of inputs: its own rounding is larger than ours
        with torch.no_grad():  # trained on actions scaled to ±1
            q = exact(tensor(obs).double(), tensor(model.policy.scale_action(action)).double())
        return truncated(model, q) if kind.startswith("TQC") else torch.cat(q, 1).amin(1)

    critic = value if hasattr(model, "critic") else None
    overrides = Overrides(env_id=env_id)
    spread, state = spread_of(model), state_of(model)
    return Written(
        name=name, path=path, policy=act, critic=critic, state=state, spread=spread, overrides=overrides, box=box
    )


def state_of(model: Any) -> Any:
    """Obs → V(s), of PPO and its like."""
    if not hasattr(model.policy, "predict_values"):
        return None

    def value(obs: Rows) -> Any:
        with torch.no_grad():
            return model.policy.predict_values(tensor(obs))[:, 0]

    return value


def spread_of(model: Any) -> Any:
    """Obs → standard deviation, for the policies that have one without exploration by state."""
    if getattr(model, "use_sde", False) or (not hasattr(model.policy, "get_distribution") and not log_std_of(model)):
        return None

    def spread(obs: Rows) -> Any:
        with torch.no_grad():
            if log_std_of(model):
                return model.actor.get_action_dist_params(tensor(obs))[1].exp()
            return model.policy.get_distribution(tensor(obs)).distribution.stddev

    return spread


def log_std_of(model: Any) -> Any:
    return getattr(getattr(model, "actor", None), "log_std", None)


def truncated(model: Any, quantiles: Any) -> Any:
    """TQC's own target: all quantiles in order, without the largest ones."""
    flat = quantiles.reshape(len(quantiles), -1).sort(-1).values
    kept = flat.shape[1] - model.top_quantiles_to_drop_per_net * model.critic.n_critics
    return flat[:, :kept].mean(1)


def made(kind: str, env_id: str, settings: dict[str, Any]) -> Any:
    """An untrained model."""
    import gymnasium
    import sb3_contrib
    import stable_baselines3

    name = kind.split()[0]
    algorithm: Any = getattr(stable_baselines3, name, None) or getattr(sb3_contrib, name)
    arguments = {"policy": "MlpPolicy", "device": "cpu", "seed": 0} | settings
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return algorithm(env=gymnasium.make(env_id), **arguments)


def normalised(folder: Path) -> Written:
    """PPO behind VecNormalize, whose statistics lie beside it."""
    import gymnasium
    from stable_baselines3.common.vec_env import DummyVecEnv, VecNormalize

    place = folder / "normalised"
    place.mkdir()
    model, rng = made("PPO", "Hopper-v4", {}), np.random.default_rng(0)
    disturbed(model.policy)
    environment = VecNormalize(DummyVecEnv([lambda: gymnasium.make("Hopper-v4")]), clip_obs=2.0)
    environment.obs_rms.update(rng.normal(0.3, 2.0, (500, 11)))
    model.save(place / "model.zip")
    environment.save(str(place / "vecnormalize.pkl"))
    environment.training = False

    def act(obs: Rows) -> Any:
        return model.predict(environment.normalize_obs(obs), deterministic=True)[0]

    return Written(name="PPO with VecNormalize, Hopper-v4", path=place / "model.zip", policy=act)
