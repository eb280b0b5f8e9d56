"""Prose as people keep it in files: licences around a book, wrapped lines, headings; and its sentences."""

import re
from collections.abc import Iterable, Iterator
from itertools import chain, islice

LAYOUTS = ("paragraphs", "lines")
HEAD_LINES = 1000  # among which a book of Project Gutenberg says that it begins
LONGEST_PARAGRAPH = 1 << 20  # characters; a text without empty lines is cut, at the end of a line

_BOOK_BEGINS = re.compile(r"\*\*\* ?START OF (?:THIS|THE) PROJECT GUTENBERG")
_BOOK_ENDS = re.compile(r"\*\*\* ?END OF (?:THIS|THE) PROJECT GUTENBERG|End of (?:the )?Project Gutenberg")
_HEADING = re.compile(r"\s*=.*=\s*$")  # of a wiki
_SPEAKER = re.compile(r"[A-Z][\w' ]{0,40}:\s*$")  # of a play
_END = re.compile(r"""[.!?…]+["”’')\]]*\s+(?=["“‘'(\[]*\s?[A-Z0-9<])""")
_ABBREVIATION = re.compile(
    r"nos?|op|vols?|pp?|fig|eds?|vs?|cf|ca?|mt|ft|jr|sr|inc|ltd|co|corp|bros|dept|est|approx|jan|feb|mar|apr|jun|jul|"
    r"aug|sept?|oct|nov|dec|mrs?|ms|dr|st|messrs|m|mme|mlle|prof|rev|hon|gen|col|capt|lt|sgt|maj",
    re.IGNORECASE,
)
_LAST_WORD = re.compile(r"([^\W_](?:[\w.]*[^\W_])?)$")


def paragraphs(lines: Iterable[str], layout: str = "paragraphs") -> Iterator[str]:
    """Yield the paragraphs of a text, each as one line: what stands between empty lines.

    With the layout ``lines`` every line is one. Left out are what Project Gutenberg writes before and after
    a book, headings of a wiki (`= Title =`), and the lines of a play that name who speaks (`ROMEO:`).
    """
    held: list[str] = []
    length = 0
    for line in chain(_body(lines), [""]):
        blank = not line.strip()
        if held and (blank or layout == "lines" or length > LONGEST_PARAGRAPH or _HEADING.match(line)):
            yield " ".join(held)
            held, length = [], 0
        if not (blank or _HEADING.match(line) or (not held and _SPEAKER.match(line))):
            held.append(line.strip())
            length += len(line)


def _body(lines: Iterable[str]) -> Iterator[str]:
    """Yield the lines without the licence around a book of Project Gutenberg."""
    rest = iter(lines)
    head = list(islice(rest, HEAD_LINES))
    begins = next((k + 1 for k, line in enumerate(head) if _BOOK_BEGINS.search(line)), 0)
    for line in chain(head[begins:], rest):
        if _BOOK_ENDS.search(line):
            return
        yield line


def sentences(paragraph: str) -> Iterator[str]:
    """Yield the sentences of a paragraph: each ends with . ! or ?, before a capital letter or a number.

    The dot of an abbreviation or of an initial (J. Smith, U.S.) ends none.
    """
    start = 0
    for end in _END.finditer(paragraph):
        if end[0].startswith(".") and _is_short(paragraph[start : end.start()]):
            continue
        yield paragraph[start : end.end()].strip()
        start = end.end()
    if last := paragraph[start:].strip():
        yield last


def _is_short(before: str) -> bool:
    """Tell whether the text before a dot ends in what is written with one."""
    found = _LAST_WORD.search(before)
    if found is None:
        return False
    word = found[1]
    initial = len(word) == 1 and word.isupper() and word != "I"
    return initial or "." in word or _ABBREVIATION.fullmatch(word) is not None
