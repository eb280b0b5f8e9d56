"""The two built-in prose corpora: long enough, clean, and never padded by repetition."""

import re
import string
import unicodedata
from importlib.resources import files

import pytest

CORPORA = {
    "prose-en.txt": (3500, re.compile(f"[A-Za-z{re.escape(string.punctuation)} \n]+")),
    "prose-ko.txt": (3000, re.compile("[가-힣.,?!\"' \n]+")),
}
each_corpus = pytest.mark.parametrize("name", CORPORA)


def read_bytes(name: str) -> bytes:
    return (files("elman") / "data" / name).read_bytes()


def read_text(name: str) -> str:
    return read_bytes(name).decode("utf-8")


@each_corpus
def test_it_is_long_enough_to_learn_from(name: str) -> None:
    least_words, _ = CORPORA[name]
    assert len(read_text(name).split()) >= least_words


@each_corpus
def test_its_vocabulary_is_varied(name: str) -> None:
    words = read_text(name).split()
    assert len(set(words)) >= 1000


@each_corpus
def test_its_characters_are_normalised_and_expected(name: str) -> None:
    text = read_text(name)
    _, allowed = CORPORA[name]
    assert unicodedata.is_normalized("NFC", text)
    stray = sorted(set(allowed.sub("", text)))
    assert stray == []


@each_corpus
def test_its_lines_end_in_a_single_newline(name: str) -> None:
    data = read_bytes(name)
    assert b"\r" not in data
    assert not data.startswith(b"\xef\xbb\xbf")
    assert data.endswith(b"\n")
    lines = read_text(name).removesuffix("\n").split("\n")
    assert [line for line in lines if not line or line != line.strip() or "  " in line] == []


@each_corpus
def test_no_paragraph_occurs_twice(name: str) -> None:
    paragraphs = read_text(name).splitlines()
    assert len(set(paragraphs)) == len(paragraphs)


@each_corpus
def test_no_long_sentence_occurs_twice(name: str) -> None:
    sentences = [s for s in re.split(r"(?<=[.?!])[\"']?\s+", read_text(name)) if len(s) > 40]
    assert len(set(sentences)) == len(sentences)


@each_corpus
def test_double_quotes_pair_up_in_every_paragraph(name: str) -> None:
    unpaired = [line for line in read_text(name).splitlines() if line.count('"') % 2]
    assert unpaired == []
