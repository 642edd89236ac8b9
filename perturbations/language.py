"""The text form of perturbations: `NAME[@PART[+PART…]]=FACTOR`, several joined by commas.

Results split a text before its last factor, so that a sweep of that factor has one name: `"mass=1.2,friction=0.8"` is
the perturbation `"mass=1.2,friction"` at the factor 0.8.
"""

from perturbations.parameter import Change, Parameter, spelled, together
from perturbations.table import resolve

_Part = tuple[str, tuple[str, ...] | None, float]

_FORM = "write them as mass=1.2,friction=0.8 or mass@torso=2"


def parse(text: str) -> Change:
    """`"mass=1.2,friction@floor=0.8,latency=1"` → one Change that applies all of them from left to right.

    Raises:
        ValueError: an unknown name, parts of a perturbation without parts, a factor out of its range, or the same
            change twice.
    """
    return _change(_parts(text))


def build(perturbation: str, factor: float) -> Change:
    """The change of a row of results: as `parse(join(perturbation, factor))`, but with the factor unrounded.

    Raises:
        ValueError: as `parse`.
    """
    *before, (name, names, _) = _parts(f"{perturbation}=0")
    return _change([*before, (name, names, factor)])


def join(perturbation: str, factor: float) -> str:
    """`("mass=1.2,friction", 0.8)` → `"mass=1.2,friction=0.8"`, in canonical spelling."""
    return canonical(f"{perturbation}={factor:.12g}")


def split(text: str) -> tuple[str, float]:
    """`"mass=1.2,friction=0.8"` → `("mass=1.2,friction", 0.8)`, the inverse of `join`."""
    *before, (name, names, factor) = _parts(text)
    return ",".join([*map(_spelled, before), spelled(name, names)]), float(f"{factor:.12g}")


def canonical(text: str) -> str:
    """The canonical spelling of a composition: no spaces, numbers with up to 12 digits."""
    return ",".join(map(_spelled, _parts(text)))


def nominal_of(perturbation: str) -> float:
    """The nominal factor of the last part of a perturbation, at which it changes nothing.

    Raises:
        ValueError: an unknown name, or a text that is not of the form of `split`'s first result.
    """
    return resolve(_parts(f"{perturbation}=0")[-1][0]).nominal


def needs_scale(perturbation: str) -> bool:
    """Whether any of its factors is measured in units of the sensors (`Setting.obs_scale`).

    Disturbances from other packages count as measured so, unless their `Parameter` denies it.

    Raises:
        ValueError: as `nominal_of`.
    """
    return perturbation != "none" and any(record.in_obs_units for record in records(perturbation))


def records(perturbation: str) -> list[Parameter]:
    """The Parameter of every part of a perturbation, in order.

    Raises:
        ValueError: as `nominal_of`.
    """
    return [resolve(name) for name, _, _ in _parts(f"{perturbation}=0")]


def _parts(text: str) -> list[_Part]:
    """(name, names of parts or None, factor) of every item; ValueError for a malformed item or a repeated change."""
    parts, changed = [], set()
    for item in text.split(","):
        what, _, number = item.rpartition("=")
        name, at, listed = what.partition("@")
        names = tuple(word.strip() for word in listed.split("+")) if at else None
        try:
            factor = float(number)
        except ValueError:
            factor = None
        if factor is None or not name.strip() or (names and not all(names)):
            raise ValueError(f"'{item}' is not a name and a factor: {_FORM}.")
        for single in names or (None,):
            if (name.strip(), single) in changed:
                raise ValueError(f"'{text}' changes {spelled(name.strip(), single)} twice: name it once.")
            changed.add((name.strip(), single))
        parts.append((name.strip(), names, factor))
    return parts


def _change(parts: list[_Part]) -> Change:
    return together([resolve(name)(factor, names) for name, names, factor in parts])


def _spelled(part: _Part) -> str:
    name, names, factor = part
    return f"{spelled(name, names)}={factor:.12g}"
