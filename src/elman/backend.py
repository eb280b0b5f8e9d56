"""Where a model's arrays live (NumPy, or torch tensors on a device), and how precisely they are multiplied."""

import contextlib
import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from elman.arrays import Array, is_torch, to_numpy
from elman.errors import ConfigError, MissingExtra
from elman.matmul_precision import Precision, product_precision


@dataclass(frozen=True)
class Backend:
    """An array library, a device, and the precision of matrix products while training.

    ``Backend()`` is NumPy; ``Backend("torch")`` holds the weights in torch tensors, and with ``device="cuda"`` on
    a GPU. ``precision="bf16"`` rounds both sides of every matrix product to bf16 while training; sums, states,
    gradients and parameters stay float32, and so does everything that reads a text without training on it.

    Raises:
        ConfigError: NumPy is asked for bf16 or for another device, or torch does not have the device.
        MissingExtra: torch is not installed.
    """

    library: Literal["numpy", "torch"] = "numpy"
    precision: Precision = "float32"
    device: str = "cpu"

    def __post_init__(self) -> None:
        if self.library == "torch":
            _check_device(_torch(), self.device)
        elif self.precision != "float32":
            raise ConfigError(
                f"precision {self.precision} needs torch tensors; add --backend torch, or take --precision float32"
            )
        elif self.device != "cpu":
            raise ConfigError(
                f"device {self.device!r} needs torch tensors; add --backend torch, or take --device cpu"
            )

    @classmethod
    def of(cls, weights: Mapping[str, Array]) -> "Backend":
        """Return the float32 backend whose arrays these weights are."""
        weight = next(iter(weights.values()))
        return cls("torch", device=str(weight.device)) if is_torch(weight) else cls()

    def place(self, array: Array) -> Array:
        """Return ``array`` in this library and on this device, with the memory that it has where that is possible."""
        if self.library == "numpy":
            return to_numpy(array)
        if isinstance(array, np.ndarray) and not array.flags.writeable:
            array = array.copy()  # torch warns of arrays that cannot be written
        return _torch().as_tensor(array, device=self.device).detach()

    def training(self) -> contextlib.AbstractContextManager[None]:
        """Multiply in ``precision`` within the block."""
        return self._products(self.precision)

    def reading(self) -> contextlib.AbstractContextManager[None]:
        """Multiply in float32 within the block, so that what is measured is the model and not the rounding."""
        return self._products("float32")

    def _products(self, precision: Precision) -> contextlib.AbstractContextManager[None]:
        return contextlib.nullcontext() if self.library == "numpy" else product_precision(precision)


NUMPY = Backend()
SPINS = "5000"  # within 5 % of the speed of spinning on, where the cores are free


def _torch() -> Any:
    """Return torch, its threads told, where no one has told them otherwise, to sleep soon when they wait.

    Left alone they spin for milliseconds: on cores shared with other work a step then takes up to 40 times as long.
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
        raise ConfigError("torch finds no GPU that it can use for device 'cuda'; leave the device at cpu")
    try:
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError, NotImplementedError) as error:
        raise ConfigError(f"torch has no device {device!r} here; leave it at cpu ({error})") from error
