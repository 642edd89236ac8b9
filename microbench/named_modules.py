"""An import finder for modules that a command line names as `module:name` and that lie in the working directory.

A folder that was downloaded may hold a `tqdm.py`, and libraries try to import optional packages: any file on the
search path may run. So the working directory is not on it. Only a module that the user names is found there, and
modules beside it that it imports itself.
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
"""The variable that makes Python processes started from here leave the working directory out as well."""

_NAMED = re.compile(r"(?<![\w.:/\\])([^\W\d]\w*)(?:\.\w+)*:[^\W\d]")
_OURS = frozenset({"adversary", "compat"})  # words before a colon that name no module


@dataclass(frozen=True)
class NamedModules(MetaPathFinder):
    """Finds modules of these top-level names in `folder`, after every other finder."""

    folder: str
    names: frozenset[str]

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """The module's spec; None for a module inside a package, because the package's path is enough."""
        if path is not None or not (fullname in self.names or self._asked_from_here()):
            return None
        return PathFinder.find_spec(fullname, [self.folder])

    def _asked_from_here(self) -> bool:
        """Whether the import statement is in a module of the folder that this finder has loaded."""
        frame: FrameType | None = sys._getframe(2)
        while frame is not None and str(frame.f_globals.get("__name__")).startswith("importlib"):
            frame = frame.f_back
        if frame is None:
            return False
        spec = frame.f_globals.get("__spec__")
        origin = getattr(spec, "origin", None)
        return isinstance(origin, str) and origin.startswith(self.folder + os.sep) and _is_loaded(spec)


def _is_loaded(spec: object) -> bool:
    """Whether this is the spec of a module that was imported, and not a forged one."""
    return getattr(sys.modules.get(str(getattr(spec, "name", ""))), "__spec__", None) is spec


def named_in(arguments: Iterable[str]) -> frozenset[str]:
    """Top-level names of the modules in a command line: `['--attack=my.module:f']` → `{'my'}`."""
    return frozenset(name for argument in arguments for name in _NAMED.findall(argument)) - _OURS


def use(folder: str, names: frozenset[str]) -> None:
    """Find modules of these names in the folder from now on, and no longer in a folder of an earlier call."""
    sys.meta_path[:] = [finder for finder in sys.meta_path if not isinstance(finder, NamedModules)]
    sys.path[:] = [entry for entry in sys.path if entry]  # "" would be the working directory
    if names:
        sys.meta_path.append(NamedModules(folder, names))
        importlib.invalidate_caches()


def in_use() -> tuple[str, frozenset[str]]:
    """The arguments of the last `use`, for a worker to repeat the call."""
    for finder in sys.meta_path:
        if isinstance(finder, NamedModules):
            return finder.folder, finder.names
    return os.getcwd(), frozenset()


def only_named(arguments: Sequence[str]) -> None:
    """Restrict imports from the working directory, here and in child processes, to modules named in the arguments."""
    os.environ[SAFE_PATH] = "1"
    use(os.getcwd(), named_in(arguments))
