"""The backend of a model: its array library (NumPy or torch), its device, and the precision of its products."""

import contextlib
import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, get_args

import numpy as np

from elman.arrays import Array, is_torch, to_numpy
from elman.errors import ConfigError, MissingExtra
from elman.matmul_precision import Precision, product_precision

Library = Literal["numpy", "torch"]


@dataclass(frozen=True)
class Backend:
    """An array library, a device, and the precision of matrix products while training.

    ``Backend()`` is NumPy. ``Backend("torch")`` keeps the weights in torch tensors; with ``device="cuda"`` on a GPU.
    ``precision="bf16"`` rounds both sides of every matrix product to bf16 while training. Sums, states, gradients and
    parameters stay float32, and so do all computations that read a text without training on it.

    Raises:
        ConfigError: bf16 or another device is requested for NumPy, or torch does not have the device.
        MissingExtra: torch is not installed.
    """

    library: Library = "numpy"
    precision: Precision = "float32"
    device: str = "cpu"

    def __post_init__(self) -> None:
        if self.library not in get_args(Library):
            raise ConfigError(
                f"`backend` must be one of {', '.join(get_args(Library))}, got {self.library!r}"
            )
        if self.library == "torch":
            _check_device(_torch(), self.device)
        elif self.precision != "float32":
            raise ConfigError(
                f"precision {self.precision} needs torch tensors; add `backend='torch'`, or use `precision='float32'`"
            )
        elif self.device != "cpu":
            raise ConfigError(
                f"device {self.device!r} needs torch tensors; add `backend='torch'`, or use `device='cpu'`"
            )

    @classmethod
    def named(cls, backend: "Backend | Library", device: str) -> "Backend":
        """Return the float32 backend of a library and a device; a `Backend` is returned as it is."""
        return backend if isinstance(backend, Backend) else cls(backend, device=device)

    @classmethod
    def of(cls, weights: Mapping[str, Array]) -> "Backend":
        """Return the float32 backend of these weights: their array library and device."""
        weight = next(iter(weights.values()))
        return cls("torch", device=str(weight.device)) if is_torch(weight) else cls()

    def place(self, array: Array) -> Array:
        """Return ``array`` in this library and on this device, without a copy if possible."""
        if self.library == "numpy":
            return to_numpy(array) if is_torch(array) else array
        if not is_torch(array):
            array = np.asarray(array)
            array = array if array.flags.writeable else array.copy()  # torch warns about read-only arrays
        return _torch().as_tensor(array, device=self.device).detach()

    def training(self) -> contextlib.AbstractContextManager[None]:
        """Multiply in ``precision`` within the block."""
        return self._products(self.precision)

    def reading(self) -> contextlib.AbstractContextManager[None]:
        """Multiply in float32 within the block, so that results show the model and not the rounding."""
        return self._products("float32")

    def _products(self, precision: Precision) -> contextlib.AbstractContextManager[None]:
        return contextlib.nullcontext() if self.library == "numpy" else product_precision(precision)


NUMPY = Backend()
SPINS = "5000"  # on free cores, within 5 % of the speed of spinning without end


def _torch() -> Any:
    """Import torch, with threads that sleep soon when they wait, unless the environment says otherwise.

    By default they spin for milliseconds: on cores that other processes use too, a step then takes up to 40 times as
    long.
    """
    if sys.modules.get("torch") is None and "OMP_WAIT_POLICY" not in os.environ:
        os.environ.setdefault("GOMP_SPINCOUNT", SPINS)
    try:
        import torch
    except ImportError as error:
        raise MissingExtra("torch", "torch") from error
    return torch


def _check_device(torch: Any, device: str) -> None:
    """Raise ConfigError unless torch can put a tensor on the device."""
    if device.startswith("cuda") and not torch.cuda.is_available():
        raise ConfigError("torch finds no usable GPU for device 'cuda'; use the device cpu")
    try:
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError, NotImplementedError) as error:
        raise ConfigError(f"torch has no device {device!r} on this machine; use cpu ({error})") from error
