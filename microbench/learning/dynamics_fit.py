"""Maximum-likelihood fit of the dynamics ensemble with bootstrap resamples, early stopping and elites.

Shapes: B batch, E ensemble, N training rows, H holdout rows, S obs.
"""

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.optim import Adam

from microbench.data.dataset import Transitions
from microbench.errors import UserError
from microbench.learning.dynamics import DynamicsEnsemble, Moments
from microbench.learning.networks import stacked

# ½ · wd · ‖W‖² per layer, MICRO reference
WEIGHT_DECAY = (2.5e-5, 5e-5, 7.5e-5, 7.5e-5, 1e-4)


@dataclass(frozen=True, kw_only=True)
class DynamicsConfig:
    """Hyperparameters of the fit; the defaults are those of the MICRO reference."""

    members: int = 7
    elites: int = 5
    hidden: tuple[int, ...] = (200, 200, 200, 200)
    lr: float = 1e-3
    batch: int = 256  # rows per member and step
    holdout_rows: int = 1000  # at most; and at most 20 % of the data
    patience: int = 5  # stop after so many epochs in which no member improved by 1 %
    max_epochs: int | None = None


@dataclass(frozen=True, kw_only=True)
class FitEpoch:
    """The report of one epoch of the fit: holdout MSE per member (E,) and the training loss."""

    epoch: int
    holdout: Tensor
    loss: float


def likelihood_loss(moments: Moments, target: Tensor) -> Tensor:
    """Twice the Gaussian negative log likelihood, Σ_E mean[(μ − y)² exp(−log σ²)] + mean[log σ²], y (E, B, S + 1)."""
    assert moments.mean.shape == target.shape
    residual = (moments.mean - target).square() * (-moments.log_var).exp()
    return (residual.mean((1, 2)) + moments.log_var.mean((1, 2))).sum()


def bounds_loss(model: DynamicsEnsemble) -> Tensor:
    """0.01 · (Σ max log σ² − Σ min log σ²), which keeps the learned bounds of the log variance tight."""
    return 0.01 * (model.max_log_var.sum() - model.min_log_var.sum())


@torch.no_grad()
def add_decay_gradient(model: DynamicsEnsemble) -> None:
    """Add the gradient of Σ_l ½ wd_l ‖W_l‖² in closed form, wd_l W_l, without building its graph."""
    for layer, decay in zip(stacked(model.layers), WEIGHT_DECAY, strict=True):
        assert layer.weight.grad is not None
        layer.weight.grad.add_(layer.weight, alpha=decay)


@torch.no_grad()
def holdout_errors(model: DynamicsEnsemble, inputs: Tensor, target: Tensor) -> Tensor:
    """Mean squared error of each member's mean on the holdout rows; inputs (H, S + A), target (H, S + 1) → (E,)."""
    moments: Moments = model(inputs)
    return (moments.mean - target).square().mean((1, 2))


class DynamicsFit:
    """The fit of a dynamics ensemble, one epoch at a time, so that it can be stored and resumed between any two.

    Every member has its own bootstrap resample of the training rows, reshuffled each epoch. A member's weights are
    kept whenever its holdout error falls by more than 1 %. The fit is over when no member improved for `patience`
    epochs. `finish` then restores every member's best weights and sets the model's elites.

    Raises:
        UserError: there are fewer than 10 rows, or (from `epoch`) the loss is not finite.

    """

    def __init__(
        self, model: DynamicsEnsemble, rows: Transitions, config: DynamicsConfig, generator: torch.Generator
    ) -> None:
        if len(rows) < 10:
            raise UserError(f"the dataset has {len(rows)} rows; a dynamics ensemble needs at least 10.")
        self.model, self.config, self.generator = model, config, generator
        train, holdout = _split(rows, config, generator)
        model.standardise_by(train)
        self._train, self._holdout = _supervised(model, train), _supervised(model, holdout)
        drawn = (model.members, len(train))
        self._resample = torch.randint(len(train), drawn, generator=generator, device=rows.reward.device)
        self._optimiser = Adam(model.parameters(), lr=config.lr, fused=True)
        self._best = [parameter.detach().clone() for parameter in model.layers.parameters()]
        self._best_errors = torch.full((model.members,), torch.inf, device=rows.reward.device)
        self._epoch = self._stale = 0

    @property
    def over(self) -> bool:
        """Whether no further epoch is due."""
        limit = self.config.max_epochs
        return self._stale >= self.config.patience or (limit is not None and self._epoch >= limit)

    def epoch(self) -> FitEpoch:
        """Train one pass over the resamples; members keep their new weights if their holdout error improved."""
        order = _shuffled(self._resample, self.generator)
        loss = _pass(self.model, self._optimiser, *self._train, order, self.config.batch)
        errors = holdout_errors(self.model, *self._holdout)
        self._epoch += 1
        if not (torch.isfinite(errors).all() and torch.isfinite(loss)):
            raise UserError(f"the dynamics fit diverged in epoch {self._epoch}: check the data's scale or its rate.")
        self._stale = 0 if self._keep_improved(errors) else self._stale + 1
        return FitEpoch(epoch=self._epoch, holdout=errors.cpu(), loss=float(loss))

    def _keep_improved(self, errors: Tensor) -> bool:
        improved = self._best_errors.isinf() | ((self._best_errors - errors) / self._best_errors > 0.01)
        self._best_errors = torch.where(improved, errors, self._best_errors)
        for kept, parameter in zip(self._best, self.model.layers.parameters(), strict=True):
            kept[improved] = parameter.detach()[improved]
        return bool(improved.any())

    @torch.no_grad()
    def finish(self) -> list[float]:
        """Restore every member's best weights, choose the elites, and return the holdout MSE of every member."""
        for kept, parameter in zip(self._best, self.model.layers.parameters(), strict=True):
            parameter.copy_(kept)
        errors = holdout_errors(self.model, *self._holdout)
        self.model.elites = errors.argsort(stable=True)[: self.config.elites].sort().values
        return [float(error) for error in errors]

    def state_dict(self) -> dict[str, Any]:
        """The values of everything that an epoch changes; the split and the resamples follow from the seed."""
        return {
            "model": self.model.state_dict(),
            "optimiser": self._optimiser.state_dict(),
            "generator": self.generator.get_state(),
            "best": self._best,
            "best_errors": self._best_errors,
            "epoch": self._epoch,
            "stale": self._stale,
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue where `state_dict` was taken."""
        self.model.load_state_dict(state["model"])
        self._optimiser.load_state_dict(state["optimiser"])
        self.generator.set_state(state["generator"])
        self._best, self._best_errors = state["best"], state["best_errors"]
        self._epoch, self._stale = state["epoch"], state["stale"]


def _pass(
    model: DynamicsEnsemble, optimiser: Adam, inputs: Tensor, target: Tensor, order: Tensor, batch: int
) -> Tensor:
    """Train one pass over the bootstrap resamples, order (E, N); returns the mean loss of its steps."""
    total = torch.zeros((), device=inputs.device)
    steps = torch.split(order, batch, dim=1)
    for index in steps:
        optimiser.zero_grad(set_to_none=True)
        loss = likelihood_loss(model(inputs[index]), target[index]) + bounds_loss(model)
        loss.backward()  # type: ignore[no-untyped-call]  # torch ships this method without annotations
        add_decay_gradient(model)
        optimiser.step()
        total += loss.detach()
    return total / len(steps)


def _supervised(model: DynamicsEnsemble, rows: Transitions) -> tuple[Tensor, Tensor]:
    """Standardised inputs (N, S + A) and targets (next_obs − obs, reward) (N, S + 1)."""
    return model.inputs(rows.obs, rows.action), torch.cat([rows.next_obs - rows.obs, rows.reward[:, None]], -1)


def _split(rows: Transitions, config: DynamicsConfig, generator: torch.Generator) -> tuple[Transitions, Transitions]:
    held = min(len(rows) // 5, config.holdout_rows)
    order = torch.randperm(len(rows), generator=generator, device=rows.reward.device)
    return rows[order[held:]], rows[order[:held]]


def _shuffled(resample: Tensor, generator: torch.Generator) -> Tensor:
    """Each member's rows (E, N) in a fresh order of its own."""
    keys = torch.rand(resample.shape, generator=generator, device=resample.device)
    return resample.gather(1, keys.argsort(1))
