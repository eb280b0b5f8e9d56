"""In which precision torch tensors are multiplied: float32, or bf16 while all else stays float32.

Within ``product_precision("bf16")`` the namespace of a float32 tensor is torch with another `matmul`, which
rounds both sides to bf16 (8 bits of precision in place of 24), sums in float32, and gives float32.
"""

import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from functools import cache
from typing import Any, Literal

Precision = Literal["float32", "bf16"]


class Bf16Torch(threading.local):
    """torch, but a product of float32 matrices is one of bf16 matrices, summed in float32.

    Each thread has its own: the matrices on their way into and out of a product are kept, since making them
    anew costs more than the product where they are large.
    """

    def __init__(self) -> None:
        self._torch = sys.modules["torch"]
        self._held: dict[Any, Any] = {}

    def __getattr__(self, name: str) -> Any:
        value = getattr(self._torch, name)
        setattr(self, name, value)  # found at once the next time
        return value

    def matmul(self, a: Any, b: Any, out: Any) -> Any:
        """Write a·b, rounded to bf16 once, into ``out``; operands that are bf16 already are taken as they are."""
        if out.dtype != self.float32:
            return self._torch.matmul(a, b, out=out)
        product, a = self._scratch("product", out), self._cast("a", a)
        if a.stride(0) == 1:  # a transposed left side takes a sixth longer
            a = self._scratch("left", a).copy_(a)
        self.mm(a, self._cast("b", b), out=product)
        return out.copy_(product)

    def _cast(self, name: str, matrix: Any) -> Any:
        if matrix.dtype == self.bfloat16:
            return matrix
        if matrix.stride(0) == 1:  # a cast that transposes takes eight times as long as casting
            return self._scratch(name, matrix.T).copy_(matrix.T).T
        return self._scratch(name, matrix).copy_(matrix)

    def _scratch(self, name: str, like: Any) -> Any:
        key = (name, like.shape, like.device)
        if key not in self._held:
            self._held[key] = self.empty(like.shape, dtype=self.bfloat16, device=like.device)
        return self._held[key]


_in_force: ContextVar[Bf16Torch | None] = ContextVar("bf16_torch", default=None)


def bf16_torch() -> Bf16Torch | None:
    """Return what stands for the torch module here and now; None for torch itself."""
    return _in_force.get()


@contextmanager
def product_precision(precision: Precision) -> Iterator[None]:
    """Within the block, multiply matrices that are float32 torch tensors in this precision.

    "float32" makes them as fast as they can be without losing a digit; NumPy arrays know no other.
    """
    torch = sys.modules.get("torch")
    if torch is None:
        yield
        return
    token = _in_force.set(_the_bf16_torch() if precision == "bf16" else None)
    before = torch.get_float32_matmul_precision()
    if _medium_is_float32():
        torch.set_float32_matmul_precision("medium")
    try:
        yield
    finally:
        torch.set_float32_matmul_precision(before)
        _in_force.reset(token)


@cache
def _the_bf16_torch() -> Bf16Torch:
    return Bf16Torch()


@cache
def _medium_is_float32() -> bool:
    """Tell whether torch's "medium" precision of float32 products has all of float32's digits on this machine.

    It has where no processor or GPU here has matrix units for bf16. "Medium" then only means another library,
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
