"""The options of `microbench train`: as typed, completed by defaults, and checked for contradictions."""

from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

from microbench.commands.settings import parse_seeds, parse_settings
from microbench.data.sources import DEFAULT_DATASET
from microbench.errors import UserError, unknown_name
from microbench.learning.algorithms import ALGORITHMS
from microbench.learning.config import TrainConfig, load_preset

if TYPE_CHECKING:
    from microbench.commands.learning_options import TrainArguments

MOST_STEPS = 10**9
MOST_THREADS = 1024
CHARGES = ("beta", "samples", "gap_estimator", "gap_precision")  # settings of MICRO's charge alone
TUNES = ("alpha_lr", "max_alpha")  # settings of a temperature that is tuned


@dataclass(frozen=True, kw_only=True)
class Asked:
    """The options as typed; None or empty for those that were not."""

    dataset: str | None = None
    algorithm: str | None = None
    seeds: tuple[int, ...] | None = None
    preset: str | None = None
    steps: int | None = None
    device: str | None = None
    graph: bool | None = None
    threads: int | None = None
    env: str | None = None
    rows: str | None = None
    settings: dict[str, Any] = field(default_factory=dict)

    @classmethod
    def parsed(cls, typed: "TrainArguments") -> "Asked":
        """Read --seed, --seeds and --set; the other options stay as typed.

        Raises:
            UserError: seeds or settings that cannot be read, or both --seed and --seeds.
        """
        if typed.seed is not None and typed.seeds is not None:
            raise UserError(
                f"--seed {typed.seed} and --seeds {typed.seeds} both say which seeds to train; give one of the two."
            )
        same = {one.name: getattr(typed, one.name) for one in fields(cls) if one.name not in ("seeds", "settings")}
        seed = None if typed.seed is None else (typed.seed,)
        return cls(
            **same | {"dataset": typed.dataset or None},
            seeds=seed if typed.seeds is None else parse_seeds(typed.seeds),
            settings=parse_settings(typed.setting or []),
        )

    @property
    def given(self) -> dict[str, Any]:
        """The options that were typed, with each `--set` under its own name."""
        plain = {one.name: getattr(self, one.name) for one in fields(self) if one.name != "settings"}
        return {name: value for name, value in plain.items() if value is not None} | self.settings


@dataclass(frozen=True, kw_only=True)
class TrainOptions:
    """The command's options, completed by defaults."""

    dataset: str
    algorithm: str
    seeds: tuple[int, ...]  # several train in one program, each into a folder of its own
    preset: str
    steps: int | None
    device: str
    graph: bool | None  # on a GPU, every update is launched as one CUDA graph; None where it was not asked
    threads: int | None  # of torch, dealt out to the seeds; None leaves it to the preset
    env: str | None
    rows: str | None
    settings: dict[str, Any]
    out: Path
    resume: bool = False
    force: bool = False
    quiet: bool = False
    split: tuple[int, int] | None = None  # processes and the threads of each, where they are known already
    folder: str | None = None  # of a single seed, where it is not the usual one
    origin: dict[str, Any] | None = None  # the options of the whole command, for a process that trains some seeds
    name_seeds: bool = False  # say whose a score is, also of a single seed


def complete(asked: Asked, **others: Any) -> TrainOptions:
    """The typed options, completed by defaults."""
    return TrainOptions(
        dataset=asked.dataset or DEFAULT_DATASET,
        algorithm=asked.algorithm or "micro",
        seeds=asked.seeds or (0,),
        preset=asked.preset or "quick",
        steps=asked.steps,
        device=asked.device or "auto",
        graph=asked.graph,
        threads=asked.threads,
        env=asked.env,
        rows=asked.rows,
        settings=asked.settings,
        **others,
    )


def stored_options(options: TrainOptions, split: tuple[int, int]) -> dict[str, Any]:
    """The options that config.json stores, so that --resume needs nothing else."""
    names = [one.name for one in fields(Asked) if one.name not in ("device", "threads")]
    return {name: value for name, value in asdict(options).items() if name in names} | {"split": list(split)}


def config_of(options: TrainOptions, dataset: str) -> TrainConfig:
    """The hyperparameters of preset and dataset, changed by --set and --steps."""
    settings = dict(options.settings)
    if options.steps is not None:
        per_epoch = min(options.steps, load_preset(options.preset, dataset, **settings).updates_per_epoch)
        settings |= {"epochs": -(-options.steps // per_epoch), "updates_per_epoch": per_epoch}
    return load_preset(options.preset, dataset, **settings)


def check(options: TrainOptions) -> None:
    """Raise UserError for names that are unknown, numbers out of range, and options that contradict each other."""
    if options.algorithm not in ALGORITHMS:
        raise unknown_name("algorithm", options.algorithm, ALGORITHMS)
    if options.resume and options.force:
        raise UserError("--resume continues a run and --force starts it over; give one of the two.")
    for name, value, most in (("steps", options.steps, MOST_STEPS), ("threads", options.threads, MOST_THREADS)):
        if value is not None and not 1 <= value <= most:
            raise UserError(f"--{name} is {value}, expected 1 to {most}.")
    settings = options.settings
    if options.steps is not None and "epochs" in settings:
        raise UserError("--steps and --set epochs both say how long to train; give one of the two.")
    if options.algorithm == "sac":
        for name in sorted(settings.keys() & set(CHARGES)):
            raise UserError(f"--set {name} belongs to the charge of micro; sac has none, so leave it out.")
    alpha = load_preset(options.preset, options.dataset, **settings).alpha
    for name in sorted(settings.keys() & set(TUNES)) if alpha is not None else ():
        raise UserError(f"alpha is fixed at {alpha}, so --set {name} decides nothing; add --set alpha=null to tune it.")
