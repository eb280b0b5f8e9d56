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
import mmap
import re
import unicodedata
from array import array
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, NoReturn, cast

import numpy as np
from numpy.typing import NDArray

from elman import numba_jit
from elman.errors import ConfigError, ElmanError, ModelFileError, TextError
from elman.formats.arpa_ngrams import IndexedLevel, read_ngrams
from elman.formats.kenlm_binary import refuse_kenlm_binary
from elman.formats.model_file import check_finite
from elman.models.ngram.levels import UNSEEN, Level
from elman.models.ngram.model import NgramModel
from elman.models.tokenized import TokenizedModel
from elman.parsing import parsing
from elman.text.compressed import SUFFIXES, as_file, is_compressed
from elman.text.hashed_words import HashedWords
from elman.text.reading import read_bytes
from elman.text.tokenizers import EOS, make_tokenizer
from elman.text.vocabulary import UNK, Vocabulary

START, END = "<s>", "</s>"
LOG_ZERO = -99  # stands for the logarithm of 0
_MOST = 99  # the largest plausible log10 of a backoff weight
_COUNT = re.compile(rb"ngram\s+(\d{1,4})\s*=\s*(\d{1,18})\s*")
_NUMBER = re.compile(rb"[-+]?(\d+(\.\d*)?|\.\d+)([eE][-+]?\d+)?|[-+]?inf(inity)?", re.IGNORECASE)
_DATA = re.compile(rb"(^|\n)[ \t\r]*\\data\\")
_WORTH_COMPILING = 4_000_000  # bytes: read line by line in about the time that it takes to load numba
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


@contextmanager
def _content(path: Path, encoding: str) -> Iterator[tuple[Iterator[bytes], mmap.mmap | None]]:
    """Yield the lines of a file in UTF-8; and its memory, from whose position they are read, for compiled code."""
    with path.open("rb") as file:
        start = file.read(HEAD)
        large = path.stat().st_size >= _WORTH_COMPILING or numba_jit.is_loaded()
        if start and large and numba_jit.is_available() and _is_utf8(encoding) and not is_compressed(start):
            memory = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_COPY)
            yield _lines(memory, encoding), memory
            return
    with _opened(path) as opened:
        yield _lines(opened, encoding), None


def _lines(file: IO[bytes] | mmap.mmap, encoding: str) -> Iterator[bytes]:
    """Yield the lines of an open file in UTF-8, without a byte order mark."""
    if _is_utf8(encoding):
        lines = iter(file.readline, b"")
        yield next(lines, b"").removeprefix(codecs.BOM_UTF8)
        yield from lines
    else:
        text = io.TextIOWrapper(cast(IO[bytes], file), encoding, newline="\n")
        yield from (line.encode() for line in text)


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
        with _content(path, encoding) as (lines, memory):
            text = ArpaText(path, lines, memory)
        vocabulary = _vocabulary(text)
        model = NgramModel(_levels(text), len(vocabulary), vocabulary.eos_id)
        check_finite(model.to_arrays(), path)
    tokenizer = make_tokenizer("word", whitespace="ascii")
    return TokenizedModel(model, tokenizer, vocabulary, {"imported": path.name})


@dataclass
class Section:
    """The n-grams of one length, in the file's order."""

    rows: NDArray[np.int64]  # (G, n), the ids of their words
    log10_probs: NDArray[np.float64]  # (G,)
    log10_backoffs: NDArray[np.float64]  # (G,)
    lines: NDArray[np.int64]  # (G,), the line number of each

    @property
    def n(self) -> int:
        """The length of the n-grams."""
        return int(self.rows.shape[1])


class ArpaText:
    """The content of an ARPA file, checked line by line: its words without ``<s>`` (whose id is V), and its sections.

    Raises:
        ModelFileError: it is not an ARPA file, or it is damaged; names the line.
    """

    def __init__(self, path: Path, file: Iterator[bytes], memory: mmap.mmap | None = None) -> None:
        self.path = path
        self.words: list[str] = []
        self.sections: list[Section] = []
        self._file = file
        self.memory = memory  # None: no compiled code is used
        self._words: tuple[HashedWords, NDArray[np.int64]] | None = None  # the 1-grams, hashed, and their ids
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
            self.sections.append(self._compiled_section(n, size) or self._section(n, size))
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

    def _section(self, n: int, size: int) -> Section:
        ids, log10_probs, log10_backoffs, lines = array("q"), array("d"), array("d"), array("q")
        for k in range(size):
            fields = self._fields()
            if len(fields) not in (n + 1, n + 2):
                if fields[0].startswith(b"\\"):
                    self.fail(f"the header announces {size:,} {n}-grams, but only {k:,} are listed")
                self.fail(f"a {n}-gram must have {n + 1} or {n + 2} fields, got {len(fields)}")
            log10_probs.append(self._number(fields[0], "probability", 0))
            log10_backoffs.append(
                self._number(fields[n + 1], "backoff weight", _MOST) if len(fields) == n + 2 else 0.0
            )
            lines.append(self._line)
            if n == 1:
                self._add_word(fields[1])
            try:
                ids.extend([self._ids[word] for word in fields[1 : n + 1]])
            except KeyError as error:
                self.fail(f"the word {_shown(error.args[0])} is not among the 1-grams")
        rows = np.array(ids, np.int64).reshape(-1, n)
        if n == 1 and START in self._seen:
            self._ids[START.encode()] = len(self.words)
            rows[rows < 0] = len(self.words)
        return Section(rows, np.array(log10_probs), np.array(log10_backoffs), np.array(lines))

    def _compiled_section(self, n: int, size: int) -> Section | None:
        """Return what `_section` does, read by compiled code; None, and nothing is read, if a line is unusual."""
        memory = self.memory
        if memory is None or n == 1 or size * (2 * n + 2) > len(memory) - memory.tell():
            return None
        if self._words is None:
            words = HashedWords([raw.decode() for raw in self._ids])
            self._words = words, np.array([*self._ids.values()], np.int64)
        rows, lines = np.empty((size, n), np.int64), np.empty(size, np.int64)
        found = Section(rows, np.empty(size), np.empty(size), lines)
        data = np.frombuffer(memory, np.uint8)
        limits, logs = (float(LOG_ZERO), float(_MOST)), (found.log10_probs, found.log10_backoffs)
        words, ids = self._words
        end = read_ngrams(data, memory.tell(), *words.table, ids, *limits, rows, *logs, lines)
        if end < 0:
            return None
        if size:
            lines += self._line
            self._line = int(lines[-1])
            memory.seek(end)
        return found

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
        contexts, lower = _contexts_and_lower(levels, rows, V)
        _check_contexts(text, section, contexts)
        backed_off = backoffs[contexts] * lower
        probs = np.maximum(10**section.log10_probs, _LEAST * backed_off)
        if section.n == 1:
            probs[rows[:, 0] == V] = 0  # <s> is never predicted
        keys = contexts * (V + 1) + rows[:, -1]
        order = np.argsort(keys, kind="stable")
        _check_distinct(text, section, keys, order)
        made = Level if text.memory is None else IndexedLevel
        levels.append(made(keys[order], (probs - backed_off)[order], backoffs, V + 1))
        backoffs = 10 ** section.log10_backoffs[order]
    return [Level(each.keys, each.weights, each.backoffs, each.symbols) for each in levels]


def _contexts_and_lower(
    levels: Sequence[Level], rows: NDArray[np.int64], V: int
) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Return the numbers of the contexts of n-grams rows (G, n), and P(w | h without its oldest word): (G,) each."""
    G, n = rows.shape
    ngrams = np.zeros((G, n + 1), np.int64)  # those of k words before each word, and at the end
    lower = np.full(G, 1 / V if levels else 1.0)
    for k, level in enumerate(levels):
        contexts, ngrams = ngrams[:, :-1], level.find(ngrams[:, :-1], rows[:, k:])
        lower = level.weights_of(ngrams[:, -1]) + level.backoffs_of(contexts[:, -1]) * lower
    return ngrams[:, 0], lower


def _check_contexts(text: ArpaText, section: Section, contexts: NDArray[np.int64]) -> None:
    """Raise ModelFileError for the first n-gram whose first n - 1 words are not listed."""
    (orphans,) = np.nonzero(contexts == UNSEEN)
    if orphans.size:
        n = section.n
        line = int(section.lines[orphans[0]])
        text.fail(f"this {n}-gram begins with a {n - 1}-gram that is not listed", line)


def _check_distinct(
    text: ArpaText, section: Section, keys: NDArray[np.int64], order: NDArray[np.intp]
) -> None:
    """Raise ModelFileError for the first n-gram that is listed a second time."""
    twice = order[1:][keys[order[1:]] == keys[order[:-1]]]
    if twice.size:
        text.fail(f"this {section.n}-gram is listed a second time", int(section.lines[int(twice.min())]))
