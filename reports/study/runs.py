"""Training runs of each condition, and means that are comparable between conditions of different runs.

Shapes: N episodes, C cells, P pairs of a cell and one of its runs.
"""

import numpy as np
import pandas as pd

from reports.statistics.means import Floats, Integers, by_run


def shared_runs(value: Floats, cell: Integers, run: Integers, heads: pd.DataFrame) -> dict[str, Integers | Floats]:
    """Counts of the runs that cells share with clean, counts of runs of clean, and aligned means; (C,) each.

    `clean_seeds` counts the training runs of the clean cell of the same policy, or the cell's own runs without one.
    `common_seeds` counts the runs of clean that the cell has. `aligned` is the clean mean plus the mean difference from
    clean over common runs. A condition then does not rank low only because its runs are poor.
    `aligned` is the plain mean if the runs are equal or none is common.

    Args:
        value: (N,) finite.
        cell: (N,) from 0 to C - 1.
        run: (N,) the training run, from 0.
        heads: (C,) rows that name the cells, with columns policy and block.
    """
    owner, place, size = by_run(cell, run)
    level = np.bincount(place, value, len(owner)) / size
    pairs = pd.DataFrame({"cell": owner, "level": level})
    pairs["run"] = np.zeros(len(owner), np.int64)
    pairs.loc[place, "run"] = run
    pairs["policy"] = pd.factorize(heads["policy"])[0][owner]
    is_clean = (heads["block"] == "clean").to_numpy()[owner]
    clean = pairs.loc[is_clean, ["policy", "run", "level"]].rename(columns={"level": "clean"})
    both = pairs.merge(clean, on=["policy", "run"], how="left")
    of_policy = clean.groupby("policy")["clean"].agg(["mean", "size"])
    cells = len(heads)
    own = np.bincount(owner, minlength=cells)
    known = both["clean"].notna().to_numpy()
    common = np.bincount(both["cell"][known], minlength=cells)
    policy = pd.Series(pd.factorize(heads["policy"])[0])
    there = policy.map(of_policy["size"]).fillna(0).to_numpy(np.int64)
    with np.errstate(invalid="ignore", divide="ignore"):
        moved = np.bincount(both["cell"][known], (both["level"] - both["clean"])[known], cells) / common
        mean = np.bincount(owner, level, cells) / own
    aligned = policy.map(of_policy["mean"]).to_numpy(np.float64) + moved
    same = (common == 0) | ((common == own) & (common == there))
    return {
        "common_seeds": np.where(there > 0, common, own),
        "clean_seeds": np.where(there > 0, there, own),
        "aligned": np.where(same, mean, aligned),
    }


def unequal_runs(episodes: pd.DataFrame) -> pd.DataFrame:
    """The smallest and largest number of episodes with a value per training run, by cell: fewest and most."""
    present = episodes[episodes["value"].notna()]
    sizes = present.groupby(["cell", "train_seed"], dropna=False).size()
    return sizes.groupby("cell").agg(["min", "max"]).rename(columns={"min": "fewest", "max": "most"})
