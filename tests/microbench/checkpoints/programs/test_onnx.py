"""ONNX policies: every operator against ONNX's own reference in numpy, whole exports against the module they are of."""

import sys
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from microbench.checkpoints import load
from microbench.checkpoints.programs.onnx_operators import OPERATORS
from microbench.checkpoints.programs.protobuf import MOST_FIELDS
from microbench.errors import UserError
from tests.microbench.checkpoints import foreign_files as files
from tests.microbench.checkpoints import foreign_programs as programs
from tests.microbench.checkpoints.foreign_files import ACTIONS, OBS, SEEN, sequential, write
from tests.microbench.toys import one_line

onnx = pytest.importorskip("onnx", reason="onnx, the reference, is not installed")


def node(kind: str, inputs: str, outputs: str = "action", **settings: Any) -> Any:
    names = [name.strip("_") for name in inputs.split()]
    return onnx.helper.make_node(kind, names, outputs.split(), **settings)


def reference(content: bytes, obs: Tensor) -> NDArray[np.float32]:
    """The result of ONNX's own evaluator in numpy, one row after the other."""
    from onnx.reference import ReferenceEvaluator

    evaluator = ReferenceEvaluator(onnx.load_from_string(content))
    with np.errstate(all="ignore"):
        rows = [evaluator.run(None, {"obs": row.numpy()})[0].reshape(1, -1) for row in torch.split(obs, 1)]
    return np.concatenate(rows)


def gradient_of(policy: Any, obs: Tensor) -> Tensor:
    seen = obs.clone().requires_grad_()
    (slope,) = torch.autograd.grad(policy(seen).sum(), seen)
    return slope


def test_an_actor_is_read_without_what_its_action_does_not_need(tmp_path: Path) -> None:
    checkpoint = load(write(tmp_path / "p", programs.onnx_actor()))
    tensors = files.mlp(names=("l1", "l2", "l3"))
    first, second = (sequential(tensors, [name], nn.ReLU) for name in ("l1", "l2"))
    net = nn.Sequential(first, nn.ReLU(), second, nn.ELU(), sequential(tensors, ["l3"], nn.ReLU), nn.Tanh())
    torch.testing.assert_close(checkpoint.target.policy(SEEN), net(SEEN))
    torch.testing.assert_close(gradient_of(checkpoint.target.policy, SEEN), gradient_of(net, SEEN))
    assert (checkpoint.family, checkpoint.env_id, checkpoint.about["operators"]) == ("onnx", "Hopper-v4", 6)
    assert checkpoint.inferred["output"] == "output 1 (action) is taken as the action"


W = files.weights(OBS, ACTIONS, names=["a"])["a.weight"].numpy()
INTS: dict[str, Any] = {name: np.array(value, np.int64) for name, value in {
    "zero": 0, "one": [1], "two": [2], "three": [3], "first": [0], "last": [-1], "end": [2**63 - 1], "shape": [0, -1],
    "halves": [2, 4], "picked": [2, 0, -1], "row": [1, 3],
}.items()}  # fmt: skip
STORED = INTS | {
    "w": W, "wt": W.T.copy(), "bias": np.array([0.1, -0.2, 0.3], np.float32), "low": np.float32(-0.5),
    "high": np.float32(0.4),
    "half": np.float32(0.5), "big": np.concatenate([W, W]), "slope": np.array([0.1, 0.2, 0.3], np.float32),
    "mean": np.array([0.1, 0.2, -0.3], np.float32), "var": np.array([0.5, 1.0, 2.0], np.float32),
}  # fmt: skip
LINEAR = node("Gemm", "obs w bias", "x", transB=1)
WIDE = node("Gemm", "obs big", "x", transB=1)  # (B, 6)

CASES: dict[str, list[Any]] = {
    **{kind: [LINEAR, node(kind, "x")] for kind in (
        "Neg", "Abs", "Exp", "Sin", "Cos", "Relu", "Tanh", "Sigmoid", "Erf", "Elu", "LeakyRelu", "Softplus", "Softsign",
        "HardSigmoid", "HardSwish", "Mish", "Selu", "Identity", "Dropout", "Softmax", "Reciprocal",
    )},
    **{f"{kind}-{name}": [LINEAR, node(kind, f"x {name}")]
       for kind in ("Add", "Sub", "Mul", "Div") for name in ("half", "bias")},
    "Gemm-alpha": [node("Gemm", "obs wt bias", alpha=0.5, beta=2.0)],
    "Gemm-plain": [node("Gemm", "obs wt")],
    "MatMul": [node("MatMul", "obs wt")],
    "Pow": [LINEAR, node("Sigmoid", "x", "y"), node("Pow", "y two")],
    "Log-Sqrt": [LINEAR, node("Softplus", "x", "y"), node("Sqrt", "y", "z"), node("Log", "z")],
    "Elu-alpha": [LINEAR, node("Elu", "x", alpha=0.3)],
    "LeakyRelu-alpha": [LINEAR, node("LeakyRelu", "x", alpha=0.3)],
    "HardSigmoid-alpha": [LINEAR, node("HardSigmoid", "x", alpha=0.3, beta=0.1)],
    "PRelu": [LINEAR, node("PRelu", "x slope")],
    "Clip": [LINEAR, node("Clip", "x low high")],
    "Clip-low": [LINEAR, node("Clip", "x low")],
    "Clip-high": [LINEAR, node("Clip", "x _ high")],
    "Min": [LINEAR, node("Min", "x half bias")],
    "Max": [LINEAR, node("Max", "x half bias")],
    "Sum": [LINEAR, node("Sum", "x half bias")],
    "Concat": [WIDE, node("Slice", "x first one one", "a"), node("Slice", "x three end one two", "b"),
               node("Concat", "a b", axis=-1)],
    "Split": [WIDE, node("Split", "x", "action rest", axis=1, num_outputs=2)],
    "Split-sizes": [WIDE, node("Split", "x halves", "a b", axis=-1), node("Slice", "b first three last")],
    "Gather": [WIDE, node("Gather", "x picked", axis=1)],
    "Gather-scalar": [WIDE, node("Gather", "x zero", "a", axis=1), node("Unsqueeze", "a one", "b"),
                      node("Expand", "b row")],
    "Squeeze": [WIDE, node("Unsqueeze", "x one", "a"), node("Squeeze", "a one", "b"),
                node("Slice", "b first three one")],
    "Reshape": [LINEAR, node("Unsqueeze", "x last", "a"), node("Reshape", "a shape")],
    "Reshape-computed": [WIDE, node("Shape", "obs", "s"), node("Gather", "s zero", "n"),
                         node("Unsqueeze", "n first", "n1"), node("Concat", "n1 three", "to", axis=0),
                         node("Slice", "x three end one", "y"), node("Reshape", "y to")],
    "Flatten": [LINEAR, node("Unsqueeze", "x last", "a"), node("Flatten", "a")],
    "Transpose": [LINEAR, node("Transpose", "x", "a"), node("Transpose", "a", perm=[1, 0])],
    "Cast": [LINEAR, node("Cast", "x", "a", to=11), node("Cast", "a", to=1)],
    "Constant": [LINEAR, node("Constant", "", "c", value_float=0.25), node("Mul", "x c")],
    "ConstantOfShape": [LINEAR, node("Shape", "x", "s"), node("ConstantOfShape", "s", "o"), node("Add", "x o")],
    "BatchNormalization": [LINEAR, node("BatchNormalization", "x bias slope mean var", epsilon=1e-3)],
    "LayerNormalization": [LINEAR, node("LayerNormalization", "x slope bias", epsilon=1e-3)],
    "ReduceMean": [LINEAR, node("ReduceMean", "x one", "m"), node("Mul", "x m")],
    "ReduceSum": [LINEAR, node("ReduceSum", "x one", "m", keepdims=0), node("Unsqueeze", "m one", "n"),
                  node("Div", "x n")],
    "Where-Greater": [LINEAR, node("Greater", "x half", "g"), node("Where", "g x bias")],
    "Where-Less": [LINEAR, node("Less", "x half", "a"), node("LessOrEqual", "x low", "b"), node("Not", "b", "c"),
                   node("And", "a c", "d"), node("Where", "d x bias")],
    "Where-GreaterOrEqual": [LINEAR, node("GreaterOrEqual", "x half", "a"), node("Equal", "x low", "b"),
                             node("Or", "a b", "c"), node("Where", "c x bias")],
}  # fmt: skip


@pytest.mark.parametrize("name", CASES)
def test_an_operator_is_the_references(tmp_path: Path, name: str) -> None:
    content = programs.onnx(CASES[name], STORED)
    policy = load(write(tmp_path / "p", content)).target.policy
    np.testing.assert_allclose(policy(SEEN).numpy(), reference(content, SEEN), rtol=1e-5, atol=1e-6)
    assert (gradient_of(policy, SEEN) != 0).any()


def test_gelu_came_late(tmp_path: Path) -> None:
    for how in ("none", "tanh"):
        content = programs.onnx([LINEAR, node("Gelu", "x", approximate=how)], STORED, opset=20)
        action = load(write(tmp_path / "p", content)).target.policy(SEEN)
        np.testing.assert_allclose(action.numpy(), reference(content, SEEN), rtol=1e-5, atol=1e-6)


OLD: dict[str, tuple[int, list[Any]]] = {
    "Clip": (9, [LINEAR, node("Clip", "x", min=-0.5, max=0.4)]),
    "Slice": (9, [WIDE, node("Slice", "x", starts=[1], ends=[4], axes=[1])]),
    "Split": (11, [WIDE, node("Split", "x", "action b", axis=1, split=[3, 3])]),
    "Squeeze": (11, [LINEAR, node("Unsqueeze", "x", "a", axes=[1]), node("Squeeze", "a", axes=[1])]),
    "ReduceSum": (11, [LINEAR, node("ReduceSum", "x", "m", axes=[1]), node("Mul", "x m")]),
    "ReduceMean": (13, [LINEAR, node("ReduceMean", "x", "m", axes=[1]), node("Mul", "x m")]),
}


@pytest.mark.parametrize("name", OLD)
def test_what_was_a_setting_before_it_was_an_input_is_taken_as_well(tmp_path: Path, name: str) -> None:
    opset, nodes = OLD[name]
    content = programs.onnx(nodes, STORED, opset=opset)
    action = load(write(tmp_path / "p", content)).target.policy(SEEN)
    np.testing.assert_allclose(action.numpy(), reference(content, SEEN), rtol=1e-5, atol=1e-6)


def test_every_operator_is_in_one_of_the_tests() -> None:
    used = {part.op_type for nodes in [*CASES.values(), *(nodes for _, nodes in OLD.values())] for part in nodes}
    assert {*OPERATORS} - used == {"Gelu"}


def test_one_row_for_good_is_read_row_by_row(tmp_path: Path) -> None:
    """Exports without dynamic axes may have a batch of one in their shapes."""
    stored = STORED | {"alone": np.array([1, 3], np.int64)}
    content = programs.onnx([LINEAR, node("Unsqueeze", "x last", "y"), node("Reshape", "y alone")], stored)
    policy = load(write(tmp_path / "p", content)).target.policy
    np.testing.assert_allclose(policy(SEEN).numpy(), reference(content, SEEN), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("dtype", [np.float16, np.float64])
@pytest.mark.parametrize("raw", [True, False])
def test_other_floats_become_float32(tmp_path: Path, dtype: type, raw: bool) -> None:
    model = onnx.load_from_string(programs.onnx([node("MatMul", "obs wt")], STORED))
    kind = onnx.helper.np_dtype_to_tensor_dtype(np.dtype(dtype))
    values: NDArray[Any] = W.T.astype(dtype)
    (place,) = [number for number, entry in enumerate(model.graph.initializer) if entry.name == "wt"]
    tensor = onnx.numpy_helper.from_array(values, "wt")
    if not raw:
        tensor = onnx.helper.make_tensor("wt", kind, values.shape, values.flatten().tolist())
    model.graph.initializer[place].CopyFrom(tensor)
    action = load(write(tmp_path / "p", model.SerializeToString())).target.policy(SEEN)
    torch.testing.assert_close(action, SEEN @ torch.from_numpy(values.astype(np.float32)))


def test_what_torch_exports_is_the_module(tmp_path: Path) -> None:
    """By torch's own exporter where it works without further packages."""
    module, path = programs.Program().eval(), tmp_path / "p"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.onnx.export(
            module, (torch.zeros(1, OBS),), path, dynamo=False, input_names=["obs"], output_names=["action", "std"]
        )
    policy = load(path).target.policy
    torch.testing.assert_close(policy(SEEN), module(SEEN)[0], rtol=1e-6, atol=1e-6)
    torch.testing.assert_close(
        gradient_of(policy, SEEN), gradient_of(lambda obs: module(obs)[0], SEEN), rtol=1e-5, atol=1e-6
    )


REFUSED: list[tuple[list[Any], str]] = [
    ([LINEAR, node("Round", "x")], "is a program with the operator Round, which is not read here"),
    (
        [LINEAR, node("Cast", "x", "a", to=6), node("Cast", "a", to=1)],
        "the operator Cast to a type that has no gradients",
    ),
    ([node("BatchNormalization", "x bias slope mean var", "action m v", training_mode=1)], "in the mode of training"),
    ([LINEAR, node("Dropout", "x half zero")], "a dropout that may be in the mode of training"),
    ([node("MatMul", "obs w")], "runs for no number of observations"),
]


@pytest.mark.parametrize(("nodes", "words"), REFUSED)
def test_what_is_not_read_is_named(tmp_path: Path, nodes: list[Any], words: str) -> None:
    nodes = nodes if nodes[0] is LINEAR or nodes[0].op_type == "MatMul" else [LINEAR, *nodes]
    with pytest.raises(UserError, match=words) as caught:
        load(write(tmp_path / "p", programs.onnx(nodes, STORED)))
    assert one_line(caught.value)


def test_the_package_is_for_tests_only(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write(tmp_path / "p", programs.onnx_actor())
    for name in ("onnx", "google.protobuf", "onnxruntime"):
        monkeypatch.setitem(sys.modules, name, None)
    assert load(path).family == "onnx"


def test_a_file_of_empty_messages_does_not_grow(tmp_path: Path) -> None:
    """The library takes 100 bytes of memory for each of these two."""
    count = MOST_FIELDS + 1
    for entry in (b"\x0a\x00", b"\x2a\x00", b"\x0a\x02\x2a\x00"):  # nodes, tensors, nodes with an attribute
        body = entry * count
        size = bytes([len(body) >> shift & 127 | 128 for shift in (0, 7, 14)]) + bytes([len(body) >> 21])
        with pytest.raises(UserError, match="more fields than a policy has"):
            load(write(tmp_path / "p", b"\x08\x08\x3a" + size + body))
