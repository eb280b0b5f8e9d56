"""The recurrent layers that ONNX has no operator for, written with its elementwise operators: linear recurrences.

Everything that does not wait for the state before is computed for all steps at once. What is left, one or a few
elementwise operators a step, is the body of ONNX's ``Scan``; a file for single steps needs no loop.

Source: https://onnx.ai/onnx/operators (version 17).
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from elman.formats.onnx_graph import Operators
from elman.layers import TimeFPool, TimeMinGRU, TimeMinLSTM, TimeRGLRU, TimeSRU
from elman.layers.recurrent import TimeRecurrence
from elman.layers.rglru import SCALE
from elman.layers.sru import ALPHA

Step = Callable[[str, Sequence[str]], str]  # the state before, and the values of a step -> the state


class LinearLayer:
    """Layer ``k`` of a model whose operators `add` adds to a graph. Names stand for arrays (T, N, width).

    ``weights`` are those of the layer by the names of its constructor's arguments.
    """

    def __init__(
        self, graph: Operators, layer: TimeRecurrence, k: int, weights: Mapping[str, NDArray[Any]]
    ) -> None:
        self.graph, self.layer, self.k, self.weights = graph, layer, k, weights
        self.op = graph.add
        self.Wx = graph.floats(f"Wx.{k}", weights["Wx"])
        self.b = graph.floats(f"b.{k}", weights["b"])
        self.one = graph.floats(f"one.{k}", np.ones(1))

    def add(self, xs: str, before: str) -> tuple[str, str]:
        """Return hs (T, N, H) and the last state (1, N, H), given xs (T, N, D) and the state before (1, N, H)."""
        self.xs = xs
        zs = self.op("Add", self.op("MatMul", xs, self.Wx), self.b)
        products = [f"z.{self.k}.{j}" for j in range(self.layer.gates)]
        self.op("Split", zs, outputs=products, axis=-1)
        if isinstance(self.layer, TimeSRU):
            return self._sru(products, before)
        coefficients = next(found for cell, found in _COEFFICIENTS if isinstance(self.layer, cell))
        last, states, _ = self._recur(self._linear, before, coefficients(self, products))
        return states, last

    def _linear(self, state: str, given: Sequence[str]) -> str:
        a, b = given
        return self.op("Add", self.op("Mul", a, state), b)

    def _recur(self, step: Step, before: str, given: Sequence[str]) -> tuple[str, str, str]:
        """Return the last state (1, N, H), all states (T, N, H), and those before each step (T, N, H)."""
        if self.graph.one_step:
            state = step(before, given)
            return state, state, before
        k, first = self.k, self.graph.ints(f"first.{self.k}", [0])
        inside = [f"state.{k}", *(f"given.{k}.{j}" for j in range(len(given)))]
        with self.graph.body(inside) as body:
            state = step(inside[0], inside[1:])
            body.outputs = [state, self.op("Identity", state), self.op("Identity", inside[0])]
        last, states, previous = f"last.{k}", f"states.{k}", f"previous.{k}"
        self.op(
            "Scan",
            self.op("Squeeze", before, first),
            *given,
            outputs=[last, states, previous],
            body=body.proto(),
            num_scan_inputs=len(given),
        )
        return self.op("Unsqueeze", last, first), states, previous

    def _fpool(self, products: Sequence[str], candidate: Callable[[str], str] | None = None) -> list[str]:
        z = self.op("Sigmoid", products[0])
        n = self.op("Tanh", products[1]) if candidate is None else candidate(products[1])
        return [self.op("Sub", self.one, z), self.op("Mul", z, n)]

    def _mingru(self, products: Sequence[str]) -> list[str]:
        return self._fpool(products, self._positive)

    def _positive(self, u: str) -> str:
        """Return g(u) = max(u, 0) + σ(min(u, 0))."""
        least = self.op("Neg", self.op("Relu", self.op("Neg", u)))
        return self.op("Add", self.op("Relu", u), self.op("Sigmoid", least))

    def _minlstm(self, products: Sequence[str]) -> list[str]:
        # f/(f + i) = σ(ln f - ln i), and -ln σ(z) = softplus(-z)
        minus_ln_f, minus_ln_i = (self.op("Softplus", self.op("Neg", z)) for z in products[:2])
        kept = self.op("Sigmoid", self.op("Sub", minus_ln_i, minus_ln_f))
        return [kept, self.op("Mul", self.op("Sub", self.one, kept), self._positive(products[2]))]

    def _rglru(self, products: Sequence[str]) -> list[str]:
        decay = self.weights["decay"].astype(np.float64)
        rate = self.graph.floats(f"rate.{self.k}", -SCALE * np.logaddexp(0, decay))
        minus_two = self.graph.floats(f"minus_two.{self.k}", [-2.0])
        r, i = self.op("Sigmoid", products[0]), self.op("Sigmoid", products[1])
        ln_a = self.op("Mul", r, rate)
        # 1 - a² = -2t/(1 - t) with t = tanh(ln a), which does not cancel where a is near 1
        t = self.op("Tanh", ln_a)
        m = self.op("Sqrt", self.op("Div", self.op("Mul", t, minus_two), self.op("Sub", self.one, t)))
        return [self.op("Exp", ln_a), self.op("Mul", self.op("Mul", m, i), self._direct(products))]

    def _direct(self, products: Sequence[str]) -> str:
        """Return x_t, or the product in its place."""
        return self.xs if len(products) == type(self.layer).gates else products[-1]

    def _sru(self, products: Sequence[str], before: str) -> tuple[str, str]:
        op = self.op
        v_f, v_r = (
            self.graph.floats(f"v.{self.k}.{name}", half)
            for name, half in zip("fr", np.split(self.weights["v"], 2), strict=True)
        )

        def step(state: str, given: Sequence[str]) -> str:
            z_f, u = given
            f = op("Sigmoid", op("Add", z_f, op("Mul", v_f, state)))
            return op("Add", op("Mul", f, state), op("Mul", op("Sub", self.one, f), u))

        last, states, previous = self._recur(step, before, [products[0], products[2]])
        r = op("Sigmoid", op("Add", products[1], op("Mul", v_r, previous)))
        p = self._direct(products)
        if p == self.xs:
            p = op("Mul", p, self.graph.floats(f"alpha.{self.k}", [ALPHA]))
        of_state = op("Mul", r, op("Tanh", states))
        return op("Add", of_state, op("Mul", op("Sub", self.one, r), p)), last


_COEFFICIENTS: list[tuple[type[Any], Callable[[LinearLayer, Sequence[str]], list[str]]]] = [
    (TimeMinGRU, LinearLayer._mingru),
    (TimeFPool, LinearLayer._fpool),
    (TimeMinLSTM, LinearLayer._minlstm),
    (TimeRGLRU, LinearLayer._rglru),
]
