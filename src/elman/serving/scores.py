"""Texts that are scored, token by token, and what may come next."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from elman.evaluation.surprisal import entropy_bits
from elman.models.base import LogProbs
from elman.serving.ranks import most_probable


@dataclass(frozen=True)
class Scored:
    """A token of a text: ln P, its rank (1: the most probable), the entropy before it, and the most probable ones.

    A token that the vocabulary lacks has probability 0 and no rank (0).
    """

    id: int
    ln_prob: float
    rank: int
    entropy_bits: float
    top: list[tuple[int, float]]


class Scoring:
    """Scores ids; -1 stands for a token that the vocabulary lacks, which is not read."""

    def __init__(self, ids: Sequence[int], top: int = 0) -> None:
        self.tokens: list[Scored] = []
        self._ids, self._top = ids, top

    @property
    def needs_distribution(self) -> bool:
        """Whether there is a token to score."""
        return len(self.tokens) < len(self._ids)

    def next(self, log_probs: LogProbs | None) -> int | None:
        """Return the id to be read next; None at the end."""
        while log_probs is not None and len(self.tokens) < len(self._ids):
            id_ = self._ids[len(self.tokens)]
            self.tokens.append(self._scored(id_, log_probs))
            if id_ >= 0:
                return id_ if len(self.tokens) < len(self._ids) else None
        return None

    def _scored(self, id_: int, log_probs: LogProbs) -> Scored:
        ln_prob = float(log_probs[id_]) if id_ >= 0 else -math.inf
        rank = 1 + int((log_probs > log_probs[id_]).sum()) if id_ >= 0 else 0
        best = most_probable(log_probs, self._top).tolist()
        return Scored(
            id_, ln_prob, rank, entropy_bits(log_probs), [(other, float(log_probs[other])) for other in best]
        )


class Rescoring:
    """Adds up ln P of ids; -1 stands for a token that the vocabulary lacks: the text then has probability 0."""

    def __init__(self, ids: Sequence[int]) -> None:
        self.ln_prob = -math.inf if -1 in ids else 0.0
        self._ids: Sequence[int] = [] if -1 in ids else ids
        self._done = 0

    @property
    def needs_distribution(self) -> bool:
        """Whether there is a token to score."""
        return self._done < len(self._ids)

    def next(self, log_probs: LogProbs | None) -> int | None:
        """Return the id to be read next; None at the end."""
        if log_probs is None or not self.needs_distribution:
            return None
        id_ = self._ids[self._done]
        self.ln_prob += float(log_probs[id_])
        self._done += 1
        return id_ if self.needs_distribution else None


class Looking:
    """Takes note of what may come next."""

    def __init__(self) -> None:
        self.log_probs: NDArray[np.float64] | None = None

    @property
    def needs_distribution(self) -> bool:
        """Always."""
        return True

    def next(self, log_probs: LogProbs | None) -> None:
        """Keep the distribution; nothing is read after it."""
        if log_probs is not None:
            self.log_probs = np.array(log_probs, np.float64)
