"""The MICRO authors' own code, from a checkout that is given by path, ready to be timed beside ours."""

import random
import sys
import types
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from microbench.data.dataset import Dataset
from microbench.learning.config import TrainConfig


@dataclass(frozen=True, kw_only=True)
class Reference:
    """Its policy with both buffers, and the settings that its trainer would read."""

    config: TrainConfig
    policy: Any
    real: Any
    fake: Any

    def update(self) -> None:
        """Draw a batch and learn from it."""
        real = self.config.real_rows
        self.policy.learn({"real": self.real.sample(real), "fake": self.fake.sample(self.config.batch - real)})

    def imagine(self) -> None:
        """One rollout into the model buffer."""
        starts = self.real.sample(self.config.rollout_batch)["observations"].cpu().numpy()
        self.fake.add_batch(**self.policy.rollout(starts, self.config.rollout_length)[0])

    def fit(self, inputs: NDArray[np.float32], targets: NDArray[np.float32]) -> None:
        """A step of the dynamics' optimiser for every batch in (E, rows, ·)."""
        self.policy.dynamics.learn(inputs, targets, self.config.dynamics_batch)


def make(checkout: Path, dataset: Dataset, config: TrainConfig, device: str = "cpu") -> Reference:
    """The reference with our settings on our rows, its dynamics unfitted, its model buffer filled once.

    No imagined row ever ends, so that the work does not depend on the weights.
    """
    parts = import_parts(checkout)
    seed_everything(0)
    obs_size, action_size = dataset.obs.shape[1], dataset.action.shape[1]
    policy, _, dynamics = make_policy(parts, config, obs_size, action_size, device)
    dynamics.terminal_fn = lambda obs, action, next_obs: np.zeros((len(obs), 1), bool)
    dynamics.scaler.fit(np.concatenate([dataset.obs, dataset.action], 1))
    real, fake = make_buffers(parts, dataset, config, device)
    trained = Reference(config=config, policy=policy, real=real, fake=fake)
    trained.imagine()
    return trained


def seed_everything(seed: int) -> None:
    """Seed the global generators, from which the reference draws."""
    random.seed(seed)
    np.random.seed(seed)  # noqa: NPY002  # as above
    torch.manual_seed(seed)


def make_buffers(parts: dict[str, Any], dataset: Dataset, config: TrainConfig, device: str = "cpu") -> tuple[Any, Any]:
    """Its buffer of the logged rows, and an empty one for imagined rows, whose samples go to the device."""
    sizes = dataset.obs.shape[1], dataset.action.shape[1]
    real, fake = (
        parts["ReplayBuffer"](rows, (sizes[0],), np.float32, sizes[1], np.float32, device)
        for rows in (len(dataset), config.rollout_batch * config.rollout_length * config.retain)
    )
    names = {"observations": "obs", "actions": "action", "next_observations": "next_obs", "rewards": "reward"}
    logged = {theirs: getattr(dataset, ours) for theirs, ours in names.items()}
    real.load_dataset(logged | {"terminals": dataset.terminal})
    return real, fake


def make_policy(
    parts: dict[str, Any], config: TrainConfig, obs_size: int, action_size: int, device: str = "cpu"
) -> tuple[Any, Any, Any]:
    """The policy with its networks and optimisers, the actor's optimiser, and the dynamics."""
    hidden = list(config.hidden)
    backbone = parts["MLP"](input_dim=obs_size, hidden_dims=hidden)
    head = parts["TanhDiagGaussian"](
        latent_dim=backbone.output_dim, output_dim=action_size, unbounded=True, conditioned_sigma=True
    )
    actor = parts["ActorProb"](backbone, head, device)
    critics = torch.nn.ModuleList(
        parts["Critic"](parts["MLP"](input_dim=obs_size + action_size, hidden_dims=hidden), device) for _ in range(2)
    )
    model = parts["EnsembleDynamicsModel"](
        obs_dim=obs_size,
        action_dim=action_size,
        hidden_dims=list(config.dynamics_hidden),
        num_ensemble=config.members,
        num_elites=config.elites,
        weight_decays=[2.5e-5, 5e-5, 7.5e-5, 7.5e-5, 1e-4],
        device=device,
    )
    optimiser = torch.optim.Adam(model.parameters(), lr=config.dynamics_lr)
    dynamics = parts["EnsembleDynamics"](model, optimiser, parts["StandardScaler"](), parts["hopper"])
    actor_optimiser = torch.optim.Adam(actor.parameters(), lr=config.actor_lr)
    policy = parts["MICROPolicy"](
        dynamics,
        actor,
        critics,
        actor_optimiser,
        torch.optim.Adam(critics.parameters(), lr=config.critic_lr),
        tau=config.tau,
        gamma=config.gamma,
        alpha=config.alpha,
        penalty_coef=config.beta,
        num_samples=config.samples,
        deterministic_backup=config.deterministic_backup,
    )
    return policy, actor_optimiser, dynamics


def import_parts(checkout: Path) -> dict[str, Any]:
    """What is used of the reference; packages that it imports but that are not needed here are empty."""
    for name in ("gym", "gym.envs", "gym.envs.mujoco", "gym.envs.mujoco.mujoco_env", "d4rl"):
        sys.modules.setdefault(name, _Anything(name))
    sys.modules.setdefault("utils.logger", _Anything("utils.logger"))
    sys.path.insert(0, str(checkout))
    wanted = {
        "models.nets": ("MLP",),
        "models.dist": ("TanhDiagGaussian",),
        "models.actor_critic": ("ActorProb", "Critic"),
        "models.dynamics_model": ("EnsembleDynamicsModel",),
        "dynamics": ("EnsembleDynamics",),
        "utils.scaler": ("StandardScaler",),
        "utils.buffer": ("ReplayBuffer",),
        "policies": ("MICROPolicy",),
    }
    names_of_module: dict[str, Any] = {}
    for module, names in wanted.items():
        loaded = __import__(module, fromlist=list(names))
        names_of_module |= {name: getattr(loaded, name) for name in names}
    names_of_module["hopper"] = __import__("utils.termination_fns", fromlist=["x"]).termination_fn_hopper
    return names_of_module


class _Anything(types.ModuleType):
    """A module in which every name is another one."""

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        return _Anything(name)

    def __mro_entries__(self, bases: tuple[Any, ...]) -> tuple[type, ...]:
        return (object,)  # where it is a base class


def nothing(*_: Any, **__: Any) -> None:
    """What the reference logs is not wanted."""
