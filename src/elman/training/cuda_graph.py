"""A training step recorded once as a CUDA graph, and replayed for every block after that.

A step of a small recurrent model is thousands of short kernels, and starting them one by one from Python takes
longer than running them. A graph starts them all at once. Everything that a step reads and writes must lie at
the same addresses every time: that is what the layers' buffers and `DeviceStep` provide.
"""

import sys
from collections.abc import Callable
from typing import Any

from elman.training.device_step import DeviceStep, can_step_alone

WARM_UP = 3  # blocks trained on before the recording, so that every buffer is there and every kernel chosen

Record = Callable[[Callable[[], None]], Callable[[], None]]


def graph_step(model: Any, *options: Any) -> "GraphStep | None":
    """Return the step for a model on a GPU, with the options of `DeviceStep`; None for a model that has none."""
    if not can_step_alone(model) or model.params[0].device.type != "cuda":
        return None
    return GraphStep(model, *options)


class GraphStep(DeviceStep):
    """`DeviceStep`, recorded after a few blocks and replayed from then on; where that fails, it goes on as it is."""

    def __init__(self, *options: Any, record: "Record | None" = None) -> None:
        super().__init__(*options)
        self._record = record if record is not None else record_on_gpu
        self._replay: Callable[[], None] | None = None
        self._shape: tuple[int, ...] | None = None
        self._blocks = 0  # of this shape
        self.failure: str = ""  # why it could not be recorded

    def run(self) -> None:
        """Do the device's part, at first step by step, then by the recording."""
        shape = tuple(self._ids["xs"].shape)
        if shape != self._shape:
            self._shape, self._replay, self._blocks = shape, None, 0
        self._blocks += 1
        if self._replay is None and self._blocks > WARM_UP and not self.failure:
            self._try_to_record()
        if self._replay is None:
            self.compute()
        else:
            self._replay()

    def _try_to_record(self) -> None:
        try:
            self._replay = self._record(self.compute)
        except RuntimeError as error:  # what torch raises for an operation that cannot be recorded
            self.failure = str(error)
        self.rest_states(len(self._ids["xs"]))


def record_on_gpu(compute: Callable[[], None]) -> Callable[[], None]:
    """Record what ``compute`` does on the GPU, without doing it; return what does it."""
    cuda = sys.modules["torch"].cuda
    graph = cuda.CUDAGraph()
    with cuda.graph(graph):
        compute()
    return graph.replay  # type: ignore[no-any-return]
