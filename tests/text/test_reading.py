import io
import os
import sys
import tracemalloc
import unicodedata
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from elman.errors import ConfigError, TextError
from elman.text.reading import nfc, normalise, read_bytes, read_text, starts_composition

# Characters that normal form C moves, joins or replaces: marks, jamo, singletons, excluded compositions.
RESTLESS = "aeoq \n\u0301\u0302\u0308\u0323\u0327\u0344\u1100\u1112\u1161\u11a8\u11ab가각"
RESTLESS += "\u212b\u0958\u093c\u0915\u09c7\u09be"
restless = st.text(st.sampled_from(RESTLESS) | st.characters(exclude_categories=["Cs"]), max_size=40)
sizes = st.integers(1, 9)


def cut(text: str, size: int) -> Iterator[str]:
    return (text[i : i + size] for i in range(0, len(text), size))


@settings(deadline=None)
@given(restless, sizes)
@example("각\u0323\u0301", 1)
@example("\u1100\u1161\u11a8", 2)
@example("a\u0301\u0323b", 3)
def test_nfc_of_a_stream_is_nfc_of_the_whole(text: str, size: int) -> None:
    assert "".join(nfc(cut(text, size))) == unicodedata.normalize("NFC", text)


@settings(deadline=None)
@given(restless.filter(lambda text: "\0" not in text), sizes, st.sampled_from(["utf-8", "utf-16", "utf-32"]))
def test_every_chunk_size_reads_the_same_text(text: str, size: int, encoding: str) -> None:
    stream = io.BytesIO(text.encode(encoding))
    assert "".join(read_text(stream, encoding, size)) == normalise(text)


def test_no_second_half_of_a_composition_starts_one() -> None:
    halves = (unicodedata.decomposition(chr(code)).split() for code in range(sys.maxunicode + 1))
    second = {chr(int(parts[1], 16)) for parts in halves if len(parts) == 2 and not parts[0].startswith("<")}
    second |= {chr(code) for code in (*range(0x1161, 0x1176), *range(0x11A8, 0x11C3))}  # vowels, finals
    assert len(second) > 60
    assert not [c for c in second if starts_composition(c)]
    assert all(map(starts_composition, "aé가一あ\n"))


@pytest.mark.parametrize("size", [1, 2, 3, 100])
def test_newlines_and_byte_order_mark(size: int) -> None:
    stream = io.BytesIO(b"\xef\xbb\xbfone\r\ntwo\rthree\r\r\n\xef\xbb\xbf\n")
    assert "".join(read_text(stream, chunk_size=size)) == "one\ntwo\nthree\n\n\n"
    assert normalise("\ufeffone\r\n\ufefftwo\rthr\ufeffee") == "one\ntwo\nthr\ufeffee"


@pytest.mark.parametrize("size", [1, 3, 1000])
@pytest.mark.parametrize(
    ("raw", "encoding", "offset", "byte"),
    [
        (b"caf\xe9 au lait", "utf-8", 3, "e9"),
        ("가나다".encode() + b"\xff\n", "utf-8", 9, "ff"),
        ("가나다".encode()[:-1], "utf-8", 6, "eb"),
        ("가나".encode("cp949") + b"\xff\xff", "cp949", 4, "ff"),
        (b"plain \x80", "ascii", 6, "80"),
    ],
)
def test_a_wrong_byte_is_named_with_its_offset(
    tmp_path: Path, size: int, raw: bytes, encoding: str, offset: int, byte: str
) -> None:
    path = tmp_path / "broken.txt"
    path.write_bytes(raw)
    wanted = rf"broken\.txt: byte 0x{byte} at offset {offset} \(line 1\) is not {encoding}; .*`encoding`"
    with pytest.raises(TextError, match=wanted):
        list(read_text(path, encoding, size))


@pytest.mark.parametrize("size", [1, 3, 1000])
@pytest.mark.parametrize("encoding", ["utf-8", "cp949", "utf-16-le"])
def test_text_before_a_wrong_byte_is_read(size: int, encoding: str) -> None:
    wrong = {"utf-8": b"\xff", "cp949": b"\xff\xff", "utf-16-le": b"\x00\xdc\x00\xdc"}[encoding]
    chunks = read_text(io.BytesIO("가나\n다 abc\n".encode(encoding) + wrong), encoding, size)
    found: list[str] = []
    with pytest.raises(TextError, match=r"at offset \d+ \(line 3\)"):
        found.extend(chunks)  # which keeps what came before an error
    assert "".join(found) == "가나\n다 abc\n"


class Pipe(io.RawIOBase):
    """A pipe from which the given chunks are read."""

    def __init__(self, pieces: list[bytes]) -> None:
        self.pieces = list(pieces)

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        piece = self.pieces.pop(0) if self.pieces else b""
        buffer[: len(piece)] = piece
        return len(piece)


def test_whole_lines_from_a_pipe_are_yielded_as_they_arrive() -> None:
    lines = ["tom\n", "가\n\n", "a\u0301 b\r\n", "\u0301 \n", "end"]
    chunks = read_text(io.BufferedReader(Pipe([line.encode() for line in lines])))
    assert [next(chunks) for _ in lines[:-1]] == [normalise(line) for line in lines[:-1]]
    assert "".join(chunks) == "end"


def test_other_encodings_by_name(tmp_path: Path) -> None:
    path = tmp_path / "old.txt"
    path.write_bytes("한국어 café".encode("cp949", "ignore"))
    assert "".join(read_text(path, "cp949")) == "한국어 caf"
    path.write_bytes("café".encode("latin-1"))
    assert "".join(read_text(path, "latin-1")) == "café"


@pytest.mark.parametrize("encoding", ["klingon", "hex", "rot13", ""])
def test_an_unknown_encoding_is_refused(encoding: str) -> None:
    with pytest.raises(ConfigError, match="unknown encoding"):
        list(read_text(io.BytesIO(b"text"), encoding))


def test_a_binary_file_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "model.bin"
    path.write_bytes(b"text and then\0")
    with pytest.raises(TextError, match=r"model\.bin holds NUL bytes"):
        list(read_text(path))


def test_an_unreadable_file_is_named(tmp_path: Path) -> None:
    (tmp_path / "file.txt").write_text("text")
    with pytest.raises(TextError, match=r"none\.txt: there is no such file"):
        list(read_bytes(tmp_path / "none.txt"))
    with pytest.raises(TextError, match="is a folder"):
        list(read_bytes(tmp_path))
    with pytest.raises(TextError, match="cannot be read: not a directory"):
        list(read_bytes(tmp_path / "file.txt" / "below"))


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read every file")
def test_a_file_without_permission_is_named(tmp_path: Path) -> None:
    path = tmp_path / "secret.txt"
    path.write_text("text")
    path.chmod(0)
    with pytest.raises(TextError, match="cannot be read: permission denied"):
        list(read_text(path))


@pytest.mark.parametrize("unit", ["한글 ", "\u1112\u1161\u11ab\u1100\u1173\u11af"])
def test_one_long_line_takes_no_more_memory_than_a_chunk(tmp_path: Path, unit: str) -> None:
    path = tmp_path / "line.txt"
    path.write_text(unit * 400_000, encoding="utf-8")
    tracemalloc.start()
    length = sum(len(text) for text in read_text(path, chunk_size=1 << 16))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert length == len(unicodedata.normalize("NFC", unit)) * 400_000
    assert peak < path.stat().st_size / 2
