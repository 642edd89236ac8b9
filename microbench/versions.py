"""The versions of the packages that produced a result."""

import platform
from importlib.metadata import version

from microbench import __version__


def versions() -> dict[str, str]:
    """Versions of all packages that a result may depend on, by name."""
    packages = ("torch", "numpy", "mujoco", "gymnasium", "pandas", "scipy")
    return {"microbench": __version__, "python": platform.python_version()} | {name: version(name) for name in packages}
