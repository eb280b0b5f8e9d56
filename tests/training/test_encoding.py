"""Encoding in parts and in several processes gives the ids and the vocabulary of `encode_corpus`."""

import bz2
import gzip
import json
import lzma
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import elman
from elman import encode, encode_corpus, make_tokenizer
from elman.errors import ConfigError, RunError, TextError
from elman.text.corpus import Corpus
from elman.training import parallel_encoding, text_parts
from elman.training.encoded_folder import EncodedFolder, Plan, read_encoded
from elman.training.parallel_encoding import Job, Task
from elman.training.text_parts import TextReader
from support.full_disk import files_of_at_most

TEXT = "".join(
    f"{word} Say ΑΣ Σ e\u0301 {'한국어' * (k % 4)}{end}"
    for k, (word, end) in enumerate(
        [("you", "\n"), ("I", "\r\n"), ("\u0301x", " \n"), ("", "\n"), ("J\u030c", "")] * 4
    )
)
SIZES = ("tokens", "unknown", "characters", "bytes", "lines", "words")


@pytest.fixture(autouse=True)
def small_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(text_parts, "PART", 64)


@pytest.fixture
def text(tmp_path: Path) -> Path:
    path = tmp_path / "text.txt"
    path.write_bytes(TEXT.encode())
    return path


def same(found: Corpus, expected: Corpus, but: tuple[str, ...] = ()) -> None:
    assert found.vocabulary == expected.vocabulary
    assert found.ids.dtype == expected.ids.dtype
    np.testing.assert_array_equal(found.ids, expected.ids)
    for name in SIZES:
        if name not in but:
            assert getattr(found, name) == getattr(expected, name), name


OPTIONS: dict[str, dict[str, Any]] = {
    "words": {},
    "lower": {"lower": True},
    "frequent": {"min_count": 2, "vocab_order": "frequency"},
    "few": {"max_vocab": 4},
    "open": {"open_vocabulary": True},
    "characters": {"level": "char"},
    "lower characters": {"level": "char", "lower": True, "min_count": 5},
    "jamo": {"level": "jamo"},
    "bytes": {"level": "byte"},
}


@pytest.mark.parametrize("options", OPTIONS.values(), ids=OPTIONS)
@pytest.mark.parametrize("files", [1, 3])
def test_parts_give_what_the_whole_gives(
    tmp_path: Path, text: Path, options: dict[str, Any], files: int
) -> None:
    corpus = text
    if files > 1:
        corpus = tmp_path / "folder"
        corpus.mkdir()
        for k, part in enumerate(("a b", TEXT, "c\nd e")):
            (corpus / f"{k}.txt").write_bytes(part.encode())
    found = encode(corpus, tmp_path / "ids", **options)
    named = {{"vocab_order": "order"}.get(name, name): value for name, value in options.items()}
    tokenizer = make_tokenizer(named.pop("level", "word"), named.pop("lower", False))
    sources = sorted(corpus.iterdir()) if files > 1 else [corpus]
    expected = encode_corpus(sources, tokenizer, cache=None, **named)
    same(found, expected)
    assert EncodedFolder(tmp_path / "ids").about().record.sha256 == expected.sha256
    assert sorted(path.name for path in (tmp_path / "ids").iterdir()) == ["corpus.ids", "corpus.json"]
    assert isinstance(found.ids, np.memmap)


@pytest.mark.parametrize("size", [1, 7, 1000])
def test_parts_of_any_size(tmp_path: Path, text: Path, monkeypatch: pytest.MonkeyPatch, size: int) -> None:
    monkeypatch.setattr(text_parts, "PART", size)
    reader = TextReader("char", False, "utf-8", "strict", None)
    parts = reader.parts([text])
    assert len(parts) == -(-len(TEXT.encode()) // size)
    assert "".join(block for part in parts for block in reader.blocks(part)) == "".join(
        reader.blocks((text_parts.whole(text),))
    )


def test_several_processes(tmp_path: Path, text: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(text_parts, "PART", 200)
    seen: list[tuple[int, int]] = []
    monkeypatch.setattr(
        "elman.api.encode.encoding_bar", lambda shown: lambda done, total: seen.append((done, total))
    )
    found = encode(text, tmp_path / "ids", processes=2, min_count=2)
    same(found, encode_corpus([text], make_tokenizer("word"), cache=None, min_count=2))
    assert seen[-1] == (2 * len(TEXT.encode()),) * 2


def test_subwords(tmp_path: Path, text: Path) -> None:
    pytest.importorskip("tokenizers")
    found = encode(text, tmp_path / "ids", level="subword", vocab_size=280)
    corpus, tokenizer = read_encoded(tmp_path / "ids")
    same(found, encode_corpus([text], tokenizer, cache=None))
    run = elman.train(text, tmp_path / "run", level="subword", vocab_size=280, epochs=1, hidden=4)
    assert run.model.vocabulary == corpus.vocabulary


@pytest.mark.parametrize("pack", [gzip.compress, bz2.compress, lzma.compress])
def test_compressed_files_are_one_part(tmp_path: Path, text: Path, pack: Callable[[bytes], bytes]) -> None:
    packed = tmp_path / "packed"
    packed.write_bytes(pack(TEXT.encode() * 9))
    reader = TextReader("word", False, "utf-8", "strict", None)
    assert len(reader.parts([packed])) == 1
    same(encode(packed, tmp_path / "ids"), encode_corpus([packed], make_tokenizer("word"), cache=None))


def test_another_encoding_is_one_part(tmp_path: Path) -> None:
    path = tmp_path / "korean.txt"
    path.write_bytes(("한국어 말뭉치\n" * 30).encode("utf-16"))
    assert len(TextReader("word", False, "utf-16", "strict", None).parts([path])) == 1
    found = encode(path, tmp_path / "ids", encoding="utf-16")
    same(found, encode_corpus([path], make_tokenizer("word"), cache=None, encoding="utf-16"))


def test_json_lines(tmp_path: Path) -> None:
    values = [f"a{k % 3} 말 \u2028 {k}" for k in range(40)] + ["two\nlines"]
    path, plain = tmp_path / "rows.jsonl", tmp_path / "plain.txt"
    path.write_text("".join(json.dumps({"id": k, "text": value}) + "\n" for k, value in enumerate(values)))
    plain.write_text("".join(f"{value}\n" for value in values), "utf-8")
    assert len(TextReader("word", False, "utf-8", "strict", "text").parts([path])) > 20
    same(
        encode(path, tmp_path / "ids", column="text"),
        encode_corpus([plain], make_tokenizer("word"), cache=None),
    )
    with pytest.raises(ConfigError, match=r"has no column 'txt'; its columns: 'id', 'text'"):
        encode(path, tmp_path / "other", column="txt")


def test_an_iterable_is_copied_and_removed(tmp_path: Path) -> None:
    found = encode((f"line {k % 7}" for k in range(100)), tmp_path / "ids")
    assert (found.tokens, found.lines, len(found.vocabulary)) == (300, 100, 9)
    assert sorted(path.name for path in (tmp_path / "ids").iterdir()) == ["corpus.ids", "corpus.json"]


def test_rows_of_an_iterable_stream_into_training(tmp_path: Path) -> None:
    rows = ({"id": k, "text": f"line {k % 7}"} for k in range(100))
    run = elman.train(rows, tmp_path / "run", column="text", epochs=1, hidden=4, batch_size=2, time_size=5)
    assert run.to_dict()["tokens"] == 300
    with pytest.raises(ConfigError, match="name the column of the text: `column='text'`"):
        elman.train([{"text": "a"}], tmp_path / "other", hidden=4)
    with pytest.raises(ConfigError, match="row 2 of column 'text' must be a str, got None"):
        encode([{"text": "a"}, {"text": None}], tmp_path / "other", column="text")


def test_it_continues_with_the_parts_that_are_missing(
    tmp_path: Path, text: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    done: list[Job] = []
    do = Task.do

    def counted(task: Task, job: Job) -> None:
        do(task, job)
        done.append(job)
        if len(done) == stop_after:
            raise KeyboardInterrupt

    monkeypatch.setattr(Task, "do", counted)
    stop_after = -1
    expected = encode(text, tmp_path / "whole")
    jobs = len(done)
    done.clear()
    for stop_after in range(1, jobs + 1, 5):
        before = len(done)
        with pytest.raises(KeyboardInterrupt):
            encode(text, tmp_path / "ids")
        assert len(done) == stop_after
        assert before < stop_after
    stop_after = -1
    same(encode(text, tmp_path / "ids"), expected)
    assert len(done) == jobs
    assert len({(job.kind, job.number) for job in done}) == jobs  # nothing twice
    encode(text, tmp_path / "ids")
    assert len(done) == jobs


def test_a_damaged_part_is_encoded_again(tmp_path: Path, text: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    join = EncodedFolder.join

    def damaged(found: EncodedFolder, parts: Iterator[tuple[Path, int]]) -> tuple[int, str]:
        every = list(parts)
        every[1][0].write_bytes(b"\0")
        return join(found, iter(every))

    with monkeypatch.context() as patch:
        patch.setattr(EncodedFolder, "join", damaged)
        with pytest.raises(TextError, match=r"000001\.ids is damaged; run it again"):
            encode(text, tmp_path / "ids")
    same(encode(text, tmp_path / "ids"), encode_corpus([text], make_tokenizer("word"), cache=None))


def test_another_corpus_replaces_it_only_on_request(tmp_path: Path, text: Path) -> None:
    ids = tmp_path / "ids"
    encode(text, ids)
    with pytest.raises(RunError, match="holds another corpus, or the same one encoded with other options"):
        encode(text, ids, level="char")
    assert len(encode(text, ids, level="char", overwrite=True).vocabulary) < 40
    text.write_text("other text\n")
    with pytest.raises(RunError, match="holds another corpus"):
        encode(text, ids, level="char")
    with pytest.raises(RunError, match="holds other files"):
        encode(text, tmp_path)
    with pytest.raises(ConfigError, match="is encoded already"):
        encode(ids, tmp_path / "more")


def test_errors_name_the_place_in_the_file(tmp_path: Path) -> None:
    path = tmp_path / "bad.txt"
    path.write_bytes(b"good line\n" * 50 + b"bad \xff line\n" + b"good line\n" * 50)
    with pytest.raises(TextError) as expected:
        encode_corpus([path], make_tokenizer("word"), cache=None)
    with pytest.raises(TextError) as found:
        encode(path, tmp_path / "ids")
    assert str(found.value) == str(expected.value)
    assert "offset 504 (line 51)" in str(found.value)


def test_invalid_lines_are_counted_once(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = tmp_path / "bad.txt"
    path.write_bytes((b"good line\n" * 9 + b"bad \xff line\n") * 20)
    found = encode(path, tmp_path / "ids", errors="skip")
    assert found.lines == 180
    assert [record.getMessage() for record in caplog.records] == [f"{path}: skipped 20 lines not in utf-8"]


@pytest.mark.parametrize("content", [b"", b"\xef\xbb\xbf"])
def test_an_empty_text(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "empty.txt"
    path.write_bytes(content)
    with pytest.raises(TextError, match=r"empty\.txt is empty"):
        encode(path, tmp_path / "ids")


def test_options_that_are_not_of_the_text(tmp_path: Path, text: Path) -> None:
    with pytest.raises(ConfigError, match="`hidden` says nothing about the text"):
        encode(text, tmp_path / "ids", hidden=5)
    with pytest.raises(ConfigError, match="`processes` must be ≥ 1, got 0"):
        encode(text, tmp_path / "ids", processes=0)
    with pytest.raises(ConfigError, match="unknown option 'lvel'; did you mean `level`"):
        encode(text, tmp_path / "ids", lvel="char")


def test_a_full_disk(tmp_path: Path, text: Path) -> None:
    with files_of_at_most(100), pytest.raises(TextError, match="cannot be written"):
        encode(text, tmp_path / "ids")
    same(encode(text, tmp_path / "ids"), encode_corpus([text], make_tokenizer("word"), cache=None))


def test_a_lost_process_is_an_error(tmp_path: Path, text: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Broken(parallel_encoding.ProcessPoolExecutor):
        def submit(self, *arguments: Any, **more: Any) -> Any:
            raise parallel_encoding.BrokenProcessPool

    monkeypatch.setattr(parallel_encoding, "ProcessPoolExecutor", Broken)
    with pytest.raises(RunError, match="run it again: what is finished is kept"):
        encode(text, tmp_path / "ids", processes=2)


SMALL: dict[str, Any] = {"hidden": 6, "wordvec": 4, "epochs": 2, "batch_size": 2, "time_size": 5}


def test_training_on_the_ids_is_training_on_the_text(tmp_path: Path, text: Path) -> None:
    valid = tmp_path / "valid.txt"
    valid.write_text("you Say\nI Say ΑΣ\n", "utf-8")
    options = {"level": "word", "min_count": 2, "lower": True}
    encode(text, tmp_path / "ids", **options)
    runs = [
        elman.train(text, tmp_path / "one", valid=valid, **options, **SMALL),
        elman.train(tmp_path / "ids", tmp_path / "two", valid=valid, **SMALL),
    ]
    assert [epoch.perplexity for epoch in runs[0].history] == [epoch.perplexity for epoch in runs[1].history]
    assert runs[0].best == runs[1].best
    assert runs[1].options == runs[0].options
    more = runs[1].resume(epochs=3)
    assert len(more.history) == 3


def test_the_end_of_the_ids_can_be_held_out(tmp_path: Path) -> None:
    text = tmp_path / "text.txt"
    text.write_text("".join(f"line {k % 13} of {k % 7}\n" for k in range(150)))
    encode(text, tmp_path / "ids")
    one = elman.train(text, tmp_path / "one", valid="auto", allow_overlap=True, **SMALL)
    two = elman.train(tmp_path / "ids", tmp_path / "two", valid="auto", allow_overlap=True, **SMALL)
    assert one.best == two.best
    first = elman.train(tmp_path / "ids", tmp_path / "three", max_tokens=100, **SMALL)
    assert first.to_dict()["tokens"] == 100
    counted = elman.train(tmp_path / "ids", tmp_path / "four", model="ngram", order=2)
    assert counted.to_dict()["tokens"] == 750
    more = elman.train(tmp_path / "ids", tmp_path / "five", init_from=first.folder, epochs=1)
    assert more.model.vocabulary == first.model.vocabulary


def test_what_does_not_fit_encoded_text_is_refused(tmp_path: Path, text: Path) -> None:
    ids = tmp_path / "ids"
    encode(text, ids)
    with pytest.raises(ConfigError, match=r"does not fit .*ids, which was encoded with `level='word'`"):
        elman.train(ids, tmp_path / "run", level="char", **SMALL)
    with pytest.raises(ConfigError, match=r"does not fit .*ids, which was encoded with `level='word'`"):
        elman.train(ids, tmp_path / "run", recipe="char-lstm")
    with pytest.raises(TextError, match="is an encoded corpus, which only"):
        elman.train(text, tmp_path / "run", valid=ids, **SMALL)
    path = ids / "corpus.ids"
    content = bytearray(path.read_bytes())
    content[5] ^= 1
    path.write_bytes(content)
    with pytest.raises(TextError, match="is damaged: its checksum is wrong; encode the text again"):
        elman.train(ids, tmp_path / "run", **SMALL)
    (ids / "corpus.json").write_text("{}")
    with pytest.raises(TextError, match="is damaged or of another version of elman"):
        elman.train(ids, tmp_path / "run", **SMALL)


def test_a_folder_of_text_may_hold_its_ids(tmp_path: Path, text: Path) -> None:
    first = encode(tmp_path, tmp_path / "ids")
    found = EncodedFolder(tmp_path / "ids").about()
    assert [Path(name).name for name, *_ in found.record.stamps] == ["text.txt"]
    assert encode(tmp_path, tmp_path / "ids").tokens == first.tokens
    plan = Plan(found.record.stamps, {}, None, "", 1)
    EncodedFolder(tmp_path / "half").begin(plan)
    assert encode(tmp_path, tmp_path / "more").tokens == first.tokens
