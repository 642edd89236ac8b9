"""A graph of operators, evaluated in its own order, with gradients."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from torch import Tensor

from microbench.checkpoints.containers.damage import Strange
from microbench.checkpoints.programs.onnx_operators import OPERATORS
from microbench.checkpoints.programs.program import Settle, called


@dataclass(frozen=True, kw_only=True, eq=False)
class Node:
    """One operator: its kind, the names of its inputs ("" for an omitted one) and outputs, and its settings."""

    kind: str
    inputs: Sequence[str]
    outputs: Sequence[str]
    settings: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True, eq=False)
class Graph:
    """A graph: operators in the order of evaluation, stored tensors, inputs (name → sensors or 0), one output."""

    nodes: Sequence[Node]
    stored: Mapping[str, Tensor]
    inputs: Mapping[str, int]
    output: str
    producer: str = ""


def needed(graph: Graph) -> list[Node]:
    """The operators on which the output depends, in order.

    Raises:
        Strange: one of them is not supported.
    """
    wanted, nodes = {graph.output}, []
    for node in reversed(graph.nodes):
        if wanted & set(node.outputs):
            if node.kind not in OPERATORS:
                raise Strange(f"the operator {node.kind}")
            wanted |= set(node.inputs)
            nodes.append(node)
    return nodes[::-1]


def evaluate(graph: Graph, nodes: Sequence[Node], feeds: Mapping[str, Tensor], settle: Settle | None) -> Tensor:
    """The output for the inputs `feeds`; every tensor passes through `settle`. KeyError if an input is missing."""
    values = {**graph.stored, **feeds}
    if settle is not None:
        values = {name: settle(value, stored=True) for name, value in values.items()}
    for node in nodes:
        inputs = [values[name] if name else None for name in node.inputs]
        results = called(OPERATORS[node.kind], node.settings, *inputs)
        for name, value in zip(
            node.outputs, results if isinstance(results, (list, tuple)) else [results], strict=False
        ):
            values[name] = value if settle is None else settle(value)
    return values[graph.output]
