"""Option records become the options of a command: each one once, in the order of the fields, as typer would have it."""

import inspect
from dataclasses import dataclass, field
from typing import Annotated, Any

import pytest
import typer
from typer.testing import CliRunner

from microbench.cli import COMMANDS, USAGE_ERROR
from microbench.cli.records import expanded
from microbench.commands.options import EvaluateOptions, PolicyOptions, finite

Calls = list[tuple[Any, ...]]


@dataclass(frozen=True, kw_only=True)
class Inner:
    mass: Annotated[float, typer.Option(callback=finite, help="Kilograms.")] = 1.0


@dataclass(frozen=True, kw_only=True)
class Outer:
    path: Annotated[str | None, typer.Argument()] = None
    first: Annotated[int, typer.Option("--start", min=0, max=9)]
    inner: Inner = field(default_factory=Inner)
    words: Annotated[list[str] | None, typer.Option("--word")] = None
    memory: "list[Nowhere]" = field(default_factory=list)  # type: ignore[name-defined]  # noqa: F821  # of another module


@pytest.fixture
def calls() -> Calls:
    return []


@pytest.fixture
def app(calls: Calls) -> typer.Typer:
    @expanded
    def command(own: Annotated[bool, typer.Option("--own")] = False, *, outer: Outer) -> None:
        """Do it."""
        calls.append((own, outer))

    app = typer.Typer(pretty_exceptions_enable=False)
    app.command()(command)
    return app


def test_values_arrive_in_the_record_and_others_keep_their_defaults(app: typer.Typer, calls: Calls) -> None:
    line = ["--start", "3", "file", "--mass", "1.5", "--word", "a", "--own", "--word", "b"]
    assert CliRunner().invoke(app, line).exit_code == 0
    assert CliRunner().invoke(app, ["--start", "0"]).exit_code == 0
    assert calls == [
        (True, Outer(path="file", first=3, inner=Inner(mass=1.5), words=["a", "b"])),
        (False, Outer(first=0)),
    ]


@pytest.mark.parametrize(
    ("line", "sentence"),
    [
        ([], "Missing option '--start'"),
        (["--start", "-1"], "Invalid value for '--start'"),
        (["--start", "10"], "Invalid value for '--start'"),
        (["--start", "0", "--mass", "nan"], "nan is no finite number"),
        (["--start", "0", "--memory", "3"], "No such option: --memory"),
    ],
)
def test_ranges_callbacks_and_missing_values_are_typers(
    line: list[str], sentence: str, app: typer.Typer, calls: Calls
) -> None:
    with pytest.raises(USAGE_ERROR) as raised:
        app(line, standalone_mode=False)
    assert sentence in raised.value.format_message()  # type: ignore[attr-defined]  # click's UsageError
    assert calls == []


def test_options_stand_in_the_order_of_the_fields_a_record_in_its_place(app: typer.Typer) -> None:
    names = [option.name for option in typer.main.get_command(app).params]
    assert names[:6] == ["own", "path", "first", "mass", "words", "install_completion"]


def test_two_options_of_one_name_are_refused() -> None:
    def command(one: Inner, other: Inner) -> None:
        """Do it."""

    with pytest.raises(ValueError, match="mass"):
        expanded(command)


@pytest.mark.parametrize("name", COMMANDS)
def test_commands_have_few_parameters_of_their_own(name: str) -> None:
    own = inspect.signature(inspect.unwrap(COMMANDS[name])).parameters
    assert len(own) <= 8


@pytest.mark.parametrize("record", [EvaluateOptions, PolicyOptions])
def test_attack_and_perturb_have_the_same_options_of_a_record(record: type) -> None:
    """The same annotation, so type, range and help text; and the same default."""

    def command(options: record) -> None:  # type: ignore[valid-type]
        """Do it."""

    for name, option in inspect.signature(expanded(command)).parameters.items():
        for each in ("attack", "perturb"):
            assert inspect.signature(COMMANDS[each]).parameters[name] == option
