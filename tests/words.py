"""Count names and sentences for the rule of CONTRIBUTING.md; run as a module, rewrite the lists of files."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path
from textwrap import dedent

ROOT = Path(__file__).resolve().parent.parent
FOLDERS = ("attacks", "perturbations", "reports", "microbench", "benchmarks", "tests")
PARTICIPLES = frozenset({"told", "said", "found", "made", "given"})
LONGEST = 35  # words of a sentence
MEAN = 20  # words of a sentence, over the docstrings of a folder or over all documents

# Files that still break the rule, a path a line; a list may only shrink.
NAMES = Path(__file__).with_name("words_names.txt")
SENTENCES = Path(__file__).with_name("words_sentences.txt")


def modules(folder: str) -> list[Path]:
    return sorted((ROOT / folder).rglob("*.py"))


def documents() -> list[Path]:
    return [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").rglob("*.md"))]


def listed(path: Path) -> list[str]:
    return path.read_text("utf-8").split() if path.exists() else []


def participles(source: str) -> set[str]:
    """The participles that the source binds: by an assignment, a parameter, a field, a loop, an import or `as`."""
    bound: set[str] = set()
    for node in ast.walk(ast.parse(source)):
        match node:
            case ast.Name(id=name, ctx=ast.Store()) | ast.Attribute(attr=name, ctx=ast.Store()):
                bound.add(name)
            case ast.arg(arg=name) | ast.ExceptHandler(name=str(name)) | ast.MatchAs(name=str(name)):
                bound.add(name)
            case ast.alias(asname=str(name)):
                bound.add(name)
    return bound & PARTICIPLES


def docstrings(source: str) -> Iterator[str]:
    documented = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, documented) and (docstring := ast.get_docstring(node)):
            yield docstring


def sentences(text: str) -> list[str]:
    """The sentences of prose in Markdown: without code, equations set apart, tables, headings and pictures."""
    text = re.sub(r"(?ms)^ *(```|\$\$).*?^ *\1", "\n", dedent(text))
    text = re.sub(r"(?m)^ *([|#<!>]|\.venv|\$ ).*$", "\n", text)
    text = re.sub(r"`+[^`]+`+|\$[^$\n]+\$|\]\([^)]*\)", " code ", text)
    text = re.sub(r"(?m)^ *([-*] |\d+\. |\w+: |[\w:-]+ {2,}(?=\S))", "\n\n", text)  # an item, or a name and its text
    return [part for part in re.split(r"(?<=[.!?])[)*\"]*\s+(?=[\W\d]*[A-Z]|code)|\n\s*\n", text) if words(part)]


def words(sentence: str) -> int:
    return sum(any(letter.isalpha() for letter in token) for token in sentence.split())


def prose(path: Path) -> list[str]:
    """All sentences of a document, or of the docstrings of a module."""
    text = path.read_text("utf-8")
    return [part for piece in (docstrings(text) if path.suffix == ".py" else [text]) for part in sentences(piece)]


def names_to_mend() -> list[str]:
    paths = [path for folder in FOLDERS for path in modules(folder)]
    return [str(path.relative_to(ROOT)) for path in paths if participles(path.read_text("utf-8"))]


def sentences_to_mend() -> list[str]:
    """Files with a sentence that is too long; a folder, or `docs`, whose sentences are too long on average."""
    long = []
    for place, paths in [*((folder, modules(folder)) for folder in FOLDERS), ("docs", documents())]:
        lengths = {path: [words(sentence) for sentence in prose(path)] for path in paths}
        long += [str(path.relative_to(ROOT)) for path in paths if max(lengths[path], default=0) > LONGEST]
        every = [length for path in paths for length in lengths[path]]
        long += [place] if sum(every) >= MEAN * len(every) else []
    return long


if __name__ == "__main__":
    NAMES.write_text("".join(f"{path}\n" for path in names_to_mend()), "utf-8")
    SENTENCES.write_text("".join(f"{path}\n" for path in sentences_to_mend()), "utf-8")
