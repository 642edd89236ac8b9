"""Stable-Baselines3 and sb3-contrib as their users have them: trained for a few hundred steps, saved in many ways.

With and without a seed, behind VecNormalize whose file has one of many names or is lost, with a clock, with stacked
frames, with other spaces, as weights alone. What is not read must be refused by the name of what it is.
"""

import copy
import functools
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from benchmarks.others import toy_tasks
from benchmarks.others.written import Rows, Written
from microbench.checkpoints import Overrides

HOPPER = Overrides(env_id="Hopper-v4")
STEPS = 256
SMALL: dict[str, Any] = {"net_arch": [16, 16]}
ON_POLICY = {"n_steps": 64}
OFF_POLICY = {"learning_starts": 32, "buffer_size": 1000, "batch_size": 16}
SETTINGS: dict[str, dict[str, Any]] = {
    "PPO": {**ON_POLICY, "batch_size": 32, "n_epochs": 1},
    "A2C": ON_POLICY,
    "TRPO": {**ON_POLICY, "batch_size": 32},
    "SAC": OFF_POLICY,
    "TD3": OFF_POLICY,
    "DDPG": OFF_POLICY,
    "TQC": OFF_POLICY,
    "CrossQ": OFF_POLICY,
    "ARS": {"n_delta": 2, "policy": "LinearPolicy", "policy_kwargs": {}},
}
AT = 250.0  # the step at which policies with a clock are compared


def written(folder: Path, _: Path | None) -> Iterator[Written]:
    """Every file; one that must be refused says with which words."""
    for kind in SETTINGS:
        for seed in (None, 3):
            yield plain(folder, kind, seed)
        yield normalised(folder, f"{kind}, seeded, VecNormalize", "vecnormalize.pkl", kind, seed=3)
    for kind in ("PPO", "A2C", "SAC", "TQC", "CrossQ"):
        yield plain(folder, kind, None, "gSDE", use_sde=True)
    yield from names(folder)
    yield from activations(folder)
    yield from clocks(folder)
    yield from refused(folder)
    yield from weights_alone(folder)


def plain(folder: Path, kind: str, seed: int | None, what: str = "", **settings: Any) -> Written:
    """A model without anything around it."""
    name = ", ".join(filter(None, (kind, what, "" if seed is None else "seeded")))
    model = trained(kind, toy_tasks.venv("Hopper-v4", seed), seed, **settings)
    return Written(name=name, path=saved(model, folder, name), policy=acts(model), overrides=HOPPER, actions_alone=True)


def normalised(
    folder: Path, name: str, statistics: str, kind: str = "PPO", seed: int | None = None, refusal: str = "", **norm: Any
) -> Written:
    """A model behind VecNormalize; its statistics under this name, or lost if that is empty."""
    from stable_baselines3.common.vec_env import VecNormalize

    venv = VecNormalize(toy_tasks.venv("Hopper-v4", seed), **norm)
    model = trained(kind, venv, seed)
    path = saved(model, folder, name)
    if statistics:
        file = path.parent / statistics
        file.parent.mkdir(exist_ok=True)
        venv.save(str(file))
    venv.training = False
    act = acts(model)
    policy = None if refusal else lambda obs: act(venv.normalize_obs(obs))
    return Written(name=name, path=path, policy=policy, overrides=HOPPER, refusal=refusal, actions_alone=True)


def names(folder: Path) -> Iterator[Written]:
    """Where the statistics of a VecNormalize lie: documentation, rl_zoo3, callbacks; lost; of rewards alone."""
    yield normalised(folder, "PPO, vec_normalize.pkl", "vec_normalize.pkl")
    yield normalised(folder, "PPO, rl_zoo3's folder", "Hopper-v4/vecnormalize.pkl")
    yield normalised(folder, "SAC, vec_normalize.pkl", "vec_normalize.pkl", "SAC")
    yield normalised(folder, "model_256_steps, CheckpointCallback", "model_vecnormalize_256_steps.pkl")
    yield normalised(folder, "PPO, lost statistics", "", refusal="--obs-stats")
    yield normalised(folder, "SAC, lost statistics", "", "SAC", refusal="--obs-stats")
    yield normalised(folder, "PPO, rewards alone", "vecnormalize.pkl", norm_obs=False)
    yield normalised(folder, "PPO, rewards alone, lost statistics", "", norm_obs=False)


def activations(folder: Path) -> Iterator[Written]:
    """Hidden activations with a number, and one whose name says nothing."""
    classes: dict[str, Any] = {"LeakyReLU(0.2)": functools.partial(nn.LeakyReLU, 0.2), "ELU": nn.ELU}
    for name, kind in classes.items():
        yield plain(folder, "PPO", None, name, policy_kwargs={**SMALL, "activation_fn": kind})
    unnamed = {**SMALL, "activation_fn": lambda: nn.LeakyReLU(0.2)}
    model = trained("PPO", toy_tasks.venv("Hopper-v4", None), None, policy_kwargs=unnamed)
    yield refusal(folder, "PPO, lambda as activation", model, "--activation")


def clocks(folder: Path) -> Iterator[Written]:
    """The step as the last input, as three wrappers show it."""
    shown: dict[str, tuple[Callable[[Any], Any], float]] = {
        "TimeFeatureWrapper": (toy_tasks.time_feature, 1 - AT / 1000),
        "TimeAwareObservation": (toy_tasks.time_aware, AT),
        "TimeAwareObservation, normalised": (functools.partial(toy_tasks.time_aware, normalize_time=True), AT / 1000),
    }
    for name, (wrapper, value) in shown.items():
        model = trained("PPO", toy_tasks.venv("Hopper-v4", 3, wrapper), 3)
        policy = functools.partial(with_last, acts(model), value)
        path = saved(model, folder, f"PPO, {name}")
        yield Written(name=f"PPO, {name}", path=path, policy=policy, overrides=HOPPER, memory=(AT,), actions_alone=True)


def with_last(act: Callable[[Rows], Any], value: float, obs: Rows) -> Any:
    """The action after the observation and one more number."""
    return act(np.concatenate([obs, np.full((len(obs), 1), value, np.float32)], 1))


def refused(folder: Path) -> Iterator[Written]:
    """What cannot be evaluated, with the word that must name it."""
    for space, word in toy_tasks.ACTION_SPACES.items():
        model = trained("PPO", toy_tasks.toy(action=word), None)
        yield refusal(folder, f"PPO, {space}", model, f"action space {space}")
    pairs = toy_tasks.toy(observation=toy_tasks.pairs())
    for kind in ("PPO", "TD3"):
        yield refusal(folder, f"{kind}, Dict", trained(kind, pairs, None, policy="MultiInputPolicy"), "dictionary")
    yield refusal(folder, "PPO, 4 stacked frames", trained("PPO", toy_tasks.stacked(), None), "4 stacked frames")
    wrapped = trained("PPO", toy_tasks.venv("Hopper-v4", None, toy_tasks.frames), None)
    yield refusal(folder, "PPO, FrameStackObservation", wrapped, "stacked frames")
    extractor = {**SMALL, "features_extractor_class": toy_tasks.extractor()}
    own = trained("PPO", toy_tasks.venv("Hopper-v4", None), None, policy_kwargs=extractor)
    yield refusal(folder, "PPO, own features extractor", own, "features extractor")
    recurrent = trained("RecurrentPPO", toy_tasks.venv("Hopper-v4", None), None, policy="MlpLstmPolicy", **ON_POLICY)
    yield refusal(folder, "RecurrentPPO", recurrent, "recurrent policy")


def refusal(folder: Path, name: str, model: Any, words: str) -> Written:
    """A file that must be refused with these words, whatever task is said."""
    return Written(name=name, path=saved(model, folder, name), refusal=words)


def weights_alone(folder: Path) -> Iterator[Written]:
    """State dicts of a policy and of an actor, get_parameters, and what policy.save writes."""
    for kind in ("PPO", "SAC", "TD3"):
        model = trained(kind, toy_tasks.venv("Hopper-v4", None), None)
        parts = {"policy.state_dict()": model.policy.state_dict(), "get_parameters()": model.get_parameters()}
        if kind != "PPO":
            parts["actor.state_dict()"] = model.policy.actor.state_dict()
        for what, tree in parts.items():
            path = folder / f"{kind}-{what.strip('()')}.pt"
            torch.save(tree, path)
            yield Written(name=f"{kind}, {what}", path=path, policy=acts(model), overrides=HOPPER, actions_alone=True)
        path = folder / f"{kind}-policy-save.pt"
        model.policy.save(str(path))
        yield Written(name=f"{kind}, policy.save", path=path, refusal="store the state_dict()")  # it holds code


def trained(kind: str, task: Any, seed: int | None, **settings: Any) -> Any:
    """A model after a few hundred steps."""
    import sb3_contrib
    import stable_baselines3

    algorithm: Any = getattr(stable_baselines3, kind, None) or getattr(sb3_contrib, kind)
    options = {"policy": "MlpPolicy", "policy_kwargs": SMALL, **SETTINGS.get(kind, {}), **settings}
    options = copy.deepcopy(options)  # SB3 writes into policy_kwargs
    torch.manual_seed(0)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return algorithm(env=task, device="cpu", seed=seed, **options).learn(STEPS)


def saved(model: Any, folder: Path, name: str) -> Path:
    """In a folder of its own, named by the algorithm or as a callback names it."""
    place = folder / name.replace(", ", "-").replace("'", "").replace(" ", "-")
    place.mkdir()
    stem = name.partition(",")[0].replace(" ", "-")
    model.save(place / f"{stem}.zip")
    return place / f"{stem}.zip"


def acts(model: Any) -> Callable[[Rows], Any]:
    """Observations, normalised where that is needed → SB3's own deterministic action."""
    return lambda obs: model.predict(obs.astype(np.float32), deterministic=True)[0]
