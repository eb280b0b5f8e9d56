"""Safetensors files: which number types are in them, and bfloat16, which NumPy lacks."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors import deserialize

from elman.errors import ModelFileError


def dtypes_of(file: Any) -> dict[str, str]:
    """Return the number type of each array in an open file, by the format's names: F32, BF16, I64, …"""
    return {name: str(file.get_slice(name).get_dtype()) for name in file.keys()}  # noqa: SIM118


def refuse_other_dtypes(file: Any, path: Path, allowed: Sequence[str]) -> None:
    """Raise ModelFileError for arrays of other number types, naming the first."""
    others = {name: dtype for name, dtype in dtypes_of(file).items() if dtype not in allowed}
    if others:
        name, dtype = next(iter(others.items()))
        more = f" and {len(others) - 1} more arrays" if len(others) > 1 else ""
        raise ModelFileError(
            f"{path}: the array {name!r}{more} has the number type {dtype}; it must be one of {', '.join(allowed)}"
        )


def read_bfloat16(path: Path) -> dict[str, NDArray[np.float32]]:
    """Return a file's arrays of bfloat16 as float32, which holds each exactly: it is the upper half of one."""
    every: Any = deserialize(path.read_bytes())  # type: ignore[no-untyped-call]
    return {
        name: (np.frombuffer(array["data"], "<u2").astype(np.uint32) << 16)
        .view(np.float32)
        .reshape(array["shape"])
        for name, array in every
        if array["dtype"] == "BF16"
    }
