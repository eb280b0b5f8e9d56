"""The probability of a line."""

import math
from dataclasses import dataclass

from elman.evaluation.perplexity import evaluate, perplexity_of
from elman.models.text_model import TextModel


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
