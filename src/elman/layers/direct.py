"""The part that SRU and RG-LRU share: they use x_t itself, unit by unit, besides its products.

Where x_t is not as wide as the state, D ≠ H, or one-hot, a further product x_t·Wu + b_u takes its place, in the last
columns of Wx and b. Both cells also have a vector of weights that multiplies no input.
"""

from typing import ClassVar

from elman.arrays import Array, zeros
from elman.layers.base import Weight, check_weights
from elman.layers.diagonal import TimeDiagonalRecurrence


class TimeDirectRecurrence(TimeDiagonalRecurrence):
    """A recurrence that also uses x_t unit by unit, and has a vector of weights besides Wx and b.

    A cell reads `direct` and writes its gradient to ``_d_direct`` (T, N, H); it adds the gradient of the vector to
    ``d_vector`` span by span.
    """

    vector_name: ClassVar[str]
    vector_size: ClassVar[int] = 1  # how many times H

    def __init__(self, Wx: Array | None, vector: Array, b: Array, stateful: bool = False) -> None:
        H = vector.shape[0] // self.vector_size
        self.gates = self.gates_of(0 if Wx is None else Wx.shape[0], H)
        shapes = {self.vector_name: (vector, (self.vector_size * H,)), "b": (b, (self.gates * H,))}
        check_weights(type(self).__name__, **shapes)
        super().__init__(Wx, b, stateful)
        self.vector, self.d_vector = vector, zeros(tuple(vector.shape), vector)
        self.params.insert(-1, vector)
        self.grads.insert(-1, self.d_vector)

    @classmethod
    def gates_of(cls, D: int, H: int) -> int:
        """Return the number of products of a layer of H units for an input of D numbers; 0: a one-hot input."""
        return cls.gates if D == H else cls.gates + 1

    @classmethod
    def plan(cls, D: int, H: int) -> dict[str, Weight]:
        """Return Wx (D, G), the vector and b (G,)."""
        planned = super().plan(D, H)
        b = planned.pop("b")
        return {**planned, cls.vector_name: Weight((cls.vector_size * H,), start=cls.first_vector(H)), "b": b}

    @classmethod
    def first_vector(cls, H: int) -> Array | float:
        """Return the vector's value at the beginning."""
        return 0.0

    @property
    def takes_x(self) -> bool:
        """Whether x_t itself is used; one product more if not."""
        return self.gates == type(self).gates

    def direct(self, span: slice) -> Array:
        """Return x_t of these steps, or the product in its place: (T, N, H)."""
        return self.projection.xs[span] if self.takes_x else self.product(span, self.gates - 1)

    def _prepare_backward(self, T: int, N: int, H: int) -> Array:
        dzs = super()._prepare_backward(T, N, H)
        self.d_vector[...] = 0
        if self.takes_x:
            self._d_direct = self._buffers.get("d_direct", (T, N, H), self.b)
        else:
            self._d_direct = self.d_product(slice(None), self.gates - 1)
        return dzs

    def backward_steps(self, first: int, last: int) -> None:
        """Do the steps last > t ≥ first as in any linear recurrence, and add what reaches x_t directly."""
        super().backward_steps(first, last)
        if self.takes_x:
            self.projection.dxs[first:last] += self._d_direct[first:last]
