"""VecNormalize beside a Stable-Baselines3 policy: whether training used it, and the file of its statistics.

SB3's zip does not hold the statistics. It holds the last observations, as sensed and as the policy got them, which
show a normalisation. rl_zoo3's config.yml says it as well.
"""

import os
import re
from collections.abc import Callable, Iterable
from pathlib import Path

import numpy as np

from microbench.checkpoints.actors import UNNORMALISED
from microbench.checkpoints.containers.content import Content, read_content
from microbench.checkpoints.readers.sb3_spaces import Data, stored_array
from microbench.checkpoints.statistics import Statistics, read_statistics, rewards_alone
from microbench.checkpoints.stored_policy import Choices
from microbench.errors import UserError

NAME = r"vec[-_]?norm(?:ali[sz]ed?)?(?:[-_](?:stats|statistics|env))?\.(?:pkl|pickle)"
STEPS = re.compile(r"(.+)_(\d+_steps)")  # names of CheckpointCallback: PREFIX_1000_steps.zip
CONFIG = "config.yml"
MOST_CONFIG = 2**16  # characters; rl_zoo3's are a few hundred
ON_POLICY = (
    "gae_lambda",
    "delta_std_schedule",
)  # settings of on-policy algorithms and of ARS; these store the sensed row only with VecNormalize
NORMALIZES = re.compile(r"(?m)^[-\s'\"]*normalize['\"]?\s*(?::|\n\s*-)\s*(.+)$")


def statistics_of(content: Content, data: Data, choices: Choices) -> Statistics | None:
    """Statistics of the VecNormalize from --obs-stats or beside the file; None if the policy was trained without.

    Raises:
        UserError: the policy was trained with a VecNormalize, and not exactly one is beside the file. Or it was
            trained without one, and there is one.
    """
    file = choices.overrides.obs_stats
    if file is not None and str(file) == UNNORMALISED:
        choices.inferred["observations"] = "as they are: said on the command line"
        return None
    if file is not None and (stats := read_statistics(file)).policy:
        choices.inferred["observations"] = f"normalised with the statistics of {file.name}"
        return stats
    trained = was_normalised(data, config_beside(content.path))
    files = beside(content.path, further=trained is True)
    near = [path for path in files if not rewards_alone(read_content(path))]
    if files and not near:
        choices.inferred["observations"] = f"as they are: {files[0].name} is of a VecNormalize of rewards alone"
        return None
    if trained is False and near:
        raise UserError(
            f"{content.path} was trained on observations as they are, by what it stores, and {near[0].name} lies "
            f"beside it; say with --obs-stats {near[0]} or --obs-stats {UNNORMALISED} which is right."
        )
    if len({path.read_bytes() for path in near}) > 1:
        raise UserError(
            f"{content.path} has several files of VecNormalize beside it ({', '.join(map(_shown, near))}); say with "
            f"--obs-stats FILE which is its own, or --obs-stats {UNNORMALISED}."
        )
    if near:
        choices.inferred["observations"] = f"normalised with the statistics of {near[0].name}"
        return read_statistics(near[0])
    if trained:
        raise UserError(_lost(content.path, file))
    choices.inferred["observations"] = (
        "as they are: it was trained without VecNormalize, by what it stores; --obs-stats if another wrapper normalised"
        if trained is False
        else "as they are: no vecnormalize.pkl beside the file; if it was trained with VecNormalize, give --obs-stats"
    )
    return None


def was_normalised(data: Data, config: str = "") -> bool | None:
    """Whether VecNormalize normalised the policy's observations in training; None if that is unknown.

    VecNormalize returns single precision, MuJoCo's sensors double. On-policy algorithms store the sensed observation
    only with a VecNormalize, even one of rewards alone; algorithms like SAC always store it.
    """
    seen, sensed = (stored_array(data, name) for name in ("_last_obs", "_last_original_obs"))
    if seen is not None and sensed is not None and sensed.dtype == np.float64:
        return seen.dtype == np.float32
    if any(name in data for name in ON_POLICY) and "_last_original_obs" in data:
        if data["_last_original_obs"] is not None:
            return True
        return False if data.get("num_timesteps") else None
    return _by_config(config)


def _by_config(config: str) -> bool | None:
    """Whether rl_zoo3's `normalize` includes observations; None if the config has no such entry."""
    line = NORMALIZES.search(config)
    if line is None:
        return None
    value = line[1].lower()
    of_observations = value.partition("norm_obs")[2].partition(",")[0] if "norm_obs" in value else value
    return "false" not in of_observations


def config_beside(path: Path) -> str:
    """The text of rl_zoo3's config.yml for this file; empty if there is none."""
    return next((file.read_text("utf-8", "replace")[:MOST_CONFIG] for file in configs(path)), "")


def configs(path: Path) -> list[Path]:
    """The nearest config.yml of rl_zoo3 for this file, as a list of at most one."""
    return next((tier for tier in _tiers(path, re.escape(CONFIG)) if tier), [])[:1]


def companions(path: Path) -> list[Path]:
    """Every file beside this one, or one folder below, that may change how it is read."""
    return [*configs(path), *beside(path, further=True)]


def beside(path: Path, *, further: bool = False) -> list[Path]:
    """Files of VecNormalize for this policy by their names, all of the nearest kind.

    The nearest kind has the policy's own name: STEM_vecnormalize.pkl, STEM/vecnormalize.pkl,
    PREFIX_vecnormalize_N_steps.pkl. Next is ALGORITHM-vecnormalize.pkl, then vecnormalize.pkl or vec_normalize.pkl in
    the same folder. With `further` the last kind are files one folder below, where rl_zoo3 stores them.
    """
    steps = STEPS.fullmatch(path.stem)
    checkpoint = [path.parent / f"{steps[1]}_vecnormalize_{steps[2]}.pkl"] if steps else []
    own, algorithm, folder = _tiers(path, NAME)
    below = _files(path.parent.glob("*/*"), lambda name: re.fullmatch(NAME, name, re.IGNORECASE) is not None)
    tiers = [[*(file for file in checkpoint if file.is_file()), *own], algorithm, folder, below if further else []]
    return next((tier for tier in tiers if tier), [])


def _tiers(path: Path, name: str) -> list[list[Path]]:
    """Files called `name` in three tiers: with the policy's stem, with its algorithm (of ALGO-Task), alone."""
    stem = path.stem
    algorithm = re.escape(stem.partition("-")[0])

    def matching(folder: Path, pattern: str) -> list[Path]:
        return _files(folder.glob("*"), lambda file: re.fullmatch(pattern, file, re.IGNORECASE) is not None)

    own = [*matching(path.parent, rf"{re.escape(stem)}[-_.]?{name}"), *matching(path.parent / stem, name)]
    return [own, matching(path.parent, rf"{algorithm}[-_]{name}"), matching(path.parent, name)]


def _files(paths: Iterable[Path], fits: Callable[[str], bool]) -> list[Path]:
    return sorted(
        path for path in paths if fits(path.name) and os.path.isfile(path)
    )  # without an error where it is not allowed to look


def _fits(name: str) -> bool:
    """Whether a file's name is that of VecNormalize statistics, with or without a prefix."""
    return re.fullmatch(rf"(?:.+[-_.])?{NAME}", name, re.IGNORECASE) is not None


def _lost(path: Path, unit_file: Path | None) -> str:
    near = _files((*path.parent.glob("*"), *path.parent.glob("*/*"), *path.parent.parent.glob("*/*")), _fits)
    hint = f" (perhaps {near[0]})" if len(near) == 1 else ""
    unit = "" if unit_file is None else f'; {unit_file.name} is a unit, and part of it only with "policy": true'
    return (
        f"{path} was trained with VecNormalize and its statistics are not in the file; give them with --obs-stats "
        f"FILE{hint}, or --obs-stats {UNNORMALISED} if only rewards were normalised{unit}."
    )


def _shown(path: Path) -> str:
    return str(Path(path.parent.name, path.name))
