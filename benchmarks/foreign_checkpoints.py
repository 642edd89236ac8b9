"""Compare clean returns of published policies with their known returns.

    python -m benchmarks.foreign_checkpoints FOLDER --episodes 50

FOLDER holds the files by family and task; they are not part of the project (docs/checkpoints.md names their sources).
`known` is the mean of three episodes, seeds 0–2, of an independent reading of the same files, with their standard
deviation. Here the same three episodes run with many roundings. Each changes the last bit of the policy's observations
at every step, about as much as another library's order of additions. A choice takes one rounding per seed; `as far` is
the share of choices whose mean is at least as far from their middle as the known one. A small share means that the two
readings differ. With F files compared, shares above 0.05/F are no evidence (Bonferroni); the last line names those
below. The interval is that of the mean over many seeds.
"""

import argparse
import dataclasses
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from scipy import stats
from torch import Tensor

from microbench.checkpoints import Checkpoint, Overrides, load
from microbench.errors import UserError
from microbench.evaluation.attacked import Conditions
from microbench.evaluation.chunk import evaluate_chunk
from microbench.evaluation.plan import CLEAN, Episode


@dataclasses.dataclass(frozen=True, kw_only=True)
class Known:
    """One file: what must be said of it, and what it earns; no mean where it is refused or was never measured."""

    path: str
    mean: float | None = None
    spread: float | None = None
    env_id: str | None = None
    activation: str | None = None


CHEETAH, WALKER = "HalfCheetah-v4", "Walker2d-v4"
FILES = (
    Known(path="sb3/Hopper/sac-Hopper-v3.zip", mean=1097, spread=20),
    Known(path="sb3/Hopper/ppo-Hopper-v3.zip", mean=2438, spread=3),
    Known(path="sb3/HalfCheetah/a2c-HalfCheetah-v3.zip", mean=2949, env_id=CHEETAH),
    Known(path="sb3/Walker2d/tqc-Walker2d-v3.zip", mean=3596, spread=791, env_id=WALKER),
    Known(path="sb3/Walker2d/ppo-Walker2d-v3.zip", mean=2690, spread=1493, env_id=WALKER),
    Known(path="sb3/Walker2d/ars-Walker2d-v3.zip", mean=1413, spread=111, env_id=WALKER),
    Known(path="sb3/Ant/ppo-Ant-v3.zip", mean=437),
    Known(path="sa_ppo/Hopper/model-ppo-hopper-best.model", mean=3077, spread=339),
    Known(path="sa_ppo/Hopper/model-sappo-sgld-hopper-best.model", mean=3591, spread=20),
    Known(path="atla/PPO/HalfCheetah/model-ppo-halfcheetah.model", mean=7140, spread=30),
    Known(path="atla/PPO/Ant/model-ppo-ant.model", mean=5441, spread=581),
    Known(path="atla/SAPPO/Walker2d/model-sappo-convex-walker.model", mean=3939, spread=546),
    Known(path="atla/LSTM-PPO/Walker2d/model-lstm-ppo-walker.model"),
    Known(path="paad/Ant/pa_atla_ant.model"),
    Known(path="wocar/Walker2d/walker.model", mean=4727, spread=41),
    Known(path="cs285_pkl/Hopper/Hopper.pkl", mean=3727, spread=2),
    Known(path="openai_imitation_h5/Walker2d/log_Walker2d-v1_1.h5", mean=5373, spread=10, env_id=WALKER),
    Known(path="state_dict/HalfCheetah/HCv4_actor5000.pth", mean=14437, spread=32, env_id=CHEETAH, activation="tanh"),
    Known(path="state_dict/Hopper/Hopper-v3.pth", mean=1334, spread=126),
    Known(path="serl/Hopper/hopper_evo_net.pkl"),
)


THREE, LEVEL = 3, 0.05  # episodes of the known values; level of the test for all files together
HALF_UNIT = 0.5  # the known means are printed without decimals
LAST_BIT = 2.0**-23  # of single precision, relative


def share_as_far(returns: NDArray[np.float64], known: float) -> float:
    """The share of all choices of one rounding per seed, of (3, R), whose mean is as far from the middle as `known`."""
    means = (returns[0][:, None, None] + returns[1][:, None] + returns[2]) / THREE
    far = abs(known - returns.mean()) - HALF_UNIT
    return float(np.mean(np.abs(means - returns.mean()) >= far))


def shaken(checkpoint: Checkpoint) -> Checkpoint:
    """The policy with its observations changed in their last bit, another way at every call and in every row."""
    policy, generator = checkpoint.target.policy, torch.Generator().manual_seed(0)

    def act(obs: Tensor) -> Tensor:
        return policy(obs * (1 + LAST_BIT * (2 * torch.rand(obs.shape, generator=generator) - 1)))

    return dataclasses.replace(checkpoint, target=dataclasses.replace(checkpoint.target, policy=act))


def returns_of(checkpoint: Checkpoint, seeds: Sequence[int]) -> NDArray[np.float64]:
    """Returns of clean episodes with these seeds."""
    chunk = tuple(Episode(cell=CLEAN, number=number, seed=seed) for number, seed in enumerate(seeds))
    rows = evaluate_chunk(checkpoint, Conditions(env_id=checkpoint.env_id, unit="raw"), chunk)
    return rows["return"].to_numpy(np.float64)


def measured(folder: Path, known: Known, episodes: int, roundings: int) -> tuple[str, float | None]:
    """A row of the table (what the file is, what it earns here, what is known) and the share."""
    try:
        checkpoint = load(folder / known.path, Overrides(env_id=known.env_id, activation=known.activation))
    except UserError as error:
        sentence = str(error).removeprefix(str(folder / known.path)).strip()
        return f"| `{known.path}` | – | refused: {sentence} | – | – | – |", None
    every = returns_of(checkpoint, range(episodes))
    same = returns_of(shaken(checkpoint), np.repeat(np.arange(THREE), roundings).tolist()).reshape(THREE, roundings)
    share = None if known.mean is None else share_as_far(same, known.mean)
    half = float(stats.t.ppf(0.975, episodes - 1) * stats.sem(every))
    spread = "" if known.spread is None else f" ± {known.spread:g}"
    cells = (
        f"`{known.path}`",
        checkpoint.env_id,
        f"{every.mean():.0f} ± {every.std():.0f} ({every.mean() - half:.0f} to {every.mean() + half:.0f})",
        f"{same.mean():.0f} ± {(same.var(axis=1).sum() / THREE**2) ** 0.5:.0f}",
        "–" if known.mean is None else f"{known.mean:g}{spread}",
        "–" if share is None else f"{share:.2g}",
    )
    return f"| {' | '.join(cells)} |", share


def main() -> None:
    """Print the table, and the files whose known value is not that of our episodes."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--episodes", type=int, default=50)
    parser.add_argument("--roundings", type=int, default=40)
    parser.add_argument("--only", default="", help="a part of the paths of the files to be measured")
    arguments = parser.parse_args()
    print("| file | task | here (95 % of the mean) | mean of seeds 0–2, any rounding | known, seeds 0–2 | as far |")
    print("|---|---|---|---|---|---|")
    shares: dict[str, float] = {}
    for known in [known for known in FILES if arguments.only in known.path]:
        row, share = measured(arguments.folder, known, arguments.episodes, arguments.roundings)
        print(row, flush=True)
        if share is not None:
            shares[known.path] = share
    limit = LEVEL / max(len(shares), 1)
    far = [name for name, share in shares.items() if share < limit]
    print(f"\nbelow {limit:.2g}: {', '.join(far) or 'none'} of {len(shares)}")


if __name__ == "__main__":
    main()
