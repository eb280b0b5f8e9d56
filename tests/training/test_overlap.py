"""Validation texts that repeat the training text are detected."""

from pathlib import Path

import numpy as np
import pytest

from elman.text.corpus import encode_corpus, encode_text
from elman.text.tokenizers import make_tokenizer
from elman.text.vocabulary import Vocabulary
from elman.training import overlap as module
from elman.training.overlap import Overlap, is_blank, overlap


def lines(count: int, seed: int, words: int = 7) -> list[str]:
    rng = np.random.default_rng(seed)
    return [" ".join(f"w{k}" for k in rng.integers(0, 30, words)) for _ in range(count)]


def compared(train: str, valid: str, level: str = "word", folder: Path | None = None) -> Overlap:
    tokenizer = make_tokenizer(level)
    path = (folder or Path()) / "train.txt"
    path.write_text(train, encoding="utf-8")
    corpus = encode_corpus([path], tokenizer, cache=folder, max_vocab=None)
    return overlap(corpus, encode_text(valid, tokenizer, corpus.vocabulary), level)


LEARNT, OTHER = lines(40, 1), lines(40, 2)
TRAIN = "\n".join(LEARNT) + "\n"


def by_sets(train: str, valid: str, least: int = 5) -> Overlap:
    ours = {line for line in valid.split("\n") if len(line.split()) >= least}
    return Overlap(len(ours & set(train.split("\n"))), len(ours))


@pytest.mark.parametrize("known", [0, 1, 19, 20])
@pytest.mark.parametrize("level", ["word", "char", "jamo", "byte"])
def test_as_many_lines_are_found_as_there_are(tmp_path: Path, level: str, known: int) -> None:
    valid = "\n".join(LEARNT[:known] + OTHER[known:])
    found = compared(TRAIN, valid, level, tmp_path)
    assert found == by_sets(TRAIN, valid) == Overlap(known, 40)
    assert not found.in_most_lines


@pytest.mark.parametrize("size", [1, 3, 16, 50, 1000])
def test_reading_in_chunks_changes_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, size: int
) -> None:
    monkeypatch.setattr(module, "CHUNK", size)
    overlong = " ".join(["w1"] * 300)
    train = "\n".join([overlong, *LEARNT[:20], overlong, *LEARNT[20:]])
    valid = "\n".join([LEARNT[0], LEARNT[20], LEARNT[39], *OTHER])
    assert compared(train, valid, "word", tmp_path) == Overlap(3, 43)
    assert compared(train, "\n".join([overlong, *OTHER]), "word", tmp_path) == Overlap(1, 41)


def test_more_than_half_is_most(tmp_path: Path) -> None:
    assert compared(TRAIN, "\n".join(LEARNT[:21] + OTHER[21:]), "word", tmp_path).in_most_lines
    assert compared(TRAIN, TRAIN, "word", tmp_path).in_most_lines


def test_short_repeated_and_nearly_equal_lines_do_not_count(tmp_path: Path) -> None:
    train = "yes he did so\n" + TRAIN
    assert compared(train, "yes he did so\n" * 9, "word", tmp_path) == Overlap(0, 0)
    assert compared(train, f"{LEARNT[0]}\n" * 9 + OTHER[0], "word", tmp_path) == Overlap(1, 2)
    swapped = " ".join(reversed(LEARNT[0].split()))
    assert compared(train, f"{swapped}\n{LEARNT[0]} w1\n", "word", tmp_path) == Overlap(0, 2)
    assert not Overlap(0, 0).in_most_lines


def test_unknown_words_do_not_count_as_equal(tmp_path: Path) -> None:
    """All lines are the same once their words are <unk>."""
    path = tmp_path / "train.txt"
    path.write_text(TRAIN, encoding="utf-8")
    train = encode_corpus([path], make_tokenizer("word"), cache=None, max_vocab=3)
    valid = encode_text("\n".join(OTHER), make_tokenizer("word"), train.vocabulary)
    assert overlap(train, valid, "word").found == 0


def test_a_text_without_ends_of_lines_is_one_line(tmp_path: Path) -> None:
    text = "abcdefghijklmnopqrstuvwxyz"
    assert compared(text, text, "char", tmp_path) == Overlap(1, 1)
    assert compared(text, text[1:], "char", tmp_path) == Overlap(0, 1)


@pytest.mark.parametrize(("text", "blank"), [("\n\n", True), ("\na\n", False), (" \n", True)])
def test_texts_of_empty_lines(text: str, blank: bool) -> None:
    vocabulary = Vocabulary(["a", "<eos>"], eos="<eos>")
    assert is_blank(encode_text(text, make_tokenizer("word"), vocabulary)) == blank
