"""Generation: sample the next token, feed it to the model, and repeat; as ids, or as text."""

import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import count
from typing import Any

import numpy as np
from numpy.typing import NDArray

from elman.errors import ConfigError
from elman.evaluation.perplexity import read
from elman.evaluation.surprisal import most_probable
from elman.models.base import LanguageModel
from elman.models.tokenized import TokenizedModel
from elman.one_line import number_of, one_line, settings
from elman.workers import limited_threads

SAMPLED_AT_ONCE = 1 << 15  # numbers of the distributions made together: 256 KB, which the cache holds
NUCLEUS = 256  # tokens that are sorted first to find a nucleus; more only where these do not reach `top_p`
NOTHING_LEFT = "every token that could come next is excluded; exclude fewer"

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Sampler:
    """How the next token is sampled: temperature, then top-k, then top-p.

    Args:
        temperature: divides the log probabilities; below 1 the distribution is sharper, above 1 flatter; 0 is greedy.
        top_k: sample from the k most probable tokens; 0: all.
        top_p: sample from the fewest most probable tokens that together reach this probability, the "nucleus"
            (A. Holtzman et al., ICLR 2020); 1: all.
        exclude: ids that are never sampled.

    Raises:
        ConfigError: a value is out of range.
    """

    temperature: float = 1.0
    top_k: int = 0
    top_p: float = 1.0
    exclude: tuple[int, ...] = ()

    def __post_init__(self) -> None:
        if not 0 <= self.temperature < float("inf"):
            raise ConfigError(f"temperature must be ≥ 0 (0: greedy) and finite, got {self.temperature}")
        if self.top_k < 0:
            raise ConfigError(f"top_k must be ≥ 1, or 0 for all tokens; got {self.top_k}")
        if not 0 < self.top_p <= 1:
            raise ConfigError(f"top_p must be in (0, 1], got {self.top_p}")
        if any(id_ < 0 for id_ in self.exclude):
            raise ConfigError(f"ids to exclude must be ≥ 0, got {min(self.exclude)}")

    def __repr__(self) -> str:
        excluded = f"{number_of(len(self.exclude), 'id')} excluded" if self.exclude else ""
        return one_line(self, settings(self, "temperature"), excluded)

    def distribution(self, log_probs: NDArray[Any]) -> NDArray[np.float64]:
        """Return the probabilities (V,) to sample from, for ln P (V,).

        Of equally probable tokens, those with the smaller ids are kept. Raises ConfigError if every possible token is
        excluded.
        """
        scores = _scores([self], log_probs[None])
        highest = scores.max(axis=1, keepdims=True)
        if highest[0, 0] == -np.inf:
            raise ConfigError(NOTHING_LEFT)
        return np.asarray(_distributions([self], scores, highest)[0])

    def draw(self, log_probs: NDArray[Any], rng: np.random.Generator) -> int:
        """Return one id, sampled from `distribution`. Raises ConfigError as that does."""
        drawn = draw_each([self], log_probs[None], [rng])[0]
        if drawn is None:
            raise ConfigError(NOTHING_LEFT)
        return drawn


def draw_each(
    samplers: Sequence[Sampler], log_probs: NDArray[Any], rngs: Sequence[np.random.Generator]
) -> list[int | None]:
    """Return for each row of ln P (N, V) the id that its sampler draws; None if every possible token is excluded.

    The ids are those of `Sampler.draw`, row by row. If V is small, a row costs a fraction of such a call.
    """
    drawn: list[int | None] = []
    step = max(1, SAMPLED_AT_ONCE // log_probs.shape[1])
    for first in range(0, len(samplers), step):
        rows = slice(first, first + step)
        scores, numbers = _scores(samplers[rows], log_probs[rows]), [rng.random() for rng in rngs[rows]]
        highest = scores.max(axis=1, keepdims=True)  # (rows, 1)
        possible = (highest[:, 0] != -np.inf).tolist()
        if all(sampler.temperature == 0 for sampler in samplers[rows]):
            ids = scores.argmax(axis=1)
        else:
            ids = _sample(_distributions(samplers[rows], scores, highest), np.array(numbers))
        drawn += [id_ if found else None for id_, found in zip(ids.tolist(), possible, strict=True)]
    return drawn


def _scores(samplers: Sequence[Sampler], log_probs: NDArray[Any]) -> NDArray[np.float64]:
    """Return ln P (N, V) as a copy, in which the tokens that each row's sampler excludes are impossible."""
    scores = log_probs.astype(np.float64)  # (N, V)
    for row, sampler in zip(scores, samplers, strict=True):
        if sampler.exclude:
            row[list(sampler.exclude)] = -np.inf
    return scores


def _distributions(
    samplers: Sequence[Sampler], scores: NDArray[np.float64], highest: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Turn scores (N, V) into the distributions of the rows' samplers, in place; NaN where no token is possible.

    ``highest`` (N, 1) are the rows' highest scores.
    """
    greedy = [n for n, sampler in enumerate(samplers) if sampler.temperature == 0]
    best = scores[greedy].argmax(axis=1) if greedy else ()
    with np.errstate(over="ignore", invalid="ignore"):  # the best token keeps its score of 0
        scores -= highest
        if any(sampler.temperature not in (0, 1) for sampler in samplers):
            scores /= np.array([[sampler.temperature or 1.0] for sampler in samplers])
    probs = np.exp(scores, out=scores)
    for row, sampler in zip(probs, samplers, strict=True):
        if sampler.top_k or sampler.top_p < 1:
            _truncate(row, sampler)
    for n, id_ in zip(greedy, best, strict=True):
        probs[n] = 0
        probs[n, id_] = 1
    probs /= probs.sum(axis=1, keepdims=True)
    return probs


def _truncate(probs: NDArray[np.float64], sampler: Sampler) -> None:
    """Set what top-k and then top-p leave out of probs (V,) to 0; their sum need not be 1."""
    if sampler.top_k:
        _keep(probs, most_probable(probs, sampler.top_k))
    if sampler.top_p < 1:
        total, count = probs.sum(), NUCLEUS
        while True:
            best_first = most_probable(probs, count)
            sums = np.cumsum(probs[best_first]) / total
            last = int(np.searchsorted(sums, sampler.top_p))  # the token that reaches top_p is kept
            if last < len(best_first) or count >= len(probs):
                break
            count *= NUCLEUS
        _keep(probs, best_first[: last + 1])


def _keep(probs: NDArray[np.float64], ids: NDArray[np.intp]) -> None:
    """Set all of probs (V,) to 0 except these."""
    kept = probs[ids]
    probs[...] = 0
    probs[ids] = kept


def _sample(probs: NDArray[np.float64], numbers: NDArray[np.float64]) -> NDArray[np.intp]:
    """Return an id for each row of probs (N, V) and number in [0, 1): inverse transform sampling."""
    drawn: NDArray[np.intp] = (np.cumsum(probs, axis=1) <= numbers[:, None]).sum(axis=1)  # (N,)
    if drawn.max() == probs.shape[1]:  # rounding errors go to the last possible token
        for n in np.flatnonzero(drawn == probs.shape[1]):
            drawn[n] = np.flatnonzero(probs[n])[-1]
    return drawn


def generate(
    model: LanguageModel, state: Any, sampler: Sampler, rng: np.random.Generator, length: int | None = None
) -> Iterator[int]:
    """Yield ``length`` sampled ids, starting from a one-sequence ``state``; endlessly if length is None."""
    token: int | None = None
    for _ in count() if length is None else range(length):
        with limited_threads(0):
            if token is not None:
                state = model.feed(np.array([[token]]), state)
            token = sampler.draw(model.next_log_probs(state)[0], rng)
        yield token


class TextStream(Iterator[str]):
    """A prompt and the text sampled after it, part by part; ``drawn`` are the ids sampled so far.

    Words of the prompt that the vocabulary lacks are logged as a warning.
    """

    def __init__(
        self,
        text_model: TokenizedModel,
        prompt: str | bytes,
        length: int,
        sampler: Sampler,
        rng: np.random.Generator,
    ) -> None:
        self.drawn: list[int] = []
        self._parts = self._draw(text_model, prompt, length, sampler, rng)

    def __next__(self) -> str:
        return next(self._parts)

    def _draw(
        self,
        text_model: TokenizedModel,
        prompt: str | bytes,
        length: int,
        sampler: Sampler,
        rng: np.random.Generator,
    ) -> Iterator[str]:
        tokens, ids = text_model.encode(prompt)
        _warn_of_unknown(text_model, tokens)
        state = read(text_model.model, ids, text_model.start_id)
        decoder = text_model.tokenizer.decoder()
        yield "".join(decoder.push(token) for token in tokens)
        for token_id in generate(text_model.model, state, sampler, rng, length):
            self.drawn.append(token_id)
            yield decoder.push(text_model.vocabulary.token(token_id))
        yield decoder.finish()


def _warn_of_unknown(text_model: TokenizedModel, tokens: list[str]) -> None:
    flags = text_model.is_unknown(tokens)
    unknown = [token for token, is_unknown in zip(tokens, flags, strict=True) if is_unknown]
    if unknown:
        what = "left out" if text_model.vocabulary.unk_id is None else "read as <unk>"
        words = (
            " ".join(dict.fromkeys(unknown)).encode(errors="replace").decode()
        )  # no lone surrogates in a log
        logger.warning(f"not in the vocabulary, {what}: {words}")
