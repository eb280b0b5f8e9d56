"""Written text as it is spoken, and as recognisers of speech spell it: `MISTER BROWN PAID FIVE DOLLARS`.

Capital letters, no punctuation but the apostrophe within a word, numbers and signs in words: the spelling of
LibriSpeech (V. Panayotov and others, ICASSP 2015).
"""

import importlib
import re
import unicodedata
from collections.abc import Iterable, Iterator
from functools import lru_cache
from typing import Any

from elman.errors import MissingExtra
from elman.text.prose import paragraphs, sentences
from elman.text.vocabulary import UNK

LONGEST = 60  # words of a line; a longer sentence is cut at a semicolon, a colon or a dash
MOST_DIGITS = 15
_UNKNOWN = "\ue000"  # stands for <unk> while punctuation goes
_TITLES = {
    "Mr": "Mister", "Mrs": "Missus", "Dr": "Doctor", "St": "Saint", "Capt": "Captain", "Col": "Colonel",
    "Gen": "General", "Lt": "Lieutenant", "Sgt": "Sergeant", "Maj": "Major", "Prof": "Professor",
    "Rev": "Reverend", "Hon": "Honorable", "Mme": "Madame", "Mlle": "Mademoiselle", "Mt": "Mount",
    "Jr": "Junior", "Sr": "Senior", "vs": "versus", "etc": "et cetera",
}  # fmt: skip
_LETTERS = str.maketrans(
    {"ß": "ss", "æ": "ae", "Æ": "AE", "œ": "oe", "Œ": "OE", "ø": "o", "Ø": "O", "ł": "l", "Ł": "L", "đ": "d", "Đ": "D",
     "ð": "d", "Ð": "D", "þ": "th", "Þ": "Th", "ı": "i", "’": "'", "ʼ": "'", "ʻ": "'", "`": "'"}
)  # fmt: skip
_CURRENCIES = {"$": "dollars", "£": "pounds", "€": "euros"}
_SIGNS = {"&": " and ", "%": " percent ", "°": " degrees ", "+": " plus "}
_ROMAN = {"I": 1, "V": 5, "X": 10, "L": 50, "C": 100}

_TITLE = re.compile(rf"\b({'|'.join(_TITLES)})\b ?\.|\b(Mr|Mrs|Dr)\b")
_NUMBERED = re.compile(r"\b(chapter|book|part|volume|act|scene) ([IVXLC]+)\b", re.IGNORECASE)
_NUMBER_SIGN = re.compile(r"\bNo ?\. ?(?=\d)")
_TOKENISED = (  # blanks that a tokenizer put into words: 1 @,@ 000 · do n't · game 's · o 'clock · d 'Artagnan
    (re.compile(r" @([,.])@ "), r"\1"),
    (re.compile(r" @[-–]@ "), "-"),
    (re.compile(r" (n't)\b", re.IGNORECASE), r"\1"),
    (re.compile(r"(?<=\w) '(s|t|re|ve|ll|d|m)\b", re.IGNORECASE), r"'\1"),
    (re.compile(r"\b([odl]) '(?=[a-z])", re.IGNORECASE), r"\1'"),
)
_MONEY = re.compile(r"([$£€]) ?(\d[\d,]*(?:\.\d+)?)((?: (?:hundred|thousand|million|billion|trillion))*)")
_NUMBER = re.compile(r"(\d+(?:,\d{3})+|\d+)(?:\.(\d+))?(st|nd|rd|th|s)?(?![^\W\d_])|(\d+)")
_FOREIGN = re.compile(r"[^\W\d_a-zA-Z]+")
_WORD = re.compile(rf"{_UNKNOWN}|[a-zA-Z]+(?:'[a-zA-Z]+)*")
_CLAUSE = re.compile(r"(?<=[;:—–])|(?<=--)")


def spoken_lines(lines: Iterable[str], layout: str = "paragraphs") -> Iterator[str]:
    """Yield a text sentence by sentence, as it is spoken. ``layout``: see `paragraphs`.

    Raises MissingExtra for a number where num2words is not installed.
    """
    for paragraph in paragraphs(lines, layout):
        for sentence in sentences(_expand(paragraph)):
            yield from map(" ".join, _of_a_line_length(sentence))


def spoken(text: str) -> str:
    """Return a piece of text, such as one sentence, as it is spoken."""
    return " ".join(_words(_expand(text)))


def _of_a_line_length(sentence: str) -> Iterator[list[str]]:
    """Yield the words of a sentence, of a long one in several parts."""
    words = _words(sentence)
    if len(words) > LONGEST:
        words = []
        for clause in map(_words, _CLAUSE.split(sentence)):
            if words and len(words) + len(clause) > LONGEST:
                yield words
                words = []
            words = words + clause
    if any(word != UNK for word in words):
        yield words


def _expand(text: str) -> str:
    """Write abbreviations out, whose dots would end sentences, and join words that a tokenizer cut."""
    text = text.replace(UNK, _UNKNOWN).translate(_LETTERS)
    for pattern, joined in _TOKENISED:
        text = pattern.sub(joined, text)
    text = _TITLE.sub(lambda found: f"{_TITLES[found[1] or found[2]]} ", text)
    return _NUMBER_SIGN.sub("number ", text)


def _words(text: str) -> list[str]:
    """Return the words of an expanded text."""
    text = _NUMBERED.sub(lambda found: f"{found[1]} {_in_words(str(_roman(found[2])), 'cardinal')}", text)
    text = _MONEY.sub(lambda found: f"{found[2]}{found[3]} {_CURRENCIES[found[1]]} ", text)
    text = _NUMBER.sub(_read_number, text)
    for sign, word in _SIGNS.items():
        text = text.replace(sign, word)
    plain = "".join(c for c in unicodedata.normalize("NFKD", text) if not unicodedata.combining(c))
    words = _WORD.findall(_FOREIGN.sub(f" {_UNKNOWN} ", plain) if not plain.isascii() else plain)
    return [UNK if word == _UNKNOWN else word.upper() for word in words]


def _read_number(found: re.Match[str]) -> str:
    whole, fraction, ending, within = found.groups()
    digits = (whole or within).replace(",", "")
    if len(digits) > MOST_DIGITS:
        return f" {_UNKNOWN} "
    if fraction:
        return (
            f" {_in_words(digits, 'cardinal')} point {' '.join(_in_words(d, 'cardinal') for d in fraction)} "
        )
    if ending in ("st", "nd", "rd", "th"):
        return f" {_in_words(digits, 'ordinal')} "
    is_year = len(whole or "") == 4 and 1100 <= int(digits) < 2100
    said = _in_words(digits, "year" if is_year else "cardinal")
    if ending == "s":
        said = f"{said[:-1]}ies" if said.endswith("y") else f"{said}s"
    return f" {said} "


@lru_cache(10_000)
def _in_words(digits: str, kind: str) -> str:
    try:
        num2words: Any = importlib.import_module("num2words").num2words
    except ImportError as error:
        raise MissingExtra("num2words", "speech") from error
    return str(num2words(int(digits), to=kind))


def _roman(numeral: str) -> int:
    values = [_ROMAN[letter] for letter in numeral.upper()]
    return sum(-v if v < after else v for v, after in zip(values, [*values[1:], 0], strict=True))
