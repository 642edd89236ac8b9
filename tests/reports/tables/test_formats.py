"""Tables as Markdown, LaTeX and HTML: golden pages of 200 episodes, escapes, and a document that compiles."""

import shutil
import subprocess
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import reports
from reports import report
from reports.findings.ranking import leaders
from reports.study.summary import Study
from reports.tables.compact import paper_tables, policy_table, turned
from reports.tables.formats import LONG, to_html, to_latex, to_markdown
from tests.reports.toys import episodes, table

GOLDEN = Path(__file__).parents[1] / "golden"
CONDITIONS: list[tuple[float, dict[str, object]]] = [
    (0.0, {}),
    (4.0, {"attack": "random", "eps": 0.1}),
    (15.0, {"attack": "fgsm", "eps": 0.1}),
    (35.0, {"attack": "fgsm", "eps": 0.2}),
    (25.0, {"perturbation": "mass", "factor": 0.5}),
]


def two_hundred() -> pd.DataFrame:
    """Two policies under five conditions for twenty episodes; sac starts as good as micro and is hurt twice as much."""
    generator = np.random.default_rng(0)
    blocks = []
    for name, hurt, letter in (("micro", 1.0, "a"), ("sac", 2.0, "b")):
        level = generator.normal(80.0, 6.0, 20)
        for drop, changes in CONDITIONS:
            score = np.round(level - hurt * drop + generator.normal(0.0, 2.0, 20) * bool(drop), 3)
            blocks.append(episodes(score.tolist(), algorithm=name, checkpoint=letter * 64, **changes))
    return table(*blocks)


def golden(name: str) -> str:
    return (GOLDEN / name).read_text(encoding="utf-8")


def test_two_hundred_episodes_give_the_golden_markdown_latex_and_html() -> None:
    study = Study(two_hundred())
    assert len(study.episodes) == 200
    assert report.markdown(study) == golden("table200.md")
    assert report.latex(study) == golden("table200.tex")
    assert to_html(reports.robustness_table(study), reports.caption(study)) == golden("table200.html")


def test_the_golden_numbers_are_those_of_the_episodes() -> None:
    """The compact cells against means and a change computed here from the raw scores."""
    frame = two_hundred()
    row = policy_table(frame, changes=True).set_index("policy").loc["micro"]
    own = frame[frame["algorithm"] == "micro"]
    clean = own[(own["attack"] == "none") & (own["perturbation"] == "none")]["score"].to_numpy()
    fgsm = own[own["eps"] == 0.2]["score"].to_numpy()
    change = (fgsm - clean).mean()
    assert row["clean"].strip("*").startswith(f"{clean.mean():.1f} ± ")
    assert row["fgsm eps 0.2"].startswith(f"**{fgsm.mean():.1f} ± ")
    assert row["fgsm eps 0.2"].endswith(f" ({change:.1f}, {100 * change / clean.mean():.1f} %)**")
    assert row["worst"].endswith(" at fgsm eps 0.2")


# ---- who is best


def test_the_best_is_bold_where_it_can_be_told() -> None:
    """Ten common start states: a is 5 better than c on each, and within noise of b."""
    base = np.linspace(20.0, 80.0, 10)
    noise = np.array([1.0, -1.0] * 5)
    runs = {"a": base, "b": base - 0.1 + noise, "c": base - 5.0 + 0.1 * noise}
    frame = table(*[episodes(x.tolist(), algorithm=name) for name, x in runs.items()])
    assert leaders(frame) == {0, 1}
    cells = reports.robustness_table(frame).iloc[0]
    assert [cells[f"{name} score"].startswith("**") for name in runs] == [True, True, False]
    assert reports.caption(frame).endswith("in conditions where at least one is.")


def test_nobody_is_bold_where_nobody_can_be_told() -> None:
    x = [10.0, 20.0, 30.0, 40.0]
    frame = table(episodes(x, algorithm="a"), episodes([v + (-1) ** i for i, v in enumerate(x)], algorithm="b"))
    assert leaders(frame) == set()
    apart = table(episodes([10.0, 20.0, 31.0], algorithm="a"), episodes([1.0, 2.0, 1.0], algorithm="b", eval_seed=7))
    assert leaders(apart) == set()  # no episode in common


def test_runs_are_what_is_compared_if_there_are_several() -> None:
    """Differences of 10, 11 and 12 per run are told from 0, of 20, -9 and 30 are not."""

    def runs(name: str, levels: list[float]) -> list[list[dict[str, object]]]:
        each = [np.linspace(level, level + 20, 6).tolist() for level in levels]
        return [
            episodes(x, algorithm=name, train_seed=s, checkpoint=f"{name}{s}".ljust(64)) for s, x in enumerate(each)
        ]

    weak = runs("b", [50.0, 60.0, 70.0])
    assert leaders(table(*runs("a", [60.0, 71.0, 82.0]), *weak)) == {0}
    assert leaders(table(*runs("a", [70.0, 51.0, 100.0]), *weak)) == set()


def test_policies_of_different_tasks_are_never_rivals() -> None:
    frame = table(episodes([90.0, 91.0, 92.0]), episodes([1.0, 2.0, 3.0], task="ant", checkpoint="b" * 64))
    assert leaders(frame) == set()


# ---- the tables of a paper


def test_the_worst_case_counts_grids_which_have_no_columns() -> None:
    clean = [80.0, 81.0, 82.0]
    points = [
        episodes([c - 10 * f - 20 * g for c in clean], perturbation=f"friction={f},gravity", factor=float(g))
        for f in (1, 2)
        for g in (1, 2)
    ]
    frame = table(episodes(clean), episodes([70.0] * 3, perturbation="mass", factor=0.5), *points)
    (row,) = policy_table(frame, "perturbation").to_dict("records")
    assert list(row) == ["policy", "clean", "mass 0.5", "worst"]
    assert row["worst"] == "21.0 ± 2.5 at friction 2 + gravity 2"
    assert list(policy_table(frame, "attack").columns) == ["policy", "clean"]


def test_many_conditions_stand_below_each_other() -> None:
    frame = table(episodes([80.0, 81.0]), *[episodes([70.0, 71.0], attack="fgsm", eps=e / 10) for e in range(1, 9)])
    (wide,) = paper_tables(frame).values()
    assert wide.columns.tolist() == ["condition", "micro"]
    assert wide["condition"].tolist() == ["clean", *[f"fgsm eps 0.{e}" for e in range(1, 9)], "worst"]
    assert turned(policy_table(frame)).equals(wide)


def test_an_unknown_block_is_refused() -> None:
    with pytest.raises(ValueError, match="there is no block 'clean' of conditions; choose one of attack, pert"):
        policy_table(table(episodes([1.0, 2.0])), "clean")


# ---- escapes


def test_what_a_format_would_misread_is_escaped() -> None:
    odd = pd.DataFrame({"a_b": [r"50 % & <x> \y", "**1.0 ± 2**"], "c|d": ["[low]", "†"]})
    text = to_latex(odd, "100 %")
    assert r"50 \% \& \textless{}x\textgreater{} \textbackslash{}y & [low] \\" in text
    assert r"\textbf{1.0 $\pm$ 2} & $\dagger$ \\" in text
    assert r"a\_b & c\textbar{}d \\" in text
    assert r"\caption{100 \%}" in text
    page = to_html(odd, "<caption>")
    assert "<td>50 % &amp; &lt;x&gt; \\y</td>" in page
    assert "<td><strong>1.0 ± 2</strong></td>" in page
    assert "<caption>&lt;caption&gt;</caption>" in page
    assert "| **1.0 ± 2**" in to_markdown(odd, "")


def test_numbers_stand_right_and_text_left() -> None:
    text = to_latex(pd.DataFrame({"x": ["1"], "y": ["-2.0 ± 1"], "z": ["no return"], "w": ["–"]}), "")
    assert r"\begin{tabular}{lrlr}" in text


def test_long_tables_may_break() -> None:
    assert r"\begin{longtable}" in to_latex(pd.DataFrame({"x": ["1"] * (LONG + 1)}), "")
    assert r"\begin{tabular}" in to_latex(pd.DataFrame({"x": ["1"] * LONG}), "")


@pytest.mark.skipif(shutil.which("pdflatex") is None, reason="there is no pdflatex to compile with")
def test_latex_compiles(tmp_path: Path) -> None:
    study = Study(two_hundred())
    signs = pd.DataFrame({"[a]": ["[x] \\ & % $ # _ { } ~ ^ < > | ± × † – … √ ↓ → ≤ ≥ ·", "*"] * (LONG // 2 + 1)})
    body = [
        report.latex(study),
        to_latex(reports.robustness_table(study), reports.caption(study)),
        to_latex(signs, "[signs] ↓"),
        to_latex(signs.iloc[:3], "*"),
    ]
    source = "\n".join([r"\documentclass{article}", r"\usepackage{booktabs,longtable}", r"\begin{document}", *body])
    (tmp_path / "paper.tex").write_text(source + "\n\\end{document}\n", encoding="utf-8")
    command = ["pdflatex", "-interaction=nonstopmode", "-halt-on-error", "paper.tex"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout[-2000:]
    assert (tmp_path / "paper.pdf").stat().st_size > 10_000
