"""Log-probabilities of lines: one, many at once, or carried from line to line.

Many texts at once, as sequences side by side: the products are as large as those of training.

The probability of a line, and of many.

The probability of lines that go on from one another.

The logarithm of a line's probability in the unit asked for, whole or per token or character.

The few least probable of many lines.
"""

import heapq
import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from elman.arrays import is_torch
from elman.evaluation.perplexity import begin, evaluate, perplexity_of
from elman.models.base import Ids, LanguageModel
from elman.models.tokenized import TokenizedModel
from elman.text.vocabulary import Vocabulary
from elman.workers import limited_threads

MIN_BATCH = 64  # where there are as many texts: fewer make the products small
BLOCK_TOKENS = 2048  # of all sequences, read at a time: bounds the memory whatever the texts' lengths


def text_nlls(model: LanguageModel, texts: Sequence[Ids], start: Any) -> NDArray[np.float64]:
    """Return -ln P in nats of every text of ids, each read from the one-sequence state ``start``.

    Texts of like length are read together, so that few positions are padding. -1 stands for a token that the
    vocabulary does not have: such a text has probability 0 (infinity here), and is not read.
    """
    nlls = np.zeros(len(texts))
    lengths = np.array([len(ids) for ids in texts], np.intp)
    possible = np.array([ids.min(initial=0) >= 0 for ids in texts], bool)
    nlls[~possible] = np.inf
    (readable,) = np.nonzero(possible & (lengths > 0))
    places = iter(readable[np.argsort(-lengths[readable], kind="stable")].tolist())  # the longest first
    with limited_threads(multiplications(model, int(lengths[readable].sum()))):
        while batch := list(islice(places, 1)):
            batch += islice(places, max(MIN_BATCH, BLOCK_TOKENS // len(texts[batch[0]])) - 1)
            nlls[batch] = _batch_nlls(model, [texts[place] for place in batch], start)
    return nlls


def _batch_nlls(model: LanguageModel, texts: Sequence[Ids], start: Any) -> NDArray[np.float64]:
    """Return -ln P of N texts, the longest first, as N sequences; those that have ended leave between blocks."""
    nlls = np.zeros(len(texts))
    lengths = np.array([len(ids) for ids in texts])
    state = start.select([0] * len(texts))
    first = 0
    while N := int((lengths > first).sum()):
        T = min(int(lengths[0]) - first, max(1, BLOCK_TOKENS // N))
        counted = first + np.arange(T) < lengths[:N, None]  # (N, T): False in the padding
        ids = np.zeros((N, T), np.intp)
        ids[counted] = np.concatenate([text[first : first + T] for text in texts[:N]])
        if state.batch_size > N:
            state = state.select(range(N))
        log_probs, state = model.target_log_probs(ids, state, counted)
        nlls[:N] -= log_probs.sum(axis=1, dtype=np.float64)
        first += T
    return nlls


def multiplications(model: LanguageModel, tokens: int) -> int:
    """Return the number in the largest product of a block; 0 where the model shares it among threads by itself."""
    weights = getattr(model, "params", [])
    if not weights or is_torch(weights[0]):
        return 0
    return min(tokens, BLOCK_TOKENS) * max(int(weight.size) for weight in weights)


BLOCK = 512  # tokens read at a time: bounds the memory whatever the sentence's length
WINDOW_LINES = 1024  # read ahead, to find lines of like length
WINDOW_CHARACTERS = 1 << 20  # of the lines of a window, that a few long ones do not fill the memory


@dataclass(frozen=True)
class LineScore:
    """ln P of a line and of its end, ``tokens`` in all; -inf where a closed vocabulary lacks one of them."""

    tokens: int
    unknown: int
    nll_nats: float

    @property
    def ln_prob(self) -> float:
        """Natural logarithm of the probability."""
        return -self.nll_nats

    @property
    def log10_prob(self) -> float:
        """Decimal logarithm of the probability."""
        return -self.nll_nats / math.log(10)

    @property
    def perplexity(self) -> float:
        """Per token, the end of the line counted."""
        return perplexity_of(self.nll_nats / self.tokens) if self.tokens else math.nan


def score_line(text_model: TokenizedModel, line: str) -> LineScore:
    """Return the score of one line (without its newline), read afresh: predicted from the end of a line."""
    tokens, ids = text_model.encode_line(line)
    if not tokens:
        return LineScore(0, 0, 0.0)
    vocabulary = text_model.vocabulary
    found = evaluate(text_model.model, ids, eos=text_model.start_id, unk=vocabulary.unk_id)
    nll = found.nll_nats if found.unknown_scored else math.inf
    return LineScore(found.tokens, found.unknown, nll)


def score_lines(text_model: TokenizedModel, lines: Iterable[str]) -> Iterator[LineScore]:
    """Yield the score of every line, in order, as `score_line` gives it but several times as fast.

    Up to 1,024 lines are read ahead and scored side by side; of lines that come now and then, hand over those
    that have come. Where ``lines`` fails, what came before is scored first.
    """
    model = text_model.model
    start = begin(model, text_model.start_id)
    for window in windows(lines):
        texts = [text_model.encode_line(line)[1] for line in window]
        nlls = text_nlls(model, texts, start).tolist()
        for ids, nll in zip(texts, nlls, strict=True):
            yield LineScore(len(ids), count_unknown(ids, text_model.vocabulary), nll)


def count_unknown(ids: Ids, vocabulary: Vocabulary) -> int:
    """Return how many of a line's ids stand for tokens that the vocabulary does not have."""
    return int((ids == vocabulary.unknown_id).sum())


def windows(lines: Iterable[str]) -> Iterator[list[str]]:
    """Yield lines in groups that the memory holds; where ``lines`` fails, those before come first."""
    window: list[str] = []
    characters = 0
    try:
        for line in lines:
            window.append(line)
            characters += len(line)
            if len(window) == WINDOW_LINES or characters >= WINDOW_CHARACTERS:
                yield window
                window, characters = [], 0
    except Exception:
        if window:
            yield window
        raise
    if window:
        yield window


class CarriedLines:
    """Scores lines as one text: the state after a line is the one before the next, from call to call.

    The first is predicted from the end of a line. Tokens that a closed vocabulary lacks make their line
    impossible (infinite -ln P) and are not read; the lines after it go on from the others. An n-gram model of
    sentences, whose contexts do not reach over the end of a line, scores every line as if it stood alone.
    """

    def __init__(self, text_model: TokenizedModel) -> None:
        self._text_model = text_model
        self._state = text_model.begin_sentence()

    def score(self, lines: Iterable[str]) -> Iterator[LineScore]:
        """Yield the scores of the lines that follow; the state goes on as they are taken."""
        vocabulary = self._text_model.vocabulary
        for window in windows(lines):
            texts = [self._text_model.encode_line(line)[1] for line in window]
            nlls = np.split(self._read(np.concatenate(texts)), np.cumsum([len(ids) for ids in texts[:-1]]))
            for ids, of_line in zip(texts, nlls, strict=True):
                yield LineScore(len(ids), count_unknown(ids, vocabulary), float(of_line.sum()))

    def _read(self, ids: Ids) -> NDArray[np.float64]:
        """Return -ln P in nats of each of ids (n,), (n,), and go on to the state after them."""
        model = self._text_model.model
        nlls = np.full(len(ids), np.inf)
        (known,) = np.nonzero(ids >= 0)
        with limited_threads(multiplications(model, min(BLOCK, len(known)))):
            for first in range(0, len(known), BLOCK):
                places = known[first : first + BLOCK]
                log_probs, self._state = model.target_log_probs(
                    ids[None, places].astype(np.intp), self._state
                )
                nlls[places] = -log_probs[0]
        return nlls


Unit = Literal["nats", "bits", "log10"]
Per = Literal["none", "token", "char"]
NATS = {"nats": 1.0, "bits": math.log(2), "log10": math.log(10)}  # that one of each unit is
_NAMES = {"nats": "ln_prob", "bits": "log2_prob", "log10": "log10_prob"}


@dataclass(frozen=True)
class Measure:
    """log P of a line: natural ("nats"), of base 2 ("bits") or 10, whole ("none") or a mean per token or character."""

    unit: Unit = "nats"
    per: Per = "none"

    @property
    def name(self) -> str:
        """What the number is, for the head of a column: ``log2_prob_per_char``."""
        return _NAMES[self.unit] + ("" if self.per == "none" else f"_per_{self.per}")

    def of(self, score: LineScore, characters: int) -> float:
        """Return the measure of a line of so many characters, its scored end counted; nan where there are none."""
        count = {"none": 1, "token": score.tokens, "char": characters}[self.per]
        return 0.0 - score.nll_nats / NATS[self.unit] / count if count else math.nan


class Found(NamedTuple):
    """A line of a text: its number from 1, its measure of probability, its score."""

    number: int
    measure: float
    score: LineScore
    line: str


@dataclass(frozen=True)
class _Entry:
    found: Found

    def __lt__(self, other: "_Entry") -> bool:
        """Tell whether this line goes before the other when one must: it is more probable, or as odd and later."""
        ours, theirs = self.found, other.found
        return (ours.measure, ours.number) > (theirs.measure, theirs.number)


class Oddest:
    """Keeps the ``most`` lines of the lowest measure, of however many; of equally odd ones the first."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._heap: list[_Entry] = []  # the least odd of those kept is first

    def add(self, found: Found) -> None:
        """Offer one more line; one whose measure is not a number is none to compare."""
        if math.isnan(found.measure):
            return
        if len(self._heap) < self._most:
            heapq.heappush(self._heap, _Entry(found))
        else:
            heapq.heappushpop(self._heap, _Entry(found))

    def in_order(self) -> list[Found]:
        """Return the lines kept, the oddest first."""
        return sorted((entry.found for entry in self._heap), key=lambda found: (found.measure, found.number))
