"""Damaged files: whatever a file contains, only ElmanError leaves what reads it.

$ELMAN_FUZZ is the number of variants a format; the same are tried in every run.
"""

import gzip
import json
import os
import random
import re
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import save_file

from elman.errors import ElmanError
from elman.formats.arpa_reader import read_arpa
from elman.formats.arpa_writer import write_arpa
from elman.formats.model_file import KEY, describe, write_arrays
from elman.formats.torch_file import read_torch, write_torch
from elman.formats.vocabulary_file import read_text
from elman.models.ngram.model import NgramModel
from elman.text.subword_training import train_subwords
from elman.text.tokenizers import make_tokenizer
from elman.text.vocabulary import Vocabulary
from elman.text_model import TextModel, load
from support.tiny import text_model

pytestmark = pytest.mark.slow

COUNT = int(os.environ.get("ELMAN_FUZZ", "2000"))
ODD = [
    b"",
    b"\0",
    b"\xff\xfe",
    b"\xef\xbb\xbf",
    b"-1",
    b"1e999",
    b"NaN",
    b"null",
    b"true",
    b"{}",
    b"[]",
    b'""',
    b'"\\ud800"',
    b"[" * 3_000,
    b'{"a":' * 3_000,
    b"9" * 5_000,
    b"2147483648",
    b"18446744073709551616",
    b"10000000",
    b"0",
    b"\n",
    b" ",
    b"\\",
    "\u3000".encode(),
]
VALUES: list[Any] = [
    None,
    True,
    -1,
    0,
    1,
    2**31,
    10**7,
    10**30,
    -0.5,
    float("nan"),
    float("inf"),
    "",
    "x",
    "\ud800",
    [],
    {},
    [[]],
    {"a": 1},
]


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    """Give a folder in memory where there is one: thousands of files are written."""
    memory = Path("/dev/shm")
    with tempfile.TemporaryDirectory(dir=memory if os.access(memory, os.W_OK) else tmp_path) as name:
        yield Path(name)


def mutated(content: bytes, rng: random.Random) -> bytes:
    """Return bytes with one to three changes: flips, cuts, repeats, and odd values in the place of others."""
    for _ in range(rng.choice((1, 1, 1, 2, 3))):
        place = rng.randrange(len(content) + 1)
        other = min(len(content), place + rng.choice((1, 1, 2, 8, 64)))
        kind = rng.randrange(6)
        if kind == 0 and content:
            k = rng.randrange(len(content))
            content = content[:k] + bytes([content[k] ^ 1 << rng.randrange(8)]) + content[k + 1 :]
        elif kind == 1:
            content = content[:place] + content[other:]
        elif kind == 2:
            content = content[:other] + content[place:]
        elif kind == 3:
            content = content[:place] + rng.choice(ODD) + content[other:]
        elif kind == 4:
            content = content[:place]
        else:  # a number or a string as a whole
            found = list(re.finditer(rb'-?\d+(\.\d+)?|"[^"]*"', content))
            if found:
                span = rng.choice(found).span()
                content = content[: span[0]] + rng.choice(ODD) + content[span[1] :]
    return content


def changed(data: Any, rng: random.Random) -> Any:
    """Return JSON data with one value replaced, removed, or added, anywhere."""
    if isinstance(data, (dict, list)) and data and rng.random() < 0.85:
        keys = list(data) if isinstance(data, dict) else range(len(data))
        key = rng.choice(list(keys))
        copy: Any = dict(data) if isinstance(data, dict) else list(data)
        if rng.random() < 0.1:
            del copy[key]
        else:
            copy[key] = changed(copy[key], rng)
        return copy
    return rng.choice(VALUES)


def ngrams() -> TextModel:
    words = make_tokenizer("word")
    known = Vocabulary(["a", "b", "<unk>", "<eos>"], eos="<eos>")
    model = NgramModel.train(np.array([0, 1, 3, 0, 0, 3], np.int32), 4, 3, eos=3)
    return TextModel(model, words, known)


def model_bytes(path: Path, model: TextModel, checkpoint: bool) -> bytes:
    arrays, about = describe(model)
    if checkpoint:
        arrays["optimizer.m.0"] = arrays["carried.h"] = np.zeros((2, 2), np.float32)
        about["training"] = {"progress": {"epoch": 3}, "random_state": {"state": 2**100}}
    write_arrays(path, arrays, about)
    return path.read_bytes()


def described_bytes(path: Path, model: TextModel, rng: random.Random) -> bytes:
    """Return a model file as elman 0.2.0 wrote it, without a digest, and with a changed description or array."""
    arrays, about = describe(model)
    about.pop("versions")
    if rng.random() < 0.8:
        about = changed(about, rng)
    else:
        name = rng.choice(list(arrays))
        dtype = rng.choice(["<f2", "<f4", "<f8", "<i4", "<i8", "u1", "?"])
        like = np.asarray(arrays[name], np.float64)
        with np.errstate(invalid="ignore"):
            arrays[name] = rng.choice(
                [np.zeros(0), np.zeros((2, 3)), np.full_like(like, np.nan), like]
            ).astype(dtype)
    text = json.dumps(about, ensure_ascii=rng.random() < 0.5).encode("utf-8", "replace").decode()
    save_file({name: np.ascontiguousarray(array) for name, array in arrays.items()}, path, {KEY: text})
    return path.read_bytes()


def tried(path: Path, read: Callable[[Path], Any], contents: Iterator[bytes]) -> int:
    """Read every content from a file; return how many were refused. Any error but ElmanError fails the test."""
    refused = longest = 0
    for content in contents:
        path.write_bytes(content)
        try:
            read(path)
        except ElmanError as error:
            refused += 1
            longest = max(longest, len(str(error)))
    assert longest < 2_000
    return refused


SMALL_WORDS = '{"a": 0, "b": 1, "<unk>": 2, "<eos>": 3, "c": 4}'


@pytest.mark.parametrize("kind", ["rnn", "checkpoint", "n-gram"])
def test_a_model_file(kind: str, folder: Path) -> None:
    rng = random.Random(kind)
    model = ngrams() if kind == "n-gram" else text_model(text="a b\n", cell="rnn", D=2, H=2)
    whole = model_bytes(folder / "whole", model, kind == "checkpoint")
    path = folder / "m.safetensors"
    for verify in (True, False):
        contents = (mutated(whole, rng) for _ in range(COUNT // 6))
        assert tried(path, lambda file, v=verify: load(file, verify=v), contents) > COUNT // 20  # type: ignore[misc]
    contents = (described_bytes(folder / "d", model, rng) for _ in range(COUNT // 6))
    assert tried(path, load, contents) > COUNT // 20


@pytest.mark.parametrize("suffix", [".arpa", ".arpa.gz", ".lm"])
def test_an_arpa_file(suffix: str, folder: Path) -> None:
    rng = random.Random(suffix)
    write_arpa(folder / "whole.arpa", ngrams())
    whole = (folder / "whole.arpa").read_bytes()
    path = folder / f"m{suffix}"

    def contents() -> Iterator[bytes]:
        for _ in range(COUNT // 4 if suffix == ".lm" else COUNT):
            if suffix != ".arpa.gz":
                yield mutated(whole, rng)
            elif rng.random() < 0.5:
                yield mutated(gzip.compress(whole, 1), rng)
            else:
                yield gzip.compress(mutated(whole, rng), 1)

    read = load if suffix == ".lm" else read_arpa
    assert tried(path, read, contents()) > COUNT // 20


def test_a_tokenizer_json(folder: Path) -> None:
    rng = random.Random(0)
    whole = train_subwords(["ab ab abc\n" * 3], "bpe", 262)

    def contents() -> Iterator[bytes]:
        data = json.loads(whole)
        for _ in range(COUNT):
            if rng.random() < 0.4:
                yield mutated(whole.encode(), rng)
            else:
                yield json.dumps(changed(data, rng)).encode()

    def read(path: Path) -> None:
        make_tokenizer("subword", json=path.read_bytes().decode("utf-8", "replace")).tokens("ab ba\n")

    assert tried(folder / "t", read, contents()) > COUNT // 4


@pytest.mark.parametrize("name", ["vocab.txt", "vocab.json", "ids.json", "counts.txt"])
def test_a_vocabulary_file(name: str, folder: Path) -> None:
    rng = random.Random(name)
    whole = {
        "vocab.txt": b"a\nb\n<unk>\n</s>\n",
        "vocab.json": b'["a", "b", "\\n", "<unk>"]',
        "ids.json": SMALL_WORDS.encode(),
        "counts.txt": b"a 12\nb 7\n<unk> 1\n",
    }[name]
    contents = (mutated(whole, rng) for _ in range(COUNT))
    assert tried(folder / name, lambda path: read_text(path, rng.choice(["word", "char"])), contents) > 9


def test_a_state_dict(folder: Path) -> None:
    rng = random.Random(1)
    original = text_model(text="a b\n", cell="gru", D=2, H=2)
    write_torch(folder / "whole.safetensors", original)
    whole = (folder / "whole.safetensors").read_bytes()
    contents = (mutated(whole, rng) for _ in range(COUNT))
    assert tried(folder / "m.safetensors", read_torch, contents) > COUNT // 4
