"""What attacks a chunk of episodes: from the text of an attack and a budget per row to an `Attack` and its `Threat`."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from torch import Tensor

import attacks
from attacks import Attack, Target, Threat
from attacks.language import parse
from microbench.adversaries.learned import Learned
from microbench.adversaries.loading import PREFIX, Adversary, load_adversary
from microbench.checkpoints import Checkpoint
from microbench.critics.choosing import FileCritic, asking, asks_critic, judge, judged_by, named, split
from microbench.errors import UserError, unknown_name
from microbench.evaluation.plan import Cell
from microbench.evaluation.sensors import EACH, chosen, sensor_names
from microbench.tasks import Task
from reports.study.worst import WORST

IN_RANGE = "in-range"


@dataclass(frozen=True, kw_only=True)
class Conditions:
    """What all cells of an evaluation share: the task that is simulated, and how a budget is measured."""

    env_id: str
    unit: str = "dataset-std"
    norm: str = "linf"
    in_range: bool = False  # whether attacked observations stay within the range of the dataset's
    scale: tuple[float, ...] | None = None  # the raw size (S,) of one unit that was measured and is in no policy file

    @property
    def norm_column(self) -> str:
        """The norm as results name it: `linf`, or `linf,in-range`."""
        return f"{self.norm},{IN_RANGE}" if self.in_range else self.norm

    def of(self, target: Target) -> Target:
        """The target with the unit that was measured, if one was."""
        if self.scale is None:
            return target
        return replace(target, obs_scale={**target.obs_scale, self.unit: torch.tensor(self.scale)})


@dataclass(frozen=True, kw_only=True, eq=False)
class Attacked:
    """The target as the attack sees it, the attack, and the budget per row (B, 1); None for clean rows.

    `poor_critic` says that the attack asks a fitted critic that its own report warns of.
    """

    target: Target
    attack: Attack | None = None
    threat: Threat | None = None
    poor_critic: bool = False


def ball(norm: str) -> tuple[str, bool]:
    """`linf,in-range` → the norm, and whether observations stay within the range of the data.

    Raises:
        UserError: another norm, or something else after it.
    """
    name, comma, rest = norm.partition(",")
    if name not in attacks.NORMS:
        raise unknown_name("norm", name, attacks.NORMS)
    if comma and rest != IN_RANGE:
        raise UserError(
            f"'{norm}' is no norm; expected {' or '.join(attacks.NORMS)}, alone or followed by ,{IN_RANGE}."
        )
    return name, bool(comma)


def find_attack(text: str) -> Attack:
    """A built-in attack, anybody's as module:name, or a learned adversary as adversary:FILE.

    Raises:
        ValueError: there is none of that name, or the file holds no such adversary.
    """
    if text.startswith(PREFIX):
        return load_adversary(Path(text.removeprefix(PREFIX)))
    return attacks.resolve(str(split(parse(text))[0]))


def check_victim(attack: Attack | None, checkpoint: Checkpoint, conditions: Conditions) -> None:
    """Raise UserError for an adversary of ours that was trained against another policy, or in another unit or norm."""
    if isinstance(attack, Learned):
        attack.check(checkpoint.sha256, conditions.unit, conditions.norm)


def sensors_of(text: str) -> tuple[str, ...]:
    """The only sensors that the attack of this text may touch; empty for all of them."""
    return () if text.startswith(PREFIX) else parse(text).sensors


def judge_of(text: str, task: Task, target: Target) -> FileCritic | None:
    """The critic that the text names in place of the target's own; None if it names none.

    Raises:
        UserError: there is no such critic, or it is of another task.
    """
    file = None if text.startswith(PREFIX) else file_of(text)
    return None if file is None else judge(file, task, target)


def file_of(text: str) -> str | None:
    """The file that an attack's text names: of a learned adversary, or of the critic that it asks."""
    return text.removeprefix(PREFIX) if text.startswith(PREFIX) else split(parse(text))[1]


def with_file(text: str, file: str) -> str:
    """The text of an attack that names a file, with this one in its place."""
    return f"{PREFIX}{file}" if text.startswith(PREFIX) else str(asking(parse(text), file))


def with_critics(cells: Sequence[Cell], critics: Sequence[str], target: Target) -> list[Cell]:
    """The cells, every attack that asks a critic put once for each of them: files, or `own` for the checkpoint's."""
    texts = {text: [text] for text in dict.fromkeys(cell.attack for cell in cells)}
    for text in texts if critics else ():
        fixed = text in ("none", WORST) or text.startswith(PREFIX)
        if not fixed and asks_critic(find_attack(text), target):
            texts[text] = named(text, critics)
    return [replace(cell, attack=text) for cell in cells for text in texts[cell.attack]]


def each_sensor(task: Task, cells: Sequence[Cell]) -> list[Cell]:
    """The cells, every attack on `@each` put as one on each sensor of the task.

    Raises:
        ValueError: an attack or a sensor that cannot be read.
    """
    expanded = []
    for cell in cells:
        sensors = sensors_of(cell.attack)
        if sensors == (EACH,):
            spec = parse(cell.attack)
            expanded += [replace(cell, attack=str(replace(spec, sensors=(name,)))) for name in sensor_names(task)]
        else:
            if sensors:
                chosen(task, sensors)  # now, so that a sensor that the task lacks is refused at once
            expanded.append(cell)
    return expanded


def attacked(target: Target, task: Task, conditions: Conditions, cells: Sequence[Cell]) -> Attacked:
    """What a chunk attacks, its attack, and the budget per row (B, 1); a chunk holds one attack only.

    Raises:
        ValueError: an unknown attack, sensor or unit, or one that this policy cannot serve.
    """
    (text,) = {cell.attack for cell in cells}
    if text == "none":
        return Attacked(target=target)
    attack = find_attack(text)
    judged = judge_of(text, task, target)
    if judged is not None:
        target = judged_by(target, judged)
    if isinstance(attack, Adversary):
        target = attack.remembering(target)
    eps = torch.tensor([[cell.eps] for cell in cells], dtype=torch.float32)
    scale = target.open_scale(conditions.unit)
    if sensors := sensors_of(text):
        marked = torch.from_numpy(chosen(task, sensors))
        scale = torch.where(torch.cat([marked, marked.new_zeros(len(scale) - len(marked))]), scale, 0.0)
    low, high = bounds(target, len(scale)) if conditions.in_range else (None, None)
    threat = Threat(eps=eps, scale=scale, unit=conditions.unit, norm=conditions.norm, low=low, high=high)  # type: ignore[arg-type]  # Threat checks the name
    poor = judged is not None and bool(judged.poor)
    return Attacked(target=target, attack=attack, threat=threat, poor_critic=poor)


def bounds(target: Target, columns: int) -> tuple[Tensor, Tensor]:
    """The range of the data (S + H,), without bounds for a memory."""
    low, high = target.require_obs_bounds()
    free = low.new_full((columns - len(low),), torch.inf)
    return torch.cat([low, -free]), torch.cat([high, free])
