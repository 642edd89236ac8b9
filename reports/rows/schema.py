"""The schema of a results table: one row per episode, clean episodes included.

`reports.rows.identity` decides which rows are the same episode. Errors about a table count rows from 1 without the
header: row r of a file is its line r + 1.
"""

from collections.abc import Mapping

import numpy as np
import pandas as pd

SCHEMA: Mapping[str, str] = {
    "algorithm": "str",
    "dataset": "str",  # empty if unknown (checkpoints of other tools)
    "train_seed": "Int64",  # missing if unknown
    "checkpoint": "str",  # sha256, hexadecimal
    "task": "str",
    "attack": "str",  # "none" for clean observations
    "eps": "float64",  # in `unit`, measured by `norm`; 0 for attack "none"
    "unit": "str",  # of eps and of perturbed sensors; empty if neither is present
    "norm": "str",  # of eps; empty for attack "none"
    "perturbation": "str",  # "none" for the nominal simulation
    "factor": "float64",  # 1 for perturbation "none"
    "nominal": "float64",  # the factor without effect: 1 for a scale, 0 for an added amount
    "episode": "int64",  # its number in its command; a label that identifies nothing
    "eval_seed": "int64",  # seed of the start state and of all randomness of the episode
    "return": "float64",  # undiscounted sum of rewards
    "length": "int64",  # steps
    "score": "float64",  # 0 = random, 100 = expert, never clipped; missing if the task has no anchors
    "flags": "str",  # names joined by ";", empty if there are none
    "recipe": "str",  # hash of the training settings; empty if unknown
    "attack_files": "str",  # SHA-256 of every file that the attack names, joined by ";"; empty if none
    "perturbation_files": "str",  # the same for the perturbation
}
"""Column → dtype, in the order of the file."""

OPTIONAL = ("recipe", "attack_files", "perturbation_files")
"""Columns that a table may lack: older tables do. A missing column is equal to an empty one."""

KEY = (
    *("checkpoint", "task", "attack", "attack_files", "eps", "unit", "norm"),
    *("perturbation", "perturbation_files", "factor", "eval_seed"),
)
"""Columns that determine and identify an episode; `reports.rows.identity.keys_of` computes them for rows."""

OUTCOME = ("return", "length", "score")
"""Columns of the outcome of an episode."""

EXCUSES = ("nan-", "unstable")
"""Beginnings of flags that allow a missing or infinite return."""


def check(frame: pd.DataFrame) -> pd.DataFrame:
    """The table with ordered columns and exact dtypes; an invalid table raises one sentence.

    Raises:
        ValueError: missing or unknown columns, wrong dtypes, impossible values.
    """
    check_names([str(name) for name in frame.columns])
    frame = with_optional(frame)
    columns = {name: _cast(frame[name], name, dtype) for name, dtype in SCHEMA.items()}
    return check_rows(pd.DataFrame(columns))


def check_rows(frame: pd.DataFrame) -> pd.DataFrame:
    """The table itself after a check of its rows; columns must be right, texts may be packed. Raises as `check`."""
    _check_values(frame)
    return frame


def with_optional(frame: pd.DataFrame) -> pd.DataFrame:
    """The table with empty columns for the optional ones that it lacks."""
    lacking = [name for name in OPTIONAL if name not in frame.columns]
    return frame.assign(**{name: pd.Series("", frame.index, dtype="str") for name in lacking}) if lacking else frame


def check_names(names: list[str]) -> None:
    """Check that all columns but the optional ones occur, each once, and no others. Raises ValueError."""
    for name in SCHEMA:
        if name not in names and name not in OPTIONAL:
            raise ValueError(f"row 0 (the header): column {name!r} is missing; expected {', '.join(SCHEMA)}.")
    for position, name in enumerate(names):
        if name not in SCHEMA or name in names[:position]:
            problem = "occurs twice" if name in SCHEMA else "is not a column of results"
            raise ValueError(f"row 0 (the header): column {name!r} {problem}; expected {', '.join(SCHEMA)}.")


def first(wrong: np.ndarray) -> int:
    """The number of the first marked row, counted from 1."""
    return int(np.argmax(wrong)) + 1


def _cast(column: pd.Series, name: str, dtype: str) -> pd.Series:
    if str(column.dtype) == dtype != "str":
        return column.reset_index(drop=True)
    if str(column.dtype) == "int64" and dtype == "Int64":
        return column.reset_index(drop=True).astype("Int64")
    if str(column.dtype) == dtype == "str" and all(_is_line(value) for value in column.unique()):
        return column.reset_index(drop=True)  # faster: few distinct texts in very many rows
    values = column.to_list()
    if dtype == "str" and _are_lines(values):
        return pd.Series(values, dtype=dtype)
    missing = column.isna().to_numpy() & (dtype in ("float64", "Int64"))
    fits = {"str": _is_line, "float64": _is_number}.get(dtype, _is_whole)
    wrong = ~missing & ~np.array([fits(value) for value in values], bool)
    if wrong.any():
        wanted = {"str": "text on one line", "float64": "a number"}.get(dtype, "a whole number of 64 bits")
        offender = values[int(np.argmax(wrong))]
        raise ValueError(f"row {first(wrong)}, column {name!r}: expected {wanted}, found {offender!r}.")
    blank = np.nan if dtype == "float64" else pd.NA
    return pd.Series([blank if gone else v for gone, v in zip(missing, values, strict=True)], dtype=dtype)


def _are_lines(values: list[object]) -> bool:
    """Whether all values are texts of one line; one check of the joined text is faster than one per row."""
    try:
        return _is_line("".join(values))  # type: ignore[arg-type]  # join refuses values that are no text
    except TypeError:
        return False


def _is_line(value: object) -> bool:
    return isinstance(value, str) and "\n" not in value and "\r" not in value


def _is_number(value: object) -> bool:
    return isinstance(value, (int, float, np.integer, np.floating)) and not isinstance(value, bool)


def _is_whole(value: object) -> bool:
    # pandas stores integers as floats in a column with missing values: 3.0 is a valid seed, 3.5 is not.
    if isinstance(value, (float, np.floating)):
        return float(value).is_integer() and abs(float(value)) <= 2**53
    return isinstance(value, (int, np.integer)) and not isinstance(value, bool) and _fits_64_bits(int(value))


def _fits_64_bits(value: int) -> bool:
    return -(2**63) <= value < 2**63


def _check_values(frame: pd.DataFrame) -> None:
    excuses = {flags: any(f.startswith(EXCUSES) for f in flags.split(";")) for flags in frame["flags"].unique()}
    excused = frame["flags"].map(excuses).to_numpy(bool)
    eps, factor, nominal = (frame[name].to_numpy() for name in ("eps", "factor", "nominal"))
    finite = np.isfinite(frame["return"].to_numpy())
    excuse = f"without a flag that starts with {' or '.join(repr(start) for start in EXCUSES)}"
    rules = (
        ("eps", ~(np.isfinite(eps) & (eps >= 0)), "a budget is a finite number, 0 or larger"),
        ("eps", (frame["attack"] == "none").to_numpy() & (eps != 0), "attack 'none' has eps 0"),
        ("factor", ~np.isfinite(factor), "a factor is a finite number"),
        ("nominal", ~np.isfinite(nominal), "a nominal factor is a finite number"),
        (
            "factor",
            (frame["perturbation"] == "none").to_numpy() & ((factor != 1) | (nominal != 1)),
            "perturbation 'none' has factor 1 and nominal factor 1",
        ),
        ("return", ~finite & ~excused, f"a return is a finite number and never missing {excuse}"),
        ("score", np.isinf(frame["score"].to_numpy()) & finite, "a finite return has a finite or no score"),
        ("length", (frame["length"] < 0).to_numpy(), "a length is 0 or larger"),
        ("episode", (frame["episode"] < 0).to_numpy(), "episodes are counted from 0"),
    )
    for name, wrong, sentence in rules:
        if wrong.any():
            offender = frame[name].iloc[int(np.argmax(wrong))]
            raise ValueError(f"row {first(wrong)}, column {name!r}: {sentence}; found {offender}.")
