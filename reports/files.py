"""Whole files or nothing: what is written here is never seen half done."""

import contextlib
import os
import secrets
from collections.abc import Iterator
from pathlib import Path

Stamp = tuple[int, int, int]

NO_LINK = getattr(os, "O_NOFOLLOW", 0)  # systems without it have no such links to plant


def replace(path: Path, content: bytes) -> None:
    """Write `content` beside `path`, force it to the disk and rename it into place; see `replacing`. Raises OSError."""
    with replacing(path) as part, open(part, "r+b", opener=_unlinked) as file:
        file.write(content)


@contextlib.contextmanager
def replacing(path: Path, ending: str = ".part") -> Iterator[Path]:
    """A new empty file in the folder of `path` that takes its place when the block ends, and is removed if it fails.

    Its name cannot be guessed and it is made only if nothing has it, so that a link planted there is never followed. A
    link at `path` itself is replaced by the file, and what it points to stays as it is. What was written is on the disk
    before the renaming: a kill at any moment leaves the old file (or none) and at worst a hidden one beside it.
    Missing folders are made. For writers that open files by their name; `ending` is what they may ask for.
    Raises OSError.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    part = _new(path, ending)
    try:
        yield part
        _force(part, os.O_RDWR | NO_LINK)
        os.replace(part, path)
    finally:
        part.unlink(missing_ok=True)
    # The rename itself lives in the folder; where folders cannot be opened (Windows) the system does without.
    with contextlib.suppress(PermissionError):
        _force(path.parent, os.O_RDONLY)


def link(path: Path, target: str) -> None:
    """Make `path` a link to a folder, in place of a link or file that is there. Raises OSError."""
    part = path.with_name(_hidden(path, ".part"))
    try:
        part.symlink_to(target, target_is_directory=True)
        os.replace(part, path)
    finally:
        part.unlink(missing_ok=True)


def _new(path: Path, ending: str) -> Path:
    part = path.with_name(_hidden(path, ending))
    os.close(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL | NO_LINK, 0o666))
    return part


def _unlinked(path: str, flags: int) -> int:
    return os.open(path, flags | NO_LINK)


def _hidden(path: Path, ending: str) -> str:
    """For example `.results.csv.0f3a….part`; of a long name the beginning, since file systems bound names."""
    return f".{path.name[:40]}.{secrets.token_hex(8)}{ending}"


def _force(path: Path, flags: int) -> None:
    opened = os.open(path, flags)
    try:
        os.fsync(opened)
    finally:
        os.close(opened)


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
