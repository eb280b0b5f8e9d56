"""The peers of the speed benchmark: one file each, with ``build(workload, inputs, variant) -> Peer``."""

from dataclasses import dataclass

from elman.errors import ElmanError


class NotHere(ElmanError):
    """This peer cannot do this workload here; says why."""


@dataclass(frozen=True)
class Kind:
    """Where a peer's code is, in which variant, and which library's Python it needs."""

    module: str
    variant: str = ""
    python: str = "numpy"
    about: str = ""


KINDS = {
    "elman": Kind("ours", about="elman, NumPy"),
    "elman-torch": Kind("ours", "torch", "torch", "elman on torch tensors, float32"),
    "elman-bf16": Kind("ours", "bf16", "torch", "elman on torch tensors, bf16 products"),
    "textbook": Kind("textbook", about="(a) the straightforward form, NumPy float32"),
    "torch": Kind("pytorch", python="torch", about="(b) PyTorch eager, float32"),
    "torch-bf16": Kind("pytorch", "bf16", "torch", "(b) PyTorch eager, bf16 autocast"),
    "torch-padded": Kind("pytorch", "padded", "torch", "(b) PyTorch eager, 64 padded lines of like length at once"),
    "jax": Kind("jax_scan", python="jax", about="(c) JAX, jit and scan"),
    "floor": Kind("floor", about="(d) the matrix products alone, NumPy's BLAS"),
}  # fmt: skip

LINES_A_STEP = 100  # a step of scoring lines
