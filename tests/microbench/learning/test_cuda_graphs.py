"""Calls of CUDA in their order: without a GPU recorded by stand-ins, with one tested by whole runs."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
import torch
from torch import Tensor

from microbench.learning.cuda_graphs import CudaGraphs
from tests.microbench.training_runs import finish, ignore, make, numbers, score


class Stream:
    def __init__(self, name: str, events: list[str]) -> None:
        self.name, self.events = name, events

    def wait_stream(self, other: "Stream") -> None:
        self.events.append(f"{self.name} waits for {other.name}")


@pytest.fixture
def events(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The calls that stand-ins for parts of torch.cuda have received."""
    events: list[str] = []

    class Graph:
        def register_generator_state(self, generator: torch.Generator) -> None:
            events.append(f"draws from {generator.initial_seed()}")

        def replay(self) -> None:
            events.append("launch")

    @contextmanager
    def on(stream: Stream) -> Iterator[None]:
        events.append(f"on {stream.name}")
        yield
        events.append(f"off {stream.name}")

    @contextmanager
    def captured(graph: Graph, *, stream: Stream) -> Iterator[None]:
        events.append(f"capture on {stream.name}")
        yield
        events.append("captured")

    stand_ins: dict[str, Any] = {
        "Stream": lambda device: Stream("side", events),
        "current_stream": lambda device: Stream("main", events),
        "stream": on,
        "CUDAGraph": Graph,
        "graph": captured,
    }
    for name, stand_in in stand_ins.items():
        monkeypatch.setattr(torch.cuda, name, stand_in)
    return events


def test_a_warm_up_runs_on_the_stream_of_the_capture_and_nothing_overtakes_it(events: list[str]) -> None:
    graphs = CudaGraphs([torch.Generator().manual_seed(3)])

    def step() -> Tensor:
        events.append("step")
        return torch.ones(())

    assert graphs.run(step) == 1
    assert events == ["side waits for main", "on side", "step", "off side", "main waits for side"]


def test_a_capture_knows_all_generators_and_a_launch_runs_no_python(events: list[str]) -> None:
    graphs = CudaGraphs([torch.Generator().manual_seed(seed) for seed in (3, 4)])

    def step() -> Tensor:
        events.append("step")
        return torch.ones(())

    launch = graphs.capture(step)
    assert events == ["draws from 3", "draws from 4", "capture on side", "step", "captured"]
    events.clear()
    assert launch() is launch()
    assert events == ["launch", "launch"]


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_on_a_gpu_a_run_of_graphs_is_the_run_itself() -> None:
    device = torch.device("cuda")
    plain, graphed = make(device=device), make(device=device)
    finish(plain)
    for _ in graphed.run(score, ignore, CudaGraphs):
        pass
    ours, wanted = numbers(graphed), numbers(plain)
    for key, value in wanted.items():
        torch.testing.assert_close(ours[key], value, rtol=1e-3, atol=1e-5, msg=key)
