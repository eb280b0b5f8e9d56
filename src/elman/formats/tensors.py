"""Safetensors files: which number types are in them, and bfloat16, which NumPy lacks."""

import json
import math
import mmap
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors import deserialize

from elman.bfloat16 import widened
from elman.errors import ModelFileError
from elman.parsing import parsing

MAPPED = {"F64": "<f8", "F32": "<f4", "F16": "<f2", "BF16": "<u2", "I64": "<i8", "I32": "<i4"}
MOST_HEADER = 100_000_000  # bytes, the format's own limit


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
        name: widened(np.frombuffer(array["data"], "<u2")).reshape(array["shape"])
        for name, array in every
        if array["dtype"] == "BF16"
    }


def marked_bfloat16(data: bytes) -> bytes:
    """Return the bytes of a safetensors file with its arrays of uint16 declared as bfloat16, which NumPy lacks."""
    begin = 8 + int.from_bytes(data[:8], "little")
    header = json.loads(data[8:begin])
    for about in header.values():
        if about.get("dtype") == "U16":
            about["dtype"] = "BF16"
    text = json.dumps(header, ensure_ascii=False, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)  # the numbers begin at a multiple of 8 bytes
    return len(text).to_bytes(8, "little") + text + data[begin:]


def map_arrays(path: Path) -> dict[str, NDArray[Any]]:
    """Return the arrays of a safetensors file, mapped into memory; those of bfloat16 as uint16. Changes stay in memory.

    Raises:
        ModelFileError: the file is missing, truncated, not a safetensors file, or has arrays of other number types.
    """
    if not path.is_file():
        raise ModelFileError(f"the file {path} is missing")
    with (
        parsing(path, ModelFileError, "is truncated or is not a safetensors file"),
        path.open("rb") as file,
    ):
        memory = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_COPY)
        begin = 8 + int.from_bytes(memory[:8], "little")
        if not 10 <= begin <= min(MOST_HEADER, len(memory)):
            raise ValueError("its header is longer than the file")
        header = json.loads(memory[8:begin])
        header.pop("__metadata__", None)
        found = {}
        for name, about in header.items():
            if about["dtype"] not in MAPPED:
                raise ModelFileError(
                    f"{path}: the array {name!r} has the number type {about['dtype']}; it must be one of "
                    f"{', '.join(MAPPED)}"
                )
            dtype, shape = np.dtype(MAPPED[about["dtype"]]), tuple(map(int, about["shape"]))
            first, last = (begin + int(offset) for offset in about["data_offsets"])
            whole = last - first == dtype.itemsize * math.prod(shape)
            if not (whole and begin <= first <= last <= len(memory)):
                raise ValueError(f"the array {name!r} does not end within the file")
            array: NDArray[Any] = np.ndarray(shape, dtype, memory, first)
            found[name] = np.require(array, requirements="A")  # other programs may not align arrays
    return found
