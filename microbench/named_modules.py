"""Modules that a command line names as `module:name`, found in the working directory, which is on no search path.

A folder that was downloaded may hold a `tqdm.py`, and libraries look for optional packages: whatever lies on the
search path may run. So the working directory is taken off it. Only a module that the user names is found there, and
what this module itself imports from beside it.
"""

import importlib
import os
import re
import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec, PathFinder
from types import FrameType, ModuleType

SAFE_PATH = "PYTHONSAFEPATH"
"""Tells the Pythons that are started from here to leave the working directory out as well."""

_NAMED = re.compile(r"(?<![\w.:/\\])([^\W\d]\w*)(?:\.\w+)*:[^\W\d]")
_OURS = frozenset({"adversary", "compat"})  # words before a colon that name no module


@dataclass(frozen=True)
class NamedModules(MetaPathFinder):
    """Finds modules of these top-level names in `folder`, after everybody else has looked."""

    folder: str
    names: frozenset[str]

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """The module's place; None for what is inside a package, whose own path is enough."""
        if path is not None or not (fullname in self.names or self._asked_from_here()):
            return None
        return PathFinder.find_spec(fullname, [self.folder])

    def _asked_from_here(self) -> bool:
        """Whether the import stands in a module of the folder that was found here."""
        frame: FrameType | None = sys._getframe(2)
        while frame is not None and str(frame.f_globals.get("__name__")).startswith("importlib"):
            frame = frame.f_back
        if frame is None:
            return False
        spec = frame.f_globals.get("__spec__")
        origin = getattr(spec, "origin", None)
        return isinstance(origin, str) and origin.startswith(self.folder + os.sep) and _is_loaded(spec)


def _is_loaded(spec: object) -> bool:
    """Whether this is the spec of a module that was imported, and not of a file that claims to be one."""
    return getattr(sys.modules.get(str(getattr(spec, "name", ""))), "__spec__", None) is spec


def named_in(arguments: Iterable[str]) -> frozenset[str]:
    """Top-level names of the modules in a command line: `['--attack=my.module:f']` → `{'my'}`."""
    return frozenset(name for argument in arguments for name in _NAMED.findall(argument)) - _OURS


def use(folder: str, names: frozenset[str]) -> None:
    """Find modules of these names in the folder from now on, and in no other folder that was given before."""
    sys.meta_path[:] = [finder for finder in sys.meta_path if not isinstance(finder, NamedModules)]
    sys.path[:] = [entry for entry in sys.path if entry]  # "" would be the working directory
    if names:
        sys.meta_path.append(NamedModules(folder, names))
        importlib.invalidate_caches()


def in_use() -> tuple[str, frozenset[str]]:
    """What `use` was given, so that a worker can be given the same."""
    for finder in sys.meta_path:
        if isinstance(finder, NamedModules):
            return finder.folder, finder.names
    return os.getcwd(), frozenset()


def only_named(arguments: Sequence[str]) -> None:
    """Leave nothing of the working directory to be imported by this process and its children but what is named."""
    os.environ[SAFE_PATH] = "1"
    use(os.getcwd(), named_in(arguments))
