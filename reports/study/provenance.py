"""Where results come from, out of the JSON beside them: programs, policies, commands, and what each cell changed."""

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
"""Characters of a command line that is shown."""

MOST = 500
"""Commands, sets of versions, policy files and effects that a page lists; the JSON beside the results has them all."""


def read_sidecars(results: Iterable[Path]) -> dict[str, list[Any]]:
    """What the JSON files beside these results tell, as one: {"runs": [...]}; a missing file tells nothing.

    Raises:
        ValueError: a file that is not such JSON (`sidecars.read_runs`).
        OSError: a file cannot be read.
    """
    paths = [path.with_suffix(".json") for path in results]
    return {"runs": [run for path in paths if path.exists() for run in read_runs(path)]}


def runs_of(sidecar: Mapping[str, object] | None) -> list[dict[str, Any]]:
    """The runs of a sidecar, which without "runs" is one itself; what has another form counts as nothing told."""
    return [run for run in fit_runs(sidecar or {}) if run]


def commands(runs: Iterable[Mapping[str, Any]]) -> list[str]:
    """The command lines, each once, ready to be typed."""
    lines = (run.get("command") for run in runs)
    typed = (shlex.join(map(str, line)) if isinstance(line, list) else str(line or "") for line in lines)
    return [cut(printable(line), COMMAND) for line in dict.fromkeys(typed) if line]


def again(runs: Sequence[Mapping[str, Any]]) -> list[str]:
    """The command lines, each once and with the policy file that it was about, ready to be typed.

    A command may take the newest run, so its words alone do not say which policy that was.
    """
    lines: list[str] = []
    for run in runs:
        path, sha = (str(run.get(name) or "") for name in ("checkpoint_path", "checkpoint"))
        policy = ", ".join(filter(None, [path, sha and f"SHA-256 {sha[:12]}"]))
        lines += [f"{line}  # policy {policy}" if policy else line for line in commands([run])]
    return list(dict.fromkeys(lines))


def machines(runs: Iterable[Mapping[str, Any]]) -> list[dict[str, str]]:
    """Where and when the rows were measured, as far as it is told: processor, threads, commit, first and last date."""
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
    """The files that attacks and perturbations name, each content once, with its SHA-256."""
    groups = [run.get(kind) for run in runs for kind in ("attacks", "perturbations")]
    descriptions = [about for group in groups if isinstance(group, dict) for about in group.values()]
    known = [about.get("files") for about in descriptions if isinstance(about, dict)]
    pairs = dict.fromkeys(
        (str(file), str(sha)) for files in known if isinstance(files, dict) for file, sha in files.items()
    )
    return [{"file": file, "SHA-256": sha} for file, sha in pairs]


def version_sets(runs: Iterable[Mapping[str, Any]]) -> list[dict[str, str]]:
    """The different sets of versions that made the rows; more than one is worth knowing."""
    sets: list[dict[str, str]] = []
    for run in runs:
        versions = run.get("versions")
        if isinstance(versions, dict) and versions:
            named = {_fit(name): _fit(version) for name, version in versions.items()}
            sets += [named] if named not in sets else []
    return sets


def seconds(runs: Iterable[Mapping[str, Any]]) -> float:
    """Wall time of all runs together, in seconds; 0 where none is told."""
    times = (run.get("seconds", 0) for run in runs)
    return min(math.fsum(time for time in times if isinstance(time, (int, float)) and math.isfinite(time)), 1e12)


def settings(runs: Sequence[Mapping[str, Any]], frame: pd.DataFrame) -> dict[str, list[str]]:
    """What decides an evaluation → its different values: policies, versions and the conditions common to all cells."""
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
    """One record per policy file: what it is, how many episodes it has and of which evaluation seeds, its SHA-256."""
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
    """Per perturbed cell what differs from the untouched simulation: perturbation, factor, change; the newest run's."""
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
