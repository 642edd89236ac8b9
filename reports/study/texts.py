"""Numbers as text: an interval in brackets, and the dash of a missing number."""

import pandas as pd

DASH = "–"
"""Text of a cell without a number."""


def interval(low: float, high: float) -> str:
    """An interval as text, `[22.1, 23.2]`; empty if there is none."""
    return "" if pd.isna(low) else f"[{low:z.1f}, {high:z.1f}]"
