"""What a layer is: four names, no base class; and the checks that several layers share."""

from typing import Any, Protocol, runtime_checkable

from elman.arrays import Array, asarray
from elman.errors import ShapeError
from elman.numba_jit import serves


@runtime_checkable
class Layer(Protocol):
    """A forward pass and the backward pass that belongs to it.

    ``params`` and ``grads`` are lists of arrays of the same shapes in the same order. The arrays stay
    the same objects for ever: optimizers change them in place, and `backward` writes
    ``grad[...] = value``. What `forward` returns is valid until the next `forward`.
    """

    params: list[Array]
    grads: list[Array]

    def forward(self, xs: Array, *args: Any) -> Array:
        """Return the output for xs, keeping what `backward` needs."""
        ...

    def backward(self, dout: Array) -> Array:
        """Write the gradients of the parameters and return that of the input."""
        ...


def check_sequence(name: str, xs: Array, width: int) -> None:
    """Raise ShapeError unless xs is (N, T, width)."""
    if xs.ndim != 3 or xs.shape[2] != width:
        raise ShapeError(f"{name} must be (N, T, {width}), got {tuple(xs.shape)}")


def check_gradient(dout: Array, shape: tuple[int, ...]) -> None:
    """Raise ShapeError unless the gradient handed to `backward` has the shape of what `forward` returned."""
    if tuple(dout.shape) != shape:
        raise ShapeError(f"backward needs the gradient of an output {shape}, got {tuple(dout.shape)}")


def copied_state(state: Array | None, like: Array) -> Array | None:
    """Return a copy of a state in the library and dtype of ``like``; None, which means zeros, stays None."""
    return None if state is None else asarray(state, like) + 0


def check_state(name: str, state: Array, batch_size: int, width: int) -> None:
    """Raise ShapeError unless a carried state is (sequences, width)."""
    if tuple(state.shape) != (batch_size, width):
        raise ShapeError(
            f"the carried {name} is {tuple(state.shape)} but this block needs ({batch_size}, {width}); "
            "call reset_state() before changing the number of sequences"
        )


def check_weights(owner: str, **expected: tuple[Array, tuple[int, ...]]) -> None:
    """Raise ShapeError unless every named weight has its expected shape."""
    for name, (array, shape) in expected.items():
        if tuple(array.shape) != shape:
            raise ShapeError(f"{owner}: {name} must be {shape}, got {tuple(array.shape)}")


def fused_loops(like: Array) -> Any:
    """Return the module `elman.layers.kernels.numba` where it serves arrays like this one; None where it does not."""
    if not serves(like):
        return None
    from elman.layers.kernels import numba as fused

    return fused
