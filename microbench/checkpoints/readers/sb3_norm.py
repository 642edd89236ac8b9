"""CrossQ's batch renormalisation, folded into the next layer: with frozen statistics it is an affine map.

Bhatt et al. 2024 (arXiv:1902.05605) apply x → scale·(x − ra_mean)/√(ra_var + eps) + bias before every affine layer.
"""

from collections.abc import Mapping

from torch import Tensor

PARTS = ("ra_mean", "ra_var", "scale", "bias", "steps")


def folded(tensors: Mapping[str, Tensor], eps: float) -> dict[str, Tensor]:
    """The tensors of equivalent networks without renormalisation.

    Raises:
        KeyError: the renormalisation lacks a part, or the layer after it is missing.
        ValueError: the sizes of renormalisation and layer do not fit.
    """
    networks = dict(tensors)
    for place in [name.removesuffix(".ra_mean") for name in tensors if name.endswith(".ra_mean")]:
        mean, variance, scale, bias = (tensors[f"{place}.{part}"].double() for part in PARTS[:4])
        factor = scale / (variance + eps).sqrt()
        shift = bias - mean * factor
        for layer in _following(place, tensors):
            weight = networks[f"{layer}.weight"].double()
            if weight.ndim != 2 or weight.shape[1] != len(factor):
                raise ValueError(f"{place} has {len(factor)} numbers, the layer after it other inputs")
            networks[f"{layer}.bias"] = networks[f"{layer}.bias"].double() + weight @ shift
            networks[f"{layer}.weight"] = weight * factor
        for part in PARTS:
            networks.pop(f"{place}.{part}", None)
    return networks


def _following(place: str, tensors: Mapping[str, Tensor]) -> list[str]:
    """Names of the layers after a renormalisation: the next of its sequence, else the actor's outputs."""
    prefix, _, number = place.rpartition(".")
    following = f"{prefix}.{int(number) + 1}"
    if f"{following}.weight" in tensors:
        return [following]
    outputs = ("actor.mu", "actor.mu.0", "actor.log_std")  # with state-dependent exploration log_std is no layer
    return [name for name in outputs if f"{name}.weight" in tensors]
