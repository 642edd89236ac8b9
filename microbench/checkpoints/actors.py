"""Actors of many families: layers up to an output, sometimes a log std, and critics with the same activation."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from microbench.checkpoints import layers as nets
from microbench.checkpoints import unreadable
from microbench.checkpoints.containers.budget import pay
from microbench.checkpoints.layers import Function, Layer, Norm, UnknownPart
from microbench.checkpoints.statistics import read_statistics
from microbench.checkpoints.stored_policy import Choices, StoredPolicy
from microbench.checkpoints.written_out import written_out
from microbench.errors import UserError

Bounds = tuple[float, float]
UNNORMALISED = "none"  # --obs-stats none: the policy takes observations without normalisation


@dataclass(frozen=True, kw_only=True, eq=False)
class Actor:
    """Layers of an actor and the way in which its family uses them.

    chain    all layers up to the output; with `doubled` it has twice as many outputs as actions, the mean first.
    spread   the layer of the log std, or one row for all observations, or None.
    bounds   range to which the log std is clipped; with `soft`, low + (high − low)·(tanh + 1)/2 replaces the clipping.
    outer    the Gaussian is around the squashed output, not squashed itself.
    ranged   a stored row r stands for low + (high − low)·sigmoid(r) of `bounds`; it is not clipped.
    critics  layers of every critic, (obs, action) → 1; with `scaled` they take actions scaled to ±1.
    value    layers of V, obs → 1.
    """

    algorithm: str
    chain: Sequence[Layer]
    spread: Layer | Tensor | None = None
    doubled: bool = False
    bounds: Bounds = (-20.0, 2.0)
    soft: bool = False
    outer: bool = False
    ranged: bool = False
    affine: Bounds = (1.0, 0.0)  # of the stored log standard deviation: multiplier and offset
    critics: Sequence[Sequence[Layer]] = ()
    value: Sequence[Layer] = ()
    scaled: bool = False
    activation: str = "relu"
    stored_activation: str | None = None
    squash: str = "tanh"
    box: tuple[Tensor, Tensor] | None = None
    norm: Norm | None = None
    beside: tuple[bytes, ...] = ()
    about: Mapping[str, Any] | None = None
    robots: tuple[str, ...] = ()


def policy_of(actor: Actor, choices: Choices) -> StoredPolicy:
    """The stored policy of an actor: its functions built from its layers."""
    activation = choices.activation(actor.activation, actor.stored_activation)
    prepare: Function = nets.unchanged if actor.norm is None else actor.norm
    network = nets.after(prepare, nets.mlp(actor.chain, activation))
    sizes = nets.sizes(actor.chain)
    actions = sizes[-1] // 2 if actor.doubled else sizes[-1]
    critics = [nets.mlp(chain, activation) for chain in actor.critics if chain]
    return StoredPolicy(
        algorithm=actor.algorithm,
        obs_size=sizes[0],
        action_size=actions,
        head=(lambda seen: network(seen)[:, :actions]) if actor.doubled else network,
        squash=choices.squash(actor.squash),
        log_std=_log_std(actor, activation, prepare, network, actions),
        outer=actor.outer,
        critic=nets.smallest(critics, prepare) if critics else None,
        critics=nets.side_by_side(critics, prepare) if len(critics) > 1 else None,
        value=nets.value_of(actor.value, activation, prepare) if actor.value else None,
        scaled=actor.scaled,
        network=written_out(actor.chain, activation, actor.norm, actions=actions),
        norm=actor.norm,
        box=actor.box,
        robots=actor.robots,
        beside=actor.beside,
        about={"layers": sizes, "critics": len(critics), **(actor.about or {})},
    )


def _log_std(actor: Actor, activation: str, prepare: Function, network: Function, actions: int) -> Function | None:
    scale, offset = actor.affine
    if isinstance(actor.spread, Tensor):
        row, (low, high) = scale * actor.spread.float().reshape(-1) + offset, actor.bounds
        row = low + (high - low) * torch.sigmoid(row) if actor.ranged else row.clamp(low, high)
        return lambda seen: row.expand(len(seen), -1)
    if actor.doubled:
        return lambda seen: (scale * network(seen)[:, actions:] + offset).clamp(*actor.bounds)
    if actor.spread is None:
        return None
    trunk = nets.mlp(actor.chain[:-1], activation, last=True) if len(actor.chain) > 1 else nets.unchanged
    layer, (low, high) = actor.spread, actor.bounds

    def log_std(seen: Tensor) -> Tensor:
        raw = functional.linear(trunk(prepare(seen)), *layer)
        return low + 0.5 * (high - low) * (torch.tanh(raw) + 1) if actor.soft else raw.clamp(low, high)

    return log_std


def required_norm(
    choices: Choices, why: str, eps: float, clip: float = float("inf")
) -> tuple[Norm | None, tuple[bytes, ...]]:
    """The normalisation of a family that trains with statistics and does not store them, and the file's bytes.

    Raises:
        UserError: --obs-stats is missing; `none` counts as an answer.
    """
    file = choices.overrides.obs_stats
    if file is None:
        raise UserError(
            f"{choices.path} {why}; give them with --obs-stats FILE (JSON with mean and std, or the dataset's hdf5), "
            f"or --obs-stats none if it was trained without."
        )
    if str(file) == UNNORMALISED:
        choices.inferred["observations"] = "as they are: said on the command line"
        return None, ()
    stats = read_statistics(file)
    choices.inferred["observations"] = f"normalised with the statistics of {file.name}"
    return Norm(mean=stats.mean, std=stats.std + (stats.eps or eps), clip=min(stats.clip, clip)), (stats.raw,)


def members(tensors: Mapping[str, Tensor], prefix: str) -> dict[str, Tensor]:
    """The tensors whose names begin with a prefix, under their names without it."""
    pay(steps=len(tensors))
    return {name.removeprefix(prefix): value for name, value in tensors.items() if name.startswith(prefix)}


def only(tensors: Mapping[str, Tensor], known: Callable[[str], bool], what: str) -> None:
    """Raise UnknownPart if a network has a part that its family does not have, which would be left out silently."""
    strange = [name for name in tensors if not known(name)]
    if strange:
        raise UnknownPart(f"{unreadable.part(strange[0], tensors[strange[0]].shape)} in {what}")
