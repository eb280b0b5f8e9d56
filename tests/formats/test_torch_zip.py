"""Files of ``torch.save`` are read without PyTorch: plain values and tensors, and nothing else."""

import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.testing import assert_array_equal

from elman import import_model
from elman.errors import ModelFileError
from elman.formats.state_dict import to_arrays
from elman.formats.torch_file import read_torch
from elman.formats.torch_zip import read_torch_zip
from support.rwkv import write_pth
from support.tiny import small_lm


def test_views_are_read(tmp_path: Path) -> None:
    array = np.arange(6, dtype=np.float32).reshape(2, 3).T  # not in row-major order
    write_pth(tmp_path / "view.pth", {"a": array, "b": np.zeros((0, 3), np.float32)})
    found = read_torch_zip(tmp_path / "view.pth")
    assert_array_equal(found["a"], array)
    assert found["b"].shape == (0, 3)
    too_large = np.lib.stride_tricks.as_strided(np.zeros(2, np.float32), (2, 2), (0, 4))
    write_pth(tmp_path / "view.pth", {"a": np.broadcast_to(too_large, (2, 2))})
    assert read_torch_zip(tmp_path / "view.pth")["a"].shape == (2, 2)


@pytest.mark.parametrize(
    ("last", "value"),
    [
        (b"K\x01", 1),
        (b"G?\xe0\x00\x00\x00\x00\x00\x00", 0.5),
        (b"](K\x01X\x01\x00\x00\x00ae", [1, "a"]),
        (b"}(K\x07Nu", {7: None}),
        (b"ctorch\nSize\n(K\x02K\x03t\x85R", (2, 3)),
    ],
)
def test_plain_values_are_read(tmp_path: Path, last: bytes, value: Any) -> None:
    write_pth(tmp_path / "model.pth", {"a": np.ones(2, np.float32)}, last)
    found = read_torch_zip(tmp_path / "model.pth")
    assert found["more"] == value
    assert_array_equal(found["a"], [1, 1])


@pytest.mark.parametrize(
    ("last", "message"),
    [
        (b"cbuiltins\neval\n(K\x01tR", "holds the Python object builtins.eval"),
        (b"cbuiltins\nobject\n)\x81", "holds the Python object builtins.object"),
        (b"(ibuiltins\nobject\n", "uses the instruction INST of pickles"),
        (b"K\x01N" + b"b", "sets attributes of something that is not a dictionary"),
        (
            b"(X\x07\x00\x00\x00storagectorch\nQInt8Storage\nX\x01\x00\x00\x000tQ",
            "numbers of the type torch.QInt8",
        ),
    ],
)
def test_everything_but_tensors_is_refused_by_name(tmp_path: Path, last: bytes, message: str) -> None:
    write_pth(tmp_path / "model.pth", {"a": np.zeros(2, np.float32)}, last)
    with pytest.raises(ModelFileError, match=message):
        read_torch_zip(tmp_path / "model.pth")


def test_a_tensor_must_lie_within_its_numbers(tmp_path: Path) -> None:
    path = tmp_path / "short.pth"
    write_pth(path, {"a": np.ones(2, np.float32)})
    with zipfile.ZipFile(path) as archive:
        entries = {name: archive.read(name) for name in archive.namelist()}
    shape = b"(J" + (2).to_bytes(4, "little") + b"t"
    assert entries["archive/data.pkl"].count(shape) == 1
    entries["archive/data.pkl"] = entries["archive/data.pkl"].replace(shape, shape.replace(b"\x02", b"\x05"))
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in entries.items():
            archive.writestr(name, content)
    with pytest.raises(ModelFileError, match="a tensor does not lie within its numbers"):
        read_torch_zip(path)


def test_a_state_dict_needs_no_pytorch(tmp_path: Path) -> None:
    lm = small_lm(V=256, cell="gru")
    write_pth(tmp_path / "lm.pt", to_arrays(lm))
    found: Any = read_torch(tmp_path / "lm.pt", level="byte")
    for name, weight in lm.weights.items():
        assert_array_equal(found.model.weights[name], weight)


def test_another_kind_of_file_says_what_to_do(tmp_path: Path) -> None:
    start = b"\x80\x02\x8a\nl\xfc\x9cF\xf9 j\xa8P\x19."  # of a file of PyTorch before 1.6
    (tmp_path / "old.pt").write_bytes(start)
    with pytest.raises(ModelFileError, match=r"written by PyTorch before 1.6; save one with torch.save\("):
        import_model(tmp_path / "old.pt", level="byte")
