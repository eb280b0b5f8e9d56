"""Which of several models fits a text best: by what they may be ranked, and whether that may be chance."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from elman.errors import ShapeError
from elman.models.tokenized import TokenizedModel
from elman.text.corpus import Corpus
from elman.text.reading import read_text

Measure = Literal["perplexity", "perplexity_known_tokens", "bits_per_char"]
DRAWS = 10_000  # of signs, and of lines: the smallest p is 1 / 10,001
MOST_NUMBERS = 10**9  # drawn for texts of very many lines, where fewer draws do
LEAST_DRAWS = 1000
AT_ONCE = 1 << 21


@dataclass(frozen=True)
class Ranking:
    """The measure by which models may be ranked on a text, None where there is none, and why."""

    by: Measure | None
    why: str


def ranking(models: Sequence[TokenizedModel], unknown: Sequence[int]) -> Ranking:
    """Return by what models may be ranked that give one text its probability.

    ``unknown`` counts, for each, the tokens of the text that its vocabulary lacks (`replaced_tokens`). Perplexities
    can be compared only between models of the same tokens and vocabulary. Bits per character can always, unless
    models read different texts (small letters), or one may write ``<unk>`` for a word instead of saying which.
    """
    first = models[0]
    if all(_coding(model) == _coding(first) for model in models):
        same = f"all predict the same {first.unit}s, of the same vocabulary of {len(first.vocabulary):,}"
        if first.vocabulary.unk_id is None and unknown[0]:
            return Ranking("perplexity_known_tokens", f"{same}; what it lacks is left out")
        return Ranking("perplexity", same)
    if len({model.tokenizer.lower for model in models}) > 1:
        return Ranking(None, "some of the models make all letters small (--lower), and so read another text")
    differ = _difference(models)
    vague = [n for model, n in zip(models, unknown, strict=True) if n and model.vocabulary.unk_id is not None]
    if vague:
        return Ranking(
            None,
            f"{differ}; and up to {max(vague):,} unknown tokens are scored as <unk>, without saying which, "
            "so that bits per character cannot be compared either",
        )
    return Ranking("bits_per_char", f"{differ}, so that perplexities cannot be compared")


def _coding(model: TokenizedModel) -> tuple[Any, ...]:
    """Return all that decides what is predicted; the order of the ids does not."""
    tokenizer, vocabulary = model.tokenizer, model.vocabulary
    own = getattr(tokenizer, "digest", None)  # of subwords
    tokens = frozenset(vocabulary.tokens)
    return tokenizer.level, tokenizer.lower, own, tokens, vocabulary.unk, vocabulary.eos


def _difference(models: Sequence[TokenizedModel]) -> str:
    units = list(dict.fromkeys(f"{model.unit}s" for model in models))
    if len(units) > 1:
        return f"the models predict different tokens ({' and '.join(units)})"
    sizes = " and ".join(dict.fromkeys(f"{len(model.vocabulary):,}" for model in models))
    return f"the models' vocabularies are different (of {sizes} {units[0]})"


def replaced_tokens(text_model: TokenizedModel, corpus: Corpus, encoding: str = "utf-8") -> int:
    """Return how many tokens of a text in files the vocabulary lacks; a ``<unk>`` that stands in the text is known."""
    unk = text_model.vocabulary.unk
    if not corpus.unknown or unk is None:
        return corpus.unknown
    texts = (text_model.tokenizer.pieces(read_text(path, encoding)) for path in corpus.sources)
    return corpus.unknown - sum(tokens.count(unk) for pieces in texts for tokens in pieces)


@dataclass(frozen=True)
class LineDifference:
    """By how many bits a line is dearer to one model than to another, in the mean; below 0, cheaper.

    ``low`` and ``high`` bound the mean in 95 % of bootstrap samples of the lines; ``p`` is how probable a mean as far
    from 0 would be if each line were as likely to favour either model: a two-sided sign-flip test.
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

    The lines are taken as independent of each other. Sources: B. Efron (1979) for the bootstrap, its percentile
    interval; E. J. G. Pitman (1937) for the test, of random signs, the observed ones counted among them.

    Raises:
        ShapeError: the numbers of lines differ, or are below 2.
    """
    if nats.shape != other_nats.shape or nats.ndim != 1 or len(nats) < 2:
        raise ShapeError(
            f"two lines or more by both models are needed, got {nats.shape} and {other_nats.shape}"
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
