"""Settings and weights of a Stable-Baselines3 policy, from a model's zip or from the weights alone.

`model.save` writes a zip. Weights alone come from `policy.state_dict()`, `actor.state_dict()`, an entry of
`get_parameters()`, or `policy.save`, which stores some settings beside them.
"""

from collections.abc import Mapping
from typing import Any

from torch import Tensor

from microbench.checkpoints.containers.archives import Archive
from microbench.checkpoints.containers.arrays import Array
from microbench.checkpoints.containers.content import Content, read_json, state_dict
from microbench.checkpoints.containers.pickles import Stub
from microbench.checkpoints.containers.torch_files import LEGACY_START, read_legacy, read_zip

VERSION = "_stable_baselines3_version"
OUTPUTS = ("actor.mu.weight", "actor.mu.0.weight", "action_net.weight")
ALONE = ("latent_pi.0.weight", "latent_pi.1.weight", "mu.0.weight")  # names in an actor's own state dict
OF_AN_ACTOR = ("latent_pi.", "mu.", "log_std")


def is_zip(content: Content) -> bool:
    """Whether the file is a zip with policy.pth and data."""
    return content.archive is not None and "policy.pth" in content.archive and "data" in content.archive


def are_weights(content: Content) -> bool:
    """Whether the file has tensors named as Stable-Baselines3 names a policy's or an actor's."""
    tensors = _alone(content)
    named = any(name in tensors for name in OUTPUTS)
    return named and any(name.startswith(("actor.", "mlp_extractor.")) for name in tensors)


def parts_of(content: Content) -> tuple[dict[str, Any], Mapping[str, Tensor]]:
    """The readable settings (empty if there are none) and the weights of a policy."""
    if content.archive is None:
        return _settings(content.entry("data")), _alone(content)
    data = read_json(content.archive.read("data"))
    raw = content.archive.read("policy.pth")
    tensors = read_legacy(raw) if raw.startswith(LEGACY_START) else read_zip(Archive(raw))
    if not isinstance(data, dict) or not state_dict(tensors):
        raise ValueError("a zip whose data are no settings, or whose policy.pth is no state dict")
    return data, state_dict(tensors)


def version(content: Content) -> str:
    """The version of Stable-Baselines3 that wrote the zip; empty if it does not say."""
    if content.archive is None or VERSION not in content.archive:
        return ""
    return content.archive.read(VERSION).decode("ascii", "replace").strip()[:20]


def _alone(content: Content) -> dict[str, Tensor]:
    """The tensors under their names in a policy, also for an actor's own state dict."""
    tensors = content.tensors or state_dict(content.entry("state_dict"))
    if any(name in tensors for name in ALONE) and all(name.startswith(OF_AN_ACTOR) for name in tensors):
        return {f"actor.{name}": value for name, value in tensors.items()}
    return tensors


def _settings(data: Any) -> dict[str, Any]:
    """The constructor's arguments that `policy.save` stores, in the form of a zip's `data`."""
    if not isinstance(data, dict):
        return {}
    spaces = {
        name: _space(data[name]) for name in ("action_space", "observation_space") if isinstance(data.get(name), Stub)
    }
    kwargs: dict[str, Any] = {name: value for name, value in data.items() if isinstance(value, (bool, int, float))}
    for name in ("activation_fn", "features_extractor_class"):
        if name in data:
            kwargs[name] = _readable(data[name])
    return {**spaces, "policy_kwargs": kwargs}


def _space(space: Stub) -> dict[str, Any]:
    readable: dict[str, Any] = {":type:": f"<class '{space.origin}'>"}
    shape = space.get("_shape", space.get("shape"))
    if isinstance(shape, tuple):
        readable["_shape"] = list(shape)
    for end in ("low", "high"):
        values = space.get(end)
        if isinstance(values, Array) and values.values is not None:
            readable[end] = " ".join(map(str, values.values.reshape(-1).tolist()))
    return readable


def _readable(value: Any) -> str:
    """The printed form of a class or its partial, as in a zip's `data`."""
    if isinstance(value, type) and issubclass(value, Stub):
        return f"<class '{value.origin}'>"
    return str(value)[:100]
