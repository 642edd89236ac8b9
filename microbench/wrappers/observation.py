"""A wrapper that attacks observations. Shapes: S sensors, H memory of a recurrent policy or adversary."""

from typing import Any

import gymnasium
import numpy as np
import torch
from gymnasium.spaces import Box
from gymnasium.utils import RecordConstructorArgs
from numpy.typing import NDArray

from attacks import InWorld, Noise, Target
from microbench.episodes.loop import remembered
from microbench.errors import UserError
from microbench.evaluation.attacked import Attacked, Conditions, attacked, ball
from microbench.evaluation.plan import Cell
from microbench.numerics.rows import as_tensor, finite, one_thread
from microbench.tasks import TASKS, Task

Obs = NDArray[np.floating[Any]]
Env = gymnasium.Env[Any, Any]


class ObservationAttack(gymnasium.Wrapper[Any, Any, Any, Any], RecordConstructorArgs):
    """Returns adversarial observations in place of the true ones, on which the environment moves on.

    The first observation, of `reset`, is attacked as well. After `reset(seed=…)` and under equal actions an episode
    equals the evaluator's episode of that seed, bit for bit. A `reset` without a seed continues the attack's random
    numbers. `info["clean_obs"]` is the true observation. The wrapper projects onto the budget, whatever the attack
    returns. An observation that is not finite is not attacked. A target has no file, so nothing checks whether a
    learned adversary was trained against this policy.

    Args:
        env: an environment with observations (S,) in a `Box`.
        target: the policy under attack and the attacker's knowledge of it (a checkpoint's `target`).
        attack: a name with its settings and sensors, as `pgd(steps=50)@2+5`.
        eps: the budget, in `unit` and in the `norm` linf or l2.
        unit: dataset-std, policy-norm, rollout-std, raw or range, as far as the target offers it.
            `microbench.evaluation.rollout_std.with_rollout_std(target, task)` adds rollout-std to a target.
        norm: linf or l2, or `linf,in-range` to stay within the range of the data.

    Raises:
        UserError: the observations are no vectors of the target's size, or the attack needs a simulator.
        ValueError: attack, sensor, unit or norm is unknown, or there is no budget.
    """

    def __init__(
        self,
        env: Env,
        target: Target,
        attack: str = "pgd",
        eps: float = 0.1,
        unit: str = "dataset-std",
        norm: str = "linf",
    ) -> None:
        RecordConstructorArgs.__init__(
            self, target=target, attack=attack, eps=float(eps), unit=unit, norm=norm, _disable_deepcopy=True
        )
        gymnasium.Wrapper.__init__(self, env)
        space = env.observation_space
        if not isinstance(space, Box) or space.shape != target.scale(unit).shape:
            raise UserError(
                f"the observations of {env} are {space}, the target has {len(target.scale(unit))}; attack the "
                "environment for which the policy was made."
            )
        norm, in_range = ball(norm)
        conditions = Conditions(env_id=_task(env).env_id, unit=unit, norm=norm, in_range=in_range)
        self._under = attacked(target, _task(env), conditions, [Cell(attack=attack, eps=eps)])
        if isinstance(self._under.attack, InWorld):
            raise UserError(
                f"{attack} needs copies of the world, which Gymnasium cannot make; choose another attack, for example "
                "pgd."
            )
        self.observation_space = _widened(space, self._under)
        self._noise: Noise | None = None
        self._memory = torch.zeros(1, 0)

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[Obs, dict[str, Any]]:
        """Begin an episode; its first observation is attacked as well."""
        obs, info = self.env.reset(seed=seed, options=options)
        if seed is not None:
            self._noise = Noise.from_seeds([seed])
        elif self._noise is None:
            self._noise = Noise([np.random.default_rng()])
        self._memory = self._under.target.start[None]
        return self._attacked(obs), info | {"clean_obs": obs}

    def step(self, action: Any) -> tuple[Obs, Any, bool, bool, dict[str, Any]]:
        """Step the environment with the action; only the observation is attacked."""
        obs, reward, terminated, truncated, info = self.env.step(action)
        return self._attacked(obs), reward, terminated, truncated, info | {"clean_obs": obs}

    def _attacked(self, obs: Obs) -> Obs:
        """The adversarial observation for obs (S,), in its dtype; sensors that are not attacked keep all digits."""
        attack, target, threat = self._under.attack, self._under.target, self._under.threat
        sensed = as_tensor(obs[None].astype(np.float64))
        if attack is None or threat is None or self._noise is None or not finite(sensed.numpy()).all():
            return obs
        clean = torch.cat([sensed, self._memory], 1)
        with one_thread():
            seen = threat.project(clean, attack(target, clean.clone(), threat, self._noise))
            self._memory = remembered(target, seen, clean)
        assert bool(threat.inside(clean, seen).all()), "an observation left the attack's budget"
        shown, true = (rows[0, : len(obs)].numpy() for rows in (seen, clean))
        return np.where(shown == true, obs, shown).astype(obs.dtype)


def _task(env: Env) -> Task:
    """The environment's task; outside the table a record of its sizes alone, so sensors have numbers as names."""
    env_id = "" if env.spec is None else env.spec.id
    if env_id in TASKS:
        return TASKS[env_id]
    sizes = [int(np.prod(space.shape or (0,))) for space in (env.observation_space, env.action_space)]
    return Task(env_id=env_id, obs_size=sizes[0], action_size=sizes[1])


def _widened(space: Box, under: Attacked) -> Box:
    """The space of adversarial observations: the environment's, widened by the budget."""
    assert under.threat is not None
    half = under.threat.half_width[0, : space.shape[0]].double().numpy()
    room = half + np.finfo(np.float32).eps * (half + np.abs(np.nan_to_num(space.high, posinf=0.0)))  # of float32
    low, high = space.low - room, space.high + room
    return Box(low.astype(space.dtype), high.astype(space.dtype), dtype=space.dtype)
