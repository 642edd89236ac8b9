"""CrossQ's batch renormalisation, folded into the layer after it: with frozen statistics it is an affine map.

Bhatt et al. 2024 (arXiv:1902.05605): x → scale·(x − ra_mean)/√(ra_var + eps) + bias, before every affine layer.
"""

from collections.abc import Mapping

from torch import Tensor

PARTS = ("ra_mean", "ra_var", "scale", "bias", "steps")


def folded(tensors: Mapping[str, Tensor], eps: float) -> dict[str, Tensor]:
    """The same networks without renormalisation.

    Raises:
        KeyError: a part of a renormalisation, or the layer after it, is missing.
        ValueError: their sizes do not fit.
    """
    made = dict(tensors)
    for place in [name.removesuffix(".ra_mean") for name in tensors if name.endswith(".ra_mean")]:
        mean, variance, scale, bias = (tensors[f"{place}.{part}"].double() for part in PARTS[:4])
        factor = scale / (variance + eps).sqrt()
        shift = bias - mean * factor
        for layer in _following(place, tensors):
            weight = made[f"{layer}.weight"].double()
            if weight.ndim != 2 or weight.shape[1] != len(factor):
                raise ValueError(f"{place} has {len(factor)} numbers, the layer after it other inputs")
            made[f"{layer}.bias"] = made[f"{layer}.bias"].double() + weight @ shift
            made[f"{layer}.weight"] = weight * factor
        for part in PARTS:
            made.pop(f"{place}.{part}", None)
    return made


def _following(place: str, tensors: Mapping[str, Tensor]) -> list[str]:
    """The next layer of the same sequence, or, after the last of an actor's trunk, its two outputs."""
    prefix, _, number = place.rpartition(".")
    following = f"{prefix}.{int(number) + 1}"
    if f"{following}.weight" in tensors:
        return [following]
    outputs = ("actor.mu", "actor.mu.0", "actor.log_std")  # with state-dependent exploration log_std is no layer
    return [name for name in outputs if f"{name}.weight" in tensors]
