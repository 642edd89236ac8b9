"""Commands that evaluate a policy: attack and perturb."""

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Annotated

import typer

from microbench.cli.exits import leave
from microbench.cli.records import expanded
from microbench.commands.options import EvaluateOptions
from microbench.errors import UserError

MOST_POINTS = 10_000
"""Most points of a sample; `microbench.studies.sweeps` has the same limit for a sweep."""

if TYPE_CHECKING:
    from microbench.evaluation.plan import Cell
    from microbench.studies.search import Box


@dataclass(frozen=True, kw_only=True)
class SweepOptions:
    """The perturbations of `perturb`, and how their factors combine."""

    mass: Annotated[str | None, typer.Option(help="Factors: LOW:HIGH:COUNT, or a list 0.8,1,1.2.")] = None
    friction: Annotated[str | None, typer.Option(help="Factors, as for --mass.")] = None
    perturbation: Annotated[
        list[str] | None,
        typer.Option(help="NAME=FACTORS or NAME@PART=FACTORS; several joined by commas act together."),
    ] = None
    grid: Annotated[bool, typer.Option("--grid", help="Evaluate all combinations of the factors.")] = False
    samples: Annotated[
        int | None, typer.Option(min=1, max=MOST_POINTS, help="Number of points to draw from the ranges LOW:HIGH.")
    ] = None
    search: Annotated[
        bool,
        typer.Option("--search", help="Find the worst point of the ranges LOW:HIGH, measured on fresh episodes."),
    ] = False
    points: Annotated[
        int | None, typer.Option(min=1, max=1000, help="With --search: most points to measure; 40 by default.")
    ] = None
    sampling: Annotated[str, typer.Option(help="How to draw: latin-hypercube or uniform.")] = "latin-hypercube"

    def box(self) -> "Box | None":
        """The ranges whose worst point is searched; None without --search.

        Raises:
            UserError: perturbations or ranges that cannot be read, or options that contradict --search.
        """
        from microbench.studies import sweeps
        from microbench.studies.search import POINTS, box_of

        if self.search and (self.grid or self.samples):
            raise UserError("--search looks for the worst point of ranges, by itself: leave --grid and --samples out.")
        if self.points and not self.search:
            raise UserError("--points bounds the search of --search: give both, or leave it out.")
        texts = self._texts() or sweeps.BARE_RANGES
        return box_of([sweeps.parse_sweep(text) for text in texts], self.points or POINTS) if self.search else None

    def _texts(self) -> list[str]:
        short = [f"{name}={factors}" for name, factors in (("mass", self.mass), ("friction", self.friction)) if factors]
        return [*short, *(self.perturbation or [])]

    def cells(self, seed: int) -> "list[Cell]":
        """The perturbed cells without an attack; the seed decides which points are drawn.

        Raises:
            UserError: perturbations or factors that cannot be read, or both a grid and samples.
        """
        from microbench.studies import sweeps

        texts = self._texts() or (sweeps.BARE_RANGES if self.samples else sweeps.BARE)
        if self.grid and self.samples:
            raise UserError(
                "--grid takes all combinations of factors, --samples draws from ranges: give one of the two."
            )
        axes = [sweeps.parse_sweep(text) for text in texts]
        if self.samples:
            return sweeps.sampled(axes, self.samples, self.sampling, seed)
        return sweeps.swept(axes, grid=self.grid)


@expanded
def attack(
    eps: Annotated[list[float] | None, typer.Option(help="Budget in --unit; repeat for several.")] = None,
    eps50: Annotated[
        bool,
        typer.Option("--eps50", help="Find the budget that halves the score under --attack, by default under worst."),
    ] = False,
    budgets: Annotated[
        int | None, typer.Option(min=2, max=100, help="With --eps50: most budgets to measure; 12 by default.")
    ] = None,
    attack: Annotated[
        list[str] | None,
        typer.Option(
            help="NAME, NAME(setting=value), NAME@SENSOR, module:name, or worst; by default the usual ones and worst."
        ),
    ] = None,
    *,
    how: EvaluateOptions,
) -> None:
    """Attack the observations of a policy and print the robustness table."""
    from attacks import BARE
    from microbench.commands import evaluate as command
    from microbench.evaluation.plan import CLEAN
    from microbench.studies.eps50 import FIRST, MOST
    from reports.study.worst import WORST

    if not (eps or eps50):
        raise UserError(
            "there is no budget; give --eps, for example --eps 0.1, or --eps50 to find the one that halves."
        )
    if eps50 and how.output.fail_under is not None:
        raise UserError("--eps50 tries budgets until the score has halved, so --fail-under says nothing: give one.")
    if budgets and not eps50:
        raise UserError("--budgets bounds the search of --eps50: give both, or leave it out.")
    if eps50 and 0 in (eps or []):
        raise UserError("--eps50 doubles the budget it starts from, so --eps 0 leads nowhere; give a larger one.")
    names = attack or ([WORST] if eps50 else [*BARE, WORST])
    cells = [CLEAN, *command.attack_cells(names, eps or [FIRST])]
    most = (budgets or MOST) if eps50 else None
    _evaluate(cells, replace(how, skip_unservable=attack is None, budgets=most))


@expanded
def perturb(
    sweep: SweepOptions,
    attack: Annotated[list[str] | None, typer.Option(help="Attack every cell as well; needs --eps.")] = None,
    eps: Annotated[list[float] | None, typer.Option(help="Budget of --attack in --unit; repeat for several.")] = None,
    *,
    how: EvaluateOptions,
) -> None:
    """Perturb the environment and print the robustness table; with no options: mass and friction from 0.5 to 1.5."""
    from microbench.commands import evaluate as command
    from microbench.studies import sweeps

    box = sweep.box()
    perturbed = [box.centre] if box else sweep.cells(how.seed)
    cells = sweeps.crossed(perturbed, command.attack_cells(attack or [], eps or []))
    _evaluate(cells, replace(how, skip_unservable=attack is None, search=box))


def _evaluate(cells: "list[Cell]", options: EvaluateOptions) -> None:
    import reports
    from microbench.commands import evaluate as command
    from microbench.commands.report import gates, printed

    outcome = command.evaluate(cells, options)
    failed = reports.failures(gates(None, options.output.fail_under), outcome.study)
    if options.output.as_json or not options.quiet:
        ends = {name: outcome.metadata.get(name, ()) for name in ("eps50", "searched")}
        typer.echo(printed(outcome.study, outcome.files, failed, as_json=options.output.as_json, **ends))
    leave(failed)
