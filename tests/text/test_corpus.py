import hashlib
import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from elman.errors import ConfigError, TextError, VocabularyError
from elman.text import stream
from elman.text.corpus import Corpus, encode_corpus, encode_text
from elman.text.reading import normalise
from elman.text.tokenizers import LEVELS, Tokenizer, make_tokenizer
from elman.text.vocabulary import Vocabulary
from support.full_disk import files_of_at_most

WORD, CHAR, JAMO, BYTE = map(make_tokenizer, LEVELS)
HELLO = "You say goodbye and I say hello .\n"


@pytest.fixture
def hello(tmp_path: Path) -> Path:
    path = tmp_path / "hello.txt"
    path.write_text(HELLO)
    return path


def tokens_of(corpus: Corpus) -> list[str]:
    return corpus.vocabulary.decode(corpus.ids)


def test_the_textbook_sentence(hello: Path) -> None:
    corpus = encode_corpus([hello], WORD, cache=None)
    assert corpus.ids.tolist() == [0, 1, 2, 3, 4, 1, 5, 6, 7]
    assert corpus.vocabulary.tokens == ("You", "say", "goodbye", "and", "I", "hello", ".", "<eos>")
    assert (corpus.vocabulary.eos_id, corpus.vocabulary.unk_id) == (7, None)
    assert (corpus.tokens, corpus.unknown, corpus.characters, corpus.bytes, corpus.lines) == (9, 0, 34, 34, 1)
    assert corpus.sha256 == hashlib.sha256(HELLO.encode()).hexdigest()
    assert corpus.sources == (hello,)
    assert not corpus.ids.flags.writeable


@settings(deadline=None)
@given(
    st.text(st.characters(exclude_categories=["Cs", "Cc"]) | st.just("\n"), min_size=1),
    st.sampled_from(LEVELS),
)
def test_a_file_is_encoded_as_its_tokens(text: str, level: str) -> None:
    tokenizer = make_tokenizer(level)
    path = Path(os.environ["ELMAN_CACHE"]) / "any.txt"
    path.write_text(text, encoding="utf-8")
    whole = text if level == "byte" else normalise(text)
    if not whole:
        with pytest.raises(TextError, match="is empty"):
            encode_corpus([path], tokenizer, cache=None)
        return
    corpus = encode_corpus([path], tokenizer, cache=None)
    assert tokens_of(corpus) == tokenizer.tokens(whole, end=level == "word" or "\n" in whole)
    closing = not whole.endswith("\n") and (level == "word" or (level in ("char", "jamo") and "\n" in whole))
    assert corpus.characters == len(whole) + closing
    assert corpus.bytes == len(whole.encode()) + closing
    assert corpus.lines == whole.count("\n") + (not whole.endswith("\n"))
    again = encode_text(text, tokenizer, corpus.vocabulary)
    assert again.ids.tolist() == corpus.ids.tolist()
    assert (again.characters, again.bytes, again.lines) == (corpus.characters, corpus.bytes, corpus.lines)


@pytest.mark.parametrize("level", LEVELS)
@pytest.mark.parametrize("size", [1, 2, 7])
def test_small_chunks_change_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, level: str, size: int
) -> None:
    path = tmp_path / "korean.txt"
    path.write_bytes("한국어 e\u0301 말뭉치\r\n두 번째 줄\r\n".encode())
    tokenizer = make_tokenizer(level)
    whole = encode_corpus([path], tokenizer, cache=None)
    read_raw = stream.read_raw
    monkeypatch.setattr(stream, "read_raw", lambda source: read_raw(source, size))
    pieces = encode_corpus([path], tokenizer, cache=None)
    assert tokens_of(pieces) == tokens_of(whole)
    assert pieces.vocabulary == whole.vocabulary
    assert (pieces.tokens, pieces.characters, pieces.bytes) == (whole.tokens, whole.characters, whole.bytes)


def test_files_follow_each_other(tmp_path: Path) -> None:
    one, two = tmp_path / "1.txt", tmp_path / "2.txt"
    one.write_text("a b")
    two.write_text("b c\n")
    corpus = encode_corpus([one, two], WORD, cache=None)
    assert tokens_of(corpus) == ["a", "b", "<eos>", "b", "c", "<eos>"]
    assert corpus.sha256 == hashlib.sha256(b"a bb c\n").hexdigest()
    assert tokens_of(encode_corpus([one, two], CHAR, cache=None)) == list("a b\nb c\n")
    assert tokens_of(encode_corpus([one], CHAR, cache=None)) == list("a b")
    as_it_is = encode_corpus([one, two], make_tokenizer("byte"), cache=None)
    assert tokens_of(as_it_is) == list("a bb c\n")


@pytest.mark.parametrize(
    ("level", "kept"), [("word", "b  a "), ("char", "b  "), ("jamo", "b  "), ("byte", "b  ")]
)
@pytest.mark.parametrize("tokens", [2, 3])
def test_only_the_first_tokens(tmp_path: Path, level: str, kept: str, tokens: int) -> None:
    path = tmp_path / "text.txt"
    path.write_text("b  a c\nd\n")
    tokenizer = make_tokenizer(level)
    corpus = encode_corpus([path], tokenizer, cache=None, max_tokens=tokens)
    assert tokens_of(corpus) == tokenizer.tokens("b  a c\nd\n")[:tokens]
    assert corpus.tokens == tokens
    assert corpus.sha256 == hashlib.sha256(path.read_bytes()).hexdigest()
    assert len(corpus.vocabulary) == (256 if level == "byte" else len(set(tokens_of(corpus))))
    if tokens == 2 and level == "word":
        assert corpus.characters == len(kept)
    if level != "word":
        assert corpus.characters == tokens
    assert encode_corpus([path], tokenizer, cache=None, max_tokens=1000).tokens == len(
        tokenizer.tokens("b  a c\nd\n")
    )


def test_a_given_vocabulary(hello: Path) -> None:
    closed = Vocabulary(["say", "hello"])
    corpus = encode_corpus([hello], WORD, cache=None, vocabulary=closed)
    assert corpus.ids.dtype == np.int32
    assert corpus.ids.tolist() == [-1, 0, -1, -1, -1, 0, 1, -1, -1]
    assert corpus.unknown == 6
    opened = Vocabulary(["say", "hello", "<unk>"])
    corpus = encode_corpus([hello], WORD, cache=None, vocabulary=opened)
    assert corpus.ids.dtype == np.uint8
    assert corpus.unknown == 6
    assert corpus.vocabulary is opened


def test_ids_are_as_narrow_as_the_vocabulary_allows(tmp_path: Path) -> None:
    path = tmp_path / "numbers.txt"
    for words, dtype in ((255, np.uint8), (256, np.uint16), (65_536, np.uint32)):  # and one <eos>
        path.write_text(" ".join(map(str, range(words))) + "\n")
        corpus = encode_corpus([path], WORD, cache=None)
        assert corpus.ids.dtype == dtype
        assert corpus.ids.max() == words


def test_a_limited_vocabulary_counts_its_unknowns(hello: Path) -> None:
    corpus = encode_corpus([hello], WORD, cache=None, order="frequency", max_vocab=3)
    assert corpus.vocabulary.tokens == ("say", "<eos>", "<unk>")
    assert corpus.unknown == 6
    assert encode_corpus([hello], WORD, cache=None, open_vocabulary=True).vocabulary.unk_id == 8
    assert encode_corpus([hello], WORD, cache=None, min_count=2).unknown == 6


def test_bytes_of_any_file(tmp_path: Path) -> None:
    path = tmp_path / "any.bin"
    path.write_bytes(b"\xff\x00A\r\n\xea\xb0\x80")
    corpus = encode_corpus([path], BYTE, cache=None)
    assert corpus.ids.tolist() == [255, 0, 65, 13, 10, 0xEA, 0xB0, 0x80]
    assert corpus.vocabulary == Vocabulary.of_bytes()
    assert (corpus.bytes, corpus.characters, corpus.lines) == (8, 6, 2)
    assert encode_corpus([path], make_tokenizer("byte", lower=True), cache=None).ids[2] == ord("a")
    assert encode_corpus([path], BYTE, cache=None, vocabulary=Vocabulary.of_bytes()).ids.dtype == np.uint8
    with pytest.raises(VocabularyError, match="256 bytes"):
        encode_corpus([path], BYTE, cache=None, vocabulary=Vocabulary(["a"]))


def test_what_cannot_be_encoded(tmp_path: Path, hello: Path) -> None:
    empty = tmp_path / "empty.txt"
    empty.write_bytes(b"\xef\xbb\xbf")
    with pytest.raises(TextError, match=r"empty\.txt is empty"):
        encode_corpus([empty], CHAR, cache=None)
    with pytest.raises(TextError, match=r"empty\.txt and .*empty\.txt are empty"):
        encode_corpus([empty, empty], WORD, cache=None, vocabulary=Vocabulary(["a"]))
    with pytest.raises(TextError, match="name at least one"):
        encode_corpus([], WORD, cache=None)
    with pytest.raises(TextError, match="there is no such file"):
        encode_corpus([tmp_path / "none.txt"], WORD, cache=None)
    with pytest.raises(TextError, match="is a folder"):
        encode_corpus([tmp_path], WORD, cache=None)
    with pytest.raises(ConfigError, match="max_tokens must be at least 1, got 0"):
        encode_corpus([hello], WORD, cache=None, max_tokens=0)
    with pytest.raises(TextError, match="the text is empty"):
        encode_text("", CHAR, Vocabulary(["a"]))
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(TextError, match="is not a regular file"):
        encode_corpus([tmp_path / "pipe"], WORD, cache=None)


@pytest.mark.parametrize("tokenizer", [WORD, CHAR, JAMO, BYTE], ids=LEVELS)
def test_the_cache_is_used_until_a_file_changes(tmp_path: Path, hello: Path, tokenizer: Tokenizer) -> None:
    cache = tmp_path / "run" / "cache"
    first = encode_corpus([hello], tokenizer, cache=cache)
    assert isinstance(first.ids, np.memmap)
    assert {path.suffix for path in cache.iterdir()} == {".ids", ".json"}
    written = {path: path.stat().st_mtime_ns for path in cache.iterdir()}
    again = encode_corpus([hello], tokenizer, cache=cache)
    assert {path: path.stat().st_mtime_ns for path in cache.iterdir()} == written
    assert again.ids.tolist() == first.ids.tolist()
    assert again.ids.dtype == first.ids.dtype
    assert not again.ids.flags.writeable
    same = ("vocabulary", "tokens", "unknown", "characters", "bytes", "lines", "sha256", "sources")
    assert [getattr(again, name) for name in same] == [getattr(first, name) for name in same]
    hello.write_text(HELLO + HELLO)
    assert encode_corpus([hello], tokenizer, cache=cache).tokens == 2 * first.tokens
    assert len(list(cache.glob("*.ids"))) == 1
    hello.write_text("Other words .\n")
    assert encode_corpus([hello], tokenizer, cache=cache).tokens < 2 * first.tokens
    assert len(list(cache.glob("*.ids"))) == 1  # those of the old words are removed
    assert first.ids.tolist() == again.ids.tolist()


def test_other_settings_have_other_cache_files(tmp_path: Path, hello: Path) -> None:
    cache = tmp_path / "cache"

    def corpora() -> list[Corpus]:
        return [
            encode_corpus([hello], WORD, cache=cache),
            encode_corpus([hello], make_tokenizer("word", lower=True), cache=cache),
            encode_corpus([hello], CHAR, cache=cache),
            encode_corpus([hello], WORD, cache=cache, order="frequency"),
            encode_corpus([hello], WORD, cache=cache, min_count=2),
            encode_corpus([hello], WORD, cache=cache, max_vocab=4),
            encode_corpus([hello], WORD, cache=cache, max_tokens=4),
            encode_corpus([hello], WORD, cache=cache, open_vocabulary=True),
            encode_corpus([hello], WORD, cache=cache, vocabulary=Vocabulary(["say"])),
            encode_corpus([hello], WORD, cache=cache, vocabulary=Vocabulary(["I"])),
        ]

    first, second = corpora(), corpora()
    assert len(list(cache.glob("*.ids"))) == len(first)
    assert [corpus.ids.tolist() for corpus in first] == [corpus.ids.tolist() for corpus in second]
    assert [corpus.vocabulary for corpus in first] == [corpus.vocabulary for corpus in second]


@pytest.mark.parametrize(
    ("suffix", "damage"), [(".ids", b""), (".ids", b"\0\0"), (".json", b"{}"), (".json", b"{")]
)
def test_a_damaged_cache_is_rebuilt(tmp_path: Path, hello: Path, suffix: str, damage: bytes) -> None:
    cache = tmp_path / "cache"
    first = encode_corpus([hello], WORD, cache=cache).ids.tolist()
    next(cache.glob(f"*{suffix}")).write_bytes(damage)
    assert encode_corpus([hello], WORD, cache=cache).ids.tolist() == first
    next(cache.glob(f"*{suffix}")).unlink()
    assert encode_corpus([hello], WORD, cache=cache).ids.tolist() == first


def test_a_flipped_bit_in_the_cache_is_found(
    tmp_path: Path, hello: Path, caplog: pytest.LogCaptureFixture
) -> None:
    cache = tmp_path / "cache"
    first = encode_corpus([hello], WORD, cache=cache)
    expected = first.ids.tolist()
    for path in cache.iterdir():
        whole = path.read_bytes()
        for position in range(0, len(whole), 5):
            damaged = bytearray(whole)
            damaged[position] ^= 1 << position % 8
            path.write_bytes(damaged)
            again = encode_corpus([hello], WORD, cache=cache)
            assert again.ids.tolist() == expected
            assert again.vocabulary == first.vocabulary
            assert path.read_bytes() == whole
    (ids,) = cache.glob("*.ids")
    assert set(caplog.messages) == {f"{ids} is damaged: its checksum is wrong; the text is encoded again"}


def test_a_given_vocabulary_finds_the_text_for_which_it_was_built(tmp_path: Path, hello: Path) -> None:
    cache = tmp_path / "cache"
    first = encode_corpus([hello], WORD, cache=cache, min_count=2)
    kept = {path: path.stat().st_mtime_ns for path in cache.iterdir()}
    again = encode_corpus([hello], WORD, cache=cache, vocabulary=first.vocabulary)
    assert again.ids.tolist() == first.ids.tolist()
    assert (again.unknown, again.sha256) == (first.unknown, first.sha256)
    assert {path: path.stat().st_mtime_ns for path in cache.iterdir()} == kept


def test_a_full_disk_leaves_nothing_half_written(tmp_path: Path) -> None:
    path, cache = tmp_path / "text.txt", tmp_path / "cache"
    path.write_text("ab\n" * 10_000)
    with files_of_at_most(4096), pytest.raises(TextError, match=r"\.ids cannot be written: .*; free space"):
        encode_corpus([path], CHAR, cache=cache)
    assert list(cache.iterdir()) == []
    assert encode_corpus([path], CHAR, cache=cache).tokens == 30_000


def test_a_file_that_changes_while_being_read(tmp_path: Path, hello: Path) -> None:
    def meddle(done: int, total: int) -> None:
        if done == total:
            hello.write_text("Something else.\n")

    with pytest.raises(TextError, match=r"hello\.txt changed while being read"):
        encode_corpus([hello], WORD, cache=tmp_path / "cache", progress=meddle)
    assert list((tmp_path / "cache").iterdir()) == []


def test_progress_goes_up_to_all(hello: Path) -> None:
    seen: list[tuple[int, int]] = []
    encode_corpus([hello, hello], WORD, cache=None, progress=lambda done, total: seen.append((done, total)))
    assert seen == [(34 * n, 136) for n in (1, 2, 3, 4)]
    seen.clear()
    encode_corpus([hello], BYTE, cache=None, progress=lambda done, total: seen.append((done, total)))
    assert seen == [(34, 34)]


@pytest.mark.parametrize(
    ("name", "level", "tokens", "vocab_size"),
    [
        ("ptb/ptb.train.txt", "word", 929_589, 10_000),
        ("wikitext-2/valid.txt", "word", 217_646, None),
        ("wikitext-2/test.txt", "word", 245_569, None),
        ("tinyshakespeare/input.txt", "char", 1_115_394, 65),
        ("kafka/kafka.txt", "char", 137_628, 80),
        ("korean/wikinews.txt", "char", 489_107, None),
        ("korean/wikinews.txt", "byte", 1_159_523, 256),
    ],
)
def test_reference_corpora(
    data: Callable[[str], Path], name: str, level: str, tokens: int, vocab_size: int | None
) -> None:
    corpus = encode_corpus([data(name)], make_tokenizer(level), cache=None)
    assert len(corpus.ids) == corpus.tokens == tokens
    assert vocab_size in (None, len(corpus.vocabulary))
    assert corpus.bytes == data(name).stat().st_size
    if level != "word":
        assert make_tokenizer(level).join(tokens_of(corpus)) == data(name).read_text(encoding="utf-8")


def test_wikitext(data: Callable[[str], Path]) -> None:
    corpus = encode_corpus([data("wikitext-2/train.txt")], WORD, cache=None)
    assert (corpus.tokens, len(corpus.vocabulary)) == (2_088_628, 33_278)
    for split in ("valid", "test"):
        other = encode_corpus(
            [data(f"wikitext-2/{split}.txt")], WORD, cache=None, vocabulary=corpus.vocabulary
        )
        assert other.unknown == tokens_of(other).count("<unk>")
