"""Atomic writes: a reader sees the old file or the whole new one."""

import contextlib
import os
import secrets
from collections.abc import Iterator
from pathlib import Path

Stamp = tuple[int, int, int]

NO_LINK = getattr(os, "O_NOFOLLOW", 0)  # systems without it have no symbolic links to plant


def replace(path: Path, content: bytes) -> None:
    """Write `content` to `path` atomically; see `replacing`. Raises OSError."""
    with replacing(path) as part, open(part, "r+b", opener=_unlinked) as file:
        file.write(content)


@contextlib.contextmanager
def replacing(path: Path, ending: str = ".part") -> Iterator[Path]:
    """A temporary file in the folder of `path`: it replaces `path` when the block ends, and is removed on an error.

    Its random name is created exclusively, so a planted link is never followed. A link at `path` is replaced by the
    file; its target is not touched. The content is flushed to the disk before the renaming. A kill at any moment leaves
    the old file (or none), and at worst a hidden temporary one. Missing folders are created. `ending` is for writers
    that choose a format by the name of a file. Raises OSError.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    part = _new(path, ending)
    try:
        yield part
        _force(part, os.O_RDWR | NO_LINK)
        os.replace(part, path)
    finally:
        part.unlink(missing_ok=True)
    # The folder stores the rename, so flush it too; Windows cannot open folders.
    with contextlib.suppress(PermissionError):
        _force(path.parent, os.O_RDONLY)


def link(path: Path, target: str) -> None:
    """Make `path` a link to a folder; it replaces an earlier link or file. Raises OSError."""
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
    """A hidden name such as `.results.csv.0f3a….part`; long names are cut, since file systems limit names."""
    return f".{path.name[:40]}.{secrets.token_hex(8)}{ending}"


def _force(path: Path, flags: int) -> None:
    opened = os.open(path, flags)
    try:
        os.fsync(opened)
    finally:
        os.close(opened)


def stamp(path: Path) -> Stamp | None:
    """A stamp that changes whenever `path` is replaced; None if the file does not exist."""
    try:
        stat = path.stat()
    except FileNotFoundError:
        return None
    return stat.st_ino, stat.st_size, stat.st_mtime_ns


@contextlib.contextmanager
def alone(folder: Path) -> Iterator[None]:
    """Lock a folder for the block: other processes that lock the same folder wait.

    The operating system releases the lock when the process ends. Systems without such locks (Windows, some network
    disks) do not wait; there only `stamp` detects a concurrent write. Missing folders are created. Raises OSError.
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
