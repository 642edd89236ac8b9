"""The command that bounds what attacks can do: certify."""

from pathlib import Path
from typing import Annotated

import typer

from microbench.cli.options import (
    Activation,
    AsJson,
    Checkpoint,
    Env,
    EvalSeed,
    Family,
    InRange,
    MaxAction,
    Norm,
    ObsStats,
    Quiet,
    Runs,
    Squash,
    Unit,
)
from microbench.errors import UserError

MOST_STATES = 10_000


def certify(
    checkpoint: Checkpoint = None,
    eps: Annotated[list[float] | None, typer.Option(help="Budget in --unit; repeat for several.")] = None,
    unit: Unit = None,
    norm: Norm = "linf",
    in_range: InRange = False,
    env: Env = None,
    episodes: Annotated[int, typer.Option(min=1, max=1000, help="Clean episodes whose states are looked at.")] = 3,
    states: Annotated[
        int, typer.Option(min=1, max=MOST_STATES, help="States at most, evenly spaced over all steps.")
    ] = 200,
    seed: EvalSeed = 0,
    runs: Runs = Path("runs"),
    out: Annotated[
        Path | None,
        typer.Option(help="Folder for certificates/; the run's own, or one below --runs, if left out."),
    ] = None,
    quiet: Quiet = False,
    as_json: AsJson = False,
    family: Family = None,
    activation: Activation = None,
    squash: Squash = None,
    max_action: MaxAction = None,
    obs_stats: ObsStats = None,
) -> None:
    """Bound by how much any attack can change the actions of a feed-forward policy, beside what attacks reach."""
    from microbench.checkpoints import Overrides
    from microbench.commands import certify as command

    if not eps:
        raise UserError("there is no budget; give --eps, for example --eps 0.1, and repeat it for several.")
    overrides = Overrides(
        family=family, activation=activation, squash=squash, max_action=max_action, obs_stats=obs_stats, env_id=env
    )
    options = command.CertifyOptions(
        eps=eps,
        unit=unit,
        norm=f"{norm},in-range" if in_range and "," not in norm else norm,
        episodes=episodes,
        seed=seed,
        states=states,
        out=out,
        quiet=quiet,
    )
    certificate = command.certify(checkpoint, runs, overrides, options)
    if as_json or not quiet:
        typer.echo(command.printed(certificate, as_json=as_json))
