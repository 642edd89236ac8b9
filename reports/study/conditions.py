"""Which conditions change something, which change nothing, and which are compositions."""

import pandas as pd


def changes_something(conditions: pd.DataFrame) -> pd.Series:
    """Whether each condition differs from the clean one; a composition always counts as different."""
    composed = conditions["perturbation"].str.contains(",", regex=False)
    return (conditions["eps"] > 0) | (conditions["factor"] != conditions["nominal"]) | composed


def changes_nothing(conditions: pd.DataFrame) -> pd.Series:
    """Whether each condition is the clean one under another name; a composition never is by its last factor alone."""
    alone = ~is_composition(conditions["perturbation"])
    return (conditions["eps"] == 0) & (conditions["factor"] == conditions["nominal"]) & alone


def is_composition(perturbation: pd.Series) -> pd.Series:
    """Which of these names are of several perturbations at once."""
    return perturbation.str.contains(",", regex=False)
