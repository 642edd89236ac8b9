"""Files sent to workers without a shared disk: those of the policy, and the one that an attack's text names."""

import dataclasses
import functools
import tempfile
from pathlib import Path

from microbench.checkpoints import Checkpoint, Source, reload
from microbench.checkpoints.call import is_call
from microbench.checkpoints.readers.sb3_statistics import companions
from microbench.checkpoints.statistics import statistics_file
from microbench.evaluation.attacked import file_of, with_file
from microbench.evaluation.plan import Chunk

Files = tuple[tuple[str, bytes], ...]  # name and content; the first is the one that is meant, others are read with it
STATS = "obs-stats"  # what a file of statistics is called on its way


def policy_files(source: Source) -> Files:
    """The files of the policy; none for module:callable, which every node must have."""
    if is_call(source.path):
        return ()
    stats = source.overrides.obs_stats
    named = {STATS: statistics_file(stats)} if stats is not None and stats.exists() else {}
    return _read(Path(source.path), named)


def attack_files(text: str) -> Files:
    """The files of the critic or adversary that an attack's text names; none without a name, or if it is missing."""
    file = file_of(text)
    return _read(Path(file)) if file is not None and Path(file).is_file() else ()


def _read(path: Path, others: dict[str, Path] | None = None) -> Files:
    named = {path.name: path, **(others or {})}
    named |= {file.relative_to(path.parent).as_posix(): file for file in companions(path)}
    return tuple((name, file.read_bytes()) for name, file in named.items())


@functools.lru_cache(maxsize=1)
def read_policy(files: Files, source: Source) -> Checkpoint:
    """The checkpoint, loaded once per process from the files sent; its paths are those on the sender's machine."""
    if not files:
        return reload(source)
    overrides = source.overrides
    with tempfile.TemporaryDirectory() as folder:
        path = _write(files, folder)
        if STATS in dict(files):
            overrides = dataclasses.replace(overrides, obs_stats=Path(folder, STATS))
        checkpoint = reload(dataclasses.replace(source, path=str(path), overrides=overrides))
        return dataclasses.replace(checkpoint, path=Path(source.path), source=source)


def unpacked(chunk: Chunk, files: Files) -> Chunk:
    """The chunk, with the file that was sent in the attack's text; results keep the original text."""
    if not files:
        return chunk
    place = str(Path(_folder(files).name, files[0][0]))
    cells = [
        dataclasses.replace(episode.cell, attack=with_file(episode.cell.attack, place), alias=episode.cell.shown)
        for episode in chunk
    ]
    return tuple(dataclasses.replace(episode, cell=cell) for episode, cell in zip(chunk, cells, strict=True))


@functools.cache
def _folder(files: Files) -> "tempfile.TemporaryDirectory[str]":
    """A folder that holds the files until the process ends; under one path a file is read once."""
    folder = tempfile.TemporaryDirectory()
    _write(files, folder.name)
    return folder


def _write(files: Files, folder: str) -> Path:
    for name, content in files:
        Path(folder, name).parent.mkdir(exist_ok=True)  # statistics may lie one folder below
        Path(folder, name).write_bytes(content)
    return Path(folder, files[0][0])
