"""What is asked of CUDA, in which order: without a GPU by stand-ins that note it, with one by whole runs."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
import torch
from torch import Tensor

from microbench.learning.cuda_graphs import CudaGraphs
from tests.microbench.training_runs import finish, ignore, make, numbers, score


class Stream:
    def __init__(self, name: str, told: list[str]) -> None:
        self.name, self.told = name, told

    def wait_stream(self, other: "Stream") -> None:
        self.told.append(f"{self.name} waits for {other.name}")


@pytest.fixture
def told(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What stand-ins for the parts of torch.cuda that are used have been asked."""
    said: list[str] = []

    class Graph:
        def register_generator_state(self, generator: torch.Generator) -> None:
            said.append(f"draws from {generator.initial_seed()}")

        def replay(self) -> None:
            said.append("launch")

    @contextmanager
    def on(stream: Stream) -> Iterator[None]:
        said.append(f"on {stream.name}")
        yield
        said.append(f"off {stream.name}")

    @contextmanager
    def captured(graph: Graph, *, stream: Stream) -> Iterator[None]:
        said.append(f"capture on {stream.name}")
        yield
        said.append("captured")

    stand_ins: dict[str, Any] = {
        "Stream": lambda device: Stream("side", said),
        "current_stream": lambda device: Stream("main", said),
        "stream": on,
        "CUDAGraph": Graph,
        "graph": captured,
    }
    for name, stand_in in stand_ins.items():
        monkeypatch.setattr(torch.cuda, name, stand_in)
    return said


def test_a_warm_up_runs_on_the_stream_of_the_capture_and_nothing_overtakes_it(told: list[str]) -> None:
    graphs = CudaGraphs([torch.Generator().manual_seed(3)])

    def step() -> Tensor:
        told.append("step")
        return torch.ones(())

    assert graphs.run(step) == 1
    assert told == ["side waits for main", "on side", "step", "off side", "main waits for side"]


def test_a_capture_knows_all_generators_and_a_launch_runs_no_python(told: list[str]) -> None:
    graphs = CudaGraphs([torch.Generator().manual_seed(seed) for seed in (3, 4)])

    def step() -> Tensor:
        told.append("step")
        return torch.ones(())

    launch = graphs.capture(step)
    assert told == ["draws from 3", "draws from 4", "capture on side", "step", "captured"]
    told.clear()
    assert launch() is launch()
    assert told == ["launch", "launch"]


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_on_a_gpu_a_run_of_graphs_is_the_run_itself() -> None:
    device = torch.device("cuda")
    plain, graphed = make(device=device), make(device=device)
    finish(plain)
    for _ in graphed.run(score, ignore, CudaGraphs):
        pass
    found, wanted = numbers(graphed), numbers(plain)
    for key, value in wanted.items():
        torch.testing.assert_close(found[key], value, rtol=1e-3, atol=1e-5, msg=key)
