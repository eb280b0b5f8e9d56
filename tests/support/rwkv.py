"""Small RWKV checkpoints, under the names and in the layout of the authors' program."""

import struct
import zipfile
from pathlib import Path
from typing import Any

import numpy as np

from elman.formats.rwkv import SOURCES
from elman.models.parameters import CELLS

VECTORS = (
    "att.x_",
    "att.w0",
    "att.a0",
    "att.v0",
    "att.k_",
    "ffn.x_",
    "att.time_mix",
    "ffn.time_mix",
)  # (1, 1, D)


def checkpoint(
    cell: str, V: int, D: int, layers: int, sizes: dict[str, int], rng: np.random.Generator
) -> dict[str, Any]:
    """Draw the arrays of a checkpoint, around where the weights of our blocks begin."""
    arrays = {
        "emb.weight": rng.standard_normal((V, D)),
        "head.weight": rng.standard_normal((V, D)) * D**-0.5,
        "ln_out.weight": 1 + 0.2 * rng.standard_normal(D),
        "ln_out.bias": 0.2 * rng.standard_normal(D),
    }
    for k in range(layers):
        plan = CELLS[cell].plan(D, D, layers, k, sizes)
        sources = {
            name: (source.name, source.transposed, source.from_one) for name, source in SOURCES[cell].items()
        }
        ends = {"ln0_gain": ("ln0.weight", False, False), "ln0_bias": ("ln0.bias", False, False)}
        for name, (theirs, transposed, from_one) in {**sources, **ends}.items():
            if name in plan:
                shape = plan[name].shape
                scale = shape[0] ** -0.5 if len(shape) > 1 and name != "r_k" else 0.3
                array = plan[name].start + scale * rng.standard_normal(shape)
                array = 1 - array if from_one else array
                if theirs.startswith(VECTORS):
                    array = array.reshape(1, 1, D)
                arrays[f"blocks.{k}.{theirs}"] = array.T if transposed else array
    return {name: np.ascontiguousarray(array, np.float32) for name, array in arrays.items()}


def write_pth(path: Path, arrays: dict[str, Any], last: bytes = b"") -> None:
    """Write arrays as ``torch.save`` does; ``last`` are instructions of a pickle that leave a value for "more"."""
    program, data = [b"\x80\x02}("], {}
    for k, (name, array) in enumerate(arrays.items()):
        array = np.asarray(array)
        kind = {"f2": "HalfStorage", "f4": "FloatStorage", "f8": "DoubleStorage", "u2": "BFloat16Storage"}[
            array.dtype.str[1:]
        ]
        strides = tuple(stride // array.itemsize for stride in array.strides)
        storage = b"(" + _text("storage") + _global("torch", kind) + _text(str(k)) + _text("cpu") + b"K\x00tQ"
        rebuilt = b"(" + storage + b"K\x00" + _sizes(array.shape) + _sizes(strides) + b"\x89"
        hooks = _global("collections", "OrderedDict") + b")R"
        program.append(_text(name) + _global("torch._utils", "_rebuild_tensor_v2") + rebuilt + hooks + b"tR")
        data[f"archive/data/{k}"] = array.tobytes("A")
    program.append(_text("more") + last + b"u." if last else b"u.")
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("archive/data.pkl", b"".join(program))
        archive.writestr("archive/byteorder", "little")
        for entry, content in data.items():
            archive.writestr(entry, content)


def _text(text: str) -> bytes:
    return b"X" + struct.pack("<I", len(text.encode())) + text.encode()


def _global(module: str, name: str) -> bytes:
    return f"c{module}\n{name}\n".encode()


def _sizes(sizes: tuple[int, ...]) -> bytes:
    return b"(" + b"".join(b"J" + struct.pack("<i", size) for size in sizes) + b"t"


def write_world_vocabulary(path: Path, *longer: str) -> int:
    """Write a vocabulary of the 256 bytes and of longer pieces; return the number of ids, with that of the end."""
    pieces: list[str | bytes] = [chr(k) if k < 128 else bytes([k]) for k in range(256)]
    lines = [
        f"{k} {piece!r} {len(piece.encode() if isinstance(piece, str) else piece)}"
        for k, piece in enumerate([*pieces, *longer], 1)
    ]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return 1 + len(lines)
