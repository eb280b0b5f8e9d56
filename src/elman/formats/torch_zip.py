"""Read the tensors of a file that ``torch.save`` wrote, without PyTorch and without running anything in the file.

Such a file is a ZIP archive: ``data.pkl``, a pickle of the dictionary, and ``data/0``, ``data/1`` … with the numbers of
the tensors. A pickle is a program for a stack machine, which may call any function of any module. Here only its
instructions are read (`pickletools.genops` runs none), and the few that build dictionaries of tensors are carried out;
of the functions that it may name, only the ones that rebuild a tensor are known. Everything else is refused by name.
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


@dataclass(frozen=True)
class _Tensor:
    """A view of a storage."""

    storage: _Storage
    offset: int
    shape: tuple[int, ...]
    strides: tuple[int, ...]


class Refused(ModelFileError):
    """Raised where a file holds something other than a dictionary of tensors."""


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


def tensor_shapes(path: Path) -> dict[str, tuple[int, ...]]:
    """Return the shapes of the tensors in a file by name, without reading their numbers.

    Raises:
        Refused: it holds something else.
        ModelFileError: it is damaged.
    """
    with parsing(path, ModelFileError, "is damaged"), zipfile.ZipFile(path) as archive:
        return {name: tensor.shape for name, tensor in _tensors(archive, path).items()}


def read_tensors(path: Path) -> dict[str, NDArray[Any]]:
    """Return the tensors in a file by name; bfloat16 as float32, which holds each number exactly.

    Raises:
        Refused: it holds something else.
        ModelFileError: it is damaged.
    """
    with parsing(path, ModelFileError, "is damaged"), zipfile.ZipFile(path) as archive:
        tensors = _tensors(archive, path)
        folder = _folder(archive)
        if f"{folder}/byteorder" in archive.namelist() and archive.read(f"{folder}/byteorder") != b"little":
            raise ModelFileError(f"{path} was written on a big-endian machine; save it again on another one")
        storages: dict[str, NDArray[Any]] = {}
        for tensor in tensors.values():
            storage = tensor.storage
            if storage.key not in storages:
                storages[storage.key] = _numbers(archive.read(f"{folder}/data/{storage.key}"), storage.dtype)
        return {
            name: _view(storages[tensor.storage.key], tensor, name, path) for name, tensor in tensors.items()
        }


def _folder(archive: zipfile.ZipFile) -> str:
    return next(name for name in archive.namelist() if name.endswith("/data.pkl")).removesuffix("/data.pkl")


def _numbers(data: bytes, dtype: str) -> NDArray[Any]:
    if dtype != "bfloat16":
        return np.frombuffer(data, dtype)
    return widened(np.frombuffer(data, "<u2"))


def _view(numbers: NDArray[Any], tensor: _Tensor, name: str, path: Path) -> NDArray[Any]:
    """Return the view of a storage that a tensor is. Raises ModelFileError if it reaches beyond the storage."""
    spans = [(size - 1) * stride for size, stride in zip(tensor.shape, tensor.strides, strict=True)]
    empty = 0 in tensor.shape
    if min((tensor.offset, *tensor.shape, *tensor.strides)) < 0 or (
        not empty and tensor.offset + sum(spans) >= len(numbers)
    ):
        raise ModelFileError(f"{path} is damaged: the tensor {name!r} does not lie within its numbers")
    if empty:
        return np.empty(tensor.shape, numbers.dtype)
    strides = [stride * numbers.itemsize for stride in tensor.strides]
    return np.lib.stride_tricks.as_strided(numbers[tensor.offset :], tensor.shape, strides, writeable=False)


def _tensors(archive: zipfile.ZipFile, path: Path) -> dict[str, _Tensor]:
    found = _Machine(path).run(archive.read(f"{_folder(archive)}/data.pkl"))
    if not isinstance(found, dict):
        raise Refused(f"{path} holds a {type(found).__name__.strip('_')}, not a dictionary of tensors")
    for name, value in found.items():
        if not isinstance(name, str) or not isinstance(value, _Tensor):
            raise Refused(f"{path} holds {str(name)[:60]!r}, which is not a tensor")
    return found


class _Machine:
    """The stack machine of a pickle, with the instructions that build dictionaries of tensors."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._stack: list[Any] = []
        self._memo: dict[int, Any] = {}

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
        elif name == "REDUCE":
            arguments, function = stack.pop(), stack.pop()
            stack.append(self._call(function, arguments))
        elif name == "BUILD":  # attributes of a dictionary, such as the versions of a state dict
            stack.pop()
            if not isinstance(stack[-1], dict):
                raise Refused(f"{self._path} sets attributes of something that is not a dictionary")
        elif name not in ("PROTO", "FRAME"):
            raise Refused(
                f"{self._path} uses the instruction {name} of pickles, which no dictionary of tensors needs"
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
            raise Refused(f"{self._path} holds numbers of the type {storage.name}, which elman does not read")
        return _Storage(str(key), dtype)

    def _call(self, function: Any, arguments: Any) -> Any:
        """Return what one of the known functions returns. Raises Refused for all others: nothing is ever called."""
        name = function.name if isinstance(function, _Global) else type(function).__name__
        if name == "collections.OrderedDict" and not arguments:
            return {}
        if name in ("torch._utils._rebuild_tensor_v2", "torch._utils._rebuild_tensor"):
            storage, offset, shape, strides = arguments[:4]
            return _Tensor(storage, offset, tuple(shape), tuple(strides))
        if name == "torch._utils._rebuild_parameter":
            return arguments[0]
        raise Refused(
            f"{self._path} holds the Python object {name}, and could run code when it is loaded by other programs; "
            "elman reads tensors only"
        )


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
