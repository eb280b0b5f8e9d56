"""Compressed texts: recognised by their content, streamed, and refused clearly where they are damaged."""

import bz2
import gzip
import io
import lzma
import tracemalloc
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

from elman.errors import MissingExtra, TextError
from elman.text.compressed import decompressed
from elman.text.corpus import encode_corpus
from elman.text.folders import texts_in
from elman.text.reading import read_bytes, read_text
from elman.text.sources import read_lines
from elman.text.tokenizers import make_tokenizer

TEXT = "톰은 방에 있었다.\nmary was there\n" * 50
COMPRESS: dict[str, Any] = {"gzip": gzip.compress, "bzip2": bz2.compress, "xz": lzma.compress}


@pytest.mark.parametrize("size", [1, 3, 1 << 20])
@pytest.mark.parametrize("kind", COMPRESS)
def test_a_compressed_text_is_read_as_the_text_whatever_its_name(
    tmp_path: Path, kind: str, size: int
) -> None:
    path = tmp_path / "text.txt"
    path.write_bytes(COMPRESS[kind](TEXT[:300].encode()) + COMPRESS[kind](TEXT[300:].encode()))
    assert "".join(read_text(path, chunk_size=size)) == TEXT
    assert list(read_lines(io.BytesIO(path.read_bytes()))) == TEXT.splitlines()


@pytest.mark.parametrize("start", [b"", b"B", b"BZh", b"BZh9 is not bzip2", b"\x1f\x8b", b"(", b"(\xb5/\xfc"])
def test_other_bytes_are_left_alone(start: bytes) -> None:
    parts = [bytes([value]) for value in start + b"tom"]
    assert b"".join(decompressed(parts, "text", 100)) == start + b"tom"
    assert b"".join(decompressed([start] if start else [], "text", 100)) == start


def test_a_pipe_is_not_kept_waiting() -> None:
    def arriving() -> Any:
        yield b"t"
        raise AssertionError("nothing else may be read yet")

    assert next(decompressed(arriving(), "text", 100)) == b"t"


@pytest.mark.parametrize("kind", COMPRESS)
def test_a_damaged_archive_is_one_clear_error(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "text.gz"
    whole = COMPRESS[kind](TEXT.encode())
    path.write_bytes(whole[:-20])
    with pytest.raises(TextError, match=rf"text.gz is compressed \({kind}\) and cut off; get the whole file"):
        list(read_bytes(path))
    path.write_bytes(whole[:30] + bytes(byte ^ 255 for byte in whole[30:60]) + whole[60:])
    with pytest.raises(TextError, match=rf"text.gz is compressed \({kind}\) and damaged"):
        list(read_bytes(path))


def test_memory_stays_flat() -> None:
    packed = gzip.compress(b"tom was here\n" * 3_000_000)
    tracemalloc.start()
    try:
        total = sum(map(len, read_bytes(io.BytesIO(packed), 1 << 16)))
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert total == 39_000_000
    assert peak < 2_000_000


def test_a_model_of_bytes_learns_the_text_and_not_the_archive(tmp_path: Path) -> None:
    plain, packed, twice = tmp_path / "a.txt", tmp_path / "a.gz", tmp_path / "b.gz"
    plain.write_bytes(TEXT.encode())
    packed.write_bytes(gzip.compress(TEXT.encode()))
    twice.write_bytes(gzip.compress(packed.read_bytes()))
    tokenizer = make_tokenizer("byte")
    of_text, of_archive, of_bytes = (
        encode_corpus(path, tokenizer, cache=tmp_path) for path in (plain, packed, twice)
    )
    assert of_archive.ids.tolist() == of_text.ids.tolist() == list(TEXT.encode())
    assert of_archive.sha256 != of_text.sha256  # it is that of the file
    assert of_bytes.ids.tolist() == list(packed.read_bytes())


def test_a_folder_has_compressed_texts_but_no_copies(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "a.txt").write_text("tom")
    for name, content in {
        "a.txt.gz": b"tom",
        "b.txt.gz": b"mary",
        "c.tar.gz": b"a\0b",
        "d.png.gz": b"x",
    }.items():
        (tmp_path / name).write_bytes(gzip.compress(content))
    assert [path.name for path in texts_in(tmp_path)] == ["a.txt", "b.txt.gz"]
    assert [message.partition(": ")[2] for message in caplog.messages] == [
        "skipped what is not text: c.tar.gz, d.png.gz",
        "skipped compressed copies: a.txt.gz",
    ]


def test_zstd_is_read_where_there_is_a_library_for_it(tmp_path: Path) -> None:
    # a frame of one raw block: magic, frame header (single segment, 3 bytes), block header (last, raw, 3 bytes)
    frame = b"\x28\xb5\x2f\xfd" + b"\x20\x03" + (1 | 3 << 3).to_bytes(3, "little") + b"tom"
    path = tmp_path / "a.txt"
    path.write_bytes(frame + frame)
    if not any(find_spec(name) for name in ("zstandard", "compression")):
        with pytest.raises(
            MissingExtra, match=r"zstandard is not installed; type: pip install 'elman\[zstd\]'"
        ):
            list(read_bytes(path))
        return
    assert b"".join(read_bytes(path)) == b"tomtom"
    path.write_bytes(frame[:-1])
    with pytest.raises(TextError, match="cut off"):
        list(read_bytes(path))
