"""`microbench render` makes a video of one episode, clean and under an attack or perturbation, side by side."""

import math
from pathlib import Path
from typing import TYPE_CHECKING

import gymnasium
import mujoco
import numpy as np
import pandas as pd
from mujoco import MjModel

import perturbations
from microbench.checkpoints import Overrides
from microbench.commands import policy, units
from microbench.commands.evaluate import attack_cells
from microbench.errors import UserError
from microbench.evaluation.attacked import Conditions, ball
from microbench.evaluation.chunk import check_task
from microbench.evaluation.plan import CLEAN, Cell
from microbench.rendering.drawing import Frames, draw
from microbench.rendering.recording import Recording, record
from microbench.rendering.video import beside, captioned, check_kind, save
from microbench.tasks import Task, find_task
from reports.rows.identity import keys_of
from reports.rows.results import RESULTS, read
from reports.study.names import condition_name
from reports.study.worst import WORST

if TYPE_CHECKING:
    from microbench.commands.options import RenderOptions

SIZE = 360
"""Width and height of a picture in pixels."""

FPS = 25.0
"""Largest number of pictures per second; a GIF counts in hundredths of a second."""

SHAPE = ("body_pos", "body_quat", "geom_pos", "geom_quat", "geom_size", "geom_rbound", "jnt_pos", "jnt_axis")
"""Fields of a model that decide its looks in a given position."""


def render(options: "RenderOptions") -> list[str]:
    """Record both episodes, draw them and write the video; returns what there is to say, returns in full precision.

    Raises:
        ValueError: neither attack nor perturbation, an unknown one, a missing checkpoint, a file name that is no
            video, or a machine that cannot draw.
        OSError: the file cannot be written.

    """
    cell = _cell(options)
    if options.out is not None:
        check_kind(options.out)  # before the work
    checkpoint = policy.open_checkpoint(options.checkpoint, options.runs, Overrides(env_id=options.env))
    unit = units.unit_of(checkpoint, options.unit, needed=units.needs_unit([cell]))
    norm, in_range = ball(options.norm)
    conditions = Conditions(env_id=options.env or checkpoint.env_id, unit=unit, norm=norm, in_range=in_range)
    task = find_task(conditions.env_id)
    check_task(checkpoint, task)
    policy.say_choices(checkpoint, quiet=False)
    conditions = units.measured(checkpoint, conditions, asked=options.unit, quiet=False)
    folder = checkpoint.path.parent
    recordings = [record(checkpoint, conditions, each, options.seed) for each in (CLEAN, cell)]
    path = options.out or folder / f"{_slug(recordings[1].row)}-seed-{options.seed}.gif"
    stride = max(1, math.ceil(1 / (FPS * recordings[0].dt) - 1e-9))
    left, right = (_panel(task, recording, stride, options.steps) for recording in recordings)
    save(path, beside(left, right), 1 / (stride * recordings[0].dt))
    lines = [f"{_title(each)}: {_summary(each.row)}{_stored(folder, each.row)}" for each in recordings]
    return [*lines, f"video: {path}"]


def _cell(options: "RenderOptions") -> Cell:
    if options.attack is None and options.perturbation is None:
        raise UserError("there is nothing to compare with; give --attack with --eps, or --perturbation NAME=FACTOR.")
    if options.attack == WORST:
        raise UserError("worst is no attack of its own; render the one that results.json names, as --attack pgd.")
    (attacked,) = attack_cells(
        [options.attack] if options.attack else [], [options.eps] if options.eps is not None else []
    ) or [CLEAN]
    if options.perturbation is None:
        return attacked
    name, factor = perturbations.split(options.perturbation)
    return Cell(attack=attacked.attack, eps=attacked.eps, perturbation=name, factor=factor)


def _panel(task: Task, recording: Recording, stride: int, steps: int | None) -> Frames:
    """The captioned pictures of one episode."""
    last = min(recording.length, steps or recording.length)
    shown = [*range(0, last, stride), last]
    lines = [f"step {step}   return {recording.returns[step]:.1f}" for step in shown]
    if last == recording.length:
        lines[-1] = f"ended at step {last}   return {recording.returns[last]:.1f}"
    model = _binary(_pictured(task, recording.model))
    frames = draw(model, recording.positions[shown], width=SIZE, height=SIZE)
    return captioned(frames, _title(recording), lines)


def _pictured(task: Task, model: MjModel) -> MjModel:
    """The model with Gymnasium's textures, which simulation does not need, and the model's own shape."""
    if task.physics is None:
        return model
    spec = mujoco.MjSpec.from_file(
        str(Path(gymnasium.__file__).parent / "envs" / "mujoco" / "assets" / task.physics.xml)
    )
    spec.compiler.settotalmass = -1  # no log file: MuJoCo would write one, and a picture needs no mass
    pictured = spec.compile()
    for name in SHAPE:
        getattr(pictured, name)[:] = getattr(model, name)
    return pictured


def _binary(model: MjModel) -> bytes:
    buffer = np.empty(mujoco.mj_sizeModel(model), np.uint8)
    mujoco.mj_saveModel(model, None, buffer)
    return buffer.tobytes()


def _title(recording: Recording) -> str:
    return condition_name(recording.row)


def _summary(row: pd.Series) -> str:
    score = "" if pd.isna(row["score"]) else f", score {row['score']:.1f}"
    flags = f", flags {row['flags']}" if row["flags"] else ""
    return f"return {float(row['return'])!r}{score}, {row['length']} steps{flags}"


def _stored(folder: Path, row: pd.Series) -> str:
    """Whether results.csv beside the policy has the same return for this episode; empty if it lacks the episode."""
    results = folder / RESULTS
    if not results.exists():
        return ""
    table = read(results)
    key = keys_of(pd.DataFrame([row])).iloc[0]
    same_episode = table[(keys_of(table) == key).all(axis=1)]
    if same_episode.empty:
        return ""
    if (same_episode["return"] == row["return"]).all():
        return f", as in {results}"
    return f", but {float(same_episode['return'].iloc[0])!r} in {results}, which other versions have made"


def _slug(row: pd.Series) -> str:
    return "".join(letter if letter.isalnum() or letter in ".-" else "-" for letter in condition_name(row))
