"""`microbench adversary`: a policy → an observation adversary trained against it, and what it forces."""

import math
import time
from collections.abc import Mapping
from contextlib import closing
from dataclasses import asdict
from functools import partial
from typing import TYPE_CHECKING, Any

import joblib
import numpy as np
import torch

from attacks import Threat
from microbench.adversaries import METHODS
from microbench.adversaries.evolved import Kind
from microbench.adversaries.evolving import Evolution, untouched
from microbench.adversaries.files import Files
from microbench.adversaries.learned import Learned
from microbench.adversaries.opponent import Opponent
from microbench.adversaries.ppo import Settings
from microbench.adversaries.storing import Origin, Stored, parse_adversary, save_adversary
from microbench.adversaries.training import Training
from microbench.adversaries.tries import Try, planned
from microbench.checkpoints import Checkpoint
from microbench.commands import adversary_words, policy, units
from microbench.commands.evaluate import LARGEST_EPS
from microbench.episodes.loop import run_episodes
from microbench.errors import UserError, unknown_name
from microbench.evaluation.attacked import Conditions, ball, bounds
from microbench.evaluation.chunk import check_task
from microbench.evaluation.sensors import chosen
from microbench.numerics.rows import one_thread
from microbench.progress import Tracker, track
from microbench.seeds import ADVERSARY_CHOICE
from microbench.simulators.contract import make_simulator, nominal_model
from microbench.tasks import find_task

if TYPE_CHECKING:
    from microbench.commands.learning_options import AdversaryOptions

STORE_EVERY = 60.0  # seconds
EPISODES = 50  # of the final measurement: those of `microbench attack --episodes 50`


def adversary(options: "AdversaryOptions") -> list[str]:
    """Train, keep the strongest of the tries, write it with its learning curve; returns what there is to say.

    Raises:
        ValueError: no such policy, method, unit or norm, a number out of range, or files that are there already.
        OSError: a file cannot be written.
    """
    _check(options)
    checkpoint = policy.open_checkpoint(options.checkpoint, options.runs, options.policy.overrides(options.env))
    unit = units.unit_of(checkpoint, options.unit)
    norm, in_range = ball(options.norm)
    in_range = in_range or options.in_range
    conditions = Conditions(env_id=options.env or checkpoint.env_id, unit=unit, norm=norm, in_range=in_range)
    check_task(checkpoint, find_task(conditions.env_id))
    conditions = units.measured(checkpoint, conditions, asked=options.unit, quiet=options.quiet)
    opponent = _opponent(checkpoint, conditions, options)
    policy.probe(checkpoint, conditions, 0, quiet=options.quiet)
    name = f"{options.method}-{options.eps:g}-s{options.seed}.safetensors"
    files = Files(adversary=options.out or policy.results_folder(checkpoint, None, options.runs) / name)
    with one_thread():
        costs = _Tries(opponent, checkpoint, files, options).run()
        forced = _forced(opponent, files)
    named = [f"adversary: {files.adversary}", f"curve:     {files.curve}"]
    return [*named, *costs, *forced, f"use it:    {_command(options, files)}"]


def _steps(options: "AdversaryOptions") -> int:
    """Environment steps of one training: --steps, else those of the method."""
    return METHODS[options.method].steps if options.steps is None else options.steps


def _check(options: "AdversaryOptions") -> None:
    if options.method not in METHODS:
        raise unknown_name("method", options.method, METHODS)
    ball(options.norm)
    if not 0 < options.eps < math.inf:
        raise UserError(f"--eps {options.eps} is no budget; expected a finite number above 0, for example --eps 0.1.")
    if options.resume and options.force:
        raise UserError("--resume continues a training and --force starts it over; give one of the two.")
    if options.eps > LARGEST_EPS:
        raise UserError(f"--eps {options.eps:g} is beyond all measure; expected at most {LARGEST_EPS:g}.")
    if min(_steps(options), options.tries) < 1 or options.seed < 0:
        raise UserError("--steps and --tries must be at least 1, --seed at least 0.")
    if options.named_sensors and not METHODS[options.method].evolves:
        able = " or ".join(name for name, method in METHODS.items() if method.evolves)
        raise UserError(
            f"--method {options.method} pushes every sensor, so that --sensors says nothing to it; "
            f"leave --sensors out, or choose {able}."
        )


def _opponent(checkpoint: Checkpoint, conditions: Conditions, options: "AdversaryOptions") -> Opponent:
    task, target = find_task(conditions.env_id), conditions.of(checkpoint.target)
    scale = target.open_scale(conditions.unit)
    if options.named_sensors:
        closed = np.flatnonzero(~chosen(task, options.named_sensors))
        scale = scale.index_fill(0, torch.from_numpy(closed), 0.0)
    low, high = bounds(target, len(scale)) if conditions.in_range else (None, None)
    threat = Threat(eps=options.eps, scale=scale, unit=conditions.unit, norm=conditions.norm, low=low, high=high)  # type: ignore[arg-type]  # Threat checks the name
    return Opponent(target=target, task=task, threat=threat, method=options.method)


def _training(opponent: Opponent, attempt: Try, steps: int) -> Training | Evolution:
    """The training of this try."""
    if isinstance(attempt.settings, Settings):
        return Training(opponent, attempt.settings, steps=steps, seed=attempt.seed)
    kind: Kind = "constant" if opponent.method == "constant" else "evolved"
    make = partial(untouched, nthread=joblib.cpu_count())  # results do not depend on it
    return Evolution(opponent, attempt.settings, kind=kind, steps=steps, seed=attempt.seed, make=make)


class _Tries:
    """One training after the other; what is on the disk is always a whole iteration."""

    def __init__(self, opponent: Opponent, checkpoint: Checkpoint, files: Files, options: "AdversaryOptions") -> None:
        self._opponent, self._checkpoint, self._files, self._options = opponent, checkpoint, files, options
        self._tries = planned(options.tries, options.seed, options.method)
        self._best = b""
        self._returns: list[float] = []  # held out, of the finished tries
        self._curves: list[list[dict[str, float]]] = []
        self._start = ""  # where the strongest evolution began

    def run(self) -> list[str]:
        """Train what is not trained yet, and write the strongest; returns what there is to say of an evolution."""
        options = self._options
        stored = self._files.open(self._description(), resume=options.resume, force=options.force)
        if stored is not None:
            self._best, self._returns = bytes(stored["best"].tolist()), list(stored["returns"])
            self._curves, self._start = list(stored["curves"]), str(stored.get("start", ""))
        for attempt in self._tries[len(self._returns) :]:
            self._train(attempt, None if stored is None else stored["training"])
            stored = None
        self._files.finish(self._best, self._curves)
        if not METHODS[options.method].evolves:
            return []
        return [
            adversary_words.cost(self._curves, self._start),
            f"{'chosen at:':<10} return {min(self._returns):.1f}, {len(ADVERSARY_CHOICE)} episodes of the choice",
        ]

    def _train(self, attempt: Try, state: dict[str, Any] | None) -> None:
        options = self._options
        training = _training(self._opponent, attempt, _steps(options))
        if state is not None:
            self._restore(training, state)
        title = "steps" if len(self._tries) == 1 else f"try {attempt.number + 1} of {len(self._tries)}"
        with closing(training), track(title, training.total, quiet=options.quiet) as tracker:
            self._follow(training, tracker)
        self._judge(training, attempt)
        self._store(None)

    def _follow(self, training: Training | Evolution, tracker: Tracker) -> None:
        stored = time.monotonic()
        note = ""
        for row in training.run():
            note = note if math.isnan(row["return"]) else f"return {row['return']:.0f}"
            tracker.advance_to(min(training.steps, training.total), note)
            if time.monotonic() - stored > STORE_EVERY:
                self._store(training.state_dict())
                stored = time.monotonic()

    def _judge(self, training: Training | Evolution, attempt: Try) -> None:
        """Keep it if it forces less than those before, on episodes that no try was trained on."""
        content = save_adversary(self._described(training, attempt))
        attack = Learned(path=self._files.adversary, stored=parse_adversary(self._files.adversary, content))
        forced = float(_returns(self._opponent, attack, len(ADVERSARY_CHOICE), ADVERSARY_CHOICE.start).mean())
        if not self._returns or forced < min(self._returns):
            self._best = content
            self._start = training.start if isinstance(training, Evolution) else ""
        self._returns.append(forced)
        self._curves.append(training.curve)

    def _described(self, training: Training | Evolution, attempt: Try) -> Stored:
        threat, outcome = self._opponent.threat, training.outcome()
        return Stored(
            origin=Origin(
                method=self._opponent.method,
                victim=self._checkpoint.sha256,
                env_id=self._opponent.task.env_id,
                eps=self._options.eps,
                unit=threat.unit,
                norm=threat.norm,
                steps=training.steps,
                seed=attempt.seed,
            ),
            settings=attempt.settings,
            layers=outcome.layers,
            mean=outcome.mean,
            std=outcome.std,
            curve=[
                {k: None if math.isnan(v) else v for k, v in row.items() if k != "seconds"} for row in training.curve
            ],
        )

    def _restore(self, training: Training | Evolution, state: dict[str, Any]) -> None:
        try:
            training.load_state_dict(state)
        except (KeyError, IndexError, TypeError, ValueError, RuntimeError, AttributeError) as error:
            raise UserError(
                f"{self._files.state} does not fit this training ({error!r}); start it over with --force."
            ) from error

    def _store(self, training: dict[str, Any] | None) -> None:
        best = torch.frombuffer(bytearray(self._best or b"\0"), dtype=torch.uint8)
        state = {"training": training, "best": best, "returns": self._returns, "curves": self._curves}
        self._files.store(self._description(), state | {"start": self._start})

    def _description(self) -> Mapping[str, Any]:
        """Everything that decides the numbers, to the last bit on one machine."""
        options, threat = self._options, self._opponent.threat
        description: dict[str, Any] = {"victim": self._checkpoint.sha256, "env": self._opponent.task.env_id}
        description |= {"method": options.method, "eps": options.eps, "unit": threat.unit, "norm": threat.norm}
        description |= {"steps": _steps(options), "seed": options.seed}
        if options.named_sensors:
            description["sensors"] = "+".join(options.named_sensors)
        if threat.bounded:
            description["range"] = "in-range"
        tries = [asdict(attempt) | {"settings": repr(attempt.settings)} for attempt in self._tries]
        return description | {"tries": tries}


def _returns(opponent: Opponent, attack: Learned | None, episodes: int, seed: int) -> np.ndarray:
    """Returns (episodes,) under the adversary's deterministic mean, or clean."""
    task = opponent.task
    with closing(make_simulator(task, [nominal_model(task)] * episodes)) as simulator:
        seeds = range(seed, seed + episodes)
        return run_episodes(opponent.target, simulator, seeds, attack, opponent.threat if attack else None).returns


def _forced(opponent: Opponent, files: Files) -> list[str]:
    """What the policy earns without and under the stored adversary, in the episodes of `microbench attack`."""
    content = files.adversary.read_bytes()
    attack = Learned(path=files.adversary, stored=parse_adversary(files.adversary, content))
    clean, attacked = (_returns(opponent, adversary, EPISODES, 0) for adversary in (None, attack))
    lines = [
        adversary_words.forced(opponent.task, "clean:", clean),
        adversary_words.forced(opponent.task, "attacked:", attacked),
    ]
    return [*lines, *adversary_words.offsets(attack, opponent)]


def _command(options: "AdversaryOptions", files: Files) -> str:
    """The command that measures the adversary again."""
    words = ["microbench attack", *([str(options.checkpoint)] if options.checkpoint else [])]
    words += [f"--attack adversary:{files.adversary}", f"--eps {options.eps:g}", f"--episodes {EPISODES}"]
    words += [f"--unit {options.unit}"] if options.unit else []
    words += [f"--norm {options.norm}"] if options.norm != "linf" else []
    words += ["--in-range"] if options.in_range else []
    others = {"env": options.env, **asdict(options.policy)}
    words += [f"--{name.replace('_', '-')} {value}" for name, value in others.items() if value is not None]
    return " ".join(words)
