"""How many distracting sentences stand between an entry and the question."""

import math
from dataclasses import dataclass

from elman.errors import ConfigError


@dataclass(frozen=True)
class Geometric:
    """After each sentence, another follows with the same probability mean / (1 + mean)."""

    mean: float

    def stop_probability(self, said: int) -> float:
        """Return P(no further distracting sentence | this many are said)."""
        return 1 / (1 + self.mean)

    @property
    def entropy(self) -> float:
        """The entropy of the number, in nats."""
        return math.log1p(self.mean) + (self.mean * math.log1p(1 / self.mean) if self.mean else 0.0)


@dataclass(frozen=True)
class Uniform:
    """Any number from least to most, each as probable as the others."""

    least: int
    most: int

    def stop_probability(self, said: int) -> float:
        """Return P(no further distracting sentence | this many are said)."""
        return 0.0 if said < self.least else 1 / (self.most - said + 1)

    @property
    def mean(self) -> float:
        """The expected number."""
        return (self.least + self.most) / 2

    @property
    def entropy(self) -> float:
        """The entropy of the number, in nats."""
        return math.log(self.most - self.least + 1)


def length_of(distractors: float | tuple[int, int]) -> Geometric | Uniform:
    """Return the distribution meant by a mean, or by the pair (least, most); raises ConfigError."""
    if isinstance(distractors, tuple):
        least, most = distractors
        if not 0 <= least <= most:
            raise ConfigError(f"distractors must be (least, most) with 0 <= least <= most, got {distractors}")
        return Uniform(least, most)
    if not 0 <= distractors < math.inf:
        raise ConfigError(f"distractors must be a mean of 0 or more, or a pair, got {distractors}")
    return Geometric(distractors)
