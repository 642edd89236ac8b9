"""The folder of a training run: what is in it, and how it is written so that nothing half done is ever seen."""

import csv
import io
import json
import os
import pickle
import zipfile
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save

from microbench.config import TrainConfig
from microbench.data.dataset import Dataset
from microbench.errors import UserError
from reports.rows.files import replace

POLICY = "policy.safetensors"
DYNAMICS = "dynamics.safetensors"
LOG = "log.csv"
RESUME = "resume.pt"
FOREIGN = (".zip", ".pt", ".pth", ".d3", ".model", ".cleanrl_model", ".onnx", ".h5", ".safetensors")
SHOWN = 5  # files of a folder that a sentence names


@dataclass(frozen=True, kw_only=True)
class RunFolder:
    """`<out>/<dataset>-<algorithm>-s<seed>/`."""

    path: Path

    @classmethod
    def named(cls, out: Path, dataset: str, algorithm: str, seed: int) -> "RunFolder":
        """The folder of that run below `out`; nothing is made yet."""
        return cls(path=out / f"{dataset.rsplit('/', 1)[-1]}-{algorithm}-s{seed}")

    @property
    def policy(self) -> Path:
        """The policy file."""
        return self.path / POLICY

    @property
    def resume(self) -> Path:
        """The state of the last stored epoch."""
        return self.path / RESUME

    def open(self, description: dict[str, Any], *, resume: bool, force: bool) -> dict[str, Any] | None:
        """Make the folder and write config.json, or return the stored state of the run to be resumed.

        Raises:
            UserError: the folder holds a run and neither resume nor force is set; or the run to be resumed was
                started with other settings, or is damaged.
            OSError: the folder cannot be written.

        """
        config = self.path / "config.json"
        if config.exists() and not force:
            if not resume:
                raise UserError(
                    f"{self.path} already holds a run; add --resume to continue it, --force to start it over, "
                    f"or choose another --seed or --out."
                )
            _check_same(config, description)
            return self._stored_state()
        for name in (RESUME, POLICY, DYNAMICS, LOG):  # what is evaluated must never be an older run's
            (self.path / name).unlink(missing_ok=True)
        self.write_json("config.json", description)
        return None

    def _stored_state(self) -> dict[str, Any] | None:
        if not self.resume.exists():
            return None
        content = self.resume.read_bytes()
        try:
            with zipfile.ZipFile(io.BytesIO(content)) as archive:  # torch itself does not look at the checksums
                fine = archive.testzip() is None
            state = torch.load(io.BytesIO(content), weights_only=True) if fine else None
        except (zipfile.BadZipFile, RuntimeError, pickle.UnpicklingError, EOFError, LookupError, ValueError):
            state = None
        if not isinstance(state, dict):
            raise UserError(f"{self.resume} is damaged; start the run over with --force.")
        return state

    def store(self, state: dict[str, Any]) -> None:
        """Replace the stored state."""
        buffer = io.BytesIO()
        torch.save(_compact(state), buffer)
        replace(self.resume, buffer.getvalue())

    def write_log(self, rows: list[dict[str, float]]) -> None:
        """Replace log.csv by one line per epoch."""
        names = list(dict.fromkeys(name for row in rows for name in row))
        text = io.StringIO()
        writer = csv.DictWriter(text, names, restval="", lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
        replace(self.path / LOG, text.getvalue().encode())

    def write(self, name: str, content: bytes) -> None:
        """Replace a file of the folder."""
        replace(self.path / name, content)

    def write_tensors(self, name: str, tensors: dict[str, torch.Tensor]) -> None:
        """Replace a safetensors file of the folder."""
        self.write(name, save({key: tensor.detach().cpu().contiguous() for key, tensor in sorted(tensors.items())}))

    def write_json(self, name: str, content: dict[str, Any]) -> None:
        """Replace a JSON file of the folder."""
        replace(self.path / name, (json.dumps(content, indent=2) + "\n").encode())

    def mark_latest(self) -> None:
        """Let `<out>/latest` point to this run."""
        link, part = self.path.parent / "latest", self.path.parent / f".latest.{os.getpid()}.part"
        part.unlink(missing_ok=True)
        part.symlink_to(self.path.name, target_is_directory=True)
        os.replace(part, link)


def describe(
    dataset: Dataset, algorithm: str, seed: int, config: TrainConfig, *, device: str, threads: int
) -> dict[str, Any]:
    """What config.json says of a run: everything that decides its numbers, to the last bit on one machine."""
    told: dict[str, Any] = {"dataset": dataset.name, "dataset_sha256": dataset.sha256, "env_id": dataset.env_id}
    told |= {"algorithm": algorithm, "seed": seed, "device": device, "threads": threads}
    return json.loads(json.dumps(told | {"config": asdict(config)}))  # type: ignore[no-any-return]  # tuples → lists


def _compact(state: Any) -> Any:
    """The same state without what tensors that are views share with others: torch would store all of it."""
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
    differing = [
        f"{name} {stored.get(name)!r} instead of {value!r}"
        for name, value in _flat(description).items()
        if stored.get(name, ...) != value
    ]
    if differing:
        raise UserError(
            f"{path.parent} was started with {', '.join(differing)}; resume it with the settings of its config.json, "
            f"or start it over with --force."
        )


def _flat(description: dict[str, Any]) -> dict[str, Any]:
    """The description with the hyperparameters beside the other entries."""
    settings: dict[str, Any] = description["config"]
    return {name: value for name, value in description.items() if name != "config"} | settings


def find_policy(given: Path | None, out: Path) -> Path:
    """The policy file meant by a file, a run folder or nothing (the newest run below `out`).

    Raises:
        UserError: there is none; the sentence says how to get one.

    """
    path = given if given is not None else out / "latest"
    if path.is_dir():
        if not (path / POLICY).is_file():
            raise UserError(_no_policy(path))
        return path.resolve() / POLICY
    if given is None:
        raise UserError(f"there is no run below {out}; train one with `microbench train`, or give a checkpoint.")
    if not path.is_file():
        raise UserError(f"there is no checkpoint {path}; give a run folder or a policy file.")
    return path


def _no_policy(folder: Path) -> str:
    """What a folder holds in place of a policy of ours: files of others, which are then named, or an early run."""
    if not (folder / "config.json").is_file():
        near = (*folder.glob("*"), *folder.glob("*/*"))
        others = sorted(path for path in near if path.suffix in FOREIGN and path.is_file())[:SHOWN]
        if others:
            return f"{folder} is no run folder; give one of the files in it: {', '.join(map(str, others))}."
        if folder.name != "latest":
            return f"{folder} is no run folder and holds no policy file; give a run folder or a policy file."
    return f"{folder} holds no {POLICY}: its training has not stored a policy yet; wait or --resume it."
