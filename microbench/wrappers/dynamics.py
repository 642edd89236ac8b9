"""A wrapper that perturbs physics and signals of an environment, with factors drawn at every reset from ranges."""

import copy
import math
from collections.abc import Sequence
from typing import Any

import gymnasium
import numpy as np
from gymnasium.spaces import Box, Dict
from gymnasium.utils import RecordConstructorArgs
from mujoco import MjModel
from numpy.typing import NDArray

import perturbations
from microbench.episodes.disturbed import Disturbances
from microbench.errors import UserError
from microbench.evaluation.perturbed import stream
from microbench.seeds import Stream
from microbench.simulators.fallback import mujoco_part, replace_model
from perturbations import Change, Setting

ROW = np.zeros(1, np.int64)
Obs = NDArray[np.floating[Any]]
Env = gymnasium.Env[Any, Any]


class PerturbedDynamics(gymnasium.Wrapper[Any, Any, Any, Any], RecordConstructorArgs):
    """Perturbs the physics of a MuJoCo environment and the signals between it and the policy.

    `"mass=1.3,friction@foot=0.7,latency=1"` is the same in every episode. After `reset(seed=…)` and under equal
    actions the episode equals the evaluator's episode of that seed, bit for bit. `"mass=0.8:1.2"` is drawn uniformly
    at every reset and always applied to the nominal physics, so nothing compounds. `reset` returns the drawn factors
    as `info["perturbation"]`. With disturbances, actions are clipped to the actuators' range, as the evaluator does.

    Args:
        env: an environment that runs on MuJoCo, or has a part that does, as the mazes of gymnasium-robotics.
        perturbation: names with factors, or with ranges LOW:HIGH, joined by commas.
        obs_scale: (S,) the raw size of one unit per sensor, for perturbations that begin with `sensor-`.

    Raises:
        UserError: the environment does not run on MuJoCo, a range is invalid, or sensors lack an `obs_scale`.
        ValueError: a perturbation is unknown, its factor is out of range, or the model does not have its part.
    """

    def __init__(self, env: Env, perturbation: str, obs_scale: Sequence[float] | Obs | None = None) -> None:
        per_sensor = None if obs_scale is None else np.asarray(obs_scale, np.float64)
        recorded = None if per_sensor is None else per_sensor.tolist()  # a list, because JSON has no arrays
        RecordConstructorArgs.__init__(self, perturbation=perturbation, obs_scale=recorded)
        gymnasium.Wrapper.__init__(self, env)
        self._nominal = copy.deepcopy(_model(env))
        self._ranges = _ranges(perturbation)
        for end in (0, 1):  # now, so that a mistake raises before an episode
            perturbations.parse(_text(self._ranges, end))(self._nominal)
        self._obs_scale = per_sensor
        self._check_scale(perturbation)
        self._rng: np.random.Generator | None = None
        self._installed: tuple[str, MjModel | None] = ("", None)
        self._signals = Disturbances([()])

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[Obs, dict[str, Any]]:
        """Draw the factors, install the perturbed physics and begin an episode."""
        if seed is not None or self._rng is None:
            self._rng = np.random.default_rng(None if seed is None else np.random.SeedSequence((seed, Stream.FACTORS)))
        text = _text(self._ranges, None, self._rng)
        change = perturbations.parse(text)
        self._install(text, change)
        self._signals = self._disturbed(change, int(self._rng.integers(2**31)) if seed is None else seed)
        obs, info = self.env.reset(seed=seed, options=options)
        return self._seen(obs), info | {"perturbation": text}

    def step(self, action: Any) -> tuple[Obs, Any, bool, bool, dict[str, Any]]:
        """Step the perturbed environment with the action that the actuators receive."""
        if not self._signals.is_empty:
            space = self.action_space
            assert isinstance(space, Box)
            cut = np.clip(np.asarray(action, np.float32), space.low, space.high).astype(np.float32)
            action = self._signals.executed(cut[None], ROW)[0]
        wrench, data = self._signals.wrench(ROW), _data(self.env)
        if wrench is not None:
            data.xfrc_applied[:] = wrench[0]
        obs, reward, terminated, truncated, info = self.env.step(action)
        if wrench is not None:
            data.xfrc_applied[:] = 0.0
        if not data.time > 0:
            raise UserError(f"{self.env} does not step the model it was given: its physics cannot be perturbed.")
        return self._seen(obs), reward, terminated, truncated, info

    def _seen(self, obs: Any) -> Any:
        """The observation with sensor disturbances; none may apply to a dictionary, which is returned unchanged."""
        if self._signals.is_empty or isinstance(obs, dict):
            return obs
        seen: Obs = self._signals.seen(obs[None].astype(np.float64), ROW)[0].astype(obs.dtype)
        return seen

    def _install(self, text: str, change: Change) -> None:
        """Put the perturbed model into the environment unless it is there; a copied environment has its own."""
        if self._installed[0] != text or self._installed[1] is not _model(self.env):
            replace_model(self.env, change(self._nominal))
            self._installed = (text, _model(self.env))

    def _disturbed(self, change: Change, seed: int) -> Disturbances:
        disturbances = []
        for name, disturbance in change.disturbances:
            space = self.action_space
            assert isinstance(space, Box)
            setting = Setting(
                model=_model(self.env),
                obs_scale=np.empty(0) if self._obs_scale is None else self._obs_scale,
                action_low=space.low.astype(np.float32),
                action_high=space.high.astype(np.float32),
                dt=float(getattr(mujoco_part(self.env), "dt", math.nan)),
                rng=stream(seed, name),
            )
            disturbances.append(disturbance(setting))
        return Disturbances([disturbances])

    def _check_scale(self, perturbation: str) -> None:
        """Check that disturbed sensors have a unit, and unbound the observation space."""
        names, space = [name for name, _, _ in self._ranges], self.observation_space
        disturbed = [name for name in names if perturbations.needs_scale(name)]
        if isinstance(space, Dict) and disturbed:
            raise UserError(
                f"the observations of {self.env} are a dictionary, in which {disturbed[0]} disturbs nothing; put "
                f"gymnasium.wrappers.FlattenObservation around it first."
            )
        if not any(perturbations.needs_scale(name) and ":" not in name for name in names):
            return
        if not isinstance(space, Box) or self._obs_scale is None or self._obs_scale.shape != space.shape:
            raise UserError(
                f"'{perturbation}' disturbs sensors, whose noise is measured per sensor: give obs_scale of shape "
                f"{space.shape}, for example the std of a dataset's observations."
            )
        self.observation_space = Box(-np.inf, np.inf, space.shape, space.dtype)


def _ranges(text: str) -> list[tuple[str, float, float]]:
    """(name with its parts, low, high) of every item; raises UserError for an invalid range."""
    ranges = []
    for item in text.split(","):
        name, _, factors = item.rpartition("=")
        low, colon, high = factors.partition(":")
        try:
            ends = float(low), float(high if colon else low)
        except ValueError:
            ends = math.nan, math.nan
        if not name.strip() or not -math.inf < ends[0] <= ends[1] < math.inf:
            raise UserError(f"'{item}' is no perturbation; write them as mass=1.2,friction=0.8:1.2.")
        ranges.append((name.strip(), *ends))
    return ranges


def _text(ranges: list[tuple[str, float, float]], end: int | None, rng: np.random.Generator | None = None) -> str:
    """The text of the perturbation at one end of all ranges, or at a point drawn from them."""
    factors = []
    for _, low, high in ranges:
        if low == high:
            factors.append(low)
        elif rng is None:
            factors.append(high if end else low)
        else:
            factors.append(float(perturbations.uniform([(low, high)], 1, rng)[0, 0]))
    return ",".join(f"{name}={factor:.12g}" for (name, _, _), factor in zip(ranges, factors, strict=True))


def _model(env: Env) -> MjModel:
    part = mujoco_part(env)
    if part is None:
        shown = isinstance(getattr(env.unwrapped, "model", None), MjModel)
        why = "does not let its MuJoCo model be replaced" if shown else "does not run on MuJoCo"
        raise UserError(f"{env} {why}: its physics cannot be perturbed.")
    model: MjModel = part.model
    return model


def _data(env: Env) -> Any:
    return mujoco_part(env).data
