"""The house: what is shipped, what imports what, what is documented, and what must never be committed."""

import ast
import email
import os
import re
import subprocess
import sys
import tomllib
import zipfile
from email.message import Message
from pathlib import Path

import pytest
from typer.main import get_command

import attacks
import microbench
import perturbations
import reports
from microbench.checkpoints import FAMILIES
from microbench.cli import app
from microbench.critics import METHODS
from microbench.data.sources import BUNDLED
from microbench.errors import UserError
from microbench.installation import check_name
from microbench.learning.algorithms import ALGORITHMS
from tests.repository import PACKAGES, ROOT, documents, sources, text

CLEAN_ENVIRONMENT = {**os.environ, "PYTHONPATH": str(ROOT), "PYTHONDONTWRITEBYTECODE": "1"}


def python(*arguments: str, cwd: Path = ROOT, path: str = str(ROOT)) -> subprocess.CompletedProcess[str]:
    """A fresh interpreter, as somebody else would start it."""
    command = [sys.executable, *arguments]
    environment = CLEAN_ENVIRONMENT | {"PYTHONPATH": path}
    return subprocess.run(command, cwd=cwd, env=environment, capture_output=True, text=True, check=False)


def canonical(requirement: str) -> str:
    """The name at the start of a requirement, as an index spells it."""
    return re.split(r"[^\w.-]", requirement)[0].lower().replace("_", "-")


# ---- what is shipped


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> zipfile.ZipFile:
    folder = tmp_path_factory.mktemp("wheel")
    built = python("-m", "hatchling", "build", "-t", "wheel", "-d", str(folder))
    assert built.returncode == 0, built.stderr
    (path,) = folder.glob("*.whl")
    return zipfile.ZipFile(path)


@pytest.fixture(scope="module")
def metadata(wheel: zipfile.ZipFile) -> Message:
    (name,) = [name for name in wheel.namelist() if name.endswith(".dist-info/METADATA")]
    return email.message_from_bytes(wheel.read(name))


def test_the_wheel_holds_four_packages_and_nothing_else(wheel: zipfile.ZipFile) -> None:
    top = {name.split("/")[0] for name in wheel.namelist()}
    assert top == {*PACKAGES, f"microbench_rl-{microbench.__version__}.dist-info"}


def test_the_wheel_holds_every_module_and_every_data_file(wheel: zipfile.ZipFile) -> None:
    names = set(wheel.namelist())
    wanted = {path.relative_to(ROOT).as_posix() for path in sources()}
    wanted |= {f"{package}/py.typed" for package in PACKAGES}
    wanted |= {"microbench/presets.toml", "reports/figures/figure.mplstyle", "reports/words/flags.md"}
    wanted |= {f"reports/page/page.{kind}" for kind in ("html", "css", "js")}
    wanted |= {f"microbench/data/files/{bundled.file}" for bundled in BUNDLED.values()}
    assert wanted - names == set()
    assert not [name for name in names if "test" in name or name.endswith(".pyc")]


def test_the_metadata_name_us_and_the_extras(metadata: Message) -> None:
    assert metadata["Name"] == "microbench-rl"
    assert metadata["Version"] == microbench.__version__
    assert set(metadata.get_all("Provides-Extra", [])) == {"adroit", "d4rl", "dev", "docs", "ray", "video"}
    # Its requirements cannot be built for newer interpreters, and a plain install must not ask for it.
    (requirement,) = [line for line in metadata.get_all("Requires-Dist", []) if line.startswith("d4rl")]
    assert "python_version < '3.12'" in requirement
    assert "extra == 'd4rl'" in requirement


def test_constraints_are_exact_and_from_an_index() -> None:
    lines = text(ROOT / "constraints.txt").split()
    assert [line for line in lines if not re.fullmatch(r"[A-Za-z0-9._-]+==[0-9][0-9.a-z]*", line)] == []
    pinned = {canonical(line) for line in lines}
    project = tomllib.loads(text(ROOT / "pyproject.toml"))["project"]
    extras = project["optional-dependencies"]
    asked = {canonical(name) for name in (*project["dependencies"], *extras["dev"], *extras["docs"])}
    assert {"torch", "hatchling", "gymnasium", "pytest"} <= asked
    assert asked - pinned == set()
    assert {"editables", "setuptools"} <= pinned  # what an editable install and torch need without our asking


# ---- what imports what


def test_the_facade_gives_the_sibling_packages_themselves() -> None:
    assert microbench.attacks is attacks
    assert microbench.perturbations is perturbations
    assert microbench.reports is reports
    with pytest.raises(AttributeError, match="no attribute 'defences'"):
        _ = microbench.defences


@pytest.mark.parametrize("name", ["attacks", "perturbations", "reports"])
def test_a_foreign_sibling_is_named(tmp_path: Path, name: str) -> None:
    (tmp_path / name).mkdir()
    (tmp_path / name / "__init__.py").touch()
    measured = python("-c", "import microbench", cwd=tmp_path)
    assert measured.returncode == 1
    (line,) = [line for line in measured.stderr.splitlines() if line.startswith("ImportError")]
    assert f"`{name}`" in line
    assert str(tmp_path / name) in line
    assert "rename that folder" in line


def test_an_output_folder_of_the_same_name_hides_nothing(tmp_path: Path) -> None:
    (tmp_path / "reports").mkdir()
    assert python("-c", "import microbench", cwd=tmp_path).returncode == 0


def imported(code: str, tmp_path: Path) -> set[str]:
    """Top-level modules loaded after running `code`; whether it exits does not matter."""
    listing = "import sys\ntry:\n    {}\nexcept SystemExit:\n    pass\nprint('loaded:', *sys.modules)"
    ran = python("-c", listing.format(code), cwd=tmp_path)
    assert ran.returncode == 0, ran.stderr
    return {name.split(".")[0] for name in ran.stdout.rpartition("loaded:")[2].split()}


def test_importing_the_package_is_light(tmp_path: Path) -> None:
    heavy = {"torch", "mujoco", "gymnasium", "pandas", "matplotlib", "scipy", "numpy", "h5py", "typer"}
    assert imported("import microbench", tmp_path) & heavy == set()


@pytest.mark.parametrize("command", ["", *sorted(get_command(app).commands)])  # type: ignore[attr-defined]  # it is a group
def test_help_waits_for_nothing_heavy(command: str, tmp_path: Path) -> None:
    heavy = {"torch", "mujoco", "gymnasium", "pandas", "matplotlib", "scipy", "h5py"}
    arguments = [word for word in ("microbench", command, "--help") if word]
    code = f"sys.argv = {arguments}; from microbench.cli import main; main()"
    loaded = imported(code, tmp_path)
    assert "typer" in loaded
    assert loaded & heavy == set()


def test_the_contracts_between_packages_hold() -> None:
    ran = python("-c", "from importlinter.cli import lint_imports_command; lint_imports_command()", "--no-cache")
    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert ", 0 broken" in ran.stdout


def test_the_unrelated_distribution_of_our_name_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    check_name()
    (tmp_path / "microbench-2.1.0.dist-info").mkdir()
    (tmp_path / "microbench-2.1.0.dist-info" / "METADATA").write_text(
        "Metadata-Version: 2.1\nName: microbench\nVersion: 2.1.0\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(UserError, match="uninstall both, then install 'microbench-rl' again"):
        check_name()


# ---- what is written


@pytest.mark.parametrize("path", sources(), ids=lambda path: path.relative_to(ROOT).as_posix())
def test_a_module_is_one_idea(path: Path) -> None:
    assert len(text(path).splitlines()) <= 300
    assert text(path) == "" or ast.get_docstring(ast.parse(text(path)))


def test_every_name_of_a_table_is_documented() -> None:
    output = "\n".join(text(path) for path in documents())
    names = [*attacks.ATTACKS, *perturbations.PERTURBATIONS, *ALGORITHMS, *attacks.UNITS, *attacks.NORMS, *BUNDLED]
    names += [*FAMILIES, *attacks.REFERENCES, *METHODS]
    assert [name for name in names if f"`{name}`" not in output] == []


def test_every_flag_is_documented_and_every_documented_flag_exists() -> None:
    """A flag is a hyphenated word among the text constants of the modules that evaluate and check."""
    modules = [
        ROOT / "microbench" / "episodes" / "loop.py",
        ROOT / "microbench" / "evaluation" / "chunk.py",
        ROOT / "attacks" / "checks.py",
    ]
    words = {word for path in modules for word in constants_of(path)}
    flags = {word for word in words if re.fullmatch(r"[a-z0-9]+(-[a-z0-9]+)+", word)} - set(attacks.UNITS)
    assert {"nan-action", "no-op-cell"} <= flags
    documented = re.findall(r"^### `([a-z0-9-]+)`$", text(ROOT / "docs" / "flags.md"), re.M)
    assert sorted(documented) == sorted(flags)


def test_every_documented_note_is_one_that_reports_make() -> None:
    modules = [*(ROOT / "reports" / "words").glob("*.py"), ROOT / "reports" / "study" / "scales.py"]
    constants = [constant for path in modules for constant in constants_of(path)]
    notes = re.findall(r"^### “(.+)”$", text(ROOT / "docs" / "flags.md"), re.M)
    assert len(notes) >= 10
    for note in notes:
        parts = [part.strip() for part in note.split("…") if part.strip()]
        assert [part for part in parts if not any(part in constant for constant in constants)] == [], note


def constants_of(path: Path) -> set[str]:
    constants = (node for node in ast.walk(ast.parse(text(path))) if isinstance(node, ast.Constant))
    return {constant.value for constant in constants if isinstance(constant.value, str)}


def test_every_cited_test_exists() -> None:
    """Deviations and flags cite tests as `tests/…/test_x.py::test_name`, or as a file."""
    cited = {match for path in documents() for match in re.findall(r"(tests/[\w/]+\.py)(?:::(test_\w+))?", text(path))}
    assert len(cited) > 30
    missing = [
        f"{file}::{name}"
        for file, name in sorted(cited)
        if not (ROOT / file).is_file() or (name and f"def {name}(" not in text(ROOT / file))
    ]
    assert missing == []


def test_every_linked_file_exists() -> None:
    missing = [
        f"{path.name}: {link}"
        for path in documents()
        for link in re.findall(r"\]\(([^)#\s]+)[^)]*\)", text(path))
        if "://" not in link and not (path.parent / link).exists()
    ]
    assert missing == []


def test_no_document_has_a_gap_to_fill() -> None:
    gaps = [
        f"{path.name}: {gap}" for path in documents() for gap in re.findall(r"@@\w+@@|\{\{\w+\}\}|TODO", text(path))
    ]
    assert gaps == []


# ---- what documents tell people to type


def shell_lines() -> list[tuple[str, str]]:
    """(document, command) for every line of a shell block; prompts, continuations and comments are taken off."""
    lines = []
    for path in documents():
        for block in re.findall(r"^```(?:sh|bash|console|shell)\n(.*?)^```", text(path), re.M | re.S):
            for line in block.replace("\\\n", " ").splitlines():
                command = re.sub(r"\s#.*$|^#.*$", "", line.strip().removeprefix("$ ")).strip()
                if command:
                    lines.append((path.relative_to(ROOT).as_posix(), command))
    return lines


MICROBENCH_LINES = [(document, line) for document, line in shell_lines() if re.match(r"(\S+/)?microbench\b", line)]


def test_there_are_commands_to_check() -> None:
    assert shell_lines()


@pytest.mark.parametrize(("document", "line"), MICROBENCH_LINES)
def test_the_parser_accepts_what_documents_show(document: str, line: str) -> None:
    _, command, *arguments = re.split(r"\s*[|>&;]", line)[0].split()
    group = get_command(app)
    known = group.commands  # type: ignore[attr-defined]  # it is a group
    assert command in known, f"{document}: there is no command in `{line}`"
    known[command].make_context(command, arguments)  # raises a usage error for what it does not know


def test_make_targets_that_documents_show_exist() -> None:
    targets = set(re.findall(r"^([a-z]+):", text(ROOT / "Makefile"), re.M))
    assert {"check", "demo", "docs", "test", "format", "slow", "clean", "help"} <= targets
    shown = {word for path in documents() for word in re.findall(r"(?:`|^\$? ?)make ([a-z]+)", text(path), re.M)}
    assert shown - targets == set()


def test_nobody_is_told_to_install_the_unrelated_distribution() -> None:
    telling = [path.name for path in documents() if re.search(r"pip install (-U )?microbench(?!-rl)", text(path))]
    assert telling == []


# ---- how tests are written


def modules_of_tests() -> list[Path]:
    return [path for path in sorted((ROOT / "tests").rglob("*.py")) if path.name.startswith("test_")]


def test_names_of_tests_say_the_property_in_words() -> None:
    """A letter with a number is the code of something that a reader would have to look up."""
    codes = [name for path in modules_of_tests() for name in re.findall(r"def (test_[a-h]\d+_\w+)", text(path))]
    assert codes == []


def test_what_tests_share_is_in_no_module_of_tests() -> None:
    borrowed = {
        path.name: re.findall(r"^(?:from|import) tests[\w.]*\.test_\w+", text(path), re.M)
        for path in modules_of_tests()
    }
    assert {name: lines for name, lines in borrowed.items() if lines} == {}


# ---- what must never be committed


def tracked() -> list[Path]:
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=False)
    if listed.returncode != 0:
        pytest.skip("this is no git checkout")
    return [ROOT / name for name in listed.stdout.split("\0") if name and (ROOT / name).is_file()]


def test_no_machine_path_and_no_registry_host_is_committed() -> None:
    folders = "|".join(("work", "root", "tmp", "home", "Users", "opt"))
    hosts = "|".join(("py" + "pi", "python" + "hosted", "conda" + "-forge", "anaconda" + r"\."))
    never = re.compile(rf"(?<![\w.~\]}})])/({folders})/|[a-z.]*({hosts})[a-z.]*|file://", re.I)
    measured = []
    for path in tracked():
        try:
            content = text(path)
        except UnicodeDecodeError:
            continue
        if path != Path(__file__).resolve():
            measured += [f"{path.relative_to(ROOT)}: {match[0]}" for match in never.finditer(content)]
    assert measured == []


def test_nothing_large_or_generated_is_committed() -> None:
    allowed = {f"microbench/data/files/{bundled.file}" for bundled in BUNDLED.values()}
    names = [path.relative_to(ROOT) for path in tracked()]
    large = [name.as_posix() for name in names if (ROOT / name).stat().st_size > 500_000]
    assert set(large) <= allowed
    assert [name for name in names if name.parts[0] in (".venv", "runs", "dist", "build", "site")] == []
    assert [name for name in names if name.suffix in (".pyc", ".pt", ".pkl", ".part")] == []
