"""Perplexity of a text, and the sums over its tokens and lines from which the number follows.

perplexity = exp(L),  L = -1/n · Σ ln P(w_t | w_1 … w_{t-1})
"""

import math
import sys
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from elman.errors import TextError
from elman.models.base import Ids, LanguageModel, LogProbs
from elman.models.base import begin as begin
from elman.models.tokenized import TokenizedModel, reading_threads
from elman.text.tokenizers import EOS, PieceTokenizer

BLOCK = 512  # steps per block: bounds the memory whatever the text's length
BLOCK_TOKENS = (
    32 * BLOCK
)  # tokens per block, of all sequences together: bounds the memory whatever their number
_LARGEST = math.log(sys.float_info.max)
Watch = Callable[[Ids, LogProbs], None]


def perplexity_of(mean_nll_nats: float) -> float:
    """Return exp(L) for a mean negative log probability L in nats; infinity where it exceeds every float."""
    return math.inf if mean_nll_nats >= _LARGEST else math.exp(mean_nll_nats)


@dataclass(frozen=True)
class Evaluation:
    """Sums over the tokens of one text, from which every reported number follows.

    ``tokens`` counts all tokens, ``unknown`` those that the vocabulary lacks. If the vocabulary has ``<unk>``, unknown
    tokens are scored as ``<unk>``, and ``unknown_nll_nats`` is their part of ``nll_nats``. Otherwise they have
    probability 0, are left out of ``nll_nats`` and are not read.
    """

    tokens: int
    nll_nats: float
    unknown: int = 0
    unknown_nll_nats: float = 0.0
    unknown_scored: bool = True
    batch_size: int = 1  # parts of the text read in parallel

    @property
    def perplexity(self) -> float:
        """Per token, over all tokens; infinite if one has probability 0."""
        if self.unknown and not self.unknown_scored:
            return math.inf
        return perplexity_of(self.nll_nats / self.tokens)

    @property
    def perplexity_known(self) -> float:
        """Per token, over the tokens that the vocabulary has."""
        known = self.tokens - self.unknown
        if known == 0:
            return math.nan
        return perplexity_of((self.nll_nats - self.unknown_nll_nats) / known)

    def perplexity_per(self, units: int) -> float:
        """Return exp of the text's negative log probability divided by a number of other units, such as words."""
        if self.unknown and not self.unknown_scored:
            return math.inf
        return perplexity_of(self.nll_nats / units)

    def bits_per(self, units: int) -> float:
        """Return the text's negative log2 probability divided by a number of characters or bytes."""
        if self.unknown and not self.unknown_scored:
            return math.inf
        return self.nll_nats / math.log(2) / units


def read(model: LanguageModel, ids: Ids, eos: int | None) -> Any:
    """Return the state (of one sequence) after a text of ids (n,); ids below 0 are skipped."""
    state = begin(model, eos)
    known = np.asarray(ids)[np.asarray(ids) >= 0].astype(np.intp)
    with reading_threads(len(known), model):
        return model.feed(known[None], state) if len(known) else state


def evaluate(
    model: LanguageModel,
    ids: Ids,
    *,
    eos: int | None = None,
    unk: int | None = None,
    batch_size: int = 1,
    watch: Watch | None = None,
) -> Evaluation:
    """Evaluate ``model`` on a text of ids (n,); -1 stands for a token that the vocabulary lacks.

    Every token is scored, the first one given the end-of-line token ``eos`` (given nothing if ``eos`` is None), and
    the state is carried through the whole text. ``batch_size > 1`` cuts the text into that many parts read in
    parallel, each from the initial state: faster, but pessimistic, the more so the shorter the parts are. ``watch`` is
    called with every block that was read: the scored ids (N, T) and their ln P.

    Raises:
        TextError: there is no token to score.
    """
    if len(ids) == 0:
        raise TextError("the text holds no token to evaluate")
    known = np.asarray(ids)
    if np.issubdtype(known.dtype, np.signedinteger) and known.min() < 0:
        known = known[known >= 0]
    missing = len(ids) - len(known)
    batch_size = max(1, min(batch_size, len(known) // 2))
    length = len(known) // batch_size
    sequences = known[: batch_size * length].reshape(batch_size, length)
    tail = known[batch_size * length :].reshape(1, -1)
    nll = unknown_nll = 0.0
    unknown = missing
    with reading_threads(min(length, BLOCK) * batch_size, model):
        for part in (sequences, tail):
            if part.size == 0:
                continue
            state = begin(model, eos, len(part))
            steps = max(1, min(BLOCK, BLOCK_TOKENS // len(part)))
            for k in range(0, part.shape[1], steps):
                block = part[:, k : k + steps].astype(np.intp)
                log_probs, state = model.target_log_probs(block, state)
                nll -= float(log_probs.sum(dtype=np.float64))
                if watch is not None:
                    watch(block, log_probs)
                if unk is not None:
                    unknown += int((block == unk).sum())
                    unknown_nll -= float(log_probs[block == unk].sum(dtype=np.float64))
    return Evaluation(len(ids), nll, unknown, unknown_nll, unknown_scored=missing == 0, batch_size=batch_size)


def newlines_of(text_model: TokenizedModel) -> NDArray[np.intp] | None:
    """Return how many newlines each token of a published model has, (V,); None where one token ends every line."""
    tokenizer = text_model.tokenizer
    newline = tokenizer.eos
    if not isinstance(tokenizer, PieceTokenizer) or newline is None or newline == EOS:
        return None
    return np.array([token.count(newline) for token in text_model.vocabulary.tokens], np.intp)


class LineNlls:
    """Sums -ln P over each line, including its end, as the ``watch`` of `evaluate` with ``batch_size`` 1.

    A last line without an end counts as a line. If ``eos`` is None, the whole text is one line. ``newlines`` (V,), if
    given, is how many newlines each token has: a token belongs to the line of the first of them.
    """

    def __init__(self, eos: int | None, newlines: NDArray[np.intp] | None = None) -> None:
        self._eos, self._newlines = eos, newlines
        self._whole: list[NDArray[np.float64]] = []
        self._begun: float | None = None

    def __call__(self, ids: Ids, log_probs: LogProbs) -> None:
        """Add a block of ids (1, T) and their ln P."""
        sums = np.concatenate([[0.0], -np.cumsum(log_probs[0], dtype=np.float64)])  # (T + 1,)
        if self._newlines is None:
            counts = (ids[0] == (-1 if self._eos is None else self._eos)).astype(np.intp)  # (T,)
        else:
            counts = self._newlines[ids[0]]
        ends = np.flatnonzero(counts) + 1
        parts = np.diff(sums[[0, *ends, -1]])  # (lines that end in this block + 1,): the last one continues
        parts[0] += self._begun or 0.0
        counts = counts[ends - 1]
        # (lines that end in this block,): after the first line that a token ends come empty ones
        whole = np.zeros(counts.sum())
        whole[np.cumsum(counts) - counts] = parts[:-1]
        self._whole.append(whole)
        ended = len(ends) > 0 and ends[-1] == ids.shape[1]
        self._begun = None if ended else float(parts[-1])

    def nats(self) -> NDArray[np.float64]:
        """Return -ln P of every line in nats, (lines,)."""
        rest = [] if self._begun is None else [self._begun]
        return np.concatenate([*self._whole, rest])
