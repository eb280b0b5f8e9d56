"""Written text as it is spoken, in the spelling of LibriSpeech."""

import re
import string
import unicodedata
from importlib.resources import files

import pytest

from elman.errors import MissingExtra
from elman.text.spoken import LONGEST_LINE, paragraphs, sentences, spoken, spoken_lines

GUTENBERG = """The Project Gutenberg EBook of a Book

*** START OF THIS PROJECT GUTENBERG EBOOK A BOOK ***

CHAPTER IV

“Well, Prince,” said Mr. Brown
to Mrs. Smith—“he’s late!” She smiled. It was 1805 &
nothing stirred.

*** END OF THIS PROJECT GUTENBERG EBOOK A BOOK ***
Licence. More of it.
"""
WIKI = """ = Title =
 The game 's 1 @,@ 200 players do n't play real @-@ time <unk> games ; 3 @.@ 5 % of them paid $ 2 million .
 They ( in Japan : 戦場 ) left . " Why ? "
 = = Part = =
"""


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (
            "Mr. and Mrs Brown met Dr. Who in St. Petersburg.",
            "MISTER AND MISSUS BROWN MET DOCTOR WHO IN SAINT PETERSBURG",
        ),
        ("He does n't; she don 't; it isn’t ‘so’.", "HE DOESN'T SHE DON'T IT ISN'T SO"),
        ("the players ' game 's o 'clock, d 'Artagnan", "THE PLAYERS GAME'S O'CLOCK D'ARTAGNAN"),
        ("'Tis Hélène — Æsop’s naïve Łódź", "TIS HELENE AESOP'S NAIVE LODZ"),
        ("1 @,@ 000 1,000 100 21 1000000", "ONE THOUSAND ONE THOUSAND ONE HUNDRED TWENTY ONE ONE MILLION"),
        ("in 1905, the 1990s, in 2010", "IN NINETEEN OH FIVE THE NINETEEN NINETIES IN TWENTY TEN"),
        ("1st 2nd 3rd 20th", "FIRST SECOND THIRD TWENTIETH"),
        ("3.14 and 3 @.@ 5", "THREE POINT ONE FOUR AND THREE POINT FIVE"),
        ("$5, £ 3 million, 25 %", "FIVE DOLLARS THREE MILLION POUNDS TWENTY FIVE PERCENT"),
        ("Brown & Co., No. 7, etc.", "BROWN AND CO NUMBER SEVEN ET CETERA"),
        ("Chapter XIV, Book ix, I said", "CHAPTER FOURTEEN BOOK NINE I SAID"),
        ("F35 3D 1914–18", "F THIRTY FIVE THREE D NINETEEN FOURTEEN EIGHTEEN"),
        ("the <unk> of 戦場の x", "THE <unk> OF <unk> X"),
        ("1234567890123456", "<unk>"),
        ("-- !", ""),
    ],
)
def test_spoken(text: str, said: str) -> None:
    assert spoken(text) == said


def test_the_spoken_form_of_spoken_text_is_unchanged() -> None:
    said = spoken("Mr. Brown's 21 dogs don’t bark, in 1905 <unk>!")
    assert spoken(said) == said


def test_a_book_is_read_without_its_licence_and_by_sentences() -> None:
    assert list(spoken_lines(GUTENBERG.split("\n"))) == [
        "CHAPTER FOUR",
        "WELL PRINCE SAID MISTER BROWN TO MISSUS SMITH HE'S LATE",
        "SHE SMILED",
        "IT WAS EIGHTEEN OH FIVE AND NOTHING STIRRED",
    ]


def test_a_wiki_is_read_without_its_headings() -> None:
    assert list(spoken_lines(WIKI.split("\n"))) == [
        "THE GAME'S ONE THOUSAND TWO HUNDRED PLAYERS DON'T PLAY REAL TIME <unk> GAMES THREE POINT FIVE PERCENT OF "
        "THEM PAID TWO MILLION DOLLARS",
        "THEY IN JAPAN <unk> LEFT",
        "WHY",
    ]


def test_speakers_of_a_play_are_left_out() -> None:
    play = ["First Citizen:", "Before we proceed", "any further, hear me speak.", "", "All:", "Speak, speak."]
    assert list(spoken_lines(play)) == ["BEFORE WE PROCEED ANY FURTHER HEAR ME SPEAK", "SPEAK SPEAK"]


def test_lines_can_be_read_one_by_one() -> None:
    assert list(paragraphs(["a", "b", "", "c"])) == ["a b", "c"]
    assert list(paragraphs(["a", "b", "", "c"], "lines")) == ["a", "b", "c"]


def test_dots_of_abbreviations_and_initials_end_no_sentence() -> None:
    text = 'J. R. Smith of the U.S. Army met Gen. Lee. "No!" he said. Then (later) ... It was I. We left'
    assert list(sentences(text)) == [
        "J. R. Smith of the U.S. Army met Gen. Lee.",
        '"No!" he said.',
        "Then (later) ...",
        "It was I.",
        "We left",
    ]


def test_a_long_sentence_is_cut_between_its_clauses() -> None:
    clause = "one two three four five six seven eight nine ten"
    lines = list(spoken_lines(["; ".join([clause] * 9)]))
    assert [len(line.split()) for line in lines] == [LONGEST_LINE, 30]
    assert " ".join(lines) == " ".join([clause.upper()] * 9)


def test_a_line_of_unknown_words_alone_is_left_out() -> None:
    assert list(spoken_lines(["<unk> <unk> .", "", "a <unk>"])) == ["A <unk>"]


def test_a_missing_library_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "num2words", None)
    assert spoken("no number") == "NO NUMBER"
    with pytest.raises(MissingExtra, match=r"elman\[speech\]"):
        spoken("987654")


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
