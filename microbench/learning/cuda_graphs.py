"""CUDA graphs of training steps."""

from collections.abc import Sequence

import torch
from torch import Tensor

from microbench.learning.captured import Step


class CudaGraphs:
    """Captures steps as CUDA graphs on a separate stream; `generators` are those from which the steps draw."""

    def __init__(self, generators: Sequence[torch.Generator]) -> None:
        self._generators = generators
        self._device = generators[0].device
        self._stream = torch.cuda.Stream(self._device)  # type: ignore[no-untyped-call]  # torch has no annotations here

    def run(self, step: Step) -> Tensor:
        """Run the step without a capture, on the stream of the captures, after all earlier work."""
        others = torch.cuda.current_stream(self._device)
        self._stream.wait_stream(others)
        with torch.cuda.stream(self._stream):
            out = step()
        others.wait_stream(self._stream)
        return out

    def capture(self, step: Step) -> Step:
        """The step as one graph; each launch overwrites the result of the one before."""
        graph = torch.cuda.CUDAGraph()
        for generator in self._generators:
            graph.register_generator_state(generator)
        with torch.cuda.graph(graph, stream=self._stream):
            out = step()

        def launch() -> Tensor:
            graph.replay()
            return out

        return launch
