"""Policy files written by other projects' own code, and whether our readers agree with that code.

    python -m benchmarks.written_by_others --sources FOLDER

Compared are actions, values of critics and, where they can be asked for, of states and standard deviations, on random
observations and actions. Stable-Baselines3, sb3-contrib and d3rlpy are used where they are installed; FOLDER may hold
checkouts of CORL, OfflineRL-Kit and cleanrl, whose code is then executed. What is missing is said. Nothing of this is
needed by the package itself.
"""

import argparse
import importlib.metadata
import importlib.util
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from benchmarks.others import (
    cleanrl,
    corl,
    d3rlpy_files,
    d3rlpy_trained,
    offlinerl_kit,
    programs,
    stable_baselines,
    stable_baselines_trained,
)
from benchmarks.others.written import Written
from microbench.checkpoints import Checkpoint, load
from microbench.errors import UserError

WRITERS: dict[str, tuple[Callable[[Path, Path | None], Iterator[Written]], tuple[str, ...], str]] = {
    "Stable-Baselines3": (stable_baselines.written, stable_baselines.PACKAGES, ""),
    "d3rlpy": (d3rlpy_files.written, d3rlpy_files.PACKAGES, ""),
    "Stable-Baselines3, trained": (stable_baselines_trained.written, stable_baselines.PACKAGES, ""),
    "d3rlpy, trained": (d3rlpy_trained.written, d3rlpy_files.PACKAGES, ""),
    "CORL": (corl.written, (), "CORL"),
    "OfflineRL-Kit": (offlinerl_kit.written, offlinerl_kit.PACKAGES, "OfflineRL-Kit"),
    "CleanRL": (cleanrl.written, (), "cleanrl"),
    "TorchScript and ONNX": (programs.written, programs.PACKAGES, ""),
}
ROWS = 64
TOLERANCES = (
    1e-5,
    3e-5,
    1e-5,
    1e-5,
)  # of actions, Q, V and spreads; values add up hundreds of inputs in single precision


def lacking(packages: tuple[str, ...], source: str, sources: Path | None) -> str:
    """What a writer needs and is not there; empty if all is."""
    missing = [name for name in packages if importlib.util.find_spec(name) is None]
    if source and (sources is None or not (sources / source).is_dir()):
        missing.append(f"a checkout {source} in --sources")
    return ", ".join(missing)


def line(written: Written) -> tuple[str, bool, list[float | None]]:
    """A row of the table, whether the reader agrees, and how far it is off."""
    try:
        checkpoint = load(written.path, written.overrides)
    except UserError as error:
        right = bool(written.refusal) and written.refusal in str(error)
        sentence = str(error).removeprefix(str(written.path)).strip()
        return f"| {written.name} | refused{'' if right else f': {sentence}'} | – | – | – |", right, []
    if written.policy is None:
        return f"| {written.name} | read, though it should be refused | – | – | – |", False, []
    errors = differences(checkpoint, written)
    right = all(far is None or far <= most for far, most in zip(errors, TOLERANCES, strict=True))
    return f"| {written.name} | {' | '.join(map(cell, errors))} |", right, errors


def cell(far: float | None) -> str:
    """A difference as it is printed."""
    return "–" if far is None else f"{far:.0e}"


def compared(name: str, sources: Path | None) -> tuple[str, int]:
    """Print the rows of one writer; return its line of the summary, and how many readers disagree."""
    write, packages, _ = WRITERS[name]
    print(f"\n| {name} | action differs by | Q by | V by | spread by |\n|---|---|---|---|---|")
    wrong, count, largest = 0, 0, [[0.0], [0.0], [0.0], [0.0]]
    with tempfile.TemporaryDirectory() as folder:
        for written in write(Path(folder), sources):
            row, right, errors = line(written)
            print(f"{row}{'' if right else ' ←'}", flush=True)
            wrong, count = wrong + (not right), count + 1
            for most, far in zip(largest, errors, strict=False):
                most += [] if far is None else [far]
    cells = (cell(max(most)) if len(most) > 1 else "–" for most in largest)
    source = f"{name} ({', '.join(map(version, packages))})" if packages else name
    return f"| {source} | {count} | {' | '.join(cells)} | {wrong} |", wrong


def version(package: str) -> str:
    """Name and version of what is installed."""
    return f"{package} {importlib.metadata.version(package)}"


def differences(checkpoint: Checkpoint, written: Written) -> list[float | None]:
    """The largest of actions, of Q, of V and of standard deviations; None where neither side has any."""
    assert written.policy is not None
    rng, target = np.random.default_rng(7), checkpoint.target
    obs = rng.normal(0, 1.5, (ROWS, len(target.scale("raw")))).astype(np.float32)
    theirs = np.asarray(written.policy(obs), np.float32).clip(-written.box, written.box)
    action = rng.uniform(-written.box, written.box, theirs.shape).astype(np.float32)
    seen = torch.cat([torch.from_numpy(obs), torch.tensor(written.memory).expand(len(obs), -1)], 1)
    with torch.no_grad():
        errors: list[float | None] = [difference(target.policy(seen).clamp(-written.box, written.box).numpy(), theirs)]
        if written.actions_alone:
            return [*errors, None, None, None]
        value = None if target.critic is None else target.critic(seen, torch.from_numpy(action)).numpy()
        errors.append(both(value, None if written.critic is None else written.critic(obs, action)))
        state = None if target.state_value is None or written.state is None else target.state_value(seen).numpy()
        errors.append(both(state, None if written.state is None else written.state(obs)))
        spread = None if written.spread is None else target.require_distribution()(seen).stddev.numpy()
        errors.append(both(spread, None if written.spread is None else written.spread(obs)))
    return errors


def both(mine: Any, theirs: Any) -> float | None:
    """How far two arrays are apart; infinite if only one of them is there."""
    if mine is None and theirs is None:
        return None
    return float("inf") if mine is None or theirs is None else difference(np.asarray(mine), np.asarray(theirs))


def difference(mine: NDArray[Any], theirs: NDArray[Any]) -> float:
    """The largest difference, relative to 1 or to the larger number."""
    return float(np.max(np.abs(mine - theirs) / np.maximum(1, np.abs(theirs))))


def main() -> None:
    """Print the table; exit code 1 if a reader disagrees."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sources", type=Path)
    parser.add_argument("--only", nargs="*", choices=list(WRITERS), default=list(WRITERS))
    arguments = parser.parse_args()
    summary, wrong = [], 0
    for name in arguments.only:
        _, packages, source = WRITERS[name]
        missing = lacking(packages, source, arguments.sources)
        if missing:
            print(f"\n{name}: not compared; missing: {missing}")
            continue
        row, disagreeing = compared(name, arguments.sources)
        summary.append(row)
        wrong += disagreeing
    print("\n| written by | files | action differs by at most | Q by | V by | spread by | disagreements |")
    print("|---|---|---|---|---|---|---|\n" + "\n".join(summary))
    sys.exit(bool(wrong))


if __name__ == "__main__":
    main()
