"""TorchScript files (`torch.jit.save`, d3rlpy's `save_policy`), interpreted here and never executed by torch.

The parameters are in pickles, read like all others. The program is source text, interpreted by `torchscript_code`.
"""

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor

from microbench.checkpoints.containers.archives import Archive
from microbench.checkpoints.containers.content import Content
from microbench.checkpoints.containers.damage import Strange
from microbench.checkpoints.containers.pickles import Stub
from microbench.checkpoints.containers.torch_files import read_zip
from microbench.checkpoints.programs.program import Program, Settle, policy_of
from microbench.checkpoints.programs.torchscript_code import Machine
from microbench.checkpoints.programs.torchscript_text import Texts
from microbench.checkpoints.stored_policy import Choices, StoredPolicy

MOST_PARTS = 10_000


def detect(content: Content) -> bool:
    """Whether the file is a torch archive with constants beside its data."""
    return content.kind == "torchscript"


def read(content: Content, choices: Choices) -> StoredPolicy:
    """The stored policy of the module's `forward`; its parameters become float32, as in other families."""
    assert content.archive is not None
    module, constants = stored(content.archive)
    if not isinstance(module, Stub):
        raise ValueError("no module where a TorchScript file has one")
    tensors = [*_tensors(module), *_tensors(constants)]
    texts = Texts(content.archive)
    inputs = texts.function(f"{module.origin}.forward").args
    if (count := len(inputs.args) - len(inputs.defaults) - 1) != 1:
        raise Strange(f"{count} inputs where a policy has one")
    machine = Machine(texts, constants, tensors)

    def run(obs: Tensor, settle: Settle | None) -> list[Any]:
        outputs = machine.run(module, obs, settle)
        return list(outputs) if isinstance(outputs, (list, tuple)) else [outputs]

    name = module.origin.rpartition(".")[2]
    sizes = {size for tensor in tensors for size in tensor.shape}
    return policy_of("torchscript", Program(run=run, sizes=sizes, about={"module": name[:60]}), choices)


def stored(archive: Archive) -> tuple[Any, list[Any]]:
    """The pickled module and the constants of the program, with all floats as float32.

    Raises:
        ValueError: a parameter is not finite, or there are more parts than a policy has.
    """
    module = read_zip(archive, names=NAMES)
    constants = list(read_zip(archive, "constants", NAMES))
    _converted(module)
    return module, [_float(value) for value in constants]


def _converted(module: Any) -> None:
    for part in _parts(module):
        for holder in (part.state if isinstance(part, Stub) else part,):
            keys: Any = holder if isinstance(holder, dict) else range(len(holder)) if isinstance(holder, list) else ()
            for key in list(keys):
                holder[key] = _float(holder[key])


def _float(value: Any) -> Any:
    if not isinstance(value, Tensor) or not value.is_floating_point():
        return value
    if value.ndim and not bool(torch.isfinite(value).all()):
        raise ValueError("parameters that are not finite")
    return value.float()


def _parts(module: Any) -> list[Any]:
    """All modules and containers reachable from one, each once."""
    seen: dict[int, Any] = {}
    waiting = [module]
    while waiting:
        part = waiting.pop()
        if id(part) in seen or not isinstance(part, (Stub, dict, list, tuple)):
            continue
        seen[id(part)] = part
        if len(seen) > MOST_PARTS:
            raise ValueError("more parts than a policy has")
        inner = part.state if isinstance(part, Stub) else part
        waiting += inner.values() if isinstance(inner, dict) else inner if isinstance(inner, (list, tuple)) else []
    return list(seen.values())


def _tensors(thing: Any) -> list[Tensor]:
    tensors = []
    for part in _parts(thing):
        inner = part.state if isinstance(part, Stub) else part
        values = inner.values() if isinstance(inner, dict) else inner if isinstance(inner, (list, tuple)) else ()
        tensors += [value for value in values if isinstance(value, Tensor)]
    return tensors


def _list(values: Any = ()) -> list[Any]:
    if not isinstance(values, (list, tuple)):
        raise ValueError("a list of something else")
    return list(values)


def _first(value: Any, *_: Any) -> Any:
    return value


NAMES: Mapping[str, Callable[..., Any]] = {
    **{f"torch.jit._pickle.build_{kind}list": _list for kind in ("int", "double", "bool", "tensor")},
    "torch.jit._pickle.restore_type_tag": _first,
}
"""Names in TorchScript's pickles other than tensors and modules."""
