"""A check that scores follow from their returns: 100 · (R − random) / (expert − random) with two anchors per task.

A table of another tool may have scores from 0 to 1, or returns in the column of scores. Numbers, limits and comparisons
would then be wrong by a factor. Only return and score together reveal this.

Shapes: N episodes of one task.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd

from reports.rows.printable import cut, printable
from reports.statistics.means import Floats

Marks = npt.NDArray[np.bool_]
Anchors = Mapping[str, tuple[float, float]]
"""Task → return of a random policy and return of an expert policy."""

ROUNDED = 0.051
"""Tolerance of scores in points, enough for scores rounded to one digit."""

LINES = 200
"""Number of random pairs of episodes that propose anchors for a task."""

UNIT = 2.0
"""Largest score of a table that may be on a scale from 0 to 1."""


@dataclass(frozen=True)
class Contradiction:
    """A contradiction between the scores and the returns of a task.

    Attributes:
        sentence: what is wrong and what is expected.
        is_certain: whether the known anchors of the task leave no other interpretation.
        is_one_scale: whether all scores follow one pair of anchors, so that they are comparable with each other.
    """

    sentence: str
    is_certain: bool
    is_one_scale: bool = False


def contradictions(table: pd.DataFrame, anchors: Anchors | None = None) -> list[Contradiction]:
    """The contradictions between scores and returns of a checked table, at most one per task.

    Scores of a task with known `anchors` are compared with these; if all follow other anchors, the sentence names them.
    The rows of another task must lie on one rising line, and its scores must not look like returns or a scale to 1.
    """
    returns, scores = (table[name].to_numpy(np.float64) for name in ("return", "score"))
    known = np.isfinite(returns) & np.isfinite(scores) & (np.abs(returns) < 1e100) & (np.abs(scores) < 1e100)
    code, tasks = pd.factorize(table["task"])
    order = np.argsort(np.where(known, code, len(tasks)), kind="stable")
    ends = np.searchsorted(np.where(known, code, len(tasks))[order], np.arange(len(tasks) + 1))
    judged = []
    for place, task in enumerate(map(str, tasks)):
        rows = order[ends[place] : ends[place + 1]]
        if rows.size:
            anchor = (anchors or {}).get(task)
            x, y = returns[rows], scores[rows]
            judged.append(_against(task, x, y, anchor) if anchor else _among_themselves(task, x, y))
    return [one for one in judged if one is not None]


def _against(task: str, returns: Floats, scores: Floats, anchor: tuple[float, float]) -> Contradiction | None:
    """The contradiction in the scores of a task with known anchors; None without one."""
    right = _line(returns, anchor)
    wrong = ~_near(scores, right)
    if not wrong.any():
        return None
    x, y, expected = returns[wrong], scores[wrong], right[wrong]
    rule = f"100·(R − {anchor[0]:g})/({anchor[1]:g} − {anchor[0]:g}), the task's anchors"
    some = _some(task, int(wrong.sum()), len(wrong))
    if (kind := _kind(x, y, expected)) is not None:
        return Contradiction(
            f"{some} are {kind}; expected {rule}, so mend the column or leave it empty", is_certain=True
        )
    if ((y == 0) & (expected < 0) | (y == 100) & (expected > 100)).all():
        return Contradiction(
            f"{some} are clipped at 0 or 100; expected {rule}, which is never clipped", is_certain=False
        )
    own = _anchors_of_all(returns, scores)
    if own is not None:
        usual = f"the task's are {anchor[0]:g} and {anchor[1]:g}"
        sentence = f"the scores of {_name(task)} follow other anchors, {_rule(own)}; {usual}"
        return Contradiction(sentence, is_certain=False, is_one_scale=True)
    return Contradiction(f"{some} do not follow from their returns; expected {rule}", is_certain=False)


def _among_themselves(task: str, returns: Floats, scores: Floats) -> Contradiction | None:
    """The contradiction in the scores of a task with unknown anchors; None without one."""
    if (np.abs(scores - returns) <= 1e-6 * np.maximum(1, np.abs(returns))).all() and np.abs(scores).max() > UNIT:
        sentence = (
            f"the scores of {_name(task)} are its returns; a score is 100·(R − random)/(expert − random) of two anchors"
        )
        return Contradiction(sentence, is_certain=False)
    own = _anchors_of_all(returns, scores)
    if own is not None:
        return _looks_like_unit(task, scores, own)
    if len(np.unique(returns)) < 2:
        return (
            None
            if np.ptp(scores) <= ROUNDED
            else Contradiction(f"the scores of {_name(task)} differ where its returns do not", is_certain=False)
        )
    return _beside_most(task, returns, scores)


def _looks_like_unit(task: str, scores: Floats, own: tuple[float, float]) -> Contradiction | None:
    if not ROUNDED < np.abs(scores).max() <= UNIT:
        return None
    sentence = (
        f"the scores of {_name(task)} lie between {scores.min():.3g} and {scores.max():.3g}, as on a scale from 0 to "
        f"1: 100 is an expert's, which would be {_rule(own)}, so multiply them by 100 if 1 is"
    )
    return Contradiction(sentence, is_certain=False, is_one_scale=True)


def _beside_most(task: str, returns: Floats, scores: Floats) -> Contradiction:
    """The contradiction in scores on several lines: the anchors of most of them, and the kind of the others."""
    own, follow = _anchors_of_most(returns, scores)
    if own is None or 2 * follow.sum() < len(scores):
        if np.corrcoef(returns, scores)[0, 1] < -0.99:
            return Contradiction(f"the scores of {_name(task)} fall where its returns rise", is_certain=False)
        sentence = f"the scores of {_name(task)} do not follow from its returns by two anchors"
        return Contradiction(sentence, is_certain=False)
    others = ~follow
    kind = _kind(returns[others], scores[others], _line(returns[others], own))
    what = f"are {kind}" if kind else "do not follow from their returns"
    sentence = f"{_some(task, int(others.sum()), len(scores))} {what}; the others follow {_rule(own)}"
    return Contradiction(sentence, is_certain=False)


def _kind(returns: Floats, scores: Floats, expected: Floats) -> str | None:
    """The kind of error of unexpected scores, if one kind explains all of them; else None."""
    if (np.abs(scores - returns) <= 1e-6 * np.maximum(1, np.abs(returns))).all():
        return "the returns themselves"
    if _near(100 * scores, expected, 10 * ROUNDED).all():
        return "on a scale from 0 to 1, a factor of 100 too small"
    if _near(scores / 100, expected, ROUNDED).all():
        return "a factor of 100 too large"
    return None


def _anchors_of_all(returns: Floats, scores: Floats) -> tuple[float, float] | None:
    """The anchors of a rising line through all rows; None without one."""
    low, high = int(np.argmin(returns)), int(np.argmax(returns))
    own = _through(returns[low], scores[low], returns[high], scores[high])
    return own if own is not None and _near(scores, _line(returns, own), _slack(scores)).all() else None


def _anchors_of_most(returns: Floats, scores: Floats) -> tuple[tuple[float, float] | None, Marks]:
    """The anchors that most rows follow, among lines through pairs of rows, and a mark (N,) of these rows."""
    generator = np.random.default_rng(0)
    best, follow = None, np.zeros(len(scores), bool)
    for one, other in generator.integers(len(scores), size=(LINES, 2)):
        own = _through(returns[one], scores[one], returns[other], scores[other])
        if own is not None:
            near = _near(scores, _line(returns, own), _slack(scores))
            gain = int(near.sum()) - int(follow.sum())
            if gain > 0 or (gain == 0 and best is not None and own[1] < best[1]):  # on a tie, the scale to 100
                best, follow = own, near
    return best, follow


def _through(x: float, y: float, x_other: float, y_other: float) -> tuple[float, float] | None:
    """The anchors of the line through two points; None unless it rises."""
    if x == x_other or (y_other - y) * (x_other - x) <= 0:
        return None
    slope = (y_other - y) / (x_other - x)
    with np.errstate(all="ignore"):
        random = float(x - y / slope)
        expert = float(random + 100 / slope)
    return (random, expert) if np.isfinite([random, expert]).all() and expert > random else None


def _line(returns: Floats, anchor: tuple[float, float]) -> Floats:
    with np.errstate(all="ignore"):
        return np.asarray(100 * (returns - anchor[0]) / (anchor[1] - anchor[0]))


def _near(scores: Floats, expected: Floats, slack: float = ROUNDED) -> Marks:
    with np.errstate(all="ignore"):
        return np.asarray(np.abs(scores - expected) <= slack + 1e-5 * np.abs(expected))


def _slack(scores: Floats) -> float:
    """The tolerance of a line through rounded scores: three roundings; a hundredth on a scale from 0 to 1."""
    return 3 * (ROUNDED if np.abs(scores).max() > UNIT else ROUNDED / 100)


def _rule(anchor: tuple[float, float]) -> str:
    return f"100·(R − a)/(b − a) with the anchors a = {anchor[0]:.6g} and b = {anchor[1]:.6g}"


def _some(task: str, wrong: int, n: int) -> str:
    return f"the scores of {_name(task)}" if wrong == n else f"{wrong} of {n} scores of {_name(task)}"


def _name(task: str) -> str:
    return cut(printable(task)) or "a task without a name"
