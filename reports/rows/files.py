"""Whole files or nothing: what is written here is never seen half done."""

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path

Stamp = tuple[int, int, int]


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


def stamp(path: Path) -> Stamp | None:
    """What changes whenever `path` is replaced; None while there is no such file."""
    try:
        stat = path.stat()
    except FileNotFoundError:
        return None
    return stat.st_ino, stat.st_size, stat.st_mtime_ns


@contextlib.contextmanager
def alone(folder: Path) -> Iterator[None]:
    """Keep other processes that ask for the same folder waiting: one reads, changes and replaces at a time.

    The lock is the operating system's and ends with the process. Where there are none (Windows, some network disks)
    everybody goes on at once, and only `stamp` tells who was faster. Missing folders are made. Raises OSError.
    """
    folder.mkdir(parents=True, exist_ok=True)
    try:
        import fcntl
    except ImportError:
        yield
        return
    lock = os.open(folder, os.O_RDONLY)
    try:
        with contextlib.suppress(OSError):
            fcntl.flock(lock, fcntl.LOCK_EX)
        yield
    finally:
        os.close(lock)
