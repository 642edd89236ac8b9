"""Writers that add rows to a results file: bytes of old rows stay, and no episode occurs twice."""

import sys
import threading
import time
from pathlib import Path
from types import TracebackType

import pandas as pd

from reports import files
from reports.rows.fields import names_of
from reports.rows.identity import keys_of
from reports.rows.parsing import header, lines, parse
from reports.rows.schema import KEY, OPTIONAL, SCHEMA, check

EVERY = 0.5  # seconds between two writes when rows come faster

Key = tuple[object, ...]


class Writer:
    """A results file to which an evaluation adds rows; it is read once, and again only after another process wrote.

        with Writer("results.csv") as writer:
            writer.put(rows)

    `put` writes rows within `every` seconds (0.5); 0 writes at once. A large file, whose writing takes longer than a
    tenth of that, is written less often. Leaving the block writes the remaining rows, also after an error or an
    interruption. Every write renames a whole file into place: no line is ever truncated, and a reader sees all rows of
    a `put` or none. Raises ValueError for a damaged file.
    """

    def __init__(self, path: Path | str, *, every: float | None = None) -> None:
        self._path, self._every = Path(path), EVERY if every is None else every
        self._table = _Table(self._path)
        self._waiting: list[pd.DataFrame] = []
        self._due = 0.0  # not before this time by the monotonic clock
        self._timer: threading.Timer | None = None
        self._guard = threading.Lock()

    def put(self, rows: pd.DataFrame) -> None:
        """Add rows; they replace rows of the same episodes.

        Raises:
            ValueError: as `check`; or another process damaged the file.
            OSError: the file cannot be written. It is unchanged, and closing tries again.
        """
        checked = check(rows)
        with self._guard:
            self._waiting.append(checked)
            wait = self._due - time.monotonic()
            if wait <= 0:
                self._flush()
            elif self._timer is None:  # the next `put` may come late
                self._timer = threading.Timer(wait, self._flush_late)
                self._timer.daemon = True
                self._timer.start()

    def close(self) -> None:
        """Write the waiting rows; raises as `put`."""
        with self._guard:
            if self._timer is not None:
                self._timer.cancel()
            self._flush()

    def __enter__(self) -> "Writer":
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        self.close()

    def _flush_late(self) -> None:
        with self._guard:
            self._timer = None
            try:
                self._flush()
            except (OSError, ValueError):
                self._due = 0.0  # an error in this thread is lost: the next `put` or `close` tries again and raises

    def _flush(self) -> None:
        if not self._waiting:
            return
        began = time.monotonic()
        with files.alone(self._path.parent):
            if self._table.stamp != files.stamp(self._path):
                self._table = _Table(self._path)
            for rows in self._waiting:
                for key, line in self._table.formatted(rows).items():
                    self._table.lines.pop(key, None)
                    self._table.lines[key] = line
            self._table.save()
        self._waiting.clear()
        now = time.monotonic()
        self._due = now + (self._every and max(self._every, 9 * (now - began)))


def append(frame: pd.DataFrame, path: Path | str) -> int:
    """Add the rows of new episodes to `path` and return their number; rows of episodes in the file stay unchanged.

    A missing file is created. Old bytes stay, and the longer file is renamed into place. A call costs O(file): use
    a `Writer` for frequent additions. If another process writes meanwhile, the rows are added to the newer version.
    Raises ValueError as `check` and `read` do.
    """
    path, new = Path(path), check(frame)
    with files.alone(path.parent):
        while True:
            table = _Table(path)
            fresh = {key: line for key, line in table.formatted(new).items() if key not in table.lines}
            if table.stamp == files.stamp(path):
                break
        if fresh or not table.stamp:
            table.lines |= fresh
            table.save()
    return len(fresh)


def move_last(keys: pd.DataFrame, path: Path | str) -> None:
    """Move the rows of these episodes (columns `KEY`) to the end, in this order; their bytes do not change.

    Raises:
        ValueError: the file is damaged or lacks an episode.
        OSError: it cannot be written.
    """
    path = Path(path)
    with files.alone(path.parent):
        table = _Table(path)
        planned = _keys(keys)
        if not all(key in table.lines for key in planned):
            raise ValueError(f"{path} lost rows while others were added, so another process changed it; use --resume.")
        table.lines |= {key: table.lines.pop(key) for key in planned}
        table.save()


def remove(keys: pd.DataFrame, path: Path | str) -> None:
    """Remove the rows of these episodes (columns `KEY`) that the file has; other rows keep their bytes.

    Raises:
        ValueError: the file is damaged.
        OSError: it cannot be written.
    """
    path = Path(path)
    with files.alone(path.parent):
        table = _Table(path)
        removed = [table.lines.pop(key) for key in _keys(keys) if key in table.lines]
        if removed:
            table.save()


class _Table:
    """The lines of a file by episode, with the stamp of the file.

    An older file may have several rows of one episode. They stay together until a new row replaces them.
    """

    def __init__(self, path: Path) -> None:
        self.path, self.stamp = path, files.stamp(path)
        content = path.read_bytes() if self.stamp else header()
        frame = parse(content, path)  # raises for a damaged file
        self.first, *rows = content.splitlines(keepends=True)
        self.lines: dict[Key, bytes] = {}
        for key, line in zip(_keys(frame), rows, strict=True):
            self.lines[key] = self.lines.get(key, b"") + line

    def formatted(self, frame: pd.DataFrame) -> dict[Key, bytes]:
        """The lines of a checked table by episode, with columns in the order of the file."""
        self._widen([name for name in OPTIONAL if (frame[name] != "").any()])
        texts = lines(frame, names_of(self.first)).splitlines(keepends=True)
        return dict(zip(_keys(frame), texts, strict=True))

    def _widen(self, needed: list[str]) -> None:
        """Add the columns that the file lacks, empty in all its rows; other bytes stay."""
        lacking = [name for name in needed if name not in names_of(self.first)]
        if lacking:
            self.first = _lengthened(self.first, "," + ",".join(lacking))
            self.lines = {key: _lengthened(line, "," * len(lacking)) for key, line in self.lines.items()}

    def save(self) -> None:
        files.replace(self.path, b"".join([self.first, *self.lines.values()]))
        self.stamp = files.stamp(self.path)


def _lengthened(text: bytes, more: str) -> bytes:
    """The lines with `more` at the end of each, before its line break."""
    ended = (line.rstrip(b"\r\n") for line in text.splitlines())
    ends = (line[len(line.rstrip(b"\r\n")) :] for line in text.splitlines(keepends=True))
    return b"".join(line + more.encode() + end for line, end in zip(ended, ends, strict=True))


def _keys(frame: pd.DataFrame) -> list[Key]:
    """The key of each row."""
    keys = keys_of(frame)
    columns = []
    for name in KEY:
        values = keys[name].astype(object).to_list()
        # Interning stores repeated texts once: a hundred thousand rows may share one checkpoint.
        columns.append([sys.intern(value) for value in values] if SCHEMA[name] == "str" else values)
    return list(zip(*columns, strict=True))
