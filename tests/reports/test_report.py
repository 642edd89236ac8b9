"""A report folder from a results file alone."""

import json
import subprocess
import sys
from importlib import import_module
from pathlib import Path

import pandas as pd
import pytest

import reports
from tests.reports.toys import episodes, table

TABLES = ["index.html", "table.csv", "table.md", "table.tex"]
PLOTS = {kind: [f"degradation_{kind}.png", f"degradation_{kind}.svg"] for kind in ("eps", "factor")}
ALWAYS = [f"{name}.{ending}" for name in ("distribution", "profile") for ending in ("png", "svg")]


def both() -> pd.DataFrame:
    return table(
        episodes([50.0, 52.0, 48.0]),
        episodes([40.0, 41.0, 39.0], attack="fgsm", eps=0.1),
        episodes([30.0, 20.0, 35.0], perturbation="mass", factor=0.5),
    )


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_the_folder_holds_table_numbers_and_curves(tmp_path: Path) -> None:
    written = reports.write_report(both(), tmp_path / "new" / "report")
    assert sorted(written) == sorted([*TABLES, *ALWAYS, *PLOTS["eps"], *PLOTS["factor"]])
    assert names(tmp_path / "new" / "report") == sorted(written)
    assert all(path == tmp_path / "new" / "report" / name for name, path in written.items())
    assert written["table.md"].read_text(encoding="utf-8") == reports.markdown(both())
    assert len(written["table.csv"].read_text().splitlines()) == 1 + 3


def test_a_file_read_back_gives_the_same_bytes(tmp_path: Path) -> None:
    reports.write(both(), tmp_path / "results.csv", {})
    one = reports.write_report(both(), tmp_path / "one")
    two = reports.write_report(reports.read(tmp_path / "results.csv"), tmp_path / "two")
    assert {name: path.read_bytes() for name, path in one.items()} == {
        name: path.read_bytes() for name, path in two.items()
    }


def test_a_plot_of_an_earlier_report_does_not_stay(tmp_path: Path) -> None:
    reports.write_report(both(), tmp_path)
    frame = both()
    reports.write_report(frame[frame["perturbation"] == "none"], tmp_path)
    assert names(tmp_path) == sorted([*TABLES, *ALWAYS, *PLOTS["eps"]])
    reports.write_report(frame[(frame["perturbation"] == "none") & (frame["attack"] == "none")], tmp_path)
    assert names(tmp_path) == sorted([*TABLES, *ALWAYS])


def test_where_the_results_come_from_stands_below(tmp_path: Path) -> None:
    about = {"command": "microbench attack --eps 0.1", "versions": {"mujoco": "3"}}
    text = reports.write_report(both(), tmp_path, about)["table.md"].read_text(encoding="utf-8")
    assert json.loads(text.split("```json\n")[1].split("```")[0]) == about
    assert "```" not in reports.markdown(both())


def test_nothing_to_report_leaves_no_folder(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="no episodes to report"):
        reports.write_report(both().iloc[:0], tmp_path / "report")
    assert names(tmp_path) == []


def test_every_public_name_is_where_it_is_said_to_be() -> None:
    for module, public in reports.NAMES.items():
        for name in public:
            assert getattr(reports, name) is getattr(import_module(f"reports.{module}"), name)
    assert dir(reports) == sorted(name for public in reports.NAMES.values() for name in public)
    with pytest.raises(AttributeError, match="no attribute 'nonsense'"):
        getattr(reports, "nonsense")  # noqa: B009 - a type checker refuses the plain form, and that is right


def test_writing_results_does_not_wait_for_scipy_and_matplotlib() -> None:
    code = "import sys, reports.rows.results; assert not {'scipy', 'matplotlib'} & set(sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], cwd=Path(__file__).parents[2], check=False)
    assert done.returncode == 0


def test_twenty_thousand_episodes_are_one_table() -> None:
    """Two hundred conditions of a hundred episodes: every one in its row, none lost."""
    one = pd.DataFrame(episodes([float(i % 7) for i in range(100)]))
    grid = [
        one.assign(attack="none" if eps == 0 else "random", eps=eps / 1000, score=one["score"] - eps)
        for eps in range(200)
    ]
    summary = reports.summarize(pd.concat(grid, ignore_index=True))
    assert len(summary) == 200
    assert summary["n"].sum() == 20_000
    assert summary["change"].iloc[1:].tolist() == pytest.approx([-float(eps) for eps in range(1, 200)])
