"""Attacks and critics that a policy can serve, and the reasons why others are left out."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any

import attacks
from microbench.checkpoints import Checkpoint
from microbench.checkpoints.offers import missing
from microbench.critics.choosing import FileCritic, asks_critic, judged_by
from microbench.errors import UserError
from microbench.evaluation.attacked import (
    Conditions,
    check_victim,
    file_of,
    find_attack,
    judge_of,
    sensors_of,
    with_critics,
)
from microbench.evaluation.plan import Cell
from microbench.progress import say
from microbench.tasks import Task
from reports.study.provenance import runs_of
from reports.study.worst import WORST


def lacking(checkpoint: Checkpoint, task: Task, attack: str) -> str:
    """What the policy lacks for the attack, with the critic that its text names; empty if nothing."""
    judge = judge_of(attack, task, checkpoint.target)
    target = checkpoint.target if judge is None else judged_by(checkpoint.target, judge)
    return missing(find_attack(attack), target)


def servable_cells(checkpoint: Checkpoint, task: Task, cells: Sequence[Cell], *, quiet: bool) -> list[Cell]:
    """The cells without attacks that this policy cannot serve, and without repetitions of an earlier attack.

    Unless `quiet`, it prints each attack that the policy cannot serve, with the reason.
    """
    names = dict.fromkeys(cell.attack for cell in cells if cell.attack not in ("none", WORST))
    left_out = {name: why for name in names if (why := lacking(checkpoint, task, name))}
    for name, why in left_out.items():
        say(f"{name} is left out: {why}.", quiet=quiet)
    able = [cell for cell in cells if cell.attack not in left_out]
    same = repeated(checkpoint, task, (name for name in names if name not in left_out))
    return [cell for cell in able if cell.attack not in same]


def repeated(checkpoint: Checkpoint, task: Task, names: Iterable[str]) -> dict[str, str]:
    """Attack that runs the same search on this policy as an earlier one → that earlier one.

    Both would give the same rows, which count as one attempt. The policy must be able to serve all names.
    """
    searches: dict[str, tuple[Any, ...]] = {}
    same: dict[str, str] = {}
    for name in dict.fromkeys(names):
        judge = judge_of(name, task, checkpoint.target)
        target = checkpoint.target if judge is None else judged_by(checkpoint.target, judge)
        record = attacks.settled(find_attack(name), target)
        search = (name,) if record is None else (record, sensors_of(name), file_of(name))
        earlier = [known for known, other in searches.items() if other == search]
        if earlier:
            same[name] = earlier[0]
        else:
            searches[name] = search
    return same


def say_repeated(checkpoint: Checkpoint, same: Mapping[str, str], *, quiet: bool) -> None:
    """Print the attacks that run the same search on this policy."""
    without = "" if checkpoint.target.critic is not None else ", which has no critic"
    for name, earlier in same.items():
        say(f"{name} is the same search as {earlier} for this policy{without}: it counts once.", quiet=quiet)


def servable_suite(
    checkpoint: Checkpoint, task: Task, critics: Sequence[str], named: Collection[str], *, quiet: bool
) -> list[str]:
    """The attacks of `worst` that this policy can serve; those that use a critic appear once for each critic.

    Unless `quiet`, it prints why an attack of `attacks.BARE` is missing, if it is not in `named`.
    """
    cells = with_critics([Cell(attack=name, eps=1.0) for name in attacks.SUITE], critics, checkpoint.target)
    why = {cell.attack: lacking(checkpoint, task, cell.attack) for cell in cells}
    for name, reason in why.items():
        if reason and name in attacks.BARE and name not in named:
            say(f"{name} is left out of worst: {reason}.", quiet=quiet)
    return [name for name, reason in why.items() if not reason]


def check_attacks(checkpoint: Checkpoint, task: Task, conditions: Conditions, cells: Sequence[Cell]) -> None:
    """Raise UserError if the policy cannot serve an attack of these cells."""
    for name in dict.fromkeys(cell.attack for cell in cells if cell.attack not in ("none", WORST)):
        why = lacking(checkpoint, task, name)
        if why:
            raise UserError(f"{name} cannot attack {checkpoint.path}: {why}.")
        if judge_of(name, task, checkpoint.target) and not asks_critic(find_attack(name), checkpoint.target):
            raise UserError(f"{name} names a critic and uses none; leave the setting critic out.")
        check_victim(find_attack(name), checkpoint, conditions)


def judges(checkpoint: Checkpoint, task: Task, texts: Sequence[str], *, quiet: bool) -> dict[str, dict[str, Any]]:
    """File of a critic that an attack names → its description for results.json; prints remarks and warnings on it."""
    judges_by_text = {text: judge_of(text, task, checkpoint.target) for text in dict.fromkeys(texts)}
    about_files: dict[str, dict[str, Any]] = {}
    for judge in judges_by_text.values():
        if judge is not None and str(judge.path) not in about_files:
            about_files[str(judge.path)] = _about(judge, checkpoint)
            _remark(judge, checkpoint, quiet=quiet)
    return about_files


def check_same_critics(past: Sequence[Mapping[str, Any]], critics: Mapping[str, Mapping[str, Any]]) -> None:
    """Raise UserError if the file of a critic of earlier rows has changed: one name would mean two critics."""
    for run in runs_of({"runs": list(past)}):
        for file, about in run.get("critics", {}).items():
            if file in critics and critics[file]["sha256"] != about["sha256"]:
                raise UserError(
                    f"{file} is another critic than the one that earlier rows here were measured with; give it another "
                    f"name, or choose another --out."
                )


def _about(judge: FileCritic, checkpoint: Checkpoint) -> dict[str, Any]:
    about: dict[str, Any] = {"sha256": judge.sha256, "victim": judge.victim, "own": judge.victim == checkpoint.sha256}
    if judge.origin is not None:
        about |= {"method": judge.origin.method, "source": judge.origin.source, "report": judge.origin.report}
    return about


def _remark(judge: FileCritic, checkpoint: Checkpoint, *, quiet: bool) -> None:
    if judge.victim != checkpoint.sha256:
        say(f"{judge.path} judges another policy ({judge.victim[:8]}): an independent critic.", quiet=quiet)
    if judge.poor:
        say(f"warning: {judge.path} is a poor critic: {judge.poor}; its attacks prove nothing.", quiet=False)
