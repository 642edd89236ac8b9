"""The command line: it parses options; commands import everything heavy when they run."""

import errno
import os
import signal
import sys
from collections.abc import Callable

import typer

from microbench.cli import certifying, evaluating, learning, rendering, reporting
from microbench.shown import shown

MOST_SHOWN = 2000  # characters of an error message
INTERRUPTED = 130  # exit code after ^C, as shells expect and typer returns
USAGE_ERROR: type[Exception] = typer.BadParameter.mro()[1]  # click's UsageError, which typer does not export

app = typer.Typer(
    add_completion=False,
    pretty_exceptions_enable=False,
    help="Train MICRO on a logged dataset, then measure how little it takes to break a policy.",
)
COMMANDS: dict[str, Callable[..., None]] = {
    "train": learning.train,
    "adversary": learning.adversary,
    "attack": evaluating.attack,
    "perturb": evaluating.perturb,
    "certify": certifying.certify,
    "critic": learning.critic,
    "report": reporting.report,
    "compare": reporting.compare,
    "render": rendering.render,
    "inspect": reporting.inspect,
    "collect": learning.collect,
    "datasets": learning.datasets,
    "list": reporting.list_names,
}
for name, command in COMMANDS.items():
    app.command(name)(command)


def main() -> None:
    """Run the command line. A user's mistake ends in one sentence and exit code 2, never in a traceback."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # SIGTERM ends a run as ^C does
    sys.exit(_run())


def _run() -> int:
    """Run the command of sys.argv and return its exit code."""
    from microbench.installation import check_name
    from microbench.named_modules import only_named

    try:
        only_named(sys.argv[1:])
        check_name()
        code = app(sys.argv[1:] or ["--help"], standalone_mode=False)
    except KeyboardInterrupt:
        code = INTERRUPTED
    except USAGE_ERROR as error:
        return _fail(_usage(error))
    except Exception as error:  # any: who evaluates a file should not have to read a traceback
        if os.environ.get("MICROBENCH_TRACEBACK"):
            raise
        return _fail(_sentence(error))
    if code == INTERRUPTED:
        typer.echo("microbench: interrupted; train, adversary, attack and perturb go on with --resume.", err=True)
    return int(code or 0)


def _fail(sentence: str) -> int:
    """Print the sentence to stderr and return the exit code of a mistake."""
    typer.echo(f"microbench: {shown(sentence, MOST_SHOWN)}", err=True)
    return 2


def _usage(error: Exception) -> str:
    """The parser's message, and the command that explains the options."""
    context = getattr(error, "ctx", None)
    message = " ".join(str(error.format_message()).split()).removesuffix(".")  # type: ignore[attr-defined]  # click's UsageError has it
    return f"{message} (see `{context.command_path if context else 'microbench'} --help`)."


def _sentence(error: Exception) -> str:
    """One sentence for the user: what is wrong, and the way out."""
    if isinstance(error, OSError) and error.strerror:
        full = error.errno in (errno.ENOSPC, errno.EDQUOT)
        way_out = "make room, then go on with --resume" if full else "choose another path"
        return f"{error.filename or 'writing failed'}: {error.strerror}; {way_out}."
    drawing = os.environ.get("MUJOCO_GL")
    if drawing and "MUJOCO_GL" in str(error) and not isinstance(error, ValueError):  # MuJoCo's, when it is imported
        return (
            f"MUJOCO_GL={drawing} is no way to draw here; expected egl, osmesa, glfw or off: choose one, or unset it."
        )
    if isinstance(error, (ValueError, OSError)) and str(error):
        return " ".join(str(error).split())
    what = " ".join(f"{type(error).__name__}: {error}".split()).removesuffix(":").removesuffix(".")
    return f"this failed in a way that nobody foresaw ({shown(what)}); MICROBENCH_TRACEBACK=1 shows where."
