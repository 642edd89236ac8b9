"""What README and docs/ show: code that runs, and names that exist."""

import re
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

import attacks
import perturbations
import reports
from benchmarks import room_tree
from microbench import checkpoints, critics, tasks, wrappers
from tests.microbench.checkpoints.foreign_files import sb3
from tests.microbench.small_run import write_policy
from tests.reports.toys import episodes, table
from tests.repository import ROOT, documents, sources, text

DOCS = ROOT / "docs"
SKETCH = "<!-- sketch -->\n"
PYTHON = re.compile(rf"^({SKETCH})?```python(?: title=\"(\w+\.py)\")?\n(.*?)^```", re.M | re.S)
ROBOT = """<mujoco><worldbody><geom name="floor" type="plane" size="5 5 .1"/>
<body name="torso" pos="0 0 1"><freejoint/><geom name="trunk" type="sphere" size=".1" mass="1"/>
<body name="foot" pos="0 0 -.3"><joint name="knee" axis="0 1 0"/><geom name="sole" type="sphere" size=".05" mass=".2"/>
</body></body></worldbody><actuator><motor joint="knee" ctrllimited="true" ctrlrange="-1 1"/></actuator></mujoco>"""


# ---- code blocks


def code_blocks(path: Path) -> list[tuple[str | None, str]]:
    """(file to write it to, code) of every Python block that is no sketch."""
    return [(name or None, code) for sketch, name, code in PYTHON.findall(text(path)) if not sketch]


WITH_CODE = [path for path in documents() if code_blocks(path)]


@pytest.fixture
def shown(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[Path], dict[str, Any]]:
    """Run the Python blocks of a document one after the other, in a folder with the files they name."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "runs" / "latest").mkdir(parents=True)
    write_policy(tmp_path / "runs" / "latest" / "policy.safetensors")
    (tmp_path / "model.zip").write_bytes(sb3("ppo"))
    (tmp_path / "robot.xml").write_text(ROBOT)
    attacked = episodes([20.0, 24.0, 22.0], attack="pgd", eps=0.1)
    reports.write(table(episodes([48.0, 50.0, 49.0]), attacked), "results.csv", {})
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr("reports.figures.curves.save", _save_nothing)

    def run(path: Path) -> dict[str, Any]:
        names: dict[str, Any] = {"__name__": path.stem}
        for number, (module, code) in enumerate(code_blocks(path)):
            if module is not None:
                (tmp_path / module).write_text(code)
                monkeypatch.delitem(sys.modules, module.removesuffix(".py"), raising=False)
            exec(compile(code, f"{path.name}, block {number}", "exec"), names)
        return names

    return run


def _save_nothing(_: object, stem: Path | str, formats: Sequence[str] = ("png", "svg")) -> list[Path]:
    paths = [Path(f"{stem}.{name}") for name in formats]
    for path in paths:
        path.write_text('<svg width="1pt" height="1pt"></svg>')
    return paths


def test_there_is_code_to_run() -> None:
    names = {path.relative_to(ROOT).as_posix() for path in WITH_CODE}
    assert {"README.md", "docs/how-to/write-an-attack.md", "docs/how-to/report-a-table.md"} <= names


@pytest.mark.parametrize("path", WITH_CODE, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_the_code_of_a_document_runs(path: Path, shown: Callable[[Path], dict[str, Any]]) -> None:
    shown(path)


def test_the_examples_of_the_readme_do_what_their_headings_say(shown: Callable[[Path], dict[str, Any]]) -> None:
    names = shown(ROOT / "README.md")
    assert names["threat"].inside(names["obs"], names["seen"]).all()
    assert (names["seen"] != names["obs"]).any()
    assert not perturbations.is_no_op(names["model"], names["changed"])
    assert Path("report/index.html").is_file()


def test_every_block_of_code_has_a_language() -> None:
    """A block without one would be neither run nor parsed."""
    known = {"sh", "text", "python", "toml", "json", "bibtex"}
    fences = {
        (path.name, word)
        for path in documents()
        for word in re.findall(r"^```(\w*)[^`]*?\n.*?^```", text(path), re.M | re.S)
    }
    assert {fence for fence in fences if fence[1] not in known} == set()


# ---- names


def rows_of(path: Path, heading: str) -> list[str]:
    """Names in the first cells of the tables below a heading, up to the next one of its rank."""
    rank = heading.split()[0]
    section = re.split(rf"^{rank} ", text(path).split(f"\n{heading}\n", 1)[1], flags=re.M)[0]
    cells = [line.split("|")[1] for line in section.splitlines() if re.match(r"\| `(?!--)", line)]
    return [name for cell in cells for name in re.findall(r"`([^`]+)`", cell)]


def test_the_catalogue_has_every_attack_and_no_other() -> None:
    listed = rows_of(DOCS / "catalogue.md", "## Attacks")
    objectives = {*attacks.OBJECTIVES, "target_distance"}
    assert objectives <= set(listed)
    assert sorted(set(listed) - objectives) == sorted({*attacks.ATTACKS, *attacks.REFERENCES})
    assert len(listed) == len(set(listed))


def test_the_catalogue_has_every_unit_and_norm() -> None:
    assert rows_of(DOCS / "catalogue.md", "## Units and norms") == [*attacks.UNITS, *attacks.NORMS]


def test_the_catalogue_has_every_perturbation_with_its_nominal_factor() -> None:
    listed = {}
    for heading in ("## Perturbations of the physics", "## Perturbations of the signals"):
        section = re.split(r"^## ", text(DOCS / "catalogue.md").split(f"\n{heading}\n", 1)[1], flags=re.M)[0]
        for line in section.splitlines():
            if line.startswith("| `"):
                cells = [cell.strip() for cell in line.strip("| ").split("|")]
                listed[cells[0].strip("`")] = float(cells[-1])
    assert listed == {name: record.nominal for name, record in perturbations.PERTURBATIONS.items()}


PUBLIC = {
    "attacks": [f"attacks.{name}" for name in attacks.__all__],
    "perturbations": [f"perturbations.{name}" for name in perturbations.__all__],
    "reports": [f"reports.{name}" for names in reports.NAMES.values() for name in names],
    "microbench": [
        f"{module.__name__}.{name}" for module in (checkpoints, wrappers, critics, tasks) for name in module.__all__
    ],
}


@pytest.mark.parametrize("package", PUBLIC)
def test_the_api_reference_has_every_public_name_once(package: str) -> None:
    listed = re.findall(r"^::: ([\w.]+)$", text(DOCS / "api" / f"{package}.md"), re.M)
    assert sorted(listed) == sorted(PUBLIC[package])


def test_the_tree_of_rooms_is_that_of_the_docstrings() -> None:
    """Mended by: python -m benchmarks.room_tree --write."""
    assert room_tree.tree() in text(DOCS / "architecture.md")


def test_the_glossary_has_words_that_the_code_uses_and_each_once() -> None:
    words = re.findall(r"^\| \*\*(.+?)\*\* \|", text(DOCS / "glossary.md"), re.M)
    assert words == sorted(words)
    assert len(words) == len(set(words)) > 30
    code = "\n".join(text(path) for path in sources()).lower()
    assert [word for word in words if not re.search(rf"\b{word.replace(' ', '[ _-]')}s?\b", code)] == []
