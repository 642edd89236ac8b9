"""The unit `rollout-std`: the standard deviation of each sensor in clean episodes of the policy itself.

It serves policies without statistics of a dataset. It depends on policy and task alone, because its episodes are always
the same.
"""

from contextlib import closing
from dataclasses import replace

import numpy as np
import torch
from torch import Tensor

from attacks import Target
from microbench.critics.rollouts import walk
from microbench.errors import UserError
from microbench.numerics.rows import one_thread
from microbench.seeds import ROLLOUT_STD
from microbench.simulators.contract import make_simulator, nominal_model
from microbench.tasks import Task

UNIT = "rollout-std"


def rollout_std(target: Target, task: Task) -> Tensor:
    """Standard deviation (S,) of each sensor over the clean episodes `seeds.ROLLOUT_STD`, in float32.

    All steps of all episodes count alike. A sensor that never moves has 0 and is closed to every attack, as under
    `dataset-std`.

    Raises:
        UserError: no sensor moves in any episode.
    """
    sensors = len(target.blank[0]) - len(target.start)
    with one_thread(), closing(make_simulator(task, [nominal_model(task)] * len(ROLLOUT_STD))) as simulator:
        steps = walk(target, simulator, ROLLOUT_STD, lambda time, ids, action: action)
        shown = [step.obs[:, :sensors].double().numpy() for step in steps]
    obs = np.concatenate(shown) if shown else np.zeros((0, sensors))
    if not len(obs) or not (moves := obs.max(0) > obs.min(0)).any():
        raise UserError(
            f"{UNIT} cannot be measured: in {len(ROLLOUT_STD)} clean episodes on {task.env_id} no sensor moves; "
            f"choose --unit raw, or give --obs-stats."
        )
    return torch.from_numpy(np.where(moves, obs.std(0), 0.0)).float()  # rounding may leave a still sensor some


def with_rollout_std(target: Target, task: Task) -> Target:
    """The target with the unit `rollout-std` added to its own.

    Raises:
        UserError: as `rollout_std`.
    """
    return replace(target, obs_scale={**target.obs_scale, UNIT: rollout_std(target, task)})
