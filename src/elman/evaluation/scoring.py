"""The probability of a line, and of many."""

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from elman.evaluation.many_texts import text_nlls
from elman.evaluation.perplexity import begin, evaluate, perplexity_of
from elman.models.base import Ids
from elman.models.text_model import TextModel
from elman.text.vocabulary import Vocabulary

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


def score_line(text_model: TextModel, line: str) -> LineScore:
    """Return the score of one line (without its newline), read afresh: predicted from the end of a line."""
    tokens, ids = text_model.encode_line(line)
    if not tokens:
        return LineScore(0, 0, 0.0)
    vocabulary = text_model.vocabulary
    found = evaluate(text_model.model, ids, eos=text_model.start_id, unk=vocabulary.unk_id)
    nll = found.nll_nats if found.unknown_scored else math.inf
    return LineScore(found.tokens, found.unknown, nll)


def score_lines(text_model: TextModel, lines: Iterable[str]) -> Iterator[LineScore]:
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
