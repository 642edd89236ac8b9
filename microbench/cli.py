"""The command line: options are parsed here; everything heavy is imported inside the commands."""

import errno
import os
import signal
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from microbench.commands.evaluate import EvaluateOptions
    from microbench.plan import Cell

INTERRUPTED = 130  # what shells expect after ^C; typer returns it, too
USAGE_ERROR: type[Exception] = typer.BadParameter.mro()[1]  # click's UsageError, which typer does not export

app = typer.Typer(
    add_completion=False,
    pretty_exceptions_enable=False,
    help="Train MICRO on a logged dataset, then measure how little it takes to break a policy.",
)

# None stands for "not given" in the annotations below, hence Optional-style unions.
Checkpoint = Annotated[
    Path | None, typer.Argument(help="Run folder or policy file; the newest run if left out.", show_default=False)
]
Runs = Annotated[Path, typer.Option(help="Folder that holds the runs.")]
Env = Annotated[str | None, typer.Option(help="Gymnasium id of the task; the checkpoint's own if left out.")]
Unit = Annotated[str, typer.Option(help="What eps is measured in: dataset-std, policy-norm, raw or range.")]
Norm = Annotated[str, typer.Option(help="linf or l2.")]
Episodes = Annotated[int, typer.Option(min=1, help="Episodes per cell; the same start states in every cell.")]
EvalSeed = Annotated[int, typer.Option("--seed", min=0, help="Seed of the first episode; the next ones count upwards.")]
Workers = Annotated[int | None, typer.Option(min=1, help="Processes; one per core if left out. They decide no result.")]
Ray = Annotated[str | None, typer.Option(help="Run on Ray: auto, local, or HOST:PORT of a cluster.")]
Folder = Annotated[Path | None, typer.Option(help="Folder for results.csv and report/; the run's own if left out.")]
Resume = Annotated[bool, typer.Option("--resume", help="Skip episodes that results.csv already holds.")]
Quiet = Annotated[bool, typer.Option("--quiet", help="No progress, no table; errors only.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print the summary as JSON instead of a table, also if quiet.")]


@app.command()
def train(
    dataset: Annotated[str, typer.Option(help="Name of a bundled dataset, or path of a D4RL hdf5 file.")] = "",
    algorithm: Annotated[str, typer.Option(help="micro, or sac (no conservatism: the control).")] = "micro",
    seed: Annotated[int, typer.Option(min=0, help="Decides weights, batches, noise and rollouts.")] = 0,
    preset: Annotated[str, typer.Option(help="quick (minutes), or paper (the reference schedule: days).")] = "quick",
    steps: Annotated[
        int | None, typer.Option(min=1, help="Updates, in whole epochs, in place of the preset's.")
    ] = None,
    device: Annotated[str, typer.Option(help="cpu, cuda or auto.")] = "auto",
    threads: Annotated[int | None, typer.Option(min=1, help="CPU threads of torch; they decide the last bits.")] = None,
    out: Annotated[Path, typer.Option(help="Folder that holds the runs.")] = Path("runs"),
    env: Env = None,
    rows: Annotated[str | None, typer.Option(help="How rows become transitions: d4rl or strict.")] = None,
    setting: Annotated[list[str] | None, typer.Option("--set", help="NAME=VALUE, any hyperparameter.")] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Continue an interrupted run.")] = False,
    force: Annotated[bool, typer.Option("--force", help="Start over in a folder that holds a run.")] = False,
    quiet: Quiet = False,
) -> None:
    """Train a policy on a logged dataset; bare, MICRO on the dataset that ships with the package."""
    from microbench.commands import train as command
    from microbench.commands.parse import parse_settings
    from microbench.data.sources import DEFAULT_DATASET

    options = command.TrainOptions(
        dataset=dataset or DEFAULT_DATASET,
        algorithm=algorithm,
        seed=seed,
        preset=preset,
        steps=steps,
        device=device,
        threads=threads,
        out=out,
        env=env,
        rows=rows,
        resume=resume,
        force=force,
        quiet=quiet,
        settings=parse_settings(setting or []),
    )
    folder = command.train(options)
    if not quiet:
        typer.echo(f"policy: {folder.policy}\nlog:    {folder.path / 'log.csv'}")


@app.command()
def attack(
    eps: Annotated[list[float], typer.Option(help="Budget in --unit; repeat for several.")],
    checkpoint: Checkpoint = None,
    attack: Annotated[
        list[str] | None, typer.Option(help="Name or module:name; every built-in one if left out.")
    ] = None,
    unit: Unit = "dataset-std",
    norm: Norm = "linf",
    env: Env = None,
    episodes: Episodes = 10,
    seed: EvalSeed = 0,
    workers: Workers = None,
    ray: Ray = None,
    runs: Runs = Path("runs"),
    out: Folder = None,
    resume: Resume = False,
    quiet: Quiet = False,
    as_json: AsJson = False,
) -> None:
    """Attack what a policy observes and print the robustness table."""
    from microbench.commands import evaluate as command

    cells = command.attack_cells(attack or [], eps)
    options = command.EvaluateOptions(
        checkpoint=checkpoint,
        runs=runs,
        env=env,
        unit=unit,
        norm=norm,
        episodes=episodes,
        seed=seed,
        workers=workers,
        ray=ray,
        out=out,
        resume=resume,
        quiet=quiet,
    )
    _evaluate(cells, options, as_json)


@app.command()
def perturb(
    checkpoint: Checkpoint = None,
    mass: Annotated[str | None, typer.Option(help="Factors: LOW:HIGH:COUNT, or a list 0.8,1,1.2.")] = None,
    friction: Annotated[str | None, typer.Option(help="Factors, as for --mass.")] = None,
    perturbation: Annotated[
        list[str] | None, typer.Option(help="NAME=FACTORS for any perturbation, also module:name=FACTORS.")
    ] = None,
    env: Env = None,
    episodes: Episodes = 10,
    seed: EvalSeed = 0,
    workers: Workers = None,
    ray: Ray = None,
    runs: Runs = Path("runs"),
    out: Folder = None,
    resume: Resume = False,
    quiet: Quiet = False,
    as_json: AsJson = False,
) -> None:
    """Change the physics and print the robustness table; bare, mass and friction from 0.5 to 1.5."""
    from microbench.commands import evaluate as command
    from microbench.commands.parse import parse_sweep

    named = [f"{name}={factors}" for name, factors in (("mass", mass), ("friction", friction)) if factors]
    sweeps = [*named, *(perturbation or [])] or ["mass=0.5:1.5:5", "friction=0.5:1.5:5"]
    cells = command.perturbation_cells([parse_sweep(sweep) for sweep in sweeps])
    options = command.EvaluateOptions(
        checkpoint=checkpoint,
        runs=runs,
        env=env,
        unit="dataset-std",
        norm="linf",
        episodes=episodes,
        seed=seed,
        workers=workers,
        ray=ray,
        out=out,
        resume=resume,
        quiet=quiet,
    )
    _evaluate(cells, options, as_json)


def _evaluate(cells: "list[Cell]", options: "EvaluateOptions", as_json: bool) -> None:
    from microbench.commands import evaluate as command

    outcome = command.evaluate(cells, options)
    if as_json or not options.quiet:
        typer.echo(command.summary(outcome, as_json=as_json))


@app.command()
def report(
    results: Annotated[list[Path], typer.Argument(help="results.csv files or run folders, reported together.")],
    out: Annotated[Path, typer.Option(help="Folder for the table and the plots.")] = Path("report"),
) -> None:
    """Make the table and the plots from results files alone."""
    import reports

    frame = reports.load_many(path / "results.csv" if path.is_dir() else path for path in results)
    files = reports.write_report(frame, out)
    typer.echo(reports.markdown(frame))
    typer.echo("\n".join(f"{name}: {path}" for name, path in files.items()))


@app.command()
def collect(
    out: Annotated[Path, typer.Option(help="The hdf5 file to write, in D4RL layout.")],
    env: Annotated[str, typer.Option(help="Gymnasium id of the task.")] = "Hopper-v4",
    steps: Annotated[int, typer.Option(min=1, help="Environment steps at most.")] = 200_000,
    until_score: Annotated[float | None, typer.Option(help="Stop at this normalized score.")] = None,
    evaluate_every: Annotated[int, typer.Option(min=1, help="Environment steps between evaluations.")] = 1000,
    seed: Annotated[int, typer.Option(min=0, help="Decides the whole run.")] = 0,
    quiet: Quiet = False,
) -> None:
    """Train SAC online from scratch and write its replay buffer as a dataset (locally generated)."""
    from microbench.commands import collect as command

    command.collect_dataset(
        env_id=env,
        out=out,
        steps=steps,
        until_score=until_score,
        evaluate_every=evaluate_every,
        seed=seed,
        quiet=quiet,
    )
    if not quiet:
        typer.echo(f"dataset: {out}")


@app.command("datasets")
def datasets() -> None:
    """List the datasets that ship with the package."""
    from microbench.data.sources import BUNDLED

    for name, bundled in BUNDLED.items():
        typer.echo(f"{name}: {bundled.env_id}, {bundled.about}")


@app.command("list")
def list_names() -> None:
    """List attacks, perturbations, algorithms and tasks."""
    import attacks
    import perturbations
    from microbench.algorithms import ALGORITHMS
    from microbench.tasks import TASKS

    tables: dict[str, Any] = {
        "attacks": attacks.ATTACKS,
        "perturbations": perturbations.PERTURBATIONS,
        "algorithms": ALGORITHMS,
        "tasks": TASKS,
    }
    for title, names in tables.items():
        typer.echo(f"{title}: {', '.join(names)}")


def main() -> None:
    """Run the command line; a user's mistake is one sentence and exit code 2, never a traceback."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # a polite end is an interruption, too
    sys.exit(_run())


def _run() -> int:
    """The exit code."""
    from microbench.installation import check_name

    if os.getcwd() not in sys.path:
        sys.path.append(os.getcwd())  # for module:name; last, so that no folder there hides a package
    try:
        check_name()
        code = app(sys.argv[1:] or ["--help"], standalone_mode=False)
    except KeyboardInterrupt:
        code = INTERRUPTED
    except USAGE_ERROR as error:
        return _told(_usage(error))
    except (ValueError, OSError) as error:
        if os.environ.get("MICROBENCH_TRACEBACK"):
            raise
        return _told(_sentence(error))
    if code == INTERRUPTED:
        typer.echo("microbench: interrupted; train, attack and perturb go on with --resume.", err=True)
    return int(code or 0)


def _told(sentence: str) -> int:
    typer.echo(f"microbench: {sentence}", err=True)
    return 2


def _usage(error: Exception) -> str:
    """What the parser says, and where the options are explained."""
    context = getattr(error, "ctx", None)
    told = " ".join(str(error.format_message()).split()).removesuffix(".")  # type: ignore[attr-defined]  # it has, see USAGE_ERROR
    return f"{told} (see `{context.command_path if context else 'microbench'} --help`)."


def _sentence(error: Exception) -> str:
    if isinstance(error, OSError) and error.strerror:
        full = error.errno in (errno.ENOSPC, errno.EDQUOT)
        way_out = "make room, then go on with --resume" if full else "choose another path"
        return f"{error.filename or 'writing failed'}: {error.strerror}; {way_out}."
    return " ".join(str(error).split())
