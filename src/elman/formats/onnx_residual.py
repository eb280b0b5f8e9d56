"""What surrounds the cell of a residual block, written with ONNX's elementwise operators and products.

    n = RMSNorm(x)∘g       y = x + (h∘silu(n·Wg))·Wo       then the same with m·W2 in place of h, if there is an MLP

ONNX has an operator for this norm only since version 23, so it is written out. See `elman.layers.residual`.

Source: https://onnx.ai/onnx/operators (version 17).
"""

from elman.formats.onnx_graph import Operators
from elman.layers.kernels.numpy import NORM_EPS


class ResidualBlock:
    """Block ``k`` of a model, whose operators its methods add to a graph. Names stand for arrays (T, N, width)."""

    def __init__(self, graph: Operators, k: int) -> None:
        self.graph, self.k, self.op = graph, k, graph.add
        self.epsilon = graph.floats(f"epsilon.{k}", [NORM_EPS])

    def before_cell(self, xs: str) -> str:
        """Return ns (T, N, D), which the cell reads, for xs (T, N, D)."""
        return self._norm(xs, "gain")

    def after_cell(self, xs: str, ns: str, hs: str) -> str:
        """Return the block's output (T, N, D), given its input, what the cell read, and its hs (T, N, H)."""
        ys = self._add_gated(xs, ns, hs, "Wg", "Wo")
        if self._has("mlp_gain"):
            ms = self._norm(ys, "mlp_gain")
            ys = self._add_gated(ys, ms, self._product(ms, "W2"), "W1", "W3")
        return self._norm(ys, "last_gain") if self._has("last_gain") else ys

    def _norm(self, xs: str, gain: str) -> str:
        """Return x / √(mean(x²) + ε) ∘ g."""
        squares = self.op("ReduceMean", self.op("Mul", xs, xs), axes=[-1])  # (T, N, 1)
        root = self.op("Sqrt", self.op("Add", squares, self.epsilon))
        return self.op("Mul", self.op("Div", xs, root), self._weight(gain))

    def _add_gated(self, xs: str, ns: str, hs: str, Wg: str, Wo: str) -> str:
        """Return x + (h∘silu(n·Wg))·Wo, where silu(u) = u∘σ(u)."""
        us = self._product(ns, Wg)
        gate = self.op("Mul", us, self.op("Sigmoid", us))
        return self.op("Add", xs, self._product(self.op("Mul", hs, gate), Wo))

    def _product(self, xs: str, W: str) -> str:
        return self.op("MatMul", xs, self._weight(W))

    def _weight(self, name: str) -> str:
        return self.graph.floats(f"{name}.{self.k}", self.graph.weights[f"{self.k}.{name}"])

    def _has(self, name: str) -> bool:
        return f"{self.k}.{name}" in self.graph.weights
