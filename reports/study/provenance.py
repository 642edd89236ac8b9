"""Provenance of results from their JSON: versions, policies, commands, and the effects of perturbations."""

import math
import shlex
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from reports.rows.printable import cut, printable
from reports.rows.sidecars import fit_runs, read_runs
from reports.study.names import number
from reports.study.worst import choices

COMMAND = 4000
"""Maximum length of a displayed command line, in characters."""

MOST = 500
"""Maximum number of commands, sets of versions, policy files and effects on a page; the JSON has all."""


def read_sidecars(results: Iterable[Path]) -> dict[str, list[Any]]:
    """The merged JSON files of these results: {"runs": [...]}. A missing file has no runs.

    Raises:
        ValueError: a file is not a list of runs as JSON (`sidecars.read_runs`).
        OSError: a file cannot be read.
    """
    paths = [path.with_suffix(".json") for path in results]
    return {"runs": [run for path in paths if path.exists() for run in read_runs(path)]}


def runs_of(sidecar: Mapping[str, object] | None) -> list[dict[str, Any]]:
    """The runs of a sidecar without malformed parts; a sidecar without "runs" is itself one run."""
    return [run for run in fit_runs(sidecar or {}) if run]


def commands(runs: Iterable[Mapping[str, Any]]) -> list[str]:
    """The distinct command lines, quoted for a shell."""
    lines = (run.get("command") for run in runs)
    typed = (shlex.join(map(str, line)) if isinstance(line, list) else str(line or "") for line in lines)
    return [cut(printable(line), COMMAND) for line in dict.fromkeys(typed) if line]


def again(runs: Sequence[Mapping[str, Any]]) -> list[str]:
    """The distinct command lines, quoted for a shell, each with its policy file as a comment.

    A command may use the newest run, so its text alone does not identify the policy.
    """
    lines: list[str] = []
    for run in runs:
        path, sha = (str(run.get(name) or "") for name in ("checkpoint_path", "checkpoint"))
        policy = ", ".join(filter(None, [path, sha and f"SHA-256 {sha[:12]}"]))
        lines += [f"{line}  # policy {policy}" if policy else line for line in commands([run])]
    return list(dict.fromkeys(lines))


def machines(runs: Iterable[Mapping[str, Any]]) -> list[dict[str, str]]:
    """Processor, threads, commit, and first and last date of the runs, as far as they are recorded."""
    dates_of: dict[tuple[str, ...], list[str]] = {}
    for run in runs:
        where = tuple(str(run[name]) if run.get(name) else "" for name in ("processor", "threads", "commit"))
        date = run.get("date")
        if any(where) or date:
            dates_of.setdefault(where, []).append(str(date or ""))
    records = []
    for (processor, threads, commit), dates in dates_of.items():
        ends = dict.fromkeys((min(dates), max(dates)))
        one = {"date (UTC)": " to ".join(filter(None, ends)), "processor": processor, "threads": threads}
        records.append({name: value for name, value in (one | {"commit": commit}).items() if value})
    return records


def named_files(runs: Iterable[Mapping[str, Any]]) -> list[dict[str, str]]:
    """The files that attacks and perturbations name, with the SHA-256 of each distinct content."""
    groups = [run.get(kind) for run in runs for kind in ("attacks", "perturbations")]
    descriptions = [about for group in groups if isinstance(group, dict) for about in group.values()]
    known = [about.get("files") for about in descriptions if isinstance(about, dict)]
    pairs = dict.fromkeys(
        (str(file), str(sha)) for files in known if isinstance(files, dict) for file, sha in files.items()
    )
    return [{"file": file, "SHA-256": sha} for file, sha in pairs]


def version_sets(runs: Iterable[Mapping[str, Any]]) -> list[dict[str, str]]:
    """The distinct sets of versions of the runs."""
    sets: list[dict[str, str]] = []
    for run in runs:
        versions = run.get("versions")
        if isinstance(versions, dict) and versions:
            named = {_fit(name): _fit(version) for name, version in versions.items()}
            sets += [named] if named not in sets else []
    return sets


def seconds(runs: Iterable[Mapping[str, Any]]) -> float:
    """The wall time of all runs together, in seconds; 0 if none is recorded."""
    times = (run.get("seconds", 0) for run in runs)
    return min(math.fsum(time for time in times if isinstance(time, (int, float)) and math.isfinite(time)), 1e12)


def settings(runs: Sequence[Mapping[str, Any]], frame: pd.DataFrame) -> dict[str, list[str]]:
    """Settings of an evaluation → distinct values: policies, versions, and conditions common to all cells."""
    values: dict[str, dict[str, None]] = {
        "algorithm": dict.fromkeys(map(_fit, frame["algorithm"].unique())),
        "checkpoint": dict.fromkeys(sorted(_fit(sha)[:12] for sha in frame["checkpoint"].unique())),
    }
    for run in runs:
        for group in ("versions", "conditions"):
            for name, value in (run.get(group) or {}).items():
                values.setdefault(_fit(name), {})[_fit(value)] = None
    suites = {_fit(" ".join(one.get("mean_returns") or ())) for one in choices(runs)}
    worst = {"worst chosen from": sorted(suites)} if suites else {}
    return {name: list(different) for name, different in values.items()} | worst


def _fit(value: object) -> str:
    return cut(printable(str(value)))


def checkpoints(episodes: pd.DataFrame) -> list[dict[str, str]]:
    """One record per policy file: labels, number of episodes, range of evaluation seeds, and SHA-256."""
    known = ["policy", "task", "dataset", "train_seed", "recipe", "checkpoint"]
    return [_checkpoint(rows) for _, rows in episodes.groupby(known, dropna=False)]


def _checkpoint(episodes: pd.DataFrame) -> dict[str, str]:
    one = episodes.iloc[0]
    return {
        "policy": str(one["policy"]),
        "task": str(one["task"]),
        "dataset": str(one["dataset"] or "unknown"),
        "training seed": "unknown" if pd.isna(one["train_seed"]) else str(one["train_seed"]),
        "episodes": str(len(episodes)),
        **({"recipe": str(one["recipe"])} if one["recipe"] else {}),
        "evaluation seeds": f"{episodes['eval_seed'].min()}–{episodes['eval_seed'].max()}",
        "SHA-256": str(one["checkpoint"]),
    }


def effects(runs: Iterable[Mapping[str, Any]]) -> list[dict[str, str]]:
    """The differences between every perturbed cell and the nominal simulation, from the newest run of each cell."""
    newest: dict[tuple[str, float], dict[str, str]] = {}
    for run in runs:
        for effect in run.get("effects") or ():
            name, factor = _fit(effect["perturbation"]), float(effect["factor"])
            newest[name, factor] = {"perturbation": name, "factor": number(factor), "change": _change(effect)}
    return [newest[key] for key in sorted(newest)]


def _change(effect: Mapping[str, Any]) -> str:
    physics = [f"{_fit(name)} by up to {float(most):.3g}" for name, most in (effect.get("physics") or {}).items()]
    signals = [f"the signal {_fit(name)}" for name in effect.get("signals") or ()]
    return cut(", ".join([*physics, *signals]), COMMAND) or "nothing"
