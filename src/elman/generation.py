"""Generation: sample the next token, feed it to the model, and repeat; as ids, or as text."""

import logging
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import count
from typing import Any

import numpy as np
from numpy.typing import NDArray

from elman.errors import ConfigError
from elman.evaluation.perplexity import read
from elman.models.base import LanguageModel
from elman.models.tokenized import TokenizedModel
from elman.one_line import number_of, one_line, settings
from elman.workers import limited_threads

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
        scores = log_probs.astype(np.float64)
        scores[list(self.exclude)] = -np.inf
        best = int(np.argmax(scores))
        if scores[best] == -np.inf:
            raise ConfigError("every token that could come next is excluded; exclude fewer")
        if self.temperature == 0:
            chosen = np.zeros_like(scores)
            chosen[best] = 1
            return chosen
        scores -= scores[best]
        with np.errstate(over="ignore"):  # at any temperature the best token keeps its score of 0
            scores /= self.temperature
        probs = np.exp(scores)
        if self.top_k or self.top_p < 1:
            best_first = np.argsort(-probs, kind="stable")
            if self.top_k:
                probs[best_first[self.top_k :]] = 0
            if self.top_p < 1:
                sums = np.cumsum(probs[best_first]) / probs.sum()
                # the token that reaches top_p is the last one kept
                probs[best_first[np.searchsorted(sums, self.top_p) + 1 :]] = 0
        return np.asarray(probs / probs.sum())

    def draw(self, log_probs: NDArray[Any], rng: np.random.Generator) -> int:
        """Return one id, sampled from `distribution`."""
        probs = self.distribution(log_probs)
        # inverse transform sampling; rounding errors go to the last token with a non-zero probability
        drawn = int(np.searchsorted(np.cumsum(probs), rng.random(), side="right"))
        return min(drawn, int(np.flatnonzero(probs)[-1]))


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
