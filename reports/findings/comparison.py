"""Comparison of two results tables: the difference B - A in every common condition, with its significance."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
import pandas as pd
from scipy import stats

from reports.statistics.bootstrap import BOOTSTRAP_SEED
from reports.statistics.means import Floats, run_weights
from reports.statistics.of_arrays import mean
from reports.study.conditions import changes_something
from reports.study.names import condition_name
from reports.study.provenance import runs_of, settings
from reports.study.scales import Anchors, contradictions
from reports.study.scores import paired_difference
from reports.study.summary import CONDITION, prepare

LEVEL = 0.05
"""Significance level: a loss is significant if its corrected p is below."""

MOST = 1000
"""Maximum number of compared conditions."""

FLIPS = 9999
"""Number of random sign patterns of a permutation test; if there are no more patterns, all are used."""

POLICY = ["algorithm", "dataset", "recipe"]


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """The result of comparing B with A.

    A row of `table` has the condition and its metric. It counts n (pairs), runs (training runs with a pair), runs_a and
    runs_b (training runs of each side), left_out (pairs without two values) and equal (bitwise equal pairs). Its
    numbers are a and b (means over pairs), difference (b - a) with low and high, p and p_holm. Its outcome is loss,
    gain, equal or unclear.

    Attributes:
        table: one row per common condition.
        only_a: conditions that only A has.
        only_b: conditions that only B has.
        unpaired: common conditions without a paired episode.
        changes: sentences about other differences.
    """

    table: pd.DataFrame
    only_a: list[str] = field(default_factory=list)
    only_b: list[str] = field(default_factory=list)
    unpaired: list[str] = field(default_factory=list)
    changes: list[str] = field(default_factory=list)

    @property
    def losses(self) -> list[str]:
        """The conditions in which B is significantly worse."""
        return [str(name) for name in self.table.loc[self.table["outcome"] == "loss", "condition"]]

    @property
    def is_blind(self) -> bool:
        """Whether no loss can be significant with these numbers of pairs and conditions; False if all are equal."""
        if (self.table["outcome"] == "equal").all():
            return False
        return smallest_p(int(self.table["n"].max())) * int(self.table["p"].notna().sum()) >= LEVEL


def compare_results(
    frame_a: pd.DataFrame,
    frame_b: pd.DataFrame,
    about_a: Mapping[str, object] | None = None,
    about_b: Mapping[str, object] | None = None,
    *,
    anchors: Anchors | None = None,
) -> Comparison:
    """Compare B with A over the episodes that start from the same state in both.

    If each table has one policy, these two are compared; otherwise policies with equal algorithm, dataset and recipe.
    Paired episodes agree in eval_seed and, with several training runs, in train_seed. The interval is that of
    `paired_difference`. p is from a two-sided sign-flip permutation test of the mean difference (Fisher 1935). It flips
    episodes, so it treats training runs as fixed; the interval includes their variance. p_holm is corrected for all
    common conditions (Holm 1979). A loss needs p_holm below .05 and an interval below 0.

    Returns are compared if a policy has no scores, or if scores contradict their returns (by known `anchors`, or
    between A and B). `changes` then says so.

    Raises:
        ValueError: an empty table, more than MOST conditions, no common episode, or an episode twice on one side.
    """
    together = contradictions(pd.concat([frame_a, frame_b], ignore_index=True), anchors)
    scales = [one.sentence for one in together if not one.is_one_scale]
    a, b, fixed = _aligned(frame_a, frame_b, scored=not scales)
    rows, unpaired = [], []
    sides_a, sides_b = dict(list(a.groupby(fixed, sort=False))), dict(list(b.groupby(fixed, sort=False)))
    common = [key for key in sides_a if key in sides_b]
    if len(common) > MOST:
        raise ValueError(
            f"the two results have {len(common):,} conditions in common, too many for one comparison ({MOST:,} at "
            "most): after correction no loss could be significant; compare parts of them."
        )
    for key in common:
        row = _row(sides_a[key], sides_b[key], several="algorithm" in fixed)
        if row["n"] or row["left_out"]:
            rows.append(row)
        else:
            unpaired.append(str(row["condition"]))
    if not rows:
        raise ValueError(
            "the two results have no episode in common; compare evaluations of the same task, conditions and --seed."
        )
    return Comparison(
        table=_judged(pd.DataFrame(rows)),
        only_a=[_name(rows, several="algorithm" in fixed) for key, rows in sides_a.items() if key not in sides_b],
        only_b=[_name(rows, several="algorithm" in fixed) for key, rows in sides_b.items() if key not in sides_a],
        unpaired=unpaired,
        changes=[f"Returns are compared: {sentence}." for sentence in scales]
        + _changes(settings(runs_of(about_a), frame_a), settings(runs_of(about_b), frame_b)),
    )


def sign_flip_test(difference: Floats) -> float:
    """The two-sided p of the hypothesis that differences (N,) are symmetric about 0; 1 for one value, or zeros.

    Exact for up to 13 values; beyond that `FLIPS` patterns are drawn with a fixed seed, and the smallest p is 2/10000.
    """
    if len(difference) < 2 or not difference.any():
        return 1.0
    test = stats.permutation_test(
        (difference,),
        mean,
        permutation_type="samples",
        vectorized=True,
        n_resamples=FLIPS,
        rng=np.random.default_rng(BOOTSTRAP_SEED),
    )
    return float(test.pvalue)


def smallest_p(pairs: int) -> float:
    """The smallest p of `sign_flip_test` for this number of pairs, reached if all differences have one sign."""
    return max(2.0 ** (1 - pairs), 2 / (FLIPS + 1))


def holm(p: Floats) -> Floats:
    """The p values (N,) corrected for their number: i-th smallest times N - i + 1, made monotonic (Holm 1979)."""
    order = np.argsort(p, kind="stable")
    corrected = np.empty_like(p)
    corrected[order] = np.minimum(1, np.maximum.accumulate(p[order] * np.arange(len(p), 0, -1)))
    return corrected


def _aligned(
    frame_a: pd.DataFrame, frame_b: pd.DataFrame, *, scored: bool
) -> tuple[pd.DataFrame, pd.DataFrame, list[str]]:
    """Both tables prepared with one metric, and the columns that identify a condition in them."""
    a, b = (_distinct(prepare(frame)) for frame in (frame_a, frame_b))
    if not scored or "return" in {
        *a["metric"],
        *b["metric"],
    }:  # scores and returns are never subtracted from each other
        a, b = (side.assign(metric="return", value=side["return"]) for side in (a, b))
    alone = all(len(side[POLICY].drop_duplicates()) == 1 for side in (a, b))
    return a, b, ["task", *([] if alone else POLICY), *CONDITION]


def _distinct(episodes: pd.DataFrame) -> pd.DataFrame:
    """The episodes without eps 0 and nominal factors: these repeat clean ones and would weaken the correction."""
    return episodes[(episodes["block"] == "clean") | changes_something(episodes)]


def _row(a: pd.DataFrame, b: pd.DataFrame, *, several: bool) -> dict[str, object]:
    interval = paired_difference(b, a, value="value")
    key = ["eval_seed"] if interval.n and _alone(a, b) else ["train_seed", "eval_seed"]
    pairs = a.merge(b, on=key, suffixes=("_a", "_b"))
    known = pairs[np.isfinite(pairs["value_a"]) & np.isfinite(pairs["value_b"])]
    difference = (known["value_b"] - known["value_a"]).to_numpy(np.float64)
    weights = run_weights(known["train_seed"].tolist() if "train_seed" in key else [None] * len(known))
    level = {side: float(weights @ known[f"value_{side}"]) if len(known) else math.nan for side in "ab"}
    first, known_runs = a.iloc[0], known if "train_seed" in key else known.assign(train_seed=0)
    return {
        "condition": _name(a, several=several),
        **{name: first[name] for name in ("task", *CONDITION, "metric")},
        "n": len(known),
        **{
            name: side["train_seed"].nunique(dropna=False)
            for name, side in (("runs", known_runs), ("runs_a", a), ("runs_b", b))
        },
        "left_out": len(pairs) - len(known),
        "equal": int((difference == 0).sum()),
        **level,
        "difference": interval.estimate,
        "low": interval.low,
        "high": interval.high,
        "p": sign_flip_test(difference * weights * len(known)) if len(known) else math.nan,
    }


def _alone(a: pd.DataFrame, b: pd.DataFrame) -> bool:
    """Whether each side has a single training run, so that their train_seeds may differ."""
    return all(side["train_seed"].nunique(dropna=False) == 1 for side in (a, b))


def _judged(table: pd.DataFrame) -> pd.DataFrame:
    p = table["p"].to_numpy(np.float64)
    tested = np.isfinite(p)
    corrected = np.full(len(p), np.nan)
    corrected[tested] = holm(p[tested])
    sure = corrected < LEVEL
    outcome = np.full(len(p), "unclear", object)
    outcome[(table["equal"] == table["n"]) & (table["n"] > 0)] = "equal"
    outcome[sure & (table["high"] < 0)] = "loss"
    outcome[sure & (table["low"] > 0)] = "gain"
    return table.assign(p_holm=corrected, outcome=outcome)


def _name(rows: pd.DataFrame, *, several: bool) -> str:
    first = rows.iloc[0]
    recipe = f" (recipe {str(first['recipe'])[:8]})" if first["recipe"] else ""
    return f"{first['algorithm']}{recipe}, {condition_name(first)}" if several else condition_name(first)


def _changes(a: Mapping[str, list[str]], b: Mapping[str, list[str]]) -> list[str]:
    names = dict.fromkeys([*a, *b])
    values = {name: [", ".join(side.get(name, ["unknown"])) for side in (a, b)] for name in names}
    return [f"{name}: {before} in A, {after} in B." for name, (before, after) in values.items() if before != after]
