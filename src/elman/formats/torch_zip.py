"""Read a file that ``torch.save`` wrote, without PyTorch and without running anything in it.

Such a file is a ZIP archive: ``data.pkl``, a pickle of the saved object, and ``data/0``, ``data/1`` … with the numbers
of the tensors. A pickle is a program for a stack machine, which may call any function of any module. Here only its
instructions are read (`pickletools.genops` runs none), and those that build plain values, dictionaries and lists are
carried out; of the functions that it may name, only the ones that rebuild a tensor are known. Everything else is
refused by name.
"""

import pickletools
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from elman.bfloat16 import widened
from elman.errors import ModelFileError
from elman.parsing import parsing

MOST_INSTRUCTIONS = 10_000_000
ADVICE = "save one with torch.save(model.state_dict(), 'model.pt'), or as safetensors"
_STORAGES = {
    "DoubleStorage": "<f8",
    "FloatStorage": "<f4",
    "HalfStorage": "<f2",
    "BFloat16Storage": "bfloat16",
    "LongStorage": "<i8",
    "IntStorage": "<i4",
    "ShortStorage": "<i2",
    "CharStorage": "i1",
    "ByteStorage": "u1",
    "BoolStorage": "?",
}
_MARK = object()


@dataclass(frozen=True)
class _Global:
    """The name of a class or function in the file, which is never looked up."""

    name: str


@dataclass(frozen=True)
class _Storage:
    """The numbers of one or more tensors: an entry of the archive."""

    key: str
    dtype: str


def is_torch_zip(path: Path) -> bool:
    """Return whether a file is an archive with a pickle, as ``torch.save`` writes it.

    Raises:
        ModelFileError: it begins as an archive, but is truncated or damaged.
    """
    with path.open("rb") as file:
        if file.read(4) != b"PK\x03\x04":
            return False
    with parsing(path, ModelFileError, "is truncated or damaged"), zipfile.ZipFile(path) as archive:
        return any(name.endswith("/data.pkl") for name in archive.namelist())


def read_torch_zip(path: Path) -> Any:
    """Return what a file holds: dictionaries, lists and plain values, with an array in place of every tensor.

    Arrays of tensors that share memory share it, too; bfloat16 becomes float32, which holds each number exactly.

    Raises:
        ModelFileError: the file is damaged, or holds another object.
    """
    with parsing(path, ModelFileError, "is damaged"), zipfile.ZipFile(path) as archive:
        folder = _folder(archive)
        if f"{folder}/byteorder" in archive.namelist() and archive.read(f"{folder}/byteorder") != b"little":
            raise ModelFileError(f"{path} was written on a big-endian machine; save it again on another one")
        return _Machine(path, archive, folder).run(archive.read(f"{folder}/data.pkl"))


def _folder(archive: zipfile.ZipFile) -> str:
    return next(name for name in archive.namelist() if name.endswith("/data.pkl")).removesuffix("/data.pkl")


def _as_numbers(data: bytes, dtype: str) -> NDArray[Any]:
    if dtype != "bfloat16":
        return np.frombuffer(data, dtype)
    return widened(np.frombuffer(data, "<u2"))


class _Machine:
    """The stack machine of a pickle, with the instructions that build plain values and tensors."""

    def __init__(self, path: Path, archive: zipfile.ZipFile, folder: str) -> None:
        self._path, self._archive, self._folder = path, archive, folder
        self._stack: list[Any] = []
        self._memo: dict[int, Any] = {}
        self._numbers: dict[str, NDArray[Any]] = {}  # by the key of their storage

    def run(self, program: bytes) -> Any:
        """Return what the program builds."""
        for count, (instruction, argument, _) in enumerate(pickletools.genops(program)):
            if instruction.name == "STOP":
                return self._stack.pop()
            if count > MOST_INSTRUCTIONS:
                break
            self._carry_out(instruction.name, argument)
        raise ModelFileError(f"{self._path} is damaged: its pickle does not end")

    def _carry_out(self, name: str, argument: Any) -> None:
        stack = self._stack
        if name in _CONSTANTS:
            stack.append(_CONSTANTS[name]())
        elif name in _ARGUMENTS:
            stack.append(argument)
        elif name in ("BINPUT", "LONG_BINPUT", "PUT"):
            self._memo[int(argument)] = stack[-1]
        elif name == "MEMOIZE":
            self._memo[len(self._memo)] = stack[-1]
        elif name in ("BINGET", "LONG_BINGET", "GET"):
            stack.append(self._memo[int(argument)])
        elif name == "GLOBAL":
            stack.append(_Global(argument.replace(" ", ".")))
        elif name == "STACK_GLOBAL":
            attribute, module = stack.pop(), stack.pop()
            stack.append(_Global(f"{module}.{attribute}"))
        elif name in ("TUPLE1", "TUPLE2", "TUPLE3"):
            stack[-int(name[-1]) :] = [tuple(stack[-int(name[-1]) :])]
        elif name in ("TUPLE", "LIST"):
            items = self._to_mark()
            stack.append(tuple(items) if name == "TUPLE" else items)
        elif name in ("SETITEM", "SETITEMS"):
            items = self._to_mark() if name == "SETITEMS" else [stack.pop(-2), stack.pop()]
            stack[-1].update(zip(items[::2], items[1::2], strict=True))
        elif name in ("APPEND", "APPENDS"):
            items = self._to_mark() if name == "APPENDS" else [stack.pop()]
            stack[-1].extend(items)
        elif name == "BINPERSID":
            stack.append(self._storage(stack.pop()))
        elif name in ("REDUCE", "NEWOBJ"):
            arguments, function = stack.pop(), stack.pop()
            stack.append(self._call(function, arguments))
        elif name == "BUILD":  # attributes of a dictionary, such as the versions of a state dict
            stack.pop()
            if not isinstance(stack[-1], dict):
                raise ModelFileError(
                    f"{self._path} sets attributes of something that is not a dictionary; {ADVICE}"
                )
        elif name not in ("PROTO", "FRAME"):
            raise ModelFileError(
                f"{self._path} uses the instruction {name} of pickles, which no dictionary of tensors needs; {ADVICE}"
            )

    def _to_mark(self) -> list[Any]:
        """Take what lies above the last mark off the stack, with the mark."""
        at = max(k for k, value in enumerate(self._stack) if value is _MARK)
        items = self._stack[at + 1 :]
        del self._stack[at:]
        return items

    def _storage(self, reference: Any) -> _Storage:
        kind, storage, key, *_ = reference
        dtype = _STORAGES.get(storage.name.rpartition(".")[2])
        if kind != "storage" or dtype is None:
            raise ModelFileError(
                f"{self._path} holds numbers of the type {storage.name}, which elman does not read; {ADVICE}"
            )
        return _Storage(str(key), dtype)

    def _call(self, function: Any, arguments: Any) -> Any:
        """Return what one of the known functions returns. Raises ModelFileError for others: nothing is ever called."""
        name = function.name if isinstance(function, _Global) else type(function).__name__
        if name == "collections.OrderedDict" and not arguments:
            return {}
        if name in ("torch._utils._rebuild_tensor_v2", "torch._utils._rebuild_tensor"):
            return self._tensor(*arguments[:4])
        if name in ("torch._utils._rebuild_parameter", "torch.Size"):
            return arguments[0]
        raise ModelFileError(
            f"{self._path} holds the Python object {name}, and could run code when it is loaded by other programs; "
            f"elman reads tensors and plain values only; {ADVICE}"
        )

    def _tensor(
        self, storage: _Storage, offset: int, shape: tuple[int, ...], strides: tuple[int, ...]
    ) -> NDArray[Any]:
        """Return the view of a storage that a tensor is. Raises ModelFileError if it reaches beyond the storage."""
        if storage.key not in self._numbers:
            data = self._archive.read(f"{self._folder}/data/{storage.key}")
            self._numbers[storage.key] = _as_numbers(data, storage.dtype)
        numbers = self._numbers[storage.key]
        spans = [(size - 1) * stride for size, stride in zip(shape, strides, strict=True)]
        empty = 0 in shape
        if min((offset, *shape, *strides)) < 0 or (not empty and offset + sum(spans) >= len(numbers)):
            raise ModelFileError(f"{self._path} is damaged: a tensor does not lie within its numbers")
        if empty:
            return np.empty(shape, numbers.dtype)
        steps = [stride * numbers.itemsize for stride in strides]
        return np.lib.stride_tricks.as_strided(numbers[offset:], shape, steps, writeable=False)


_CONSTANTS: dict[str, Callable[[], Any]] = {
    "MARK": lambda: _MARK,
    "EMPTY_DICT": dict,
    "EMPTY_LIST": list,
    "EMPTY_TUPLE": tuple,
    "NONE": lambda: None,
    "NEWTRUE": lambda: True,
    "NEWFALSE": lambda: False,
}
_ARGUMENTS = frozenset(
    (
        "BINUNICODE",
        "SHORT_BINUNICODE",
        "BINUNICODE8",
        "UNICODE",
        "BININT",
        "BININT1",
        "BININT2",
        "LONG1",
        "INT",
        "LONG",
    )
) | {"BINFLOAT"}
