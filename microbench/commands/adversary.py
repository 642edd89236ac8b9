"""`microbench adversary`: a policy → an observation adversary trained against it, and what it forces."""

import math
import time
from collections.abc import Mapping
from contextlib import closing
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from attacks import NORMS, Threat
from microbench.adversaries import METHODS
from microbench.adversaries.files import Files
from microbench.adversaries.learned import Learned
from microbench.adversaries.storing import Origin, Stored, parse_adversary, save_adversary
from microbench.adversaries.training import Opponent, Training
from microbench.adversaries.tries import Try, planned
from microbench.checkpoints import Checkpoint, Overrides
from microbench.checkpoints.record import NONE
from microbench.commands import policy, units
from microbench.commands.evaluate import LARGEST_EPS
from microbench.episodes.loop import run_episodes
from microbench.errors import UserError, unknown_name
from microbench.evaluation.attacked import Conditions
from microbench.evaluation.chunk import check_task
from microbench.numerics.rows import one_thread
from microbench.progress import Tracker, track
from microbench.seeds import ADVERSARY_CHOICE
from microbench.simulators.contract import make_simulator, nominal_model
from microbench.tasks import find_task, normalized_score
from reports.statistics.means import mean_interval

STORE_EVERY = 60.0  # seconds
EPISODES = 50  # of the final measurement: those of `microbench attack --episodes 50`


@dataclass(frozen=True, kw_only=True)
class AdversaryOptions:
    """The command's options."""

    checkpoint: Path | None
    runs: Path
    eps: float
    method: str
    steps: int
    seed: int
    tries: int
    env: str | None
    unit: str | None
    norm: str
    out: Path | None
    resume: bool
    force: bool
    quiet: bool
    overrides: Overrides = NONE


def adversary(options: AdversaryOptions) -> list[str]:
    """Train, keep the strongest of the tries, write it with its learning curve; returns what there is to say.

    Raises:
        ValueError: no such policy, method, unit or norm, a number out of range, or files that are there already.
        OSError: a file cannot be written.
    """
    _check(options)
    checkpoint = policy.open_checkpoint(
        options.checkpoint, options.runs, replace(options.overrides, env_id=options.env)
    )
    unit = units.unit_of(checkpoint, options.unit)
    conditions = Conditions(env_id=options.env or checkpoint.env_id, unit=unit, norm=options.norm)
    check_task(checkpoint, find_task(conditions.env_id))
    conditions = units.measured(checkpoint, conditions, asked=options.unit, quiet=options.quiet)
    opponent = _opponent(checkpoint, conditions, options)
    policy.probe(checkpoint, conditions, 0, quiet=options.quiet)
    name = f"{options.method}-{options.eps:g}-s{options.seed}.safetensors"
    files = Files(adversary=options.out or policy.results_folder(checkpoint, None, options.runs) / name)
    with one_thread():
        _Tries(opponent, checkpoint, files, options).run()
        told = [f"adversary: {files.adversary}", f"curve:     {files.curve}", *_forced(opponent, files)]
    return [*told, f"use it:    {_command(options, files)}"]


def _check(options: AdversaryOptions) -> None:
    for kind, name, known in (("method", options.method, METHODS), ("norm", options.norm, NORMS)):
        if name not in known:
            raise unknown_name(kind, name, known)
    if not 0 < options.eps < math.inf:
        raise UserError(f"--eps {options.eps} is no budget; expected a finite number above 0, for example --eps 0.1.")
    if options.resume and options.force:
        raise UserError("--resume continues a training and --force starts it over; give one of the two.")
    if options.eps > LARGEST_EPS:
        raise UserError(f"--eps {options.eps:g} is beyond all measure; expected at most {LARGEST_EPS:g}.")
    if min(options.steps, options.tries) < 1 or options.seed < 0:
        raise UserError("--steps and --tries must be at least 1, --seed at least 0.")


def _opponent(checkpoint: Checkpoint, conditions: Conditions, options: AdversaryOptions) -> Opponent:
    task, target = find_task(conditions.env_id), conditions.of(checkpoint.target)
    scale = target.open_scale(conditions.unit)
    threat = Threat(eps=options.eps, scale=scale, unit=conditions.unit, norm=conditions.norm)  # type: ignore[arg-type]  # Threat checks the name
    return Opponent(target=target, task=task, threat=threat, method=options.method)


class _Tries:
    """One training after the other; what is on the disk is always a whole iteration."""

    def __init__(self, opponent: Opponent, checkpoint: Checkpoint, files: Files, options: AdversaryOptions) -> None:
        self._opponent, self._checkpoint, self._files, self._options = opponent, checkpoint, files, options
        self._tries = planned(options.tries, options.seed)
        self._best = b""
        self._returns: list[float] = []  # held out, of the finished tries
        self._curves: list[list[dict[str, float]]] = []

    def run(self) -> None:
        """Train what is not trained yet, and write the strongest."""
        options = self._options
        stored = self._files.open(self._description(), resume=options.resume, force=options.force)
        if stored is not None:
            self._best, self._returns = bytes(stored["best"].tolist()), list(stored["returns"])
            self._curves = list(stored["curves"])
        for attempt in self._tries[len(self._returns) :]:
            self._train(attempt, None if stored is None else stored["training"])
            stored = None
        self._files.finish(self._best, self._curves)

    def _train(self, attempt: Try, state: dict[str, Any] | None) -> None:
        options = self._options
        training = Training(self._opponent, attempt.settings, steps=options.steps, seed=attempt.seed)
        if state is not None:
            self._restore(training, state)
        title = "steps" if len(self._tries) == 1 else f"try {attempt.number + 1} of {len(self._tries)}"
        total = training.iterations * attempt.settings.rows * attempt.settings.horizon
        with closing(training), track(title, total, quiet=options.quiet) as tracker:
            self._follow(training, tracker)
        self._judge(training, attempt)
        self._store(None)

    def _follow(self, training: Training, tracker: Tracker) -> None:
        stored = time.monotonic()
        note = ""
        for row in training.run():
            note = note if math.isnan(row["return"]) else f"return {row['return']:.0f}"
            tracker.advance_to(training.steps, note)
            if time.monotonic() - stored > STORE_EVERY:
                self._store(training.state_dict())
                stored = time.monotonic()

    def _judge(self, training: Training, attempt: Try) -> None:
        """Keep it if it forces less than those before, on episodes that no try was trained on."""
        content = save_adversary(self._described(training, attempt))
        attack = Learned(path=self._files.adversary, stored=parse_adversary(self._files.adversary, content))
        forced = float(_returns(self._opponent, attack, len(ADVERSARY_CHOICE), ADVERSARY_CHOICE.start).mean())
        if not self._returns or forced < min(self._returns):
            self._best = content
        self._returns.append(forced)
        self._curves.append(training.curve)

    def _described(self, training: Training, attempt: Try) -> Stored:
        threat, statistics = self._opponent.threat, training.statistics
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
            layers=tuple(training.networks.deciding()),
            mean=statistics.mean,
            std=statistics.std,
            curve=[{k: None if math.isnan(v) else v for k, v in row.items()} for row in training.curve],
        )

    def _restore(self, training: Training, state: dict[str, Any]) -> None:
        try:
            training.load_state_dict(state)
        except (KeyError, IndexError, TypeError, ValueError, RuntimeError, AttributeError) as error:
            raise UserError(
                f"{self._files.state} does not fit this training ({error!r}); start it over with --force."
            ) from error

    def _store(self, training: dict[str, Any] | None) -> None:
        best = torch.frombuffer(bytearray(self._best or b"\0"), dtype=torch.uint8)
        state = {"training": training, "best": best, "returns": self._returns, "curves": self._curves}
        self._files.store(self._description(), state)

    def _description(self) -> Mapping[str, Any]:
        """Everything that decides the numbers, to the last bit on one machine."""
        options, threat = self._options, self._opponent.threat
        told = {"victim": self._checkpoint.sha256, "env": self._opponent.task.env_id, "method": options.method}
        told |= {"eps": options.eps, "unit": threat.unit, "norm": threat.norm}  # type: ignore[dict-item]  # a float
        told |= {"steps": options.steps, "seed": options.seed}  # type: ignore[dict-item]  # numbers
        return told | {"tries": [asdict(attempt) | {"settings": repr(attempt.settings)} for attempt in self._tries]}


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
    scored = opponent.task.expert_score is not None
    told = []
    for title, adversary in (("clean:", None), ("attacked:", attack)):
        returns = _returns(opponent, adversary, EPISODES, 0)
        interval = mean_interval(normalized_score(opponent.task, returns) if scored else returns)
        ends = f"{interval.estimate:.1f} [{interval.low:.1f}, {interval.high:.1f}]"
        told.append(f"{title:<10} {'score' if scored else 'return'} {ends}, {EPISODES} episodes")
    return told


def _command(options: AdversaryOptions, files: Files) -> str:
    """The command that measures the adversary again."""
    words = ["microbench attack", *([str(options.checkpoint)] if options.checkpoint else [])]
    words += [f"--attack adversary:{files.adversary}", f"--eps {options.eps:g}", f"--episodes {EPISODES}"]
    words += [f"--unit {options.unit}"] if options.unit else []
    words += [f"--norm {options.norm}"] if options.norm != "linf" else []
    said = {"env": options.env} | {k: v for k, v in options.overrides.settings.items() if k != "env_id"}
    words += [f"--{name.replace('_', '-')} {value}" for name, value in said.items() if value is not None]
    return " ".join(words)
