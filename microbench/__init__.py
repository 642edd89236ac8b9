"""Train MICRO on a logged dataset, then measure how little it takes to break a policy.

`from microbench import attacks, perturbations, reports` is the documented way to the three sibling packages. They are
imported on first use, so `import microbench` stays fast.
"""

import importlib
import importlib.util
import os.path
from types import ModuleType

TYPE_CHECKING = False  # `python -m` may still have the working directory in front: import next to nothing here
if TYPE_CHECKING:
    import attacks as attacks
    import perturbations as perturbations
    import reports as reports

__version__ = "0.1.0"
__all__ = ["__version__", "attacks", "perturbations", "reports"]

_SIBLINGS = ("attacks", "perturbations", "reports")


def _check_siblings() -> None:
    """Raise ImportError if another package named `attacks`, `perturbations` or `reports` hides ours."""
    home = os.path.dirname(os.path.dirname(os.path.realpath(__file__)))
    for name in _SIBLINGS:
        spec = importlib.util.find_spec(name)
        place = os.path.dirname(os.path.realpath(spec.origin)) if spec is not None and spec.origin else None
        if place != os.path.join(home, name):
            raise ImportError(
                f"microbench needs its own package `{name}` in {home}, but `import {name}` resolves to "
                f"{place or 'nothing with an __init__.py'}: a local folder or another package hides it; "
                f"rename that folder or run from another directory."
            )


_check_siblings()


def __getattr__(name: str) -> ModuleType:
    if name in _SIBLINGS:
        return importlib.import_module(name)
    raise AttributeError(f"module 'microbench' has no attribute '{name}'")
