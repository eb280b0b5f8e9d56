"""The operators and constants of an ONNX file while it is written, and the bodies of its loops."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
from numpy.typing import NDArray

from elman.arrays import to_numpy


class Body:
    """The operators of a loop's body: the arrays (N, H) that go in and come out by name."""

    def __init__(self, inputs: Sequence[str]) -> None:
        self.nodes: list[Any] = []
        self.inputs, self.outputs = list(inputs), list[str]()

    def proto(self) -> Any:
        """Return the body as onnx's GraphProto."""
        from onnx import TensorProto, helper

        infos = (
            [helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in names]
            for names in (self.inputs, self.outputs)
        )
        return helper.make_graph(self.nodes, "step", *infos)


class Operators:
    """Operators in order of execution, and constants. Each operator's first output gives it its name.

    ``weights`` are those of the model; ``one_step`` is whether T is 1.
    """

    def __init__(self, weights: Mapping[str, NDArray[Any]], one_step: bool) -> None:
        self.weights, self.one_step = weights, one_step
        self.nodes: list[Any] = []
        self.constants: list[Any] = []
        self._made = 0  # operators, by which they are named

    def add(self, operator: str, *inputs: str, outputs: Sequence[str] = (), **attributes: Any) -> str:
        """Add an operator; return the name of its first output."""
        from onnx import helper

        outputs = list(outputs) or [f"{operator.lower()}.{self._made}"]
        self._made += 1
        self.nodes.append(helper.make_node(operator, inputs, outputs, name=outputs[0], **attributes))
        return outputs[0]

    @contextmanager
    def body(self, inputs: Sequence[str]) -> Iterator[Body]:
        """Add the operators of the block that follows to a loop's body instead."""
        body, outside = Body(inputs), self.nodes
        self.nodes = body.nodes
        try:
            yield body
        finally:
            self.nodes = outside

    def floats(self, name: str, values: Any) -> str:
        """Add a constant in float32; return its name."""
        return self._constant(name, np.ascontiguousarray(to_numpy(values), np.float32))

    def ints(self, name: str, values: Any) -> str:
        """Add a constant in int64; return its name."""
        return self._constant(name, np.array(values, np.int64))

    def _constant(self, name: str, array: NDArray[Any]) -> str:
        from onnx import numpy_helper

        self.constants.append(numpy_helper.from_array(array, name))
        return name
