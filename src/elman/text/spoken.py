"""Convert written text to its spoken form, as speech recognisers spell it: `MISTER BROWN PAID FIVE DOLLARS`.

The spoken form has capital letters, no punctuation except apostrophes within words, and numbers and signs spelled out:
the conventions of LibriSpeech (V. Panayotov and others, ICASSP 2015); numbers: `elman.text.numbers`. Text from files is
first split into paragraphs (without licences around a book, line wrapping and headings) and sentences.
"""

import re
import unicodedata
from collections.abc import Iterable, Iterator
from itertools import chain, islice

from elman.text.number_words import UNKNOWN, in_words
from elman.text.numbers import numbers_in_words
from elman.text.vocabulary import UNK

LAYOUTS = ("paragraphs", "lines")
HEAD_LINES = 1000  # searched for the line with which Project Gutenberg marks the beginning of a book
LONGEST_PARAGRAPH = 1 << 20  # characters; a longer one is cut at the end of a line

_BOOK_BEGINS = re.compile(r"\*\*\* ?START OF (?:THIS|THE) PROJECT GUTENBERG")
_BOOK_ENDS = re.compile(r"\*\*\* ?END OF (?:THIS|THE) PROJECT GUTENBERG|End of (?:the )?Project Gutenberg")
_HEADING = re.compile(r"\s*=.*=\s*$")  # in wiki markup
_SPEAKER = re.compile(r"[A-Z][\w' ]{0,40}:\s*$")  # in a play
_SENTENCE_END = re.compile(r"""[.!?…]+["”’')\]]*\s+(?=["“‘'(\[]*\s?[A-Z0-9<])""")
_ABBREVIATION = re.compile(
    r"nos?|op|vols?|pp?|fig|eds?|vs?|cf|ca?|mt|ft|jr|sr|inc|ltd|co|corp|bros|dept|est|approx|jan|feb|mar|apr|jun|jul|"
    r"aug|sept?|oct|nov|dec|mrs?|ms|dr|st|messrs|m|mme|mlle|prof|rev|hon|gen|col|capt|lt|sgt|maj",
    re.IGNORECASE,
)
_LAST_WORD = re.compile(r"([^\W_](?:[\w.]*[^\W_])?)$")

LONGEST_LINE = 60  # words; a longer sentence is cut at semicolons, colons and dashes
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
_SIGNS = {"&": " and ", "%": " percent ", "‰": " per mille ", "°": " degrees ", "+": " plus "}
_ROMAN = {"I": 1, "V": 5, "X": 10, "L": 50, "C": 100}

_TITLE = re.compile(rf"\b({'|'.join(_TITLES)})\b ?\.|\b(Mr|Mrs|Dr)\b")
_NUMBERED = re.compile(r"\b(chapter|book|part|volume|act|scene) ([IVXLC]+)\b", re.IGNORECASE)
_NUMBER_SIGN = re.compile(r"(?:\bNo ?\.|№) ?(?=\d)")
_TOKENISED = (  # spaces that a tokenizer put into words: 1 @,@ 000 · do n't · game 's · o 'clock · d 'Artagnan
    (re.compile(r" @([,.])@ "), r"\1"),
    (re.compile(r" @[-–]@ "), "-"),
    (re.compile(r"(?<=\d) : (?=\d\d\b)"), ":"),
    (re.compile(r" (n't)\b", re.IGNORECASE), r"\1"),
    (re.compile(r"(?<=\w) '(s|t|re|ve|ll|d|m)\b", re.IGNORECASE), r"'\1"),
    (re.compile(r"\b([odl]) '(?=[a-z])", re.IGNORECASE), r"\1'"),
)
_FOREIGN = re.compile(r"[^\W\d_a-zA-Z]+")
_WORD = re.compile(rf"{UNKNOWN}|[a-zA-Z]+(?:'[a-zA-Z]+)*")
_CLAUSE = re.compile(r"(?<=[;:—–])|(?<=--)")


def spoken_lines(lines: Iterable[str], layout: str = "paragraphs") -> Iterator[str]:
    """Yield the sentences of a text in spoken form, one per line. ``layout``: see `paragraphs`.

    Raises MissingExtra for a text with numbers if num2words is not installed.
    """
    for paragraph in paragraphs(lines, layout):
        for sentence in sentences(_expand(paragraph)):
            yield from map(" ".join, _lines_of_words(sentence))


def spoken(text: str) -> str:
    """Return the spoken form of a short text, such as one sentence."""
    return " ".join(_words(_expand(text)))


def paragraphs(lines: Iterable[str], layout: str = "paragraphs") -> Iterator[str]:
    """Yield the paragraphs of a text, each joined to one line; empty lines separate them.

    With the layout ``lines`` every line is a paragraph. Left out are the text that Project Gutenberg adds before and
    after a book, wiki headings (`= Title =`), and the lines of a play that name the speaker (`ROMEO:`).
    """
    paragraph: list[str] = []
    length = 0
    for line in chain(_body(lines), [""]):
        empty = not line.strip()
        if paragraph and (empty or layout == "lines" or length > LONGEST_PARAGRAPH or _HEADING.match(line)):
            yield " ".join(paragraph)
            paragraph, length = [], 0
        if not (empty or _HEADING.match(line) or (not paragraph and _SPEAKER.match(line))):
            paragraph.append(line.strip())
            length += len(line)


def _body(lines: Iterable[str]) -> Iterator[str]:
    """Yield the lines without the licence around a Project Gutenberg book."""
    rest = iter(lines)
    head = list(islice(rest, HEAD_LINES))
    begins = next((k + 1 for k, line in enumerate(head) if _BOOK_BEGINS.search(line)), 0)
    for line in chain(head[begins:], rest):
        if _BOOK_ENDS.search(line):
            return
        yield line


def sentences(paragraph: str) -> Iterator[str]:
    """Yield the sentences of a paragraph: each ends with . ! or ?, before a capital letter or a number.

    The dot of an abbreviation or initial (J. Smith, U.S.) does not end a sentence.
    """
    start = 0
    for end in _SENTENCE_END.finditer(paragraph):
        if end[0].startswith(".") and _ends_in_abbreviation(paragraph[start : end.start()]):
            continue
        yield paragraph[start : end.end()].strip()
        start = end.end()
    if last := paragraph[start:].strip():
        yield last


def _ends_in_abbreviation(before: str) -> bool:
    """Return whether the text before a dot ends in an abbreviation or an initial."""
    found = _LAST_WORD.search(before)
    if found is None:
        return False
    word = found[1]
    initial = len(word) == 1 and word.isupper() and word != "I"
    return initial or "." in word or _ABBREVIATION.fullmatch(word) is not None


def _lines_of_words(sentence: str) -> Iterator[list[str]]:
    """Yield the words of a sentence, those of a long one in several lines."""
    words = _words(sentence)
    if len(words) > LONGEST_LINE:
        words = []
        for clause in map(_words, _CLAUSE.split(sentence)):
            if words and len(words) + len(clause) > LONGEST_LINE:
                yield words
                words = []
            words = words + clause
    if any(word != UNK for word in words):
        yield words


def _expand(text: str) -> str:
    """Spell out abbreviations, whose dots could end sentences, and rejoin words that a tokenizer split."""
    text = text.replace(UNK, UNKNOWN).translate(_LETTERS)
    for pattern, joined in _TOKENISED:
        text = pattern.sub(joined, text)
    text = _TITLE.sub(lambda found: f"{_TITLES[found[1] or found[2]]} ", text)
    return _NUMBER_SIGN.sub("number ", text)


def _words(text: str) -> list[str]:
    """Return the words of an expanded text in spoken form."""
    text = _NUMBERED.sub(lambda found: f"{found[1]} {in_words(str(_roman(found[2])), 'cardinal')}", text)
    text = numbers_in_words(text)
    for sign, word in _SIGNS.items():
        text = text.replace(sign, word)
    plain = "".join(c for c in unicodedata.normalize("NFKD", text) if not unicodedata.combining(c))
    words = _WORD.findall(_FOREIGN.sub(f" {UNKNOWN} ", plain) if not plain.isascii() else plain)
    return [UNK if word == UNKNOWN else word.upper() for word in words]


def _roman(numeral: str) -> int:
    values = [_ROMAN[letter] for letter in numeral.upper()]
    return sum(-v if v < after else v for v, after in zip(values, [*values[1:], 0], strict=True))
