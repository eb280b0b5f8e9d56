"""The precision of matrix products of torch tensors: float32, or bf16 while everything else stays float32.

Within ``product_precision("bf16")`` the namespace of a float32 tensor is torch with another `matmul`, which
rounds both sides to bf16 (8 bits of precision in place of 24), sums in float32, and gives float32.
"""

import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from contextvars import ContextVar
from functools import cache
from typing import Any, Literal

from elman.workers import SharedSetting

Precision = Literal["float32", "bf16"]


class Bf16Torch(threading.local):
    """The torch module, with a `matmul` that multiplies float32 matrices as bf16 matrices, summed in float32.

    Each thread has its own scratch matrices, which are kept: allocating large ones costs more than the product.
    """

    def __init__(self) -> None:
        self._torch = sys.modules["torch"]
        self._kept: dict[Any, Any] = {}

    def __getattr__(self, name: str) -> Any:
        value = getattr(self._torch, name)
        setattr(self, name, value)  # found without this method the next time
        return value

    def matmul(self, a: Any, b: Any, out: Any) -> Any:
        """Write a·b, rounded to bf16 once, into ``out``. Operands that are bf16 already are used as they are."""
        if out.dtype != self.float32:
            return self._torch.matmul(a, b, out=out)
        product, a = self._scratch("product", out), self._cast("a", a)
        if a.stride(0) == 1:  # a product with a transposed left side takes a sixth longer
            a = self._scratch("left", a).copy_(a)
        self.mm(a, self._cast("b", b), out=product)
        return out.copy_(product)

    def _cast(self, name: str, matrix: Any) -> Any:
        if matrix.dtype == self.bfloat16:
            return matrix
        if matrix.stride(0) == 1:  # casting and transposing at once takes eight times as long as casting
            return self._scratch(name, matrix.T).copy_(matrix.T).T
        return self._scratch(name, matrix).copy_(matrix)

    def _scratch(self, name: str, like: Any) -> Any:
        key = (name, like.shape, like.device)
        if key not in self._kept:
            self._kept[key] = self.empty(like.shape, dtype=self.bfloat16, device=like.device)
        return self._kept[key]


_in_force: ContextVar[Bf16Torch | None] = ContextVar("bf16_torch", default=None)


def bf16_torch() -> Bf16Torch | None:
    """Return the `Bf16Torch` to use in this context; None for torch itself."""
    return _in_force.get()


@contextmanager
def product_precision(precision: Precision) -> Iterator[None]:
    """Within the block, multiply float32 matrices of torch in this precision.

    "float32" chooses the fastest products that lose no digit. NumPy arrays always have their own precision.
    """
    if "torch" not in sys.modules:
        yield
        return
    token = _in_force.set(_shared_bf16_torch() if precision == "bf16" else None)
    try:
        with _medium.held() if _medium_is_float32() else nullcontext():
            yield
    finally:
        _in_force.reset(token)


def _choose_medium() -> str:
    """Choose torch's setting "medium"; return the one before."""
    torch = sys.modules["torch"]
    before: str = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision("medium")
    return before


def _restore_precision(before: str) -> None:
    sys.modules["torch"].set_float32_matmul_precision(before)


_medium = SharedSetting(_choose_medium, _restore_precision)


@cache
def _shared_bf16_torch() -> Bf16Torch:
    return Bf16Torch()


@cache
def _medium_is_float32() -> bool:
    """Return whether torch's "medium" precision of products keeps all digits of float32 on this machine.

    It does if neither the processor nor a GPU has matrix units for bf16. Then "medium" only means another library,
    oneDNN, which took half the time of torch's usual one on an AMD processor with AVX-512.
    """
    torch = sys.modules["torch"]
    if torch.cuda.is_available():
        return False
    before = torch.get_float32_matmul_precision()
    a = torch.linspace(0.5, 1.5, 256 * 256).reshape(256, 256)
    exact = a.double() @ a.double()
    torch.set_float32_matmul_precision("medium")
    try:
        return bool(((a @ a).double() / exact - 1).abs().max() < 1e-5)  # bf16: 1e-4 or more
    finally:
        torch.set_float32_matmul_precision(before)
