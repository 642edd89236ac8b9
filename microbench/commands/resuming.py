"""The run that `microbench train --resume` continues, and its options: those with which it was started."""

import json
from collections.abc import Iterator
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any

from microbench.commands.train_options import Asked, TrainOptions, complete, config_of
from microbench.data.sources import dataset_name
from microbench.errors import UserError
from microbench.learning.config import TrainConfig
from microbench.learning.runs import RunFolder
from microbench.learning.stored_state import differences


@dataclass(frozen=True, kw_only=True)
class Started:
    """A run below a folder, as its config.json describes it."""

    folder: RunFolder
    about: dict[str, Any]

    @property
    def options(self) -> dict[str, Any]:
        """The options of the command that started it."""
        options: dict[str, Any] = self.about["options"]
        return options

    @property
    def age(self) -> float:
        """The time of its last write in seconds since 1970; larger is newer."""
        return max(path.stat().st_mtime for path in (self.folder.config, self.folder.resume) if path.exists())


def resumed(asked: Asked, *, out: Path, quiet: bool) -> TrainOptions:
    """The options of the newest interrupted run below `out` that was started with the same options.

    Without an interrupted run it takes the newest finished one that fits. If only the seed differs from an interrupted
    run, or if no run was interrupted, the options start a new run.

    Raises:
        UserError: the options contradict the interrupted runs, or there are no options and no run.
    """
    runs = sorted(_started(out), key=lambda run: run.age, reverse=True)
    fresh = complete(asked, out=out, quiet=quiet, resume=True)
    fitting = [run for run in runs if not _differences(run, asked)]
    for run in sorted(fitting, key=lambda run: run.folder.finished):
        return _options(run, asked, out=out, quiet=quiet)
    named = RunFolder.named(out, _name(fresh.dataset), fresh.algorithm, fresh.preset, fresh.seeds[0])
    if named.exists:
        return fresh  # it says itself what differs
    older = out / f"{_name(fresh.dataset)}-{fresh.algorithm}-s{fresh.seeds[0]}"  # as runs were called before
    if RunFolder(path=older).exists and len(fresh.seeds) == 1:
        return replace(fresh, folder=older.name)
    interrupted = [run for run in runs if not run.folder.finished]
    if not asked.given and not interrupted:
        raise UserError(f"there is no run below {out} to be resumed; start one without --resume.")
    others = replace(asked, seeds=None)
    if interrupted and all(_differences(run, others) or not _same_but_seeds(run, fresh) for run in interrupted):
        raise UserError(
            f"no interrupted run below {out} was started so: {interrupted[0].folder.path.name} has "
            f"{', '.join(_differences(interrupted[0], asked))}; leave these options out, or --resume."
        )
    return fresh


def _started(out: Path) -> Iterator[Started]:
    """The runs whose config.json holds the options of their start; older ones are recognised by their name."""
    for path in sorted(out.iterdir()) if out.is_dir() else ():
        folder = RunFolder(path=path)
        if path.is_symlink() or not folder.config.is_file():
            continue
        try:
            about = json.loads(folder.config.read_text("utf-8"))
            known = {one.name for one in fields(Asked)} - {"device", "threads"} | {"split"}
            if isinstance(about.get("config"), dict) and known <= about["options"].keys():
                yield Started(folder=folder, about=about)
        except (ValueError, KeyError, TypeError, AttributeError):
            continue  # a damaged one is an error only when it is named


def _differences(run: Started, asked: Asked) -> list[str]:
    """The options that differ from those of the run, each with both values."""
    changes = {name: value for name, value in asked.given.items() if name not in ("steps", "preset")}
    config, options = run.about["config"], run.options
    stored = config | {name: options[name] for name in ("algorithm", "seeds", "env", "rows", "graph")}
    stored |= {"dataset": run.about["dataset"], "device": run.about["device"], "threads": _threads(options)}
    if "dataset" in changes:
        changes["dataset"] = _name(changes["dataset"])
    if changes.get("device") == "auto":
        del changes["device"]
    if changes.get("env") == run.about["env_id"]:
        del changes["env"]
    if asked.preset is not None and asked.preset != options["preset"]:
        stored, changes = stored | {"preset": options["preset"]}, changes | {"preset": asked.preset}
    if asked.steps is not None and asked.steps != options["steps"]:
        stored, changes = stored | {"steps": options["steps"]}, changes | {"steps": asked.steps}
    return differences(stored, json.loads(json.dumps(changes)))  # tuples become lists, as in the file


def _same_but_seeds(run: Started, options: TrainOptions) -> bool:
    try:
        config = json.loads(json.dumps(vars(config_of(options, run.about["dataset"]))))
    except UserError:
        return False
    same = (run.options["algorithm"], run.about["dataset"]) == (options.algorithm, _name(options.dataset))
    return bool(same and config == run.about["config"])


def _options(run: Started, asked: Asked, *, out: Path, quiet: bool) -> TrainOptions:
    """The options of the command that started the run, with its stored hyperparameters."""
    options, config = run.options, run.about["config"]
    settings: dict[str, Any] = {
        name: tuple(value) if isinstance(value, list) else value for name, value in config.items()
    }
    try:
        TrainConfig(**settings)
        seeds, split = tuple(map(int, options["seeds"])), tuple(map(int, options["split"]))
        return TrainOptions(
            dataset=asked.dataset or options["dataset"],
            algorithm=options["algorithm"],
            seeds=seeds,
            preset=options["preset"],
            steps=None,
            device=asked.device if asked.device not in (None, "auto") else run.about["device"],
            graph=options["graph"],
            threads=None,
            env=options["env"],
            rows=options["rows"],
            settings=settings,
            out=out,
            resume=True,
            quiet=quiet,
            split=(split[0], split[1]),
            folder=run.folder.path.name if len(seeds) == 1 else None,
        )
    except (TypeError, ValueError, LookupError) as error:
        raise UserError(f"{run.folder.config} is damaged ({error}); start the run over with --force.") from error


def _threads(options: dict[str, Any]) -> int:
    processes, each = options["split"]
    return int(processes) * int(each)


def _name(dataset: str) -> str:
    """The name of a dataset in a run, from its name or its path."""
    return dataset if not dataset.lower().endswith((".hdf5", ".h5")) else dataset_name(Path(dataset))
