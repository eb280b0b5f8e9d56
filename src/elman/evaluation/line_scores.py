"""Log-probabilities of lines: one, many in a batch, or with the state carried from line to line."""

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import islice
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from elman.evaluation.perplexity import perplexity_of
from elman.models.base import Ids, LanguageModel
from elman.models.ngram.model import NgramModel
from elman.models.tokenized import TokenizedModel, reading_threads, use_hash_tables
from elman.text.sources import GROUP
from elman.text.vocabulary import Vocabulary
from elman.workers import Task, run_tasks

AnyLine = TypeVar("AnyLine", bound=str | bytes)

BLOCK = 512  # tokens per block of one sequence: bounds the memory whatever a line's length
WINDOW_LINES = GROUP  # lines read ahead, to batch those of similar length
WINDOW_CHARACTERS = 1 << 20  # of the lines read ahead, so that a few long ones do not fill the memory
MIN_BATCH = 64  # if there are as many texts; with fewer sequences the matrix products are inefficiently small
_FIRST = np.zeros(1, np.intp)
BLOCK_TOKENS = 2048  # tokens per block of all sequences: bounds the memory whatever the texts' lengths


@dataclass(frozen=True)
class LineScore:
    """-ln P of a line including its end, ``tokens`` in all; infinite if a closed vocabulary lacks one of them."""

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
        """Per token, including the end of the line."""
        return perplexity_of(self.nll_nats / self.tokens) if self.tokens else math.nan


def score_line(text_model: TokenizedModel, line: str | bytes) -> LineScore:
    """Return the score of one line (without its newline), whose first token is predicted from the end of a line."""
    return LineScore(*_read(text_model, text_model.prepared(line, end=True), text_model.begin_sentence()))


def warm_up(text_model: TokenizedModel) -> None:
    """Do once what the first reading would do: enter n-grams in their hash tables, load numba, compile functions.

    To be called before reading is timed, and before many threads begin to read at the same time.
    """
    use_hash_tables(text_model.model)
    score_line(text_model, text_model.tokenizer.join(text_model.vocabulary.tokens[:2]))
    with reading_threads(1, text_model.model):
        text_model.model.next_log_probs(text_model.begin_sentence())


def sentence_log10(
    text_model: TokenizedModel, sentence: str | bytes, bos: bool = True, eos: bool = True
) -> float:
    """Return log10 P of a sentence and, with ``eos``, of its end.

    It is read from the beginning of a line or, without ``bos``, from an empty past. The result is -inf if the
    vocabulary lacks one of the tokens.
    """
    start = text_model.begin_sentence() if bos else text_model.null_context()
    _, _, nll = _read(text_model, text_model.prepared(sentence, eos), start)
    return (0.0 - nll) / math.log(10)


def _read(text_model: TokenizedModel, prepared: str, start: Any) -> tuple[int, int, float]:
    """Return the number of tokens of a prepared text, of unknown ones, and its -ln P in nats, read from ``start``."""
    found = text_model.word_log_probs(prepared, start)
    if found is not None:
        log_probs, unknown = found
        n = len(log_probs)
        return n, unknown, 0.0 - np.add.reduceat(log_probs, _FIRST).item() if n else 0.0
    ids = text_model.ids_of(prepared)
    nll = text_nlls(text_model.model, [ids], start).item()
    return len(ids), count_unknown(ids, text_model.vocabulary), nll


def score_lines(text_model: TokenizedModel, lines: Iterable[str | bytes]) -> Iterator[LineScore]:
    """Yield the score of every line in order: the results of `score_line`, computed several times as fast.

    Up to 1,000 lines are read ahead and scored in batches; if lines arrive slowly, pass those that have arrived. If
    ``lines`` raises an exception, the lines before it are scored first.
    """
    start = text_model.begin_sentence()
    for window in windows(lines):
        texts = text_model.encode_lines(window)
        lengths = list(map(len, texts))
        unknown = sums_per_text(np.concatenate(texts) == text_model.vocabulary.unknown_id, lengths)
        nlls = text_nlls(text_model.model, texts, start)
        yield from map(LineScore, lengths, unknown.tolist(), nlls.tolist())


def sums_per_text(values: NDArray[Any], lengths: Sequence[int]) -> NDArray[Any]:
    """Return the sums (N,) of the values (n,) of N texts, one after another, with these lengths."""
    dtype = np.int64 if values.dtype == np.bool_ else values.dtype
    if len(lengths) == 1 and lengths[0]:
        return np.add.reduceat(values, _FIRST, dtype=dtype)
    ends = np.cumsum(lengths, dtype=np.intp)
    filled = np.flatnonzero(lengths)  # reduceat does not know empty parts
    sums = np.zeros(len(ends), dtype)
    sums[filled] = np.add.reduceat(values, ends[filled] - np.array(lengths)[filled], dtype=dtype)
    return sums


def count_unknown(ids: Ids, vocabulary: Vocabulary) -> int:
    """Return how many of a line's ids are those of unknown tokens."""
    return int(np.count_nonzero(ids == vocabulary.unknown_id))


def windows(lines: Iterable[AnyLine]) -> Iterator[list[AnyLine]]:
    """Yield lines in groups that fit in memory; if ``lines`` raises, the lines before are yielded first.

    A group ends after every `WINDOW_LINES` lines, however the lines before were divided: lines that arrive in groups of
    that size are scored as if they arrived at once, to the last bit.
    """
    window: list[AnyLine] = []
    characters = 0
    try:
        for number, line in enumerate(lines, 1):
            window.append(line)
            characters += len(line)
            if number % WINDOW_LINES == 0 or characters >= WINDOW_CHARACTERS:
                yield window
                window, characters = [], 0
    except Exception:
        if window:
            yield window
        raise
    if window:
        yield window


class CarriedLines:
    """Scores lines as one text, carrying the state from line to line and from call to call.

    The first line is predicted from the end of a line. Tokens that a closed vocabulary lacks make their line
    impossible (infinite -ln P) and do not change the state. An n-gram model of sentences, whose contexts do not cross
    the end of a line, scores every line as if it were alone.
    """

    def __init__(self, text_model: TokenizedModel) -> None:
        self._text_model = text_model
        self._state = text_model.begin_sentence()

    def score(self, lines: Iterable[str | bytes]) -> Iterator[LineScore]:
        """Yield the scores of the next lines; the state advances as they are consumed."""
        vocabulary = self._text_model.vocabulary
        for window in windows(lines):
            texts = [self._text_model.encode_line(line)[1] for line in window]
            nlls = np.split(self._read(np.concatenate(texts)), np.cumsum([len(ids) for ids in texts[:-1]]))
            for ids, of_line in zip(texts, nlls, strict=True):
                yield LineScore(len(ids), count_unknown(ids, vocabulary), float(of_line.sum()))

    def _read(self, ids: Ids) -> NDArray[np.float64]:
        """Return -ln P in nats of each of ids (n,), as (n,), and advance the state past them."""
        model = self._text_model.model
        nlls = np.full(len(ids), np.inf)
        (known,) = np.nonzero(ids >= 0)
        with reading_threads(min(BLOCK, len(known)), model):
            for first in range(0, len(known), BLOCK):
                indices = known[first : first + BLOCK]
                log_probs, self._state = model.target_log_probs(
                    ids[None, indices].astype(np.intp), self._state
                )
                nlls[indices] = -log_probs[0]
        return nlls


def text_nlls(model: LanguageModel, texts: Sequence[Ids], start: Any) -> NDArray[np.float64]:
    """Return -ln P in nats of every text of ids, each read from ``start``, a state of one sequence.

    Texts of similar length are batched, so that few positions are padding. Each thread reads other batches. -1 stands
    for a token that the vocabulary lacks: a text with one has probability 0 (infinite -ln P) and is not read.
    """
    if isinstance(model, NgramModel) and texts:
        return _ngram_nlls(model, texts, start)
    nlls = np.zeros(len(texts))
    lengths = np.array([len(ids) for ids in texts], np.intp)
    possible = np.array([ids.min(initial=0) >= 0 for ids in texts], bool)
    nlls[~possible] = np.inf
    (readable,) = np.nonzero(possible & (lengths > 0))
    indices = iter(readable[np.argsort(-lengths[readable], kind="stable")].tolist())  # the longest first

    def read(batch: list[int]) -> None:
        nlls[batch] = _batch_nlls(model, [texts[index] for index in batch], start)

    tasks = []
    while batch := list(islice(indices, 1)):
        batch += islice(indices, max(MIN_BATCH, BLOCK_TOKENS // len(texts[batch[0]])) - 1)
        tasks.append(Task(partial(read, batch)))
    with reading_threads(min(int(lengths[readable].sum()), BLOCK_TOKENS), model):
        run_tasks(tasks)
    return nlls


def _ngram_nlls(model: NgramModel, texts: Sequence[Ids], start: Any) -> NDArray[np.float64]:
    """Return what `text_nlls` does; an n-gram model reads all texts at once, whatever their lengths."""
    lengths = list(map(len, texts))
    ids = np.concatenate(texts) if len(texts) > 1 else texts[0]  # (n,)
    log_probs = model.text_log_probs(ids, lengths, start)
    return 0.0 - sums_per_text(log_probs, lengths)


def _batch_nlls(model: LanguageModel, texts: Sequence[Ids], start: Any) -> NDArray[np.float64]:
    """Return -ln P of N texts, the longest first, read as N sequences; those that have ended are dropped per block."""
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
