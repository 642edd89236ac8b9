"""Policies stored as programs (TorchScript, ONNX), with the trial runs that each must pass.

A reader turns a program into one function that applies whitelisted operators to the tensors of the file. Here it first
runs on shapes alone, so that a result that would fill the memory is never computed. Then it runs on a few rows: every
row's action must depend on its own observation only. Operators are paid for by their number and their work.
"""

import itertools
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import torch
from torch import Tensor

from microbench.checkpoints.actors import UNNORMALISED
from microbench.checkpoints.containers.budget import Exhausted, accounted, pay
from microbench.checkpoints.containers.damage import DAMAGE, Strange, telling
from microbench.checkpoints.layers import Function, Norm, after
from microbench.checkpoints.statistics import read_statistics
from microbench.checkpoints.stored_policy import Choices, StoredPolicy
from microbench.errors import UserError
from microbench.tasks import TASKS

MOST_NUMBERS, MOST_IN_ALL = 2**22, 2**25  # numbers in one result of a program and in all results, for two rows
MOST_PER_ROW = 2**19  # numbers that one more observation may add
MOST_INTEGERS = 1024  # in a tensor of shapes, axes or indices
MOST_TOGETHER = 2**20  # in the broadcast result of several such tensors
MOST_PIECES = 1024  # of a tensor that is split
WORK = 256  # multiplications per step of the account
CALL, STORED, WITHOUT_NUMBERS = 20, 50, 800  # steps of an operator, of a stored tensor, and of a run on shapes alone
MOST_SIZES = 50
ROWS = (3, 5)


class Settle(Protocol):
    """A function that every tensor of a program passes through, computed or stored."""

    def __call__(self, value: Tensor, *, stored: bool = False) -> Tensor:
        """The tensor itself, or one without numbers in its place; ValueError if there are too many numbers."""
        ...


@dataclass(frozen=True, kw_only=True, eq=False)
class Program:
    """A program that a reader has parsed.

    run    obs (B, S), settle or None → outputs; every stored or computed tensor passes through `settle`
    sizes  candidates for S; later only those remain for which the program runs
    names  names of the outputs, if they have some
    """

    run: Callable[[Tensor, Settle | None], Sequence[Any]]
    sizes: Iterable[int]
    names: Sequence[str] = ()
    about: Mapping[str, Any] = field(default_factory=dict)


def policy_of(family: str, program: Program, choices: Choices) -> StoredPolicy:
    """The stored policy of a program: its first output with a row for every observation is the action.

    Raises:
        Strange: an operator is not supported, or the output changes from call to call.
        UserError: several numbers of sensors fit, or --activation is set, which has no meaning for a program.
        ValueError: no number of sensors fits, or the results are too large.
    """
    if choices.overrides.activation is not None:
        raise UserError(f"{choices.path} says its own activation; leave --activation out.")
    with accounted(0):
        size, number, actions = _sizes(program, choices)
        _check_growth(program, size)
    task = TASKS.get(choices.overrides.env_id or "")
    if task is not None and actions != task.action_size:
        raise UserError(
            f"{choices.path} is a program that gives {actions} numbers, {task.env_id} takes {task.action_size}; "
            f"wrap it as a module:callable that gives actions."
        )
    network = _by_rows(_chosen(program, number), size, actions, choices.path)
    norm, beside = _normalisation(choices)
    choices.inferred["output"] = _output(program.names, number)
    return StoredPolicy(
        algorithm=family,
        obs_size=size,
        action_size=actions,
        head=network if norm is None else after(norm, network),
        squash=choices.squash("none"),
        norm=norm,
        beside=beside,
        about={"layers": [size, "program", actions], **program.about},
    )


def _chosen(program: Program, number: int) -> Function:
    def run(obs: Tensor) -> Tensor:
        action: Tensor = program.run(obs.float(), None)[number]
        return action.float()

    return run


class Large(ValueError):
    """A program's results would fill the memory."""


class _Shapes:
    """Replaces tensors by ones without numbers, except integers, which decide shapes; ValueError for too many."""

    def __init__(self) -> None:
        self.total = 0

    def __call__(self, value: Tensor, *, stored: bool = False) -> Tensor:
        self.total += 0 if stored else value.numel()
        if (not stored and value.numel() > MOST_NUMBERS) or self.total > MOST_IN_ALL:
            raise Large("a program whose results are larger than those of a policy")
        pay(steps=(STORED if stored else WITHOUT_NUMBERS) + value.numel() // 1000)
        if value.is_floating_point() or value.dtype == torch.bool:
            return value.to("meta")
        if value.numel() > MOST_INTEGERS:
            raise ValueError("a program that computes with many integers")
        return value


def called(operator: Callable[..., Any], *arguments: Any, **named: Any) -> Any:
    """The result of an operator, which is paid for first. Integers are bounded, because they are really computed.

    Raises:
        ValueError: the integers' broadcast result would fill the memory.
    """
    values = [part for value in arguments for part in (value if isinstance(value, (list, tuple)) else [value])]
    pay(steps=CALL + len(values))
    integers = [
        value
        for value in values
        if isinstance(value, Tensor) and not value.is_floating_point() and value.dtype != torch.bool
    ]
    if len(integers) > 1:
        sizes = itertools.zip_longest(*(value.shape[::-1] for value in integers), fillvalue=1)
        if max(math.prod(map(max, sizes)), sum(value.numel() for value in integers)) > MOST_TOGETHER:
            raise ValueError("a program that computes with many integers")
    return operator(*arguments, **named)


def product(x: Tensor, y: Tensor) -> Tensor:
    """The matrix product x @ y, paid for by its work, because a small result may be much work."""
    result = torch.matmul(x, y)
    pay(steps=result.numel() * x.shape[-1] // WORK)
    return result


def pieces(count: int) -> None:
    """Raise ValueError if a tensor would be split into more pieces than a policy needs: every piece is an object."""
    if not 0 <= count <= MOST_PIECES:
        raise ValueError("a tensor that is cut into too many pieces")


def _sizes(program: Program, choices: Choices) -> tuple[int, int, int]:
    """The number of sensors, the number of the output that is the action, and the action's size."""
    why = ["nothing that is an action"]
    sizes = sorted(set(program.sizes))
    if len(sizes) > MOST_SIZES:
        raise ValueError("a program with tensors of more sizes than a policy has")
    fitting = {size: fit for size in sizes if (fit := _fits(program, size, why))}
    if len(fitting) > 1:
        fitting.pop(1, None)  # one number would broadcast to all inputs
    task = TASKS.get(choices.overrides.env_id or "")
    if len(fitting) > 1 and task is not None and task.obs_size in fitting:
        fitting = {task.obs_size: fitting[task.obs_size]}
    if len(fitting) > 1:
        raise UserError(
            f"{choices.path} is a program that takes {', '.join(map(str, fitting))} observations; say with --env which "
            f"task it was trained for."
        )
    if not fitting:
        raise ValueError(f"a program that runs for no number of observations: {why[-1]}")
    ((size, (number, actions)),) = fitting.items()
    return size, number, actions


def _fits(program: Program, size: int, why: list[str]) -> tuple[int, int] | None:
    """Number and size of the action's output for this many sensors; None if the program does not run."""
    for rows in (2, 1):  # some are written for one row only
        try:
            outputs = program.run(torch.zeros(rows, size, device="meta"), _Shapes())
        except (Strange, Exhausted):
            raise
        except DAMAGE as error:
            why.append(str(error) or type(error).__name__)
            continue
        for number, value in enumerate(outputs):
            if isinstance(value, Tensor) and value.ndim == 2 and len(value) == rows and value.shape[1] > 0:
                return (number, value.shape[1]) if value.is_meta and value.is_floating_point() else None
    return None


def _check_growth(program: Program, size: int) -> None:
    """Raise ValueError if each observation adds more numbers than a policy computes, because batches are large."""
    totals = []
    for rows in (2, 4):
        shapes = _Shapes()
        try:
            program.run(torch.zeros(rows, size, device="meta"), shapes)
        except (Exhausted, Large):
            raise
        except DAMAGE:
            return  # written for one row, so never more than one is given
        totals.append(shapes.total)
    if totals[1] - totals[0] > 2 * MOST_PER_ROW:
        raise Large("a program whose results are larger than those of a policy")


def _by_rows(run: Function, size: int, actions: int, path: Path) -> Function:
    """The program itself if its rows are independent, else a function that applies it row by row.

    Raises:
        Strange: the same row has another action in a second call.
    """

    def alone(seen: Tensor) -> Tensor:
        return torch.cat([run(row).reshape(1, actions) for row in torch.split(seen, 1)])

    whole = True
    for rows in ROWS:
        obs = torch.randn(rows, size, generator=torch.Generator().manual_seed(0))
        expected = alone(obs)
        if not alone(obs).equal(expected):
            raise Strange("an outcome that changes from call to call")
        try:
            together = run(obs)
        except Exhausted:
            raise
        except DAMAGE:
            whole = False
            continue
        same = together.shape == expected.shape and torch.allclose(together, expected, rtol=1e-4, atol=1e-5)
        whole = whole and same
    return _guarded(run if whole else alone, path)


def _guarded(run: Function, path: Path) -> Function:
    """The program with exceptions for some observations turned into a UserError that names the file."""

    def guarded(obs: Tensor) -> Tensor:
        with telling(path, "a policy for all observations"):
            return run(obs)

    return guarded


def _normalisation(choices: Choices) -> tuple[Norm | None, tuple[bytes, ...]]:
    """The normalisation before the program from --obs-stats if that has "policy": true, else none."""
    file = choices.overrides.obs_stats
    choices.inferred["observations"] = "as the program takes them: it may normalise them itself"
    if file is None or str(file) == UNNORMALISED:
        return None, ()
    stats = read_statistics(file)
    if not stats.policy:
        return None, ()
    choices.inferred["observations"] = f"normalised with the statistics of {file.name}, then given to the program"
    return stats.norm, (stats.raw,)


def _output(names: Sequence[str], number: int) -> str:
    named = f" ({names[number]:.40})" if number < len(names) else ""
    return f"output {number + 1}{named} is taken as the action"
