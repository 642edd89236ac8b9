"""New rows for a results file: the bytes of old rows stay, and no episode is there twice."""

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
    """One results file while an evaluation adds to it, read once and again only after somebody else wrote.

        with Writer("results.csv") as writer:
            writer.put(rows)

    Rows are in the file `every` seconds (0.5) after `put` at the latest, with 0 at once; a file so large that writing
    it takes longer than a tenth of that is written less often. Leaving the block writes what is left, also after an
    error or an interruption.
    Each time the longer file is renamed into place: there is never a cut-off line, and a reader sees all of a chunk or
    nothing of it. Raises ValueError for a damaged file.
    """

    def __init__(self, path: Path | str, *, every: float | None = None) -> None:
        self._path, self._every = Path(path), EVERY if every is None else every
        self._table = _Table(self._path)
        self._waiting: list[pd.DataFrame] = []
        self._due = 0.0  # not before this time by the monotonic clock
        self._timer: threading.Timer | None = None
        self._guard = threading.Lock()

    def put(self, rows: pd.DataFrame) -> None:
        """Add rows, in place of those of the same episodes where the file has them.

        Raises:
            ValueError: as `check`; or somebody else damaged the file.
            OSError: the file cannot be written; it is as it was, and closing tries again.
        """
        checked = check(rows)
        with self._guard:
            self._waiting.append(checked)
            wait = self._due - time.monotonic()
            if wait <= 0:
                self._flush()
            elif self._timer is None:  # the next rows may be long in coming
                self._timer = threading.Timer(wait, self._flush_late)
                self._timer.daemon = True
                self._timer.start()

    def close(self) -> None:
        """Write what is waiting; raises as `put`."""
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
                self._due = 0.0  # nobody listens in this thread: the next `put` or `close` tries again and tells

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
    """Add the rows whose episode `path` does not hold yet and return how many those were.

    The file is made when missing. Old bytes are copied, not formatted again, and the longer file is renamed
    into place. That costs O(file) per call; whoever adds often takes a `Writer`. An episode that is there stays as
    it is. If somebody else wrote in between, the file's stamp tells and the rows are added to the newer version.
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
    """Put the rows of these episodes (columns `KEY`) last and in this order, without formatting any of them again.

    Raises:
        ValueError: the file is damaged or lacks one of them.
        OSError: it cannot be written.
    """
    path = Path(path)
    with files.alone(path.parent):
        table = _Table(path)
        planned = _keys(keys)
        if not all(key in table.lines for key in planned):
            raise ValueError(f"{path} lost rows while others were added, so somebody else changed it; use --resume.")
        table.lines |= {key: table.lines.pop(key) for key in planned}
        table.save()


def remove(keys: pd.DataFrame, path: Path | str) -> None:
    """Take out the rows of these episodes (columns `KEY`), as far as they are there; the others keep their bytes.

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
    """A file as lines: which episode each one is, and the stamp it had.

    A file may have several rows of one episode, from before episodes were identified by what decides them. They stay
    together until a new row takes their place.
    """

    def __init__(self, path: Path) -> None:
        self.path, self.stamp = path, files.stamp(path)
        content = path.read_bytes() if self.stamp else header()
        frame = parse(content, path)  # first, for its sentences
        self.first, *rows = content.splitlines(keepends=True)
        self.lines: dict[Key, bytes] = {}
        for key, line in zip(_keys(frame), rows, strict=True):
            self.lines[key] = self.lines.get(key, b"") + line

    def formatted(self, frame: pd.DataFrame) -> dict[Key, bytes]:
        """The lines of a checked table, with the columns in the file's order."""
        self._widen([name for name in OPTIONAL if (frame[name] != "").any()])
        texts = lines(frame, names_of(self.first)).splitlines(keepends=True)
        return dict(zip(_keys(frame), texts, strict=True))

    def _widen(self, needed: list[str]) -> None:
        """Add those of the columns that the file lacks, empty in all its rows, whose other bytes stay."""
        lacking = [name for name in needed if name not in names_of(self.first)]
        if lacking:
            self.first = _lengthened(self.first, "," + ",".join(lacking))
            self.lines = {key: _lengthened(line, "," * len(lacking)) for key, line in self.lines.items()}

    def save(self) -> None:
        files.replace(self.path, b"".join([self.first, *self.lines.values()]))
        self.stamp = files.stamp(self.path)


def _lengthened(text: bytes, more: str) -> bytes:
    """The lines with this at the end of each, before its line break."""
    ended = (line.rstrip(b"\r\n") for line in text.splitlines())
    ends = (line[len(line.rstrip(b"\r\n")) :] for line in text.splitlines(keepends=True))
    return b"".join(line + more.encode() + end for line, end in zip(ended, ends, strict=True))


def _keys(frame: pd.DataFrame) -> list[Key]:
    """What identifies each row."""
    keys = keys_of(frame)
    columns = []
    for name in KEY:
        values = keys[name].astype(object).to_list()
        # A hundred thousand rows may share one checkpoint: repeated texts are kept once.
        columns.append([sys.intern(value) for value in values] if SCHEMA[name] == "str" else values)
    return list(zip(*columns, strict=True))
