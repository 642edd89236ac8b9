"""`report`, `compare` and the gates on the command line: what is printed where, and the exit code."""

import json
from pathlib import Path

import pytest

import reports
from tests.microbench.small_run import Shell
from tests.reports.small_study import SIDECAR
from tests.reports.toys import episodes, table

SCORES = [float(score) for score in range(50, 62)]


def stored(name: str, loss: float = 0.0) -> Path:
    """A run folder whose policy loses `loss` to pgd, beside 10 it always loses."""
    attacked = episodes([score - 10 - loss for score in SCORES], attack="pgd", eps=0.1)
    folder = Path(name)
    folder.mkdir()
    reports.write(table(episodes(SCORES), attacked), folder / "results.csv", SIDECAR)
    return folder


def test_a_report_tells_where_the_results_come_from(shell: Shell) -> None:
    result = shell("report", stored("a"))
    assert result.code == 0
    assert "index.html: report/index.html" in result.out
    page = Path("report/index.html").read_text("utf-8")
    assert "microbench attack runs/latest --eps 0.1" in page
    assert "body_mass by up to 2.03" in page
    assert "body_mass" not in Path("report/table.md").read_text("utf-8")


def test_a_report_without_the_json_is_a_report(shell: Shell) -> None:
    (stored("a") / "results.json").unlink()
    assert shell("report", "a").code == 0
    assert "came without their JSON" in Path("report/index.html").read_text("utf-8")


def test_a_report_as_json_holds_every_number(shell: Shell) -> None:
    result = shell("report", stored("a"), "--json")
    output = json.loads(result.out)
    expected = reports.summarize(reports.read("a/results.csv"))
    for name in ("attack", "eps", "n", "mean", "low", "high", "flags"):
        assert [cell[name] for cell in output["cells"]] == expected[name].tolist()
    assert output["failed"] == []
    assert output["notes"] == reports.notes(reports.read("a/results.csv"))
    assert output["files"]["index.html"] == "report/index.html"


@pytest.mark.parametrize(("limit", "code"), [(40, 0), (50, 1)])
def test_fail_under_decides_the_exit_code(limit: int, code: int, shell: Shell) -> None:
    result = shell("report", stored("a"), "--fail-under", limit, "--quiet")
    assert (result.code, result.out) == (code, "")
    assert ("pgd eps 0.1: the lower end of the 95 % interval of the score is" in result.err) == (code == 1)


@pytest.mark.parametrize(
    "words",
    [
        ("report", "absent.csv", "--fail-under", "nan"),
        ("attack", "absent", "--fail-under", "inf"),
        ("attack", "absent", "--eps", "0.1", "--attack", "pgd", "--claim", "nan"),
    ],
)
def test_limits_that_are_no_numbers_are_told_before_any_work(words: tuple[str, ...], shell: Shell) -> None:
    result = shell(*words)
    assert (result.code, result.out) == (2, "")
    assert "is no finite number" in result.err


def test_gates_decide_the_exit_code(shell: Shell) -> None:
    Path("gates.toml").write_text('max_flagged = 0\n[[gate]]\nattack = "pgd"\nmin_change = -11\n')
    assert shell("report", stored("a"), "--gates", "gates.toml").code == 0
    result = shell("report", stored("b", loss=5.0), "--gates", "gates.toml", "--json")
    assert result.code == 1
    (failed,) = json.loads(result.out)["failed"]
    assert failed.startswith(
        "gate attack = 'pgd': micro, pgd eps 0.1: the lower end of the 95 % interval of the Δ vs. clean"
    )
    assert result.err == f"microbench: {failed}\n"


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("[[gate]]\nmin_scor = 1\n", "did you mean min_score?"),
        ("[[gate]]\nattack = 'x'\nmin_score = 1\n", "no condition"),
    ],
)
def test_a_wrong_gate_is_a_mistake(text: str, words: str, shell: Shell) -> None:
    Path("gates.toml").write_text(text)
    result = shell("report", stored("a"), "--gates", "gates.toml")
    assert (result.code, result.out) == (2, "")
    assert words in result.err


def test_a_comparison_finds_the_loss(shell: Shell) -> None:
    before, after = stored("a"), stored("b", loss=3.0)
    result = shell("compare", before, after)
    assert result.code == 1
    assert "B is significantly worse in 1 of 2 conditions: pgd eps 0.1." in result.out
    assert shell("compare", after, before).code == 0
    assert shell("compare", before, before / "results.csv", "--quiet").code == 0


def test_a_comparison_as_json(shell: Shell) -> None:
    result = shell("compare", stored("a"), stored("b", loss=3.0), "--json")
    output = json.loads(result.out)
    assert output["losses"] == ["pgd eps 0.1"]
    assert [condition["difference"] for condition in output["conditions"]] == [0, -3]
    assert result.code == 1


def test_a_comparison_that_can_find_nothing_says_so_even_if_quiet(shell: Shell) -> None:
    for name, score in (("a", 50.0), ("b", 10.0)):
        reports.write(table(episodes([score] * 3)), f"{name}.csv", {})
    result = shell("compare", "a.csv", "b.csv", "--quiet")
    assert (result.code, result.out) == (0, "")
    assert "too few pairs" in result.err


def test_nothing_to_compare_is_a_mistake(shell: Shell) -> None:
    reports.write(table(episodes([1.0, 2.0], task="walker2d")), "other.csv", {})
    result = shell("compare", stored("a"), "other.csv")
    assert (result.code, result.out) == (2, "")
    assert "no episode in common" in result.err
