"""ONNX files: a graph of operators, read by its published field numbers and evaluated by differentiable functions.

The fields are those of onnx.proto (IR version 3 and later). Nothing is loaded from beside the file, and every tensor
must hold as many numbers as its shape says.
"""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from microbench.checkpoints.containers.budget import pay
from microbench.checkpoints.containers.content import Content
from microbench.checkpoints.containers.damage import Strange
from microbench.checkpoints.programs.onnx_graph import Graph, Node, evaluate, needed
from microbench.checkpoints.programs.program import Program, Settle, policy_of
from microbench.checkpoints.programs.protobuf import MessageReader, Table
from microbench.checkpoints.stored_policy import Choices, StoredPolicy

MOST_NODES, MOST_DIMENSIONS = 5000, 8
MOST_SETTING = 2**14  # numbers of an attribute
OLDEST_OPSET = 9  # older operators have other broadcasting rules
OURS = ("", "ai.onnx")  # the domain of the standard's operators
TYPES = {
    1: "<f4",
    6: "<i4",
    7: "<i8",
    9: "?",
    10: "<f2",
    11: "<f8",
}  # TensorProto.DataType of the types in policies
TENSOR: Table = {
    1: ("dims", "int"),
    2: ("data_type", "int"),
    4: ("float_data", "float"),
    5: ("int32_data", "int"),
    7: ("int64_data", "int"),
    8: ("name", "text"),
    9: ("raw_data", "bytes"),
    10: ("double_data", "double"),
    13: ("external_data", "bytes"),
    14: ("data_location", "int"),
}
ATTRIBUTE: Table = {
    1: ("name", "text"),
    2: ("f", "float"),
    3: ("i", "int"),
    4: ("s", "text"),
    5: ("t", TENSOR),
    7: ("floats", "float"),
    8: ("ints", "int"),
    20: ("type", "int"),
}
NODE: Table = {
    1: ("input", "text"),
    2: ("output", "text"),
    4: ("op_type", "text"),
    5: ("attribute", ATTRIBUTE),
    7: ("domain", "text"),
}
SHAPE: Table = {1: ("dim", {1: ("dim_value", "int")})}
VALUE: Table = {1: ("name", "text"), 2: ("type", {1: ("tensor_type", {2: ("shape", SHAPE)})})}
GRAPH: Table = {
    1: ("node", NODE),
    5: ("initializer", TENSOR),
    11: ("input", VALUE),
    12: ("output", VALUE),
    15: ("sparse_initializer", "bytes"),
}
MODEL: Table = {
    2: ("producer_name", "text"),
    3: ("producer_version", "text"),
    7: ("graph", GRAPH),
    8: ("opset_import", {1: ("domain", "text"), 2: ("version", "int")}),
}


def detect(content: Content) -> bool:
    """Whether the file begins with the first fields of an ONNX model."""
    return content.kind == "onnx"


def read(content: Content, choices: Choices) -> StoredPolicy:
    """The stored policy of the graph: its one input, and the first output that can be an action.

    Raises:
        ValueError: the file is no model, or refers to another file.
        Strange: the graph has unsupported operators, or not exactly one input.
    """
    graph = parse(content.raw)
    if len(graph.inputs) != 1:
        raise Strange(f"{len(graph.inputs)} inputs where a policy has one")
    ((name, size),) = graph.inputs.items()
    nodes = needed(graph)

    def run(obs: Tensor, settle: Settle | None) -> list[Tensor]:
        return [evaluate(graph, nodes, {name: obs}, settle)]

    lengths = {length for value in graph.stored.values() for length in value.shape}
    about = {"operators": len(nodes), "producer": graph.producer}
    program = Program(run=run, sizes=[size] if size else lengths, names=[graph.output], about=about)
    return policy_of("onnx", program, choices)


def parse(raw: bytes) -> Graph:
    """The graph in a file's bytes, with all floats as float32."""
    model = MessageReader().message(memoryview(raw), MODEL)
    (graph,) = model["graph"]
    opset = max(
        (last(entry, "version", 0) for entry in model["opset_import"] if last(entry, "domain", "") in OURS), default=0
    )
    if opset < OLDEST_OPSET or len(graph["node"]) > MOST_NODES or graph["sparse_initializer"]:
        raise ValueError(f"a graph of opset {opset} with {len(graph['node'])} operators")
    stored = {last(tensor, "name", ""): tensor_of(tensor) for tensor in graph["initializer"]}
    inputs = {last(entry, "name", ""): _sizes(entry) for entry in graph["input"]}
    return Graph(
        nodes=[_node(node) for node in graph["node"]],
        stored=stored,
        inputs={name: sizes[1] if len(sizes) == 2 else 0 for name, sizes in inputs.items() if name not in stored},
        output=_action(graph["output"]),
        producer=" ".join(text[:30] for text in (*model["producer_name"], *model["producer_version"])),
    )


def last(message: Mapping[str, list[Any]], name: str, default: Any) -> Any:
    """The value of a field that should occur once; the last one counts, as protobuf has it."""
    return message[name][-1] if message[name] else default


def _node(node: Mapping[str, list[Any]]) -> Node:
    kind, domain = last(node, "op_type", ""), last(node, "domain", "")
    settings = {last(entry, "name", ""): _setting(entry) for entry in node["attribute"]}
    name = kind if domain in OURS else f"{domain}.{kind}"
    return Node(kind=name[:80], inputs=node["input"], outputs=node["output"], settings=settings)


def _setting(entry: Mapping[str, list[Any]]) -> Any:
    """The value of an attribute, a number, text, tensor or list of numbers; None for other types, which are unused."""
    kind = last(entry, "type", 0)
    if kind == 1:
        return float(_joined(entry["f"])[-1]) if entry["f"] else 0.0
    if kind in (2, 3):
        return last(entry, "i", 0) if kind == 2 else last(entry, "s", "")
    if kind == 4:
        return tensor_of(entry["t"][-1])
    if kind == 6:
        numbers = _joined(entry["floats"])
        if len(numbers) > MOST_SETTING:
            raise ValueError("a setting of more numbers than an operator has")
        return numbers.tolist()
    return entry["ints"] if kind == 7 else None


def _sizes(entry: Mapping[str, list[Any]]) -> list[int]:
    """The dimensions of an input or output, 0 for a free one; an empty list if it has no shape."""
    for name in ("type", "tensor_type", "shape"):
        if not entry[name]:
            return []
        entry = entry[name][-1]
    return [last(dim, "dim_value", 0) for dim in entry["dim"]]


def _action(outputs: Sequence[Mapping[str, list[Any]]]) -> str:
    """The first output with two dimensions; other outputs (values, likelihoods) are not evaluated."""
    matrices = [entry for entry in outputs if len(_sizes(entry)) == 2]
    return str(last((matrices or outputs)[0], "name", ""))


def tensor_of(tensor: Mapping[str, list[Any]]) -> Tensor:
    """A stored tensor, with floats as float32.

    Raises:
        ValueError: the tensor lies in another file, has an unusual type, is not finite, or does not fit its shape.
    """
    kind, shape = TYPES.get(last(tensor, "data_type", 0)), tensor["dims"]
    if last(tensor, "data_location", 0) or tensor["external_data"]:
        raise ValueError("a tensor that lies in another file")
    if kind is None or len(shape) > MOST_DIMENSIONS or any(size < 0 for size in shape):
        raise ValueError("a tensor of a type or shape that no policy has")
    values = np.frombuffer(tensor["raw_data"][-1], kind) if tensor["raw_data"] else _listed(tensor, kind)
    if len(values) != math.prod(shape):
        raise ValueError("a tensor whose numbers do not fit its shape")
    pay(size=3 * values.nbytes, steps=50)
    result = torch.from_numpy(values.astype(np.float32 if "f" in kind else kind.lstrip("<")).reshape(shape).copy())
    if result.ndim and result.is_floating_point() and not bool(torch.isfinite(result).all()):
        raise ValueError("a tensor that is not finite")
    return result


def _listed(tensor: Mapping[str, list[Any]], kind: str) -> NDArray[Any]:
    """The numbers of a tensor that is not stored as raw bytes; each type has a field of its own."""
    if kind in ("<f4", "<f8"):
        return _joined(tensor["float_data" if kind == "<f4" else "double_data"])
    if kind == "<f2":  # as the bits of integers
        return np.array(tensor["int32_data"], np.int64).astype(np.uint16).view("<f2")
    return np.array(tensor["int64_data" if kind == "<i8" else "int32_data"], np.int64).astype(kind)


def _joined(parts: Sequence[NDArray[Any]]) -> NDArray[Any]:
    return np.concatenate(parts) if parts else np.zeros(0, np.float32)
