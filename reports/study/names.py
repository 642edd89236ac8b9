"""Names of conditions in cells, notes and figures."""

import pandas as pd

from reports.study.grids import parts


def condition_name(condition: pd.Series) -> str:
    """The name of a condition: `fgsm eps 0.1`, `mass 0.5 + gravity 0.8`, `fgsm eps 0.1 with mass 0.5` or `clean`."""
    names = [attack_name(condition)] if condition["attack"] != "none" else []
    if condition["perturbation"] != "none":
        name, factor, unit = condition["perturbation"], condition["factor"], _sensor_unit(condition)
        point = point_name(dict(parts(name, factor))) if "," in name else f"{name} {number(factor)}"
        names.append(point + unit)
    return " with ".join(names) or "clean"


def perturbation_name(condition: pd.Series) -> str:
    """The perturbation without its factor, with the unit of sensors if it has one: `sensor-noise (dataset-std)`."""
    return str(condition["perturbation"]) + _sensor_unit(condition)


def _sensor_unit(condition: pd.Series) -> str:
    """The unit of perturbed sensors; empty under an attack, whose eps has the same unit."""
    alone = condition["attack"] == "none" and condition["perturbation"] != "none"
    return f" ({condition['unit']})" if alone and condition["unit"] else ""


def attack_name(condition: pd.Series) -> str:
    """The attack of a condition: `fgsm eps 0.1`, `fgsm eps 0.1 raw l2` or `clean observations`."""
    if condition["attack"] == "none":
        return "clean observations" + (f", sensors disturbed in {condition['unit']}" if condition["unit"] else "")
    unusual = [name for name in (condition["unit"], condition["norm"]) if name not in ("dataset-std", "linf", "")]
    return " ".join([f"{condition['attack']} eps {number(condition['eps'])}", *unusual])


def point_name(point: dict[str, float]) -> str:
    """The factors of a composition, rounded to four digits: `friction 0.5 + gravity 0.75`."""
    return " + ".join(f"{name} {short(value)}" for name, value in point.items())


def number(value: float) -> str:
    """An eps or a factor without trailing digits: 0.1, 1, 1e-06."""
    return f"{value:.12g}"


def short(value: float) -> str:
    """A factor rounded to four digits: 0.3333."""
    return f"{value:.4g}"


def listed(names: list[str], most: int = 5) -> str:
    """The first names and the number of others: `a, b and 40 more`."""
    if len(names) <= most:
        return ", ".join(names)
    return f"{', '.join(names[:most])} and {len(names) - most} more"
