"""How the tokens of a completion are chosen: biases and penalties, then temperature, top-k and top-p."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from elman.generation import Sampler
from elman.models.base import LogProbs


@dataclass
class Chooser:
    """Draws tokens with its own generator of random numbers.

    ``bias`` is added to the ln P of its ids. Of a token that this completion has c times already (the prompt does
    not count), ``presence`` + c·``frequency`` is taken away.
    """

    sampler: Sampler
    rng: np.random.Generator
    bias: Mapping[int, float] = field(default_factory=dict)
    presence: float = 0.0
    frequency: float = 0.0
    counts: Counter[int] = field(default_factory=Counter)

    def choose(self, log_probs: LogProbs) -> int:
        """Return an id, given ln P (V,)."""
        found = self.sampler.draw(self._adjusted(log_probs), self.rng)
        self.counts[found] += 1
        return found

    def _adjusted(self, log_probs: LogProbs) -> LogProbs:
        penalised = bool((self.presence or self.frequency) and self.counts)
        if not (self.bias or penalised):
            return log_probs
        scores = log_probs.astype(np.float64)
        if self.bias:
            scores[list(self.bias)] += list(self.bias.values())
        if penalised:
            counts = np.array(list(self.counts.values()))
            scores[list(self.counts)] -= self.presence + self.frequency * counts
        return scores
