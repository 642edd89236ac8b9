"""ONNX files: the graph by the package `onnx` (an extra), its operators by functions of ours that give gradients.

The package only parses. Nothing is loaded from beside the file, and what a tensor says of its size must be there.
"""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from microbench.checkpoints.content import Content, Strange
from microbench.checkpoints.found import Choices, Found
from microbench.checkpoints.onnx_graph import Graph, Node, evaluate, needed
from microbench.checkpoints.programs import Program, Settle
from microbench.checkpoints.programs import found as program_found
from microbench.errors import UserError

MOST_BYTES = 2**25  # parsed, a file can be many times as large
MOST_NODES, MOST_DIMENSIONS = 5000, 8
OLDEST_OPSET = 9  # before, operators were broadcast by rules of their own
PLAIN = {1: "f4", 6: "i4", 7: "i8", 9: "?", 10: "f2", 11: "f8"}  # TensorProto.DataType of what policies are made of
FIELDS = {1: "float_data", 6: "int32_data", 7: "int64_data", 9: "int32_data", 11: "double_data"}


def detect(content: Content) -> bool:
    """The first fields of a model."""
    return content.kind == "onnx"


def read(content: Content, choices: Choices) -> Found:
    """The graph as a policy: one input, and the first output that is an action.

    Raises:
        UserError: `onnx` is not installed, or the file is too large.
        ValueError: it is no model, or refers to another file.
        Strange: it has operators or inputs that are not known here.
    """
    graph = parse(content)
    (name, size), *others = graph.inputs.items()
    if others:
        raise Strange(f"{len(graph.inputs)} inputs where a policy has one")
    nodes = needed(graph)

    def run(obs: Tensor, settle: Settle | None) -> list[Tensor]:
        return [evaluate(graph, nodes, {name: obs}, settle)]

    lengths = {length for value in graph.stored.values() for length in value.shape}
    about = {"operators": len(nodes), "producer": graph.producer}
    program = Program(run=run, sizes=[size] if size else lengths, names=[graph.output], about=about)
    return program_found("onnx", program, choices)


def parse(content: Content) -> Graph:
    """The graph of a file, all floats as float32."""
    try:
        import onnx
        from google.protobuf.message import DecodeError
    except ImportError as error:
        raise UserError(
            f"{content.path} is ONNX, and the package that parses it is not installed; install the extra: "
            f"microbench-rl[onnx]."
        ) from error
    if len(content.raw) > MOST_BYTES:
        raise UserError(
            f"{content.path} is ONNX of more than {MOST_BYTES >> 20} MiB; expected a policy below that size."
        )
    try:
        model = onnx.ModelProto.FromString(content.raw)
    except DecodeError as error:
        raise ValueError("no ONNX model") from error
    opset = max((entry.version for entry in model.opset_import if entry.domain in ("", "ai.onnx")), default=0)
    if opset < OLDEST_OPSET or len(model.graph.node) > MOST_NODES or model.graph.sparse_initializer:
        raise ValueError(f"a graph of opset {opset} with {len(model.graph.node)} operators")
    stored = {tensor.name: tensor_of(tensor) for tensor in model.graph.initializer}
    return Graph(
        nodes=[_node(node) for node in model.graph.node],
        stored=stored,
        inputs={entry.name: _sensors(entry) for entry in model.graph.input if entry.name not in stored},
        output=_action(model.graph.output),
        producer=f"{model.producer_name:.30} {model.producer_version:.20}".strip(),
    )


def _node(node: Any) -> Node:
    kind = node.op_type if node.domain in ("", "ai.onnx") else f"{node.domain}.{node.op_type}"
    settings = {entry.name: _setting(entry) for entry in node.attribute}
    return Node(kind=kind[:80], inputs=list(node.input), outputs=list(node.output), settings=settings)


def _setting(entry: Any) -> Any:
    """An attribute: a number, a text, a tensor, a list of numbers; others are None, and no operator here has them."""
    if entry.type == 3:
        return entry.s.decode("ascii", "replace")
    if entry.type == 4:
        return tensor_of(entry.t)
    if entry.type in (6, 7):
        return list(entry.floats if entry.type == 6 else entry.ints)
    return {1: entry.f, 2: entry.i}.get(entry.type)


def _sensors(entry: Any) -> int:
    """The last of two dimensions of an input, 0 if it does not say."""
    dims = entry.type.tensor_type.shape.dim
    return int(dims[1].dim_value) if len(dims) == 2 else 0


def _action(outputs: Sequence[Any]) -> str:
    """The first output of floats with two dimensions; what else there is (values, likelihoods) is not evaluated."""
    matrices = [entry.name for entry in outputs if len(entry.type.tensor_type.shape.dim) == 2]
    return str(next(iter(matrices), outputs[0].name))


def tensor_of(proto: Any) -> Tensor:
    """A stored tensor, floats as float32.

    Raises:
        ValueError: it lies in another file, is of another type, is not finite, or has fewer numbers than it says.
    """
    kind, shape = PLAIN.get(proto.data_type), tuple(proto.dims)
    if proto.data_location or proto.external_data:
        raise ValueError("a tensor that lies in another file")
    if kind is None or len(shape) > MOST_DIMENSIONS or any(size < 0 for size in shape):
        raise ValueError("a tensor of a type or shape that no policy has")
    values = np.frombuffer(proto.raw_data, f"<{kind}") if proto.raw_data else _listed(proto, kind)
    if len(values) != math.prod(shape):
        raise ValueError("a tensor whose numbers do not fit its shape")
    made = torch.from_numpy(values.astype(np.float32 if kind[0] == "f" else kind).reshape(shape).copy())
    if made.ndim and made.is_floating_point() and not bool(torch.isfinite(made).all()):
        raise ValueError("a tensor that is not finite")
    return made


def _listed(proto: Any, kind: str) -> Any:
    field = FIELDS.get(proto.data_type)
    if field is None:  # float16 as the bits of integers
        return np.array(proto.int32_data, np.uint16).view("<f2")
    return np.array(getattr(proto, field)).astype(kind)
