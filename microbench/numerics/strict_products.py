"""Matrix products whose rows do not depend on the batch, where Intel's library would choose kernels by the batch."""

import os
import platform
from functools import cache
from pathlib import Path

VARIABLE, STRICT = "MKL_CBWR", "AUTO,STRICT"


def use_strict_products() -> None:
    """Have MKL compute a row the same way in every batch: its strict mode of conditional numerical reproducibility.

    Needed on Intel's own processors only, where MKL otherwise goes by the alignment and the number of rows even for
    whole blocks of them. MKL reads the variable at its first product, so this comes before, and processes started
    later inherit it. Strict products take up to a sixth longer, so training, which always has the same batches,
    does without. A setting of the user's stays.
    """
    if "GenuineIntel" in _processor():
        os.environ.setdefault(VARIABLE, STRICT)


@cache  # asked for at every step by wrappers
def _processor() -> str:
    """What the system says of the first processor, its maker included."""
    try:
        return Path("/proc/cpuinfo").read_text("utf-8", errors="replace").partition("\n\n")[0]
    except OSError:  # no Linux
        return platform.processor()
