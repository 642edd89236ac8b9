"""Episodes of compositions of perturbations, for the tests of this folder."""

from tests.reports.toys import episodes

CLEAN = [float(80 + i % 3) for i in range(12)]
Point = dict[str, float]


def composed(point: Point, drop: float, **changes: object) -> list[dict[str, object]]:
    """Episodes of a composition, stored as evaluations store it; `drop` points below clean."""
    *first, (last, factor) = point.items()
    name = ",".join([*(f"{part}={value:.12g}" for part, value in first), last])
    return episodes([score - drop for score in CLEAN], **({"perturbation": name, "factor": factor} | changes))
