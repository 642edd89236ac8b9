"""The folder of a training run, written so that a reader never sees a half-written file."""

import csv
import io
import json
import os
import shutil
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save

from microbench.data.dataset import Dataset
from microbench.errors import UserError
from microbench.learning.config import TrainConfig
from microbench.learning.recipe import recipe_of
from microbench.learning.stored_state import differences, read_state
from reports.files import link, replace

POLICY = "policy.safetensors"
DYNAMICS = "dynamics.safetensors"
LOG = "log.csv"
RESUME = "resume.pt"
CONFIG = "config.json"
TRAINED = "train.json"
NEXT = "next"
UNCOMPARED = ("recipe", "options")  # a recipe differs only if one of the other entries does
FOREIGN = (".zip", ".pt", ".pth", ".d3", ".model", ".cleanrl_model", ".onnx", ".h5", ".safetensors")
SHOWN = 5  # files of a folder that a sentence names


@dataclass(frozen=True, kw_only=True)
class RunFolder:
    """The folder of one training run, `<out>/<dataset>-<algorithm>-<preset>-s<seed>/`.

    A run that replaces another is written into its subfolder `next/` and takes the other's place when it has stored a
    policy. Until then the older policy can be used.
    """

    path: Path

    @classmethod
    def named(cls, out: Path, dataset: str, algorithm: str, preset: str, seed: int) -> "RunFolder":
        """The folder of that run below `out`; nothing is created yet."""
        return cls(path=out / f"{dataset.rsplit('/', 1)[-1]}-{algorithm}-{preset}-s{seed}")

    @property
    def place(self) -> Path:
        """The folder that the run writes into: `next/` while an older policy is in its place, else `path`."""
        beside = self.path / NEXT
        return beside if (beside / CONFIG).exists() else self.path

    @property
    def config(self) -> Path:
        """The description of the run."""
        return self.place / CONFIG

    @property
    def policy(self) -> Path:
        """The policy file."""
        return self.path / POLICY

    @property
    def resume(self) -> Path:
        """The state of the last stored epoch."""
        return self.place / RESUME

    @property
    def exists(self) -> bool:
        """Whether the folder has a run that has stored a state or a policy; a description alone is no run."""
        return self.resume.exists() or self.policy.exists() or (self.place / POLICY).exists()

    @property
    def finished(self) -> bool:
        """Whether the run has trained to its end."""
        return (self.place / TRAINED).exists()

    def check(self, description: dict[str, Any], *, resume: bool, force: bool) -> None:
        """Raise UserError if the folder holds a run that `description` would overwrite, or cannot resume.

        Nothing is written. A folder with a description alone is no run, except for `resume`.
        """
        if resume and self.config.exists():
            _check_same(self.config, description)
        elif self.exists and not force:
            other = self.config.exists() and _recipe(self.config) not in ("", description["recipe"])
            raise UserError(
                f"{self.path} already holds a run{' with other settings' if other else ''}; add --resume to continue "
                f"it, --force to start it over, or choose another --seed or --out."
            )

    def open(self, description: dict[str, Any], *, resume: bool, force: bool) -> dict[str, Any] | None:
        """Create the folder and write config.json, or return the stored state of the run to be resumed.

        Raises:
            UserError: `check` refuses the run, or the stored state is damaged.
            OSError: the folder cannot be written.

        """
        self._settle()
        self.check(description, resume=resume, force=force)
        if resume and self.config.exists():
            return self._stored_state()
        if force:
            shutil.rmtree(self.path / NEXT, ignore_errors=True)
        if self.policy.exists():
            replace(self.path / NEXT / CONFIG, _json(description))
            return None
        for name in (RESUME, DYNAMICS, LOG, TRAINED):  # none of these files may remain from an older run
            (self.path / name).unlink(missing_ok=True)
        self.write_json(CONFIG, description)
        return None

    def _settle(self) -> None:
        """Move a run in `next/` that has a policy into the folder; a move that was interrupted is completed."""
        beside = self.path / NEXT
        if not beside.is_dir() or ((beside / CONFIG).exists() and not (beside / POLICY).exists()):
            return
        if (beside / CONFIG).exists():
            for name in (TRAINED, RESUME):
                (self.path / name).unlink(missing_ok=True)
        for name in (CONFIG, POLICY, DYNAMICS, LOG, TRAINED, RESUME):  # after the first of them, `place` is the folder
            if (beside / name).exists():
                os.replace(beside / name, self.path / name)
        shutil.rmtree(beside)

    def _stored_state(self) -> dict[str, Any] | None:
        if not self.resume.exists():
            return None
        state = read_state(self.resume.read_bytes())
        if state is None:
            raise UserError(f"{self.resume} is damaged; start the run over with --force.")
        return state

    def store(self, state: dict[str, Any]) -> None:
        """Replace the stored state."""
        buffer = io.BytesIO()
        torch.save(_compact(state), buffer)
        replace(self.resume, buffer.getvalue())
        self._settle()

    def write_log(self, rows: list[dict[str, float]]) -> None:
        """Replace log.csv by one line per epoch."""
        names = list(dict.fromkeys(name for row in rows for name in row))
        text = io.StringIO()
        writer = csv.DictWriter(text, names, restval="", lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
        replace(self.place / LOG, text.getvalue().encode())

    def write(self, name: str, content: bytes) -> None:
        """Replace a file of the folder."""
        replace(self.place / name, content)

    def write_tensors(self, name: str, tensors: dict[str, torch.Tensor]) -> None:
        """Replace a safetensors file of the folder."""
        self.write(name, save({key: tensor.detach().cpu().contiguous() for key, tensor in sorted(tensors.items())}))

    def write_json(self, name: str, content: dict[str, Any]) -> None:
        """Replace a JSON file of the folder."""
        replace(self.place / name, _json(content))

    def mark_latest(self) -> None:
        """Make `<out>/latest` point to this run."""
        link(self.path.parent / "latest", self.path.name)


def _json(content: dict[str, Any]) -> bytes:
    return (json.dumps(content, indent=2) + "\n").encode()


def describe(
    dataset: Dataset, algorithm: str, seed: int, config: TrainConfig, *, device: str, threads: int
) -> dict[str, Any]:
    """The content of config.json: everything that decides a run's numbers, to the last bit on one machine."""
    about: dict[str, Any] = {"dataset": dataset.name, "dataset_sha256": dataset.sha256, "env_id": dataset.env_id}
    about |= {"algorithm": algorithm, "recipe": recipe_of(dataset, algorithm, config)}
    about |= {"seed": seed, "device": device, "threads": threads}
    return json.loads(json.dumps(about | {"config": asdict(config)}))  # type: ignore[no-any-return]  # tuples → lists


def _compact(state: Any) -> Any:
    """The state with views copied, because torch would store the whole memory that a view shares."""
    if isinstance(state, torch.Tensor):
        return state.clone() if state.untyped_storage().nbytes() > state.nbytes else state
    if isinstance(state, dict):
        return {name: _compact(part) for name, part in state.items()}
    return [_compact(part) for part in state] if isinstance(state, list) else state


def _check_same(path: Path, description: dict[str, Any]) -> None:
    """Raise UserError, with both values of what differs, unless the run was started as `description` says."""
    try:
        stored = _flat(json.loads(path.read_text("utf-8")))
    except (ValueError, KeyError, TypeError) as error:
        raise UserError(f"{path} is damaged ({error!r}); start the run over with --force.") from error
    compared = {name: value for name, value in _flat(description).items() if name not in UNCOMPARED}
    differing = differences(stored, compared, missing=...)
    if differing:
        raise UserError(
            f"{path.parent} was started with {', '.join(differing)}; resume it with the settings of its config.json, "
            f"or start it over with --force."
        )


def _recipe(path: Path) -> str:
    """The recipe of a stored run; empty if its description has none."""
    try:
        return str(json.loads(path.read_text("utf-8")).get("recipe", ""))
    except (ValueError, AttributeError):
        return ""


def _flat(description: dict[str, Any]) -> dict[str, Any]:
    """The description with the hyperparameters beside the other entries."""
    settings: dict[str, Any] = description["config"]
    return {name: value for name, value in description.items() if name != "config"} | settings


def find_policy(place: Path | None, out: Path) -> Path:
    """The policy file at a path or in a run folder; None stands for the newest run below `out`.

    Raises:
        UserError: there is no policy file; the message says how to get one.

    """
    path = place if place is not None else out / "latest"
    if path.is_dir():
        if not (path / POLICY).is_file():
            raise UserError(_no_policy(path))
        return path.resolve() / POLICY
    if place is None:
        raise UserError(f"there is no run below {out}; train one with `microbench train`, or give a checkpoint.")
    if not path.is_file():
        raise UserError(f"there is no checkpoint {path}; give a run folder or a policy file.")
    return path


def _no_policy(folder: Path) -> str:
    """The rest of the sentence on a folder without a policy: it names files of other programs, or an unfinished run."""
    if not (folder / "config.json").is_file():
        near = (*folder.glob("*"), *folder.glob("*/*"))
        others = sorted(path for path in near if path.suffix in FOREIGN and path.is_file())[:SHOWN]
        if others:
            return f"{folder} is no run folder; give one of the files in it: {', '.join(map(str, others))}."
        if folder.name != "latest":
            return f"{folder} is no run folder and holds no policy file; give a run folder or a policy file."
    return f"{folder} holds no {POLICY}: its training has not stored a policy yet; wait or --resume it."
