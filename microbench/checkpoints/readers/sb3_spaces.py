"""Spaces and classes in a Stable-Baselines3 zip; only vectors of real numbers can be evaluated."""

import base64
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from microbench.checkpoints.containers.arrays import Array
from microbench.checkpoints.containers.pickles import read_pickle
from microbench.checkpoints.task_of import tasks_of
from microbench.errors import UserError
from microbench.tasks import TASKS

Data = Mapping[str, Any]

FRAMES = range(2, 9)  # usual numbers of stacked frames
MOST_ENCODED = 2**20  # characters of an encoded array of observations
OWN_MODULES = (
    "stable_baselines3.",
    "sb3_contrib.",
    "imitation.policies.base",
)  # the last one only sets the layers' sizes
EXTRACTORS = ("FlattenExtractor",)
ACTION_WAY_OUT = "only vectors of real numbers (Box) can be evaluated, so give a policy of a continuous-control task"


def check_spaces(path: Path, data: Data) -> None:
    """Raise UserError for spaces and classes that this reader cannot evaluate, with their names.

    Raises:
        UserError: actions or observations are no vectors, or the policy class or features extractor is custom.
    """
    actions, observations = (_space(data, name) for name in ("action_space", "observation_space"))
    if actions is not None and (kind_of(actions) != "Box" or len(shape_of(actions) or [0]) != 1):
        raise UserError(f"{path} has the action space {described(actions)}; {ACTION_WAY_OUT}.")
    if observations is not None and kind_of(observations) == "Dict":
        raise UserError(
            f"{path} observes a dictionary, {described(observations)}, which Stable-Baselines3 joins in the order of "
            f"its keys; only one vector is read here, so wrap it as a module:callable."
        )
    if observations is not None and kind_of(observations) != "Box":
        raise UserError(
            f"{path} has the observation space {described(observations)}; only a vector of real numbers (Box) is read "
            f"here, so wrap it as a module:callable."
        )
    if observations is not None and len(shape_of(observations) or [0]) != 1:
        raise UserError(
            f"{path} observes boxes of the shape {' × '.join(map(str, shape_of(observations) or []))}, as images and "
            f"stacked frames have; only one vector is read here, so wrap it as a module:callable."
        )
    _check_classes(path, data)


def check_inputs(path: Path, data: Data, inputs: int) -> None:
    """Raise UserError if the first layer has another size than the observation: a features extractor is between."""
    shape = shape_of(_space(data, "observation_space") or {})
    if shape and shape != [inputs]:
        raise UserError(
            f"{path} observes {shape[0]} numbers and its first layer takes {inputs}, so a features extractor of its "
            f"own stands between them, which is not read here; wrap it as a module:callable."
        )


def kind_of(space: Data) -> str:
    """The name of a space's class: `<class 'gymnasium.spaces.box.Box'>` → Box."""
    return str(space.get(":type:", "")).rpartition(".")[2].strip("'> ")[:40]


def shape_of(space: Data) -> list[int] | None:
    """The stored shape; None if the file does not say it."""
    shape = space.get("_shape", space.get("shape"))
    return shape if isinstance(shape, list) and all(type(size) is int for size in shape) else None


def described(space: Data) -> str:
    """The space in words for a message, as Discrete(3) or Dict(achieved, observation)."""
    inner: Any = space.get("n", space.get("nvec", ""))
    if kind_of(space) == "Dict":
        inner = ", ".join(re.findall(r"'(\w+)': ", str(space.get("spaces", ""))))
    if kind_of(space) == "Box":
        inner = " × ".join(map(str, shape_of(space) or []))
    return f"{kind_of(space)}({' '.join(str(inner).split())[:60]})" if str(inner) else kind_of(space)


def last_bounds(data: Data) -> tuple[float, float] | None:
    """Lowest and highest value of the last sensor, from the readable form of the space."""
    space = _space(data, "observation_space") or {}
    ends = [str(space.get(name, "")).strip("[] \n").split() for name in ("low", "high")]
    try:
        return float(ends[0][-1]), float(ends[1][-1])
    except (IndexError, ValueError):
        return None


def stored_dtype(data: Data) -> str:
    """The number type of the observation space; empty if the file does not say it."""
    return str((_space(data, "observation_space") or {}).get("dtype", ""))


def stored_array(data: Data, name: str) -> NDArray[Any] | None:
    """A pickled array of `data`, read without running anything; None if the entry is missing or no array."""
    entry = data.get(name)
    encoded = entry.get(":serialized:") if isinstance(entry, dict) else None
    if not isinstance(encoded, str) or len(encoded) > MOST_ENCODED:
        return None
    array = read_pickle(base64.b64decode(encoded))
    return array.values if isinstance(array, Array) and isinstance(array.values, np.ndarray) else None


def _space(data: Data, name: str) -> Data | None:
    space = data.get(name)
    return space if isinstance(space, dict) and isinstance(space.get(":type:"), str) else None


def _check_classes(path: Path, data: Data) -> None:
    stored, kwargs = data.get("policy_class"), data.get("policy_kwargs")
    module = stored.get("__module__") if isinstance(stored, dict) else None
    if isinstance(module, str) and not module.startswith(OWN_MODULES):
        raise UserError(
            f"{path} is of a policy class from {module[:60]!r}, whose code decides what the weights mean; wrap it as a "
            f"module:callable."
        )
    extractor = kwargs.get("features_extractor_class") if isinstance(kwargs, dict) else None
    name = str(extractor).rpartition(".")[2].strip("'> ")[:60]
    if extractor is not None and name not in EXTRACTORS:
        raise UserError(
            f"{path} has the features extractor {name!r}, whose code is not in the file; wrap it as a module:callable."
        )


def check_stack(path: Path, sizes: Sequence[int], config: str, env_id: str | None) -> None:
    """Raise UserError for stacked frames, which show in rl_zoo3's config or in the sizes, not in the file."""
    named = re.search(r"frame_stack['\"]?\s*(?::|\n\s*-)\s*(\d+)", config)
    count = int(named[1]) if named is not None else next(_stacks(sizes, env_id), 1)
    if count > 1:
        raise UserError(
            f"{path} takes {sizes[0]} numbers, {count} × {sizes[0] // count}: it observes {count} stacked frames, "
            f"which is not read here; wrap it as a module:callable."
        )


def _stacks(sizes: Sequence[int], env_id: str | None) -> Iterator[int]:
    """Numbers of stacked frames that would explain the inputs, if no known task has as many sensors."""
    inputs, actions = sizes[0], sizes[-1]
    if env_id is not None:
        size = TASKS[env_id].obs_size if env_id in TASKS else inputs
        yield from (count for count in FRAMES if inputs == count * size)
    elif not tasks_of(inputs, actions) and not tasks_of(inputs - 1, actions):
        yield from (count for count in FRAMES if inputs % count == 0 and tasks_of(inputs // count, actions))
