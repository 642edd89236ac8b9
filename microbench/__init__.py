"""Train MICRO on a logged dataset, then measure how little it takes to break a policy.

`from microbench import attacks, perturbations, reports` is the documented way to the three sibling packages; they are
imported on first use, so `import microbench` stays fast.
"""

import importlib
import importlib.util
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import attacks as attacks
    import perturbations as perturbations
    import reports as reports

__version__ = "0.1.0"
__all__ = ["__version__", "attacks", "perturbations", "reports"]

_SIBLINGS = ("attacks", "perturbations", "reports")


def _check_siblings() -> None:
    """Raise ImportError if another `attacks`, `perturbations` or `reports` hides the one that belongs to us."""
    home = Path(__file__).resolve().parent.parent
    for name in _SIBLINGS:
        spec = importlib.util.find_spec(name)
        found = Path(spec.origin).resolve().parent if spec is not None and spec.origin else None
        if found != home / name:
            raise ImportError(
                f"microbench needs its own package `{name}` in {home}, but `import {name}` resolves to "
                f"{found or 'nothing with an __init__.py'}: a local folder or another package hides it; "
                f"rename that folder or run from another directory."
            )


_check_siblings()


def __getattr__(name: str) -> ModuleType:
    if name in _SIBLINGS:
        return importlib.import_module(name)
    raise AttributeError(f"module 'microbench' has no attribute '{name}'")
