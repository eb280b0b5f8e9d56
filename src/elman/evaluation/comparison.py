"""Compare models on one text: the measure by which they can be ranked, and the significance of differences."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from elman.errors import ShapeError
from elman.models.tokenized import TokenizedModel
from elman.text.corpus import Corpus
from elman.text.reading import read_bytes
from elman.text.tokenizers import PieceTokenizer

Measure = Literal["perplexity", "perplexity_known_tokens", "bits_per_char"]
DRAWS = 10_000  # bootstrap samples, and sign flips: the smallest p is 1 / 10,001
MOST_NUMBERS = 10**9  # random numbers in all; for texts of very many lines fewer draws suffice
LEAST_DRAWS = 1000
AT_ONCE = 1 << 21  # random numbers held in memory


@dataclass(frozen=True)
class Ranking:
    """The measure by which models can be ranked on a text, or None, and the reason."""

    by: Measure | None
    why: str


def ranking(models: Sequence[TokenizedModel], unknown: Sequence[int]) -> Ranking:
    """Return the measure by which models can be ranked that were evaluated on the same text.

    ``unknown`` is, for each model, the number of the text's tokens that its vocabulary lacks (`replaced_tokens`).
    Perplexities are comparable only between models with the same tokens and vocabulary. Bits per character are
    comparable unless some models lower-case the text, or one scores unknown words as ``<unk>``.
    """
    first = models[0]
    if all(_coding(model) == _coding(first) for model in models):
        same = f"all predict the same {first.unit}s, of the same vocabulary of {len(first.vocabulary):,}"
        if first.vocabulary.unk_id is None and unknown[0]:
            return Ranking("perplexity_known_tokens", f"{same}; tokens that it lacks are left out")
        return Ranking("perplexity", same)
    if len({model.tokenizer.lower for model in models}) > 1:
        return Ranking(
            None, "some of the models lower-case the text (`lower=True`), so they read a different text"
        )
    differ = _difference(models)
    vague = [n for model, n in zip(models, unknown, strict=True) if n and model.vocabulary.unk_id is not None]
    if vague:
        return Ranking(
            None,
            f"{differ}; and up to {max(vague):,} unknown tokens are scored as <unk>, not as the word in the text, "
            "so bits per character cannot be compared either",
        )
    return Ranking("bits_per_char", f"{differ}, so perplexities cannot be compared")


def _coding(model: TokenizedModel) -> tuple[Any, ...]:
    """Return everything that determines the predicted tokens, regardless of their ids."""
    tokenizer, vocabulary = model.tokenizer, model.vocabulary
    subwords = tokenizer.digest if isinstance(tokenizer, PieceTokenizer) else None
    tokens = frozenset(vocabulary.tokens)
    return tokenizer.level, tokenizer.lower, subwords, tokens, vocabulary.unk, vocabulary.eos


def _difference(models: Sequence[TokenizedModel]) -> str:
    units = list(dict.fromkeys(f"{model.unit}s" for model in models))
    if len(units) > 1:
        return f"the models predict different tokens ({' and '.join(units)})"
    sizes = " and ".join(dict.fromkeys(f"{len(model.vocabulary):,}" for model in models))
    return f"the models' vocabularies differ ({sizes} {units[0]})"


def replaced_tokens(
    text_model: TokenizedModel, corpus: Corpus, encoding: str = "utf-8", errors: str = "strict"
) -> int:
    """Return how many tokens of a text in files the vocabulary lacks; a ``<unk>`` in the text itself is known."""
    unk = text_model.vocabulary.unk
    if not corpus.unknown or unk is None:
        return corpus.unknown
    tokenizer = text_model.tokenizer
    texts = (
        tokenizer.pieces(tokenizer.read(read_bytes(path), str(path), encoding, errors))
        for path in corpus.sources
    )
    return corpus.unknown - sum(tokens.count(unk) for pieces in texts for tokens in pieces)


@dataclass(frozen=True)
class LineDifference:
    """The mean difference in bits per line between two models; positive if the first needs more bits.

    ``low`` and ``high`` are the bounds of the mean in 95 % of bootstrap samples of the lines. ``p`` is the probability
    of a mean at least as far from 0 if each line favoured either model equally: a two-sided sign-flip test.
    """

    lines: int
    bits: float
    low: float
    high: float
    p: float


def line_difference(
    nats: NDArray[np.float64], other_nats: NDArray[np.float64], rng: np.random.Generator
) -> LineDifference:
    """Return the paired difference of two models' -ln P of the same lines, (n,) each, n >= 2.

    The lines are assumed to be independent. Sources: B. Efron (1979) for the bootstrap and its percentile interval;
    E. J. G. Pitman (1937) for the test with random signs, which counts the observed signs as one draw.

    Raises:
        ShapeError: the numbers of lines differ, or are below 2.
    """
    if nats.shape != other_nats.shape or nats.ndim != 1 or len(nats) < 2:
        raise ShapeError(
            f"both models must have scored the same two or more lines, got {nats.shape} and {other_nats.shape}"
        )
    bits = (nats - other_nats) / math.log(2)  # (n,)
    n, mean = len(bits), float(bits.mean())
    draws = max(LEAST_DRAWS, min(DRAWS, MOST_NUMBERS // n))
    sizes = [min(draws - k, max(1, AT_ONCE // n)) for k in range(0, draws, max(1, AT_ONCE // n))]
    means = np.concatenate([bits[rng.integers(0, n, (rows, n))].mean(axis=1) for rows in sizes])
    flipped = np.concatenate([2 * (rng.integers(0, 2, (rows, n)) @ bits) - bits.sum() for rows in sizes]) / n
    as_far = int((np.abs(flipped) >= abs(mean) * (1 - 1e-9)).sum())
    low, high = np.quantile(means, [0.025, 0.975]).tolist()
    return LineDifference(n, mean, low, high, p=(1 + as_far) / (1 + draws))
