"""All tensors of an update are on the run's device: shown on `meta`, which has shapes only and mixes no devices."""

from typing import Any

import pytest
import torch
from torch import Tensor
from torch.optim import Adam
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from microbench.data.dataset import Transitions
from microbench.learning import agent as agents
from microbench.learning import cohort as cohorts
from microbench.learning.agent import METRICS, Agent
from microbench.learning.algorithms import ensemble
from microbench.learning.cohort import Cohort
from microbench.learning.dynamics import Elites
from microbench.learning.train import Training
from tests.microbench.training_runs import make

META = torch.device("meta")


class _Elsewhere(TorchDispatchMode):  # type: ignore[no-untyped-call]  # torch has no annotations here
    """Notes operations that see or make a tensor of another device, a single number included."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]  # as above
        self.seen: list[str] = []

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        out = func(*args, **(kwargs or {}))
        tensors = [leaf for leaf in tree_leaves((args, kwargs, out)) if isinstance(leaf, Tensor)]
        if any(tensor.device != META for tensor in tensors):
            self.seen.append(str(func))
        return out


class _Descent(Adam):
    """Keeps Adam's settings, but steps where the real one refuses to: on meta."""

    def __init__(self, params: Any, lr: float, **_: Any) -> None:
        super().__init__(params, lr=lr, capturable=True)

    @torch.no_grad()
    def step(self, closure: Any = None) -> Any:
        for group in self.param_groups:
            for parameter in group["params"]:
                parameter.add_(parameter.grad, alpha=-group["lr"])


def moved(training: Training) -> Training:
    """The run on meta, but for its generators, of which torch has none there."""

    def there(rows: Transitions) -> Transitions:
        return Transitions(**{name: tensor.to(META) for name, tensor in vars(rows).items()})

    old = training.agent
    networks = {name: getattr(old, name).to(META) for name in ("actor", "critics", "target_critics")}
    training.agent = Agent(config=old.config, algorithm=old.algorithm, generator=old.generator, **networks)
    training.elites = Elites(training.model.to(META))
    training.imagination.rows = there(training.logged)
    training.logged = there(training.logged)
    return training


@pytest.fixture
def _on_meta(monkeypatch: pytest.MonkeyPatch) -> None:
    """Optimisers that step there, and noise that is there although its generator cannot be."""
    for module in (agents, cohorts):
        monkeypatch.setattr(module, "Adam", _Descent)
    monkeypatch.setattr(ensemble, "_normal", lambda shape, generator: torch.empty(shape, device=META))


@pytest.mark.usefixtures("_on_meta")
@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"alpha": 0.1, "gap_estimator": "paired", "gap_precision": "bfloat16"},
        {"max_q_backup": True, "deterministic_backup": True},
    ],
)
def test_an_update_stays_on_its_device(changes: dict[str, Any]) -> None:
    training = moved(make(**changes))
    training.update()  # settles what is computed once
    with _Elsewhere() as watch:
        metrics = training.update()
    assert metrics.device == META
    assert watch.seen == []
    cohort = Cohort([training.agent, moved(make(**changes)).agent])
    values = [training.member_values] * 2
    cohort.update([training.batch(), training.batch()], values)
    with _Elsewhere() as watch:
        metrics = cohort.update([training.batch(), training.batch()], values)
    assert metrics.shape == (2, len(METRICS))
    assert watch.seen == []


def test_another_device_would_be_seen() -> None:
    number = torch.tensor(2.0)
    with _Elsewhere() as watch:
        torch.ones(3, device=META) * number
    assert watch.seen == ["aten.mul.Tensor"]
