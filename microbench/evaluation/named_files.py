"""Files that the texts of attacks and perturbations name, and the hashes of their content.

They are a critic, an adversary, a file in a setting of any attack, and the module of `module:name`. Modules that such a
module imports are not hashed.
"""

import functools
import hashlib
import sys
from collections.abc import Iterable
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path

import attacks
import perturbations
from attacks.language import parse
from microbench.adversaries.loading import PREFIX
from microbench.checkpoints.readers.sb3_statistics import companions
from microbench.evaluation.plan import Cell
from reports.study.worst import WORST

ZIP = ".zip"  # suffix of Stable-Baselines3, whose statistics file beside it changes the input of a critic


def of_attack(text: str) -> dict[str, str]:
    """File that an attack's text names → SHA-256 of its content, in the order of the text."""
    if text in ("none", WORST):
        return {}
    if text.startswith(PREFIX):
        return _known([text.removeprefix(PREFIX)])
    spec = parse(text)
    module = {} if spec.name in attacks.ATTACKS | attacks.REFERENCES else _module(spec.name)
    return module | _known(value for value in spec.settings.values() if isinstance(value, str))


def of_perturbation(text: str) -> dict[str, str]:
    """Module that a perturbation names → SHA-256 of its source."""
    names = [] if text == "none" else [record.name for record in perturbations.records(text)]
    foreign = [name for name in names if name not in perturbations.PERTURBATIONS]
    return {module: sha for name in foreign for module, sha in _module(name).items()}


def hashes(files: dict[str, str]) -> str:
    """The hashes of files, joined by `;`, as rows hold them."""
    return ";".join(files.values())


def with_files(cell: Cell) -> Cell:
    """The cell with the hashes of its files, as its rows hold them; `worst` itself names no file."""
    attack = {} if cell.shown == WORST else of_attack(cell.attack)
    return replace(cell, files=(hashes(attack), hashes(of_perturbation(cell.perturbation))))


def _known(names: Iterable[str]) -> dict[str, str]:
    """Those of the names that are files → SHA-256 of their content."""
    paths = {name: Path(name) for name in names}
    return {name: _identity(path) for name, path in paths.items() if _is_file(path)}


def _is_file(path: Path) -> bool:
    try:
        return path.is_file()
    except (OSError, ValueError):  # a word that is no path at all
        return False


def _module(name: str) -> dict[str, str]:
    """The module of `module:name` → SHA-256 of its source; empty if it has no file."""
    module = name.partition(":")[0]
    loaded = sys.modules.get(module)
    spec = find_spec(module) if loaded is None else None
    file = getattr(loaded, "__file__", None) if spec is None else spec.origin
    return {module: _hash(Path(file), _stamp(Path(file)))} if file is not None and _is_file(Path(file)) else {}


def _identity(path: Path) -> str:
    """The SHA-256 of a file, combined with those of its companion files, which may change how it is read."""
    beside = companions(path) if path.suffix.lower() == ZIP else []
    own, *others = (_hash(file, _stamp(file)) for file in (path, *beside))
    return hashlib.sha256("\n".join([own, *others]).encode()).hexdigest() if others else own


def _stamp(path: Path) -> tuple[int, int]:
    stat = path.stat()
    return stat.st_size, stat.st_mtime_ns


@functools.lru_cache(maxsize=64)
def _hash(path: Path, stamp: tuple[int, int]) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()
