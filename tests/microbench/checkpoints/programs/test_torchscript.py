"""TorchScript without torch.jit: what torch computes from the same file, with the same gradients, or a refusal."""

import io
import warnings
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from microbench.checkpoints import Checkpoint, Overrides, load
from microbench.checkpoints.programs.torchscript_operators import ELEMENTWISE, OPERATORS
from microbench.errors import UserError
from tests.microbench.checkpoints import foreign_files as files
from tests.microbench.checkpoints import foreign_programs as programs
from tests.microbench.checkpoints.foreign_files import ACTIONS, OBS, SEEN, WIDTH, write
from tests.microbench.toys import one_line


def torchs(content: bytes) -> Callable[[Tensor], Tensor]:
    """The first output of the same file, run by torch."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        module = programs.JIT.load(io.BytesIO(content))

    def first(obs: Tensor) -> Tensor:
        output = module(obs)
        action: Tensor = output[0] if isinstance(output, tuple) else output
        return action

    return first


def same(checkpoint: Checkpoint, content: bytes, obs: Tensor = SEEN) -> None:
    """Values and gradients of every action are those of torch."""
    mine, theirs = obs.clone().requires_grad_(), obs.clone().requires_grad_()
    action, expected = checkpoint.target.policy(mine), torchs(content)(theirs)
    torch.testing.assert_close(action, expected, rtol=1e-6, atol=1e-6)
    for number in range(action.shape[1]):
        (slope,) = torch.autograd.grad(action[:, number].sum(), mine, retain_graph=True)
        (right,) = torch.autograd.grad(expected[:, number].sum(), theirs, retain_graph=True)
        torch.testing.assert_close(slope, right, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("kind", ["traced", "scripted", "frozen"])
def test_a_policy_is_what_torch_makes_of_it(tmp_path: Path, kind: str) -> None:
    content = programs.torchscript(kind)
    checkpoint = load(write(tmp_path / "p", content))
    same(checkpoint, content)
    assert (checkpoint.family, checkpoint.env_id, checkpoint.target.critic) == ("torchscript", "Hopper-v4", None)
    assert checkpoint.inferred["output"] == "output 1 is taken as the action"


class Many(nn.Module):
    """Operators that real exports have, scripted branches and a method that is called twice."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(4)
        self.a, self.b = nn.Linear(OBS, WIDTH), nn.Linear(WIDTH, 2 * ACTIONS)
        self.norm = nn.BatchNorm1d(WIDTH)
        self.norm.running_mean, self.norm.running_var = torch.linspace(-1, 1, WIDTH), torch.linspace(0.5, 2, WIDTH)
        self.drop = nn.Dropout(0.5)
        self.acts = nn.Sequential(
            nn.SiLU(), nn.GELU(), nn.LeakyReLU(), nn.Softplus(), nn.Hardtanh(), nn.ReLU6(inplace=True), nn.Mish()
        )

    def twice(self, x: Tensor) -> Tensor:
        return torch.sigmoid(x) * 2 - 1

    def forward(self, x: Tensor) -> Tensor:
        if x.dim() == 1:
            x = x.unsqueeze(0)
        h = self.drop(self.norm(self.acts(self.a(x))))
        mean, rest = self.b(h).split([3, 3], dim=-1)
        low = torch.cat([mean[:, :1], rest[:, 1:]], 1).view(x.size(0), -1)
        y = torch.minimum(mean, rest) - low.abs() / (1 + rest**2) + self.twice(self.twice(mean)).exp()
        y = torch.where(y > 0.5, y - 0.5, y * 2).clamp(min=-1.5) + torch.softmax(rest, 1)
        return y + y.mean(1, keepdim=True)


class Structured(nn.Module):
    """Scripted Python: modules in a list, a second method, defaults, an assertion, parts of tuples."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(5)
        self.first = nn.Linear(OBS, 2 * ACTIONS)
        self.more = nn.ModuleList([nn.Linear(2 * ACTIONS, 2 * ACTIONS), nn.Linear(2 * ACTIONS, 2 * ACTIONS)])

    def both(self, x: Tensor) -> tuple[Tensor, Tensor]:
        return x, x * 2

    def forward(self, x: Tensor, deterministic: bool = True) -> Tensor:
        mean = self.first(x).chunk(2, -1)[0]
        h = self.first(x)
        for module in self.more:
            h = torch.relu(module(h))
        mean = mean + h.split(3, -1)[1] if deterministic else mean + torch.randn_like(mean)
        assert mean.shape[1] == 3
        return torch.tanh(mean) + self.both(mean)[1] + torch.zeros(x.shape[0], 3) - torch.ones(1, 3)


@pytest.mark.parametrize("kind", ["traced", "scripted", "frozen"])
def test_structures_of_real_programs_are_followed(tmp_path: Path, kind: str) -> None:
    content = programs.torchscript(kind, Structured)
    same(load(write(tmp_path / "p", content)), content, 3 * SEEN)


@pytest.mark.parametrize("kind", ["traced", "scripted", "frozen"])
def test_operators_of_real_exports_are_torchs(tmp_path: Path, kind: str) -> None:
    content = programs.torchscript(kind, Many)
    same(load(write(tmp_path / "p", content)), content, 3 * SEEN)


def test_functions_are_traced_like_d3rlpys(tmp_path: Path) -> None:
    """d3rlpy traces a function, so that parameters are constants of the text; one row, no batch."""
    tensors = files.mlp(names=("a", "b", "c"))
    buffer = io.BytesIO()

    def act(x: Tensor) -> Tensor:
        h = torch.relu(nn.functional.linear((x - 0.5) / 2.0, tensors["a.weight"], tensors["a.bias"]))
        action: Tensor = torch.tanh(nn.functional.linear(h, tensors["b.weight"][:ACTIONS])).view(1, -1)
        return action

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        programs.JIT.save(programs.JIT.trace(act, torch.zeros(1, OBS)), buffer)
    checkpoint = load(write(tmp_path / "p", buffer.getvalue()))
    expected = torch.cat([torchs(buffer.getvalue())(row) for row in torch.split(SEEN, 1)])
    torch.testing.assert_close(checkpoint.target.policy(SEEN), expected)


def test_a_gradient_that_was_cut_off_is_there(tmp_path: Path) -> None:
    content = programs.script("return torch.tanh(torch.linear(torch.detach(x), self.weight))")
    obs = SEEN.clone().requires_grad_()
    (slope,) = torch.autograd.grad(load(write(tmp_path / "p", content)).target.policy(obs).sum(), obs)
    assert (slope != 0).all()


def test_what_it_writes_into_is_its_own(tmp_path: Path) -> None:
    content = programs.script("_0 = torch.clamp_(x, -1, 1)\nreturn torch.linear(x, self.weight)")
    checkpoint, obs = load(write(tmp_path / "p", content)), 3 * SEEN
    kept = obs.clone()
    weight = files.weights(OBS, ACTIONS, names=["a"])["a.weight"]
    torch.testing.assert_close(checkpoint.target.policy(obs), obs.clamp(-1, 1) @ weight.T)
    assert obs.equal(kept)


REFUSED = [
    ("return torch.fft_rfft(x)", "is a program with the operator fft_rfft, which is not read here"),
    ("return torch.randn_like(torch.linear(x, self.weight))", "the operator randn_like"),
    ("return torch.dropout(torch.linear(x, self.weight), 0.5, True)", "a dropout that was stored in the mode of tr"),
    ("if bool(torch.gt(x, 0)):\n  y = x\nelse:\n  y = x\nreturn y", "a decision by the numbers in a tensor"),
    ("for i in range(3):\n  x = x\nreturn torch.linear(x, self.weight)", "the statement for"),
    (
        "_0 = torch.add_(self.weight, 1)\nreturn torch.linear(x, self.weight)",
        "the operator add_ into what the file stores",
    ),
    ("return torch.linear(x, self.bias)", "the attribute bias"),
    ("return torch.relu(x", "no text of TorchScript"),
    ("return torch.linear(x, self.weight, self.weight)", "runs for no number of observations"),
]


@pytest.mark.parametrize(("body", "words"), REFUSED)
def test_what_is_not_read_is_named(tmp_path: Path, body: str, words: str) -> None:
    with pytest.raises(UserError, match=words) as caught:
        load(write(tmp_path / "p", programs.script(body)))
    assert one_line(caught.value)


def test_several_sizes_ask_for_the_task(tmp_path: Path) -> None:
    path = write(tmp_path / "p", programs.script("return torch.tanh(torch.slice(x, 1, 0, 3))", more=torch.zeros(17, 4)))
    with pytest.raises(UserError, match="takes 3, 4, 11, 17 observations; say with --env"):
        load(path)
    assert load(path, Overrides(env_id="Hopper-v4")).target.policy(SEEN).equal(SEEN[:, :3].tanh())


def test_numbers_that_are_no_actions_are_told(tmp_path: Path) -> None:
    content = programs.script("return torch.linear(x, self.weight)", weight=torch.ones(2 * ACTIONS, OBS))
    path = write(tmp_path / "p", content)
    with pytest.raises(UserError, match="11 observations and 6 actions, which no known task has"):
        load(path)
    with pytest.raises(UserError, match="gives 6 numbers, Hopper-v4 takes 3; wrap it") as caught:
        load(path, Overrides(env_id="Hopper-v4"))
    assert one_line(caught.value)


def test_overrides_that_mean_nothing_are_told_and_others_hold(tmp_path: Path) -> None:
    path = write(tmp_path / "p", programs.script("return torch.linear(x, self.weight)"))
    with pytest.raises(UserError, match="leave --activation out"):
        load(path, Overrides(activation="tanh"))
    plain = load(path).target.policy(SEEN)
    torch.testing.assert_close(
        load(path, Overrides(squash="tanh", max_action=0.4)).target.policy(SEEN), 0.4 * plain.tanh()
    )
    stats = write(tmp_path / "s.json", f'{{"mean": {[1.0] * OBS}, "std": {[2.0] * OBS}, "policy": true}}'.encode())
    normalised = load(path, Overrides(obs_stats=stats)).target
    weight = files.weights(OBS, ACTIONS, names=["a"])["a.weight"]
    torch.testing.assert_close(normalised.policy(SEEN), ((SEEN - 1) / 2) @ weight.T)
    assert normalised.scale("policy-norm").tolist() == [2.0] * OBS


def test_no_operator_reads_writes_or_draws() -> None:
    """The names are looked up in torch's own list: none is random, none touches files."""
    for name in {*OPERATORS, *ELEMENTWISE}:
        for overload in torch._C._jit_get_schemas_for_operator(f"aten::{name}"):
            schema = str(overload)
            assert "Generator" not in schema or name in ("RaiseException",), schema
            assert "str filename" not in schema, schema
