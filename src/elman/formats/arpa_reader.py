r"""Read ARPA files, the text format for backoff n-gram models of any program.

    \data\            everything before it is a comment
    ngram 1=3         the number of n-grams of each length
    ngram 2=2

    \1-grams:
    -1.1  </s>        log10 P, the n-gram, and log10 of its backoff weight if that is not 1
    -99   <s>  -0.3
    -0.4  a    -0.2

    \2-grams:
    -0.3  <s> a
    -0.6  a </s>

    \end\

Fields are separated by ASCII whitespace only: other spaces, such as U+00A0 and U+3000, are parts of words. So texts
that the model reads are split in the same way.
"""

import codecs
import io
import math
import re
import unicodedata
from array import array
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, NoReturn

import numpy as np
from numpy.typing import NDArray

from elman.errors import ConfigError, ElmanError, ModelFileError, TextError
from elman.formats.kenlm_binary import refuse_kenlm_binary
from elman.formats.model_file import check_finite
from elman.models.ngram.levels import UNSEEN, Level, numbers_and_probs
from elman.models.ngram.model import NgramModel
from elman.models.tokenized import TokenizedModel
from elman.parsing import parsing
from elman.text.compressed import SUFFIXES, as_file
from elman.text.reading import read_bytes
from elman.text.tokenizers import EOS, make_tokenizer
from elman.text.vocabulary import UNK, Vocabulary

START, END = "<s>", "</s>"
LOG_ZERO = -99  # stands for the logarithm of 0
_MOST = 99  # the largest plausible log10 of a backoff weight
_COUNT = re.compile(rb"ngram\s+(\d{1,4})\s*=\s*(\d{1,18})\s*")
_NUMBER = re.compile(rb"[-+]?(\d+(\.\d*)?|\.\d+)([eE][-+]?\d+)?|[-+]?inf(inity)?", re.IGNORECASE)
_DATA = re.compile(rb"(^|\n)[ \t\r]*\\data\\")
HEAD = 1 << 16  # bytes searched for \data\, because comments may precede it
_LEAST = (
    1e-10  # the lowest ratio of a listed probability to the backed-off one, so that rounding leaves P > 0
)


def is_arpa(path: Path, encoding: str = "utf-8") -> bool:
    """Return whether a file is an ARPA file, judging by the line ``\\data\\`` near its beginning, or by its name."""
    named_arpa = path.name.endswith((".arpa", *(f".arpa{suffix}" for suffix in SUFFIXES)))
    if named_arpa or not path.is_file():
        return named_arpa
    utf8 = _is_utf8(encoding)
    try:
        with parsing(path, ModelFileError), _opened(path) as file:
            head = file.read(HEAD)
            return _DATA.search(head if utf8 else head.decode(encoding, "ignore").encode()) is not None
    except ElmanError:
        return False


def _is_utf8(encoding: str) -> bool:
    """Return whether an encoding is UTF-8 or ASCII. Raises ConfigError for one that does not exist."""
    try:
        "".encode(encoding)
        return codecs.lookup(encoding).name in ("utf-8", "utf-8-sig", "ascii")
    except (LookupError, ValueError) as error:
        raise ConfigError(f"unknown `encoding` {encoding!r}; try utf-8, utf-16, latin-1, cp949") from error


def _opened(path: Path) -> IO[bytes]:
    """Open a file for reading; a compressed one is decompressed."""
    return as_file(_bytes(path))


def _bytes(path: Path) -> Iterator[bytes]:
    """Yield the bytes of a file, decompressed. Raises ModelFileError where it is damaged."""
    try:
        yield from read_bytes(path)
    except TextError as error:
        raise ModelFileError(f"{path} cannot be read: {error}") from error


def _lines(file: IO[bytes], encoding: str) -> Iterator[bytes]:
    """Yield the lines of an open file in UTF-8, without a byte order mark."""
    if _is_utf8(encoding):
        lines = iter(file)
        yield next(lines, b"").removeprefix(codecs.BOM_UTF8)
        yield from lines
    else:
        yield from (line.encode() for line in io.TextIOWrapper(file, encoding, newline="\n"))


def read_arpa(path: str | Path, encoding: str = "utf-8") -> TokenizedModel:
    """Return the model of an ARPA file (compressed or not); its ``</s>`` becomes ``<eos>``.

    P(w | h) is the number listed for h w, or backoff(h) · P(w | h without its oldest word) if there is none. It is not
    checked whether these sum to 1. If the file has ``<unk>``, unknown words are read as it. Texts are split at ASCII
    whitespace only, as the file is.

    Raises:
        ModelFileError: the file is missing or damaged: names the line.
        ConfigError: the encoding is unknown.
    """
    path = Path(path)
    if not path.is_file():
        raise ModelFileError(f"there is no ARPA file at {path}")
    refuse_kenlm_binary(path)
    with parsing(path, ModelFileError, "cannot be read"):
        with _opened(path) as file:
            text = ArpaText(path, _lines(file, encoding))
        vocabulary = _vocabulary(text)
        model = NgramModel(_levels(text), len(vocabulary), vocabulary.eos_id)
        check_finite(model.to_arrays(), path)
    tokenizer = make_tokenizer("word", whitespace="ascii")
    return TokenizedModel(model, tokenizer, vocabulary, {"imported": path.name})


@dataclass
class Section:
    """The n-grams of one length, in the file's order."""

    n: int
    ids: "array[int]" = field(default_factory=lambda: array("i"))
    log10_probs: "array[float]" = field(default_factory=lambda: array("d"))
    log10_backoffs: "array[float]" = field(default_factory=lambda: array("d"))
    lines: "array[int]" = field(default_factory=lambda: array("q"))  # the line number of each

    @property
    def rows(self) -> NDArray[np.int64]:
        """The ids of the n-grams' words, (G, n)."""
        return np.array(self.ids, np.int64).reshape(-1, self.n)


class ArpaText:
    """The content of an ARPA file, checked line by line: its words without ``<s>`` (whose id is V), and its sections.

    Raises:
        ModelFileError: it is not an ARPA file, or it is damaged; names the line.
    """

    def __init__(self, path: Path, file: Iterable[bytes]) -> None:
        self.path = path
        self.words: list[str] = []
        self.sections: list[Section] = []
        self._file = iter(file)
        self._line = 0  # the number of the current line
        self._ids: dict[bytes, int] = {}
        self._seen: set[str] = set()
        self._read()

    def fail(self, what: str, line: int | None = None) -> NoReturn:
        """Raise ModelFileError about a line, by default the current one."""
        raise ModelFileError(f"{self.path}, line {self._line if line is None else line}: {what}")

    def _read(self) -> None:
        sizes = self._sizes()
        for n, size in enumerate(sizes, 1):
            self._section(n, size)
            last = n == len(sizes)
            self._heading(b"\\end\\" if last else b"\\%d-grams:" % (n + 1), f"{size:,} {n}-grams")

    def _fields(self) -> list[bytes]:
        """Return the fields of the next line that is not empty."""
        for line in self._file:
            self._line += 1
            if fields := line.split():
                return fields
        self.fail(r"the file ends here without \end\; it is truncated")

    def _sizes(self) -> list[int]:
        """Read the header up to the heading of the 1-grams; return the announced number of n-grams for n = 1, ..."""
        for line in self._file:
            self._line += 1
            if line.strip() == b"\\data\\":
                break
        else:
            raise ModelFileError(f"{self.path} is not an ARPA file: it has no line \\data\\")
        sizes: list[int] = []
        while (line := b" ".join(self._fields())) != b"\\1-grams:":
            found = _COUNT.fullmatch(line)
            if found is None or int(found[1]) != len(sizes) + 1:
                self.fail(f"expected 'ngram {len(sizes) + 1}=COUNT' or \\1-grams:, got {_shown(line)}")
            sizes.append(int(found[2]))
        if not sizes:
            self.fail("expected 'ngram 1=COUNT' before the 1-grams")
        return sizes

    def _heading(self, expected: bytes, after: str) -> None:
        found = b" ".join(self._fields())
        if found != expected:
            self.fail(
                f"expected {expected.decode()} after the {after} that the header announces, got {_shown(found)}"
            )

    def _section(self, n: int, size: int) -> None:
        section = Section(n)
        for k in range(size):
            fields = self._fields()
            if len(fields) not in (n + 1, n + 2):
                if fields[0].startswith(b"\\"):
                    self.fail(f"the header announces {size:,} {n}-grams, but only {k:,} are listed")
                self.fail(f"a {n}-gram must have {n + 1} or {n + 2} fields, got {len(fields)}")
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
        value = float(text) if _NUMBER.fullmatch(text) else math.nan
        if not value <= most:
            self.fail(f"the log10 of a {what} must be a number of at most {most}, got {_shown(text)}")
        return max(value, LOG_ZERO)

    def _add_word(self, raw: bytes) -> None:
        try:
            word = unicodedata.normalize("NFC", raw.decode("utf-8"))  # as when reading texts
        except UnicodeDecodeError:
            self.fail(
                f"{_shown(raw)} is not UTF-8; name the file's encoding: `import_model(encoding='cp949')`"
            )
        if raw in self._ids or word in self._seen:
            self.fail(f"the word {word!r} is listed among the 1-grams twice")
        self._seen.add(word)
        self._ids[raw] = -1 if word == START else len(self.words)
        if word != START:
            self.words.append(word)


def _shown(raw: bytes) -> str:
    text = raw.decode("utf-8", "backslashreplace")
    return repr(text if len(text) <= 40 else text[:40] + "…")


def _vocabulary(text: ArpaText) -> Vocabulary:
    """Return the file's words as a vocabulary, in the file's order."""
    if END not in text.words:
        raise ModelFileError(f"{text.path} has no {END} among its 1-grams: it is not a model of sentences")
    if EOS in text.words:
        raise ModelFileError(
            f"{text.path} has both {EOS} and {END} among its 1-grams, but {END} is read as {EOS}; rename {EOS} there"
        )
    tokens = [EOS if word == END else word for word in text.words]
    unk = next((word for word in (UNK, "<UNK>") if word in tokens), None)
    return Vocabulary(tokens, unk, EOS)


def _levels(text: ArpaText) -> list[Level]:
    """Return the tables of the listed n-grams' probabilities and their contexts' backoff weights."""
    levels: list[Level] = []
    backoffs = np.zeros(1)  # (C,) of the contexts: all words are listed as 1-grams, so none backs off
    V = len(text.words)
    for section in text.sections:
        rows = section.rows
        contexts = np.zeros(len(rows), np.int64)
        lower = np.ones(len(rows))  # (G,) P(w | h without its oldest word)
        if section.n > 1:
            contexts, _ = numbers_and_probs(levels, rows[:, :-1], V)
            _, lower = numbers_and_probs(levels, rows[:, 1:], V)
            _check_contexts(text, section, contexts)
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


def _check_contexts(text: ArpaText, section: Section, contexts: NDArray[np.int64]) -> None:
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
        text.fail(f"this {section.n}-gram is listed a second time", section.lines[int(twice.min())])
