"""Matrix products whose rows do not depend on the batch, on processors where Intel's library chooses kernels by it."""

import os
import platform
from functools import cache
from pathlib import Path

VARIABLE, STRICT = "MKL_CBWR", "AUTO,STRICT"


def use_strict_products() -> None:
    """Have MKL compute a row the same way in every batch, by its strict mode of conditional numerical reproducibility.

    Only Intel's own processors need it: there MKL chooses kernels by alignment and number of rows, even for whole
    blocks. MKL reads the variable at its first product, so call this before; processes started later inherit it.
    Training always has the same batches and does without, because strict products take up to a sixth longer. A value
    that the user has set stays.
    """
    if "GenuineIntel" in _processor():
        os.environ.setdefault(VARIABLE, STRICT)


@cache  # asked for at every step by wrappers
def _processor() -> str:
    """The system's description of the first processor, its maker included."""
    try:
        return Path("/proc/cpuinfo").read_text("utf-8", errors="replace").partition("\n\n")[0]
    except OSError:  # no Linux
        return platform.processor()
