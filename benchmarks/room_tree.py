"""The tree of docs/architecture.md: one line per room, the first sentence of its docstring.

python -m benchmarks.room_tree           # prints the tree
python -m benchmarks.room_tree --write   # puts it into the document

Rooms stand in the order of the import contract (pyproject.toml), from the top; the folders inside a room by name.
"""

import argparse
import ast
import re
import textwrap
import tomllib
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
DOCUMENT = ROOT / "docs" / "architecture.md"
PACKAGES = ("microbench", "attacks", "perturbations", "reports")
INDENT, NAMES, WIDTH = 2, 20, 120
BLOCK = re.compile(r"(?<=```text\n)microbench/ .*?(?=```)", re.S)


def tree() -> str:
    """The block of text, one room a line and the rest of a long sentence below it."""
    return "\n".join(_line(path, depth) for path, depth in _rooms()) + "\n"


def _rooms() -> Iterator[tuple[Path, int]]:
    for name in PACKAGES:
        package = ROOT / name
        yield package, 0
        for room in _contract(name) or sorted(_folders(package)):
            yield room, 1
            for inner in sorted(_folders(room)):
                yield inner, 2


def _contract(package: str) -> list[Path]:
    """The places inside a package as its import contract orders them; empty where it has none."""
    contracts = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["tool"]["importlinter"]["contracts"]
    layers: list[str] = next(
        (c["layers"] for c in contracts if c["type"] == "layers" and f"{package}." in c["layers"][0]), []
    )
    names = [name.removeprefix(f"{package}.") for layer in layers for name in re.split(r" [|:] ", layer)]
    folder = ROOT / package
    return [folder / name if (folder / name).is_dir() else folder / f"{name}.py" for name in names]


def _folders(folder: Path) -> list[Path]:
    return [path.parent for path in folder.glob("*/__init__.py")]


def _line(path: Path, depth: int) -> str:
    name = f"{path.name}/" if path.is_dir() else path.name
    start = f"{' ' * INDENT * depth}{name}".ljust(NAMES)
    return textwrap.fill(start + _sentence(path), WIDTH, subsequent_indent=" " * NAMES, break_long_words=False)


def _sentence(path: Path) -> str:
    """The first sentence of a docstring without its full stop."""
    source = path / "__init__.py" if path.is_dir() else path
    docstring = ast.get_docstring(ast.parse(source.read_text("utf-8"))) or ""
    return re.split(r"\.(?:\s|$)", " ".join(docstring.split("\n\n")[0].split()))[0]


def main() -> None:
    """Print the tree, or write it into the document."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--write", action="store_true", help="Replace the tree of docs/architecture.md.")
    if parser.parse_args().write:
        DOCUMENT.write_text(BLOCK.sub(lambda _: tree(), DOCUMENT.read_text("utf-8")), "utf-8")
    else:
        print(tree(), end="")


if __name__ == "__main__":
    main()
