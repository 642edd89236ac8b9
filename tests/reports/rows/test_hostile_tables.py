"""Tables, sidecars and gates from nobody knows where: a report or one sentence, nothing else, and nothing raw in it.

Mutants are drawn with fixed seeds. Figures are left out of most, because they are slow, and have tests of their own.
"""

import csv
import io
import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import reports
from reports.figures import curves, heatmaps, plots, sensor_bars
from reports.figures.labels import label
from reports.findings.comparison import compare_results
from reports.page.html import html_page
from reports.rows import parsing
from reports.rows.printable import cut, names, printable, shown
from reports.rows.schema import SCHEMA
from reports.study.provenance import read_sidecars
from reports.study.summary import Study, load_study
from reports.tables.comparison import comparison_markdown
from reports.tables.formats import plain, to_csv, to_latex, to_markdown
from tests.reports.small_study import SIDECAR
from tests.reports.toys import episodes, table

NASTY = [
    *("", "none", "worst", "=cmd()", "+1", "-1", "@SUM", "<script>", "[x](http://y.z)", "$x$", "$", "_a^b_", "\\alpha"),
    *(
        "\x1b[2J",
        "\u202egnp",
        "a,b",
        "f=1,g",
        "f=,g",
        "=,=",
        "pgd@x",
        "@",
        "oracle(",
        "oracle()",
        "a|b",
        '"q"',
        "x" * 5000,
    ),
    *("\ud7ff", "𝄞", "|", "`", "**9**", ";", ";;", "nan", "sensor-noise", "\x00", "\x7f", "%s", "{0}"),
]
NUMBERS = [
    *("", "0", "-0.0", "1", "0.1", "1e308", "-1e308", "1e-320", "nan", "inf", "-inf", "1e400", "0.5", "2.0"),
    *(str(2**63), str(-(2**63)), str(2**63 - 1), "9" * 400, "1_0", "0x1", "True", "100", "5000"),
]
JUNK: list[Any] = [None, True, -1, 0.5, 10**400, 1e308, "", "x", "\x1b", [], [[]], {}, {"a": {}}, [1, None], {"": 0}]

BASE = table(
    *(episodes([50.0 + k + seed for k in range(4)], train_seed=seed, checkpoint=f"{seed}" * 64) for seed in (0, 1)),
    *(episodes([40.0 + k for k in range(4)], attack=a, eps=e) for a in ("random", "pgd", "worst") for e in (0.1, 0.2)),
    episodes([45.0] * 4, perturbation="mass", factor=1.5),
    episodes([44.0] * 3, perturbation="friction=0.5,gravity", factor=0.75, flags="nan-action"),
)
CONTENT = (parsing.header() + parsing.lines(BASE)).decode()


def read_and_shown(path: Path, gates: Path | None = None) -> str:
    """Everything that is made of a table but the figures, or the sentence why it is not."""
    try:
        limits = reports.read_gates(gates) if gates else [reports.fail_under(50)]
        about = read_sidecars([path])
        study = load_study([path], about)
        texts = [reports.markdown(study, about), to_csv(study.summary), html_page(study, about)]
        try:
            texts += reports.failures(limits, study)
        except ValueError as error:
            texts.append(str(error))
        texts.append(comparison_markdown(compare_results(study.checked.astype(SCHEMA), BASE)))
        return "\n".join(texts)
    except ValueError as error:
        return str(error)


def mutant(generator: np.random.Generator) -> str:
    """The base table with a few fields replaced, whole columns with one value, and rows left out."""
    header, *rows = csv.reader(io.StringIO(CONTENT))
    for _ in range(int(generator.integers(1, 5))):
        place = int(generator.integers(len(header)))
        pool = NASTY if SCHEMA[header[place]] == "str" else NUMBERS
        value = pool[int(generator.integers(len(pool)))]
        chosen = rows if generator.random() < 0.5 else [rows[int(generator.integers(len(rows)))]]
        for row in chosen:
            row[place] = value
    kept = [row for row in rows if generator.random() < 0.9]
    stream = io.StringIO()
    csv.writer(stream, lineterminator="\n").writerows([header, *kept])
    return stream.getvalue()


def junk_in(content: Any, generator: np.random.Generator) -> Any:
    """The content with one of its parts, anywhere, replaced by something else or left out."""
    if not isinstance(content, dict | list) or not content or generator.random() < 0.15:
        return JUNK[int(generator.integers(len(JUNK)))]
    keys = list(content) if isinstance(content, dict) else list(range(len(content)))
    key = keys[int(generator.integers(len(keys)))]
    copy = dict(content) if isinstance(content, dict) else list(content)
    if generator.random() < 0.1:
        del copy[key]
    else:
        copy[key] = junk_in(copy[key], generator)
    return copy


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("seed", range(12))
def test_any_table_is_a_report_or_a_sentence(seed: int, tmp_path: Path) -> None:
    path = tmp_path / "results.csv"
    path.write_text(mutant(np.random.default_rng(seed)), "utf-8", newline="")
    text = read_and_shown(path)
    assert text
    assert "\x1b" not in text
    assert "\u202e" not in text


@pytest.mark.parametrize("seed", range(8))
def test_any_sidecar_is_a_report_or_a_sentence(seed: int, tmp_path: Path) -> None:
    path = tmp_path / "results.csv"
    path.write_text(CONTENT)
    choice = {"checkpoint": "0" * 64, "task": "hopper", "eps": 0.1, "unit": "dataset-std", "norm": "linf"}
    choice |= {"perturbation": "none", "factor": 1.0, "attack": "pgd", "mean_returns": {"pgd": 1.0, "fgsm": 2.0}}
    about = {"runs": [*SIDECAR["runs"], {"worst": [choice | {"margin": [1.0, 0.5, 1.5], "runner_up": "fgsm"}]}]}
    path.with_suffix(".json").write_text(json.dumps(junk_in(about, np.random.default_rng(seed))))
    text = read_and_shown(path)
    assert "Normalized score" in text or "results.json is damaged" in text
    assert "\x1b" not in text


@pytest.mark.parametrize("seed", range(6))
def test_any_gate_is_kept_failed_or_a_sentence(seed: int, tmp_path: Path) -> None:
    path, gates = tmp_path / "results.csv", tmp_path / "gates.toml"
    path.write_text(CONTENT)
    generator = np.random.default_rng(seed)
    keys = ["policy", "attack", "eps", "unit", "factor", "min_score", "min_change", "max_flagged", "by", "x"]
    values = [
        "nan",
        "inf",
        "-1e308",
        "'pgd'",
        "0.1",
        "60",
        "true",
        "[]",
        "'\\u001b'",
        str(10**400),
        "{a=1}",
        "1979-05-27",
    ]
    lines = {str(key): str(generator.choice(values)) for key in generator.choice(keys, 3)}
    gates.write_text("[[gate]]\n" + "".join(f"{key} = {value}\n" for key, value in lines.items()))
    text = read_and_shown(path, gates)
    assert text
    assert "\x1b" not in text


@pytest.mark.filterwarnings("error")
def test_figures_draw_names_as_they_stand_cut_and_in_the_legend(tmp_path: Path) -> None:
    hostile = ["_x", "$\\frac{", "z" * 80_000]
    blocks = [episodes([50.0, 51.0], attack=name, eps=0.1) for name in hostile]
    blocks += [episodes([45.0, 46.0], perturbation=f"{name}", factor=2.0) for name in hostile]
    path = tmp_path / "a.csv"
    path.write_bytes(parsing.header() + parsing.lines(table(episodes([60.0, 61.0]), *blocks)))
    study = load_study([path]).shown
    drawn = (
        curves.degradation_plots(study)
        | plots.plots(study)
        | heatmaps.heat_maps(study)
        | sensor_bars.sensor_plots(study)
    )
    for stem, figure in drawn.items():
        curves.save(figure, tmp_path / stem, ["svg"])
        assert max(figure.get_size_inches()) < 30
    legend = [text.get_text() for text in drawn["degradation_eps"].legends[0].get_texts()]
    assert legend[:2] == ["$\\frac{", " _x"]
    assert len(legend[2]) == 48


@pytest.mark.parametrize("column", ["algorithm", "attack"])
def test_thousands_of_names_are_an_excerpt_that_says_so(column: str, tmp_path: Path) -> None:
    n = 1200
    one = {"attack": {"eps": 0.1}, "perturbation": {"factor": 2.0}}.get(column, {})
    path = tmp_path / "a.csv"
    rows = [episodes([50.0 + k % 7], **{column: f"n{k}"}, **one) for k in range(n)]
    path.write_bytes(parsing.header() + parsing.lines(table(*rows)))
    began = time.process_time()
    study = load_study([path])
    page, text = html_page(study), reports.markdown(study)
    figures = curves.degradation_plots(study.shown) | plots.plots(study.shown)
    assert time.process_time() - began < 20
    assert len(study.summary) == n
    assert len(study.shown.summary) <= 600
    assert f"of {n:,} conditions" in page
    assert f"of {n:,} conditions" in text
    assert len(text) < 400_000
    assert all(max(figure.get_size_inches()) < 40 for figure in figures.values())


def test_a_small_study_is_shown_whole() -> None:
    study = Study(BASE)
    assert study.shown is study


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a|b\\|c", r"a\|b\\\|c"),
        ("<script>", r"\<script>"),
        ("[x](http://y)", r"[x]\(http:\/\/y)"),
        ("![x](y)", r"![x]\(y)"),
        ("www.y.z", r"www\.y.z"),
        ("`a` *b*", r"\`a\` \*b\*"),
        ("22.1 [20.0, 24.0]: fine", "22.1 [20.0, 24.0]: fine"),
    ],
)
def test_markdown_finds_nothing_to_interpret(text: str, expected: str) -> None:
    assert plain(text) == expected


def test_a_spreadsheet_finds_no_formula() -> None:
    frame = reports.summarize(table(episodes([1.0, 2.0], algorithm="=cmd|'/C calc'!A0")))
    (row,) = csv.DictReader(io.StringIO(to_csv(frame)))
    assert row["policy"] == "'=cmd|'/C calc'!A0"
    assert row["mean"] == "1.5"


@pytest.mark.parametrize("write", [to_markdown, to_latex])
def test_a_name_of_stars_is_not_bold(write: Callable[..., str]) -> None:
    frame = reports.robustness_table(table(episodes([1.0, 2.0], algorithm="**x**")))
    assert "\\textbf{x" not in write(frame, "c")
    assert "|**x**" not in write(frame, "c")


def test_texts_are_written_out_and_cut() -> None:
    assert printable("a\x1b[0m\u202e\ud800\n") == "a\\x1b[0m\\u202e\\ud800\n"
    assert cut("x" * 100, 10) == "xxxxxx…xxx"
    assert len(shown("y" * 10**6)) == 120
    assert shown(10**6000) == "a int"
    assert len(set(names(["a" * 500 + "b" + "c" * 500, "a" * 500 + "d" + "c" * 500]))) == 2
    assert label("_x") == " _x"
