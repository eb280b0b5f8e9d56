r"""ARPA files, read: the backoff n-gram model of any program as one of ours.

The text of an ARPA file, checked line by line.

    \data\            what stands before it is a comment
    ngram 1=3         how many n-grams there are of each length
    ngram 2=2

    \1-grams:
    -1.1  </s>        log10 P, n-gram, and log10 of its backoff weight where that is not 1
    -99   <s>  -0.3
    -0.4  a    -0.2

    \2-grams:
    -0.3  <s> a
    -0.6  a </s>

    \end\
"""

import gzip
import math
import re
import unicodedata
import zlib
from array import array
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, NoReturn, cast

import numpy as np
from numpy.typing import NDArray

from elman.errors import ModelFileError
from elman.models.ngram.levels import UNSEEN, Level, numbers_and_probs
from elman.models.ngram.model import NgramModel
from elman.models.tokenized import TokenizedModel
from elman.text.tokenizers import EOS, make_tokenizer
from elman.text.vocabulary import UNK, Vocabulary

START, END = "<s>", "</s>"
LOG_ZERO = -99  # stands for the logarithm of 0
_MOST = 99  # a backoff weight beyond its tenth power is a mistake
_COUNT = re.compile(rb"ngram\s+(\d+)\s*=\s*(\d+)\s*")


@dataclass
class Section:
    """The n-grams of one length, in the order of the file."""

    n: int
    ids: "array[int]" = field(default_factory=lambda: array("i"))
    log10_probs: "array[float]" = field(default_factory=lambda: array("d"))
    log10_backoffs: "array[float]" = field(default_factory=lambda: array("d"))
    lines: "array[int]" = field(default_factory=lambda: array("q"))  # where each stands

    @property
    def rows(self) -> NDArray[np.int64]:
        """The ids of the n-grams' words, (G, n)."""
        return np.array(self.ids, np.int64).reshape(-1, self.n)


class ArpaText:
    """What an ARPA file says: its words but ``<s>``, in order, and its sections; the id of ``<s>`` is V.

    Raises ModelFileError for what is no ARPA file, or a damaged one: names the line.
    """

    def __init__(self, path: Path, file: Iterable[bytes]) -> None:
        self.path = path
        self.words: list[str] = []
        self.sections: list[Section] = []
        self._file = iter(file)
        self._line = 0  # the number of the line in hand
        self._ids: dict[bytes, int] = {}
        self._seen: set[str] = set()
        self._read()

    def fail(self, what: str, line: int | None = None) -> NoReturn:
        """Raise ModelFileError about a line."""
        raise ModelFileError(f"{self.path}, line {self._line if line is None else line}: {what}")

    def _read(self) -> None:
        sizes = self._sizes()
        for n, size in enumerate(sizes, 1):
            self._section(n, size)
            last = n == len(sizes)
            self._heading(b"\\end\\" if last else b"\\%d-grams:" % (n + 1), f"{size:,} {n}-grams")

    def _fields(self) -> list[bytes]:
        """Return the fields of the next line that is not blank."""
        for line in self._file:
            self._line += 1
            if fields := line.split():
                return fields
        self.fail(r"the file ends here, without \end\: it is cut short")

    def _sizes(self) -> list[int]:
        """Read the head, up to the heading of the 1-grams; return how many n-grams it promises, for n = 1, ..."""
        for line in self._file:
            self._line += 1
            if line.strip() == b"\\data\\":
                break
        else:
            raise ModelFileError(f"{self.path} is no ARPA file: it has no line \\data\\")
        sizes: list[int] = []
        while (line := b" ".join(self._fields())) != b"\\1-grams:":
            found = _COUNT.fullmatch(line)
            if found is None or int(found[1]) != len(sizes) + 1:
                self.fail(f"expected 'ngram {len(sizes) + 1}=COUNT' or \\1-grams:, got {_shown(line)}")
            sizes.append(int(found[2]))
        if not sizes:
            self.fail("expected 'ngram 1=COUNT' before the 1-grams")
        return sizes

    def _heading(self, wanted: bytes, after: str) -> None:
        found = b" ".join(self._fields())
        if found != wanted:
            self.fail(
                f"expected {wanted.decode()} after the {after} that the head promises, got {_shown(found)}"
            )

    def _section(self, n: int, size: int) -> None:
        section = Section(n)
        for k in range(size):
            fields = self._fields()
            if len(fields) not in (n + 1, n + 2):
                if fields[0].startswith(b"\\"):
                    self.fail(f"the head promises {size:,} {n}-grams, but only {k:,} stand here")
                self.fail(f"a {n}-gram has {n + 1} or {n + 2} fields, got {len(fields)}")
            section.log10_probs.append(self._number(fields[0], "probability", 0))
            section.log10_backoffs.append(
                self._number(fields[n + 1], "backoff weight", _MOST) if len(fields) == n + 2 else 0.0
            )
            section.lines.append(self._line)
            if n == 1:
                self._add_word(fields[1])
            try:
                section.ids.extend([self._ids[word] for word in fields[1 : n + 1]])
            except KeyError as error:
                self.fail(f"the word {_shown(error.args[0])} is not among the 1-grams")
        if n == 1 and START in self._seen:
            self._ids[START.encode()] = len(self.words)
            section.ids = array("i", [len(self.words) if id_ < 0 else id_ for id_ in section.ids])
        self.sections.append(section)

    def _number(self, text: bytes, what: str, most: int) -> float:
        try:
            value = float(text)
        except ValueError:
            value = math.nan
        if not value <= most:
            self.fail(f"the log10 of a {what} must be a number of at most {most}, got {_shown(text)}")
        return max(value, LOG_ZERO)

    def _add_word(self, raw: bytes) -> None:
        try:
            word = unicodedata.normalize("NFC", raw.decode("utf-8"))  # as texts are read
        except UnicodeDecodeError:
            self.fail(f"{_shown(raw)} is not UTF-8")
        if raw in self._ids or word in self._seen:
            self.fail(f"the word {word!r} stands among the 1-grams twice")
        self._seen.add(word)
        self._ids[raw] = -1 if word == START else len(self.words)
        if word != START:
            self.words.append(word)


def _shown(raw: bytes) -> str:
    text = raw.decode("utf-8", "backslashreplace")
    return repr(text if len(text) <= 40 else text[:40] + "…")


GZIP = b"\x1f\x8b"  # how a gzipped file begins
HEAD = 1 << 16  # bytes in which an ARPA file says that it is one: comments may come before
_LEAST = 1e-10  # of what backing off gives is the least that a listed probability counts: so that rounding leaves P > 0


def is_arpa(path: Path) -> bool:
    """Return whether a file is an ARPA file, by its beginning or, where that cannot be read, by its name."""
    named_so = path.name.endswith((".arpa", ".arpa.gz"))
    try:
        with _opened(path) as file:
            head = file.read(HEAD)
    except (OSError, EOFError, zlib.error):
        return named_so
    return named_so or head.startswith(b"\\data\\") or b"\n\\data\\" in head


def _opened(path: Path) -> IO[bytes]:
    """Open a file for reading; one that is gzipped is decompressed."""
    with path.open("rb") as file:
        gzipped = file.read(len(GZIP)) == GZIP
    return cast(IO[bytes], gzip.open(path)) if gzipped else path.open("rb")


def read_arpa(path: str | Path) -> TokenizedModel:
    """Return the model of an ARPA file (UTF-8, gzipped or not); its ``</s>`` is our ``<eos>``.

    P(w | h) is the number in the line of h w, and backoff(h) · P(w | h without its oldest word) where there is
    none. Whether these sum to 1 is for the file's maker to see to. Where the file has ``<unk>``, it is what
    unknown words are read as.

    Raises:
        ModelFileError: the file is missing or damaged: names the line.
    """
    path = Path(path)
    if not path.is_file():
        raise ModelFileError(f"there is no ARPA file at {path}")
    try:
        with _opened(path) as file:
            text = ArpaText(path, file)
    except (OSError, EOFError, zlib.error) as error:
        raise ModelFileError(f"{path} cannot be read: {error}") from error
    vocabulary = _vocabulary(text)
    model = NgramModel(_levels(text), len(vocabulary), vocabulary.eos_id)
    return TokenizedModel(model, make_tokenizer("word"), vocabulary, {"imported": path.name})


def _vocabulary(text: ArpaText) -> Vocabulary:
    """Return the file's words in their order there."""
    if END not in text.words:
        raise ModelFileError(f"{text.path} has no {END} among its 1-grams: it is no model of sentences")
    if EOS in text.words:
        raise ModelFileError(
            f"{text.path} has {EOS} beside {END} among its 1-grams: both end a sentence here"
        )
    tokens = [EOS if word == END else word for word in text.words]
    unk = next((word for word in (UNK, "<UNK>") if word in tokens), None)
    return Vocabulary(tokens, unk, EOS)


def _levels(text: ArpaText) -> list[Level]:
    """Return the tables that give each listed n-gram its probability, and the others their context's backoff."""
    levels: list[Level] = []
    backoffs = np.zeros(1)  # (C,) of the contexts: every word stands among the 1-grams, none backs off
    V = len(text.words)
    for section in text.sections:
        rows = section.rows
        contexts = np.zeros(len(rows), np.int64)
        lower = np.ones(len(rows))  # (G,) P(w | h without its oldest word)
        if section.n > 1:
            contexts, _ = numbers_and_probs(levels, rows[:, :-1], V)
            _, lower = numbers_and_probs(levels, rows[:, 1:], V)
            _check(text, section, contexts)
        backed_off = backoffs[contexts] * lower
        probs = np.maximum(10 ** np.array(section.log10_probs), _LEAST * backed_off)
        if section.n == 1:
            probs[rows[:, 0] == V] = 0  # <s> is never predicted
        keys = contexts * (V + 1) + rows[:, -1]
        order = np.argsort(keys, kind="stable")
        _check_distinct(text, section, keys, order)
        levels.append(Level(keys[order], (probs - backed_off)[order], backoffs, V + 1))
        backoffs = 10 ** np.array(section.log10_backoffs)[order]
    return levels


def _check(text: ArpaText, section: Section, contexts: NDArray[np.int64]) -> None:
    """Raise ModelFileError for the first n-gram whose first n - 1 words are not listed."""
    (orphans,) = np.nonzero(contexts == UNSEEN)
    if orphans.size:
        n = section.n
        text.fail(f"this {n}-gram begins with a {n - 1}-gram that is not listed", section.lines[orphans[0]])


def _check_distinct(
    text: ArpaText, section: Section, keys: NDArray[np.int64], order: NDArray[np.intp]
) -> None:
    """Raise ModelFileError for the first n-gram that is listed a second time."""
    twice = order[1:][keys[order[1:]] == keys[order[:-1]]]
    if twice.size:
        text.fail(f"this {section.n}-gram stands in the file a second time", section.lines[int(twice.min())])
