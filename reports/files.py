"""Whole files or nothing: what is written here is never seen half done."""

import contextlib
import os
from pathlib import Path


def replace(path: Path, content: bytes) -> None:
    """Write `content` beside `path`, force it to the disk and rename it into place.

    A kill at any moment leaves the old file (or none) and at worst a hidden `.<name>.<pid>.part` beside it.
    Missing folders are made. Raises OSError.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        with part.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        os.replace(part, path)
    finally:
        part.unlink(missing_ok=True)
    # The rename itself lives in the folder; where folders cannot be opened (Windows) the system does without.
    with contextlib.suppress(PermissionError):
        folder = os.open(path.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)
