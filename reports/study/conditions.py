"""Tests of conditions: different from clean, equal to clean, or a composition."""

import pandas as pd


def changes_something(conditions: pd.DataFrame) -> pd.Series:
    """Whether eps, factor or composition of each condition differs from clean; compositions always count."""
    composed = conditions["perturbation"].str.contains(",", regex=False)
    return (conditions["eps"] > 0) | (conditions["factor"] != conditions["nominal"]) | composed


def changes_nothing(conditions: pd.DataFrame) -> pd.Series:
    """Whether each condition equals clean: eps 0 and the nominal factor. Compositions never count."""
    alone = ~is_composition(conditions["perturbation"])
    return (conditions["eps"] == 0) & (conditions["factor"] == conditions["nominal"]) & alone


def is_composition(perturbation: pd.Series) -> pd.Series:
    """Whether each name is a composition of several perturbations."""
    return perturbation.str.contains(",", regex=False)
