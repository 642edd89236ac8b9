"""Where results come from, out of the JSON beside them: programs, policies, commands, and what each cell changed."""

import json
import shlex
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from reports.numbers.names import number
from reports.numbers.worst import choices


def read_sidecars(results: Iterable[Path]) -> dict[str, list[Any]]:
    """What the JSON files beside these results tell, as one: {"runs": [...]}; a missing file tells nothing.

    A file without "runs" is one run, whoever wrote it.

    Raises:
        ValueError: a file that is not such JSON.
    """
    told: list[Any] = []
    for path in (path.with_suffix(".json") for path in results):
        if path.exists():
            try:
                content = _object(json.loads(path.read_text("utf-8")))
                told += [dict(run) for run in content.get("runs", [content] if content else [])]
            except (ValueError, KeyError, TypeError) as error:
                raise ValueError(
                    f"{path} is damaged ({error!r}); remove it, the results beside it are not affected."
                ) from error
    return {"runs": told}


def _object(content: Any) -> dict[str, Any]:
    if not isinstance(content, dict):
        raise TypeError("no JSON object")
    return content


def runs_of(sidecar: Mapping[str, object] | None) -> list[dict[str, Any]]:
    """The runs of a sidecar, which without "runs" is one itself; whatever has another form counts as nothing told."""
    runs = sidecar.get("runs", [dict(sidecar)]) if sidecar else []
    return [run for run in runs if isinstance(run, dict)] if isinstance(runs, list) else []


def commands(runs: Iterable[Mapping[str, Any]]) -> list[str]:
    """The command lines, each once, ready to be typed."""
    lines = (run.get("command") for run in runs)
    typed = (shlex.join(map(str, line)) if isinstance(line, list) else str(line or "") for line in lines)
    return [line for line in dict.fromkeys(typed) if line]


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
    found: dict[tuple[str, ...], list[str]] = {}
    for run in runs:
        where = tuple(str(run[name]) if run.get(name) else "" for name in ("processor", "threads", "commit"))
        date = run.get("date")
        if any(where) or date:
            found.setdefault(where, []).append(str(date or ""))
    shown = []
    for (processor, threads, commit), dates in found.items():
        ends = dict.fromkeys((min(dates), max(dates)))
        one = {"date (UTC)": " to ".join(filter(None, ends)), "processor": processor, "threads": threads}
        shown.append({name: value for name, value in (one | {"commit": commit}).items() if value})
    return shown


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
            told = {str(name): str(version) for name, version in versions.items()}
            sets += [told] if told not in sets else []
    return sets


def seconds(runs: Iterable[Mapping[str, Any]]) -> float:
    """Wall time of all runs together, in seconds; 0 where none is told."""
    times = (run.get("seconds", 0) for run in runs)
    return float(sum(time for time in times if isinstance(time, (int, float))))


def settings(runs: Sequence[Mapping[str, Any]], frame: pd.DataFrame) -> dict[str, list[str]]:
    """What decides an evaluation → its different values: policies, versions and the conditions common to all cells."""
    told: dict[str, dict[str, None]] = {
        "algorithm": dict.fromkeys(frame["algorithm"]),
        "checkpoint": dict.fromkeys(sorted(str(sha)[:12] for sha in frame["checkpoint"].unique())),
    }
    for run in runs:
        for group in ("versions", "conditions"):
            for name, value in (run.get(group) or {}).items():
                told.setdefault(str(name), {})[str(value)] = None
    suites = {" ".join(one.get("mean_returns") or ()) for one in choices(runs)}
    worst = {"worst chosen from": sorted(suites)} if suites else {}
    return {name: list(values) for name, values in told.items()} | worst


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
    found: dict[tuple[str, float], dict[str, str]] = {}
    for run in runs:
        for effect in run.get("effects") or ():
            name, factor = str(effect["perturbation"]), float(effect["factor"])
            found[name, factor] = {"perturbation": name, "factor": number(factor), "change": _told(effect)}
    return [found[key] for key in sorted(found)]


def _told(effect: Mapping[str, Any]) -> str:
    physics = [f"{name} by up to {float(most):.3g}" for name, most in (effect.get("physics") or {}).items()]
    signals = [f"the signal {name}" for name in effect.get("signals") or ()]
    return ", ".join([*physics, *signals]) or "nothing"
