"""The part that linear recurrences share: s_t = a_t∘s_{t-1} + b_t, unit by unit, where a_t and b_t do not depend on s.

    forward     s_t = a_t∘s_{t-1} + b_t
    backward    δ_t = ds_t + a_{t+1}∘δ_{t+1}          da_t = δ_t∘s_{t-1}          db_t = δ_t

Each unit keeps its own number, so the matrix that multiplies the state is diagonal, and no product stands in the loop
over the steps: everything that costs time is in the one product x·Wx before it. A cell says how a_t and b_t come from
the products, and the gradients of the products from δ_t. The gradient that reaches step t from step t + k is scaled by
a_{t+1}∘…∘a_{t+k}, and each factor is a gate between 0 and 1.

Sources: J. Bradbury et al., "Quasi-recurrent neural networks", ICLR 2017; E. Martin and C. Cundy, "Parallelizing linear
recurrent neural nets over sequence length", ICLR 2018.
"""

from abc import abstractmethod
from typing import ClassVar

import numpy as np

from elman.arrays import Array, batch_major, is_torch
from elman.layers.base import Weight
from elman.layers.kernels import kernels_for
from elman.layers.recurrent import TimeRecurrence

SPAN = 1 << 15  # numbers of one gate that are handled at a time


class TimeDiagonalRecurrence(TimeRecurrence):
    """T steps of a cell whose state goes through a linear recurrence.

    A cell names its gates and defines `coefficients` and `product_gradients`; if its output h is not the state itself,
    it names the ``recurrent_state`` and defines `output` and `output_gradients` as well.
    """

    recurrent_state: ClassVar[str] = "h"
    scans: ClassVar[bool] = True  # whether a_t, b_t and δ_t are kept, and there is work space
    keeps: ClassVar[tuple[float, ...]] = ()  # the first gates' biases at the beginning; the others are 0

    @classmethod
    def plan(cls, D: int, H: int) -> dict[str, Weight]:
        """Return Wx (D, G) and b (G,)."""
        gates = cls.gates_of(D, H)
        G = gates * H
        starts = [*cls.keeps, *[0.0] * (gates - len(cls.keeps))]
        of_input = {"Wx": Weight((D, G), D**-0.5)} if D else {}
        return {**of_input, "b": Weight((G,), start=np.repeat(starts, H))}

    def _prepare(self, T: int, N: int, H: int) -> None:
        self._steps_at_once = T if is_torch(self.b) else max(1, SPAN // (N * H))
        self._states = self._carried[self.recurrent_state]  # (T + 1, N, H)
        self._gates = self._buffers.get("gates", (len(self.gate_names), T, N, H), self.b)
        if self.scans:
            self._a = self._buffers.get("a", (T, N, H), self.b)
            self._b = self._buffers.get("b", (T, N, H), self.b)

    def forward_steps(self, first: int, last: int) -> None:
        """Do the steps first ≤ t < last: all products at once, then a_t and b_t, then the states, then the output."""
        self.projection.forward_steps(first, last)
        for span in self._cuts(first, last):
            self.coefficients(span)
            self.recur(span)
            self.output(span)

    def _prepare_backward(self, T: int, N: int, H: int) -> Array:
        if self.scans:
            self._deltas = self._buffers.get("deltas", (T, N, H), self.b)
            self._work = self._buffers.get("work", (2, min(T, self._steps_at_once), N, H), self.b)
        self._dzs = self._buffers.get("dzs", (T, N, self.gates * H), self.b)
        return self._dzs

    def backward_steps(self, first: int, last: int) -> None:
        """Do the steps last > t ≥ first: ds_t, then δ_t step by step, then the gradients of all products at once."""
        for span in reversed(self._cuts(first, last)):
            self.recur_backward(span)
            self.product_gradients(span)
        self.projection.backward_steps(first, last)

    def _cuts(self, first: int, last: int) -> list[slice]:
        """Cut these steps into spans whose arrays stay in the cache. Tensors are not cut: a GPU wants few calls."""
        size = self._steps_at_once
        return [slice(t, min(t + size, last)) for t in range(first, last, size)]

    def product(self, span: slice, k: int) -> Array:
        """Return the columns of product k at these steps: a view (…, H)."""
        return self._zs[span, :, k * self.H : (k + 1) * self.H]

    def d_product(self, span: slice, k: int) -> Array:
        """Return the gradient of product k at these steps, to be written: a view (…, H)."""
        return self._dzs[span, :, k * self.H : (k + 1) * self.H]

    def work(self, span: slice) -> Array:
        """Return two arrays of work space for these steps, (2, steps, N, H)."""
        return self._work[:, : span.stop - span.start]

    @property
    def inside(self) -> dict[str, Array]:
        """The states and the gates of the last `forward` by name: (N, T, H) each, valid as long as hs."""
        gates = {name: batch_major(gate) for name, gate in zip(self.gate_names, self._gates, strict=True)}
        return {**super().inside, **gates}

    @abstractmethod
    def coefficients(self, span: slice) -> None:
        """Write ``_a``, ``_b`` (T, N, H) and ``_gates`` (gates, T, N, H) of these steps from the products."""

    @abstractmethod
    def product_gradients(self, span: slice) -> None:
        """Write the gradients of the products of these steps from δ_t, ``_deltas`` (T, N, H).

        δ_t is not needed any more afterwards.
        """

    def recur(self, span: slice) -> None:
        """Write the states of these steps."""
        kernels_for(self.b).scan(span.start, span.stop, self._a, self._b, self._states)

    def recur_backward(self, span: slice) -> None:
        """Write δ_t of these steps, from the last to the first."""
        ds, flow = self.output_gradients(span), self._flowing[self.recurrent_state]
        kernels_for(self.b).scan_backward(span.start, span.stop, self._a, ds, self._deltas, flow)

    def output(self, span: slice) -> None:
        """Write h_t of these steps from the states; nothing to do where the state is the output."""
        return

    def output_gradients(self, span: slice) -> Array:
        """Return ds (T, N, H), in which those of these steps follow from dh_t, ``_dhs`` (T, N, H)."""
        return self._dhs
