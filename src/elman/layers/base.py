"""The protocol of a layer, and the checks that several layers share."""

from dataclasses import dataclass, field
from typing import Any, Protocol, runtime_checkable

from elman.arrays import Array, asarray
from elman.errors import ShapeError


@dataclass(frozen=True)
class Weight:
    """The plan of a weight: its shape, and the scale of N(0,1).

    With ``scale=None`` nothing is drawn: the weight begins as ``start``, a number or an array of its shape. A layer
    may keep its state at first, for example, by the bias of a gate. ``scalable`` is false for what begins so whatever
    the scale of the other weights, as a factor does.
    """

    shape: tuple[int, ...]
    scale: float | None = None
    start: Any = field(default=0.0, compare=False)
    scalable: bool = True


@runtime_checkable
class Layer(Protocol):
    """A forward pass and its backward pass. There is no base class: these four names make a layer.

    ``params`` and ``grads`` are lists of arrays with the same shapes in the same order. The arrays always stay the
    same objects: optimizers change them in place, and `backward` writes ``grad[...] = value``. What `forward` returns
    is valid until the next `forward`.
    """

    params: list[Array]
    grads: list[Array]

    def forward(self, xs: Array, *args: Any) -> Array:
        """Return the output for xs, and keep what `backward` needs."""
        ...

    def backward(self, dout: Array) -> Array:
        """Write the gradients of the parameters and return the gradient of the input."""
        ...


def check_sequence(name: str, xs: Array, width: int) -> None:
    """Raise ShapeError unless xs is (N, T, width)."""
    if xs.ndim != 3 or xs.shape[2] != width:
        raise ShapeError(f"{name} must be (N, T, {width}), got {tuple(xs.shape)}")


def check_gradient(dout: Array, shape: tuple[int, ...]) -> None:
    """Raise ShapeError unless the gradient given to `backward` has the shape that `forward` returned."""
    if tuple(dout.shape) != shape:
        raise ShapeError(
            f"the gradient given to backward must have the output's shape {shape}, got {tuple(dout.shape)}"
        )


def copied_state(state: Array | None, like: Array) -> Array | None:
    """Return a copy of a state in the library and dtype of ``like``. None, which means zeros, stays None."""
    return None if state is None else asarray(state, like) + 0


def check_state(name: str, state: Array, batch_size: int, width: int) -> None:
    """Raise ShapeError unless a carried state is (batch_size, width)."""
    if tuple(state.shape) != (batch_size, width):
        raise ShapeError(
            f"the carried state {name} must be ({batch_size}, {width}) for this block, got {tuple(state.shape)}; "
            "call reset_state() before changing the batch size"
        )


def check_weights(owner: str, **expected: tuple[Array, tuple[int, ...]]) -> None:
    """Raise ShapeError unless every named weight has its expected shape."""
    for name, (array, shape) in expected.items():
        if tuple(array.shape) != shape:
            raise ShapeError(f"{owner}: {name} must be {shape}, got {tuple(array.shape)}")
