"""How improbable each line of a text is, from the same reading that gives its perplexity."""

import numpy as np
from numpy.typing import NDArray

from elman.models.base import Ids, LogProbs


class LineNlls:
    """Sums -ln P over each line, its end counted, while `evaluate` reads a text in one lane: its ``watch``.

    A last line without an end is one too. Without ``eos``, a token that ends a line, the text is one line.
    """

    def __init__(self, eos: int | None) -> None:
        self._eos = eos
        self._whole: list[NDArray[np.float64]] = []
        self._begun: float | None = None

    def __call__(self, ids: Ids, log_probs: LogProbs) -> None:
        """Take a block of ids (1, T) and their ln P."""
        sums = np.concatenate([[0.0], -np.cumsum(log_probs[0], dtype=np.float64)])  # (T + 1,)
        ends = np.flatnonzero(ids[0] == (-1 if self._eos is None else self._eos)) + 1
        parts = np.diff(sums[[0, *ends, -1]])  # of the lines that end in the block, and of the next
        parts[0] += self._begun or 0.0
        self._whole.append(parts[:-1])
        ended = len(ends) > 0 and ends[-1] == ids.shape[1]
        self._begun = None if ended else float(parts[-1])

    def nats(self) -> NDArray[np.float64]:
        """Return -ln P of every line in nats, (lines,)."""
        rest = [] if self._begun is None else [self._begun]
        return np.concatenate([*self._whole, rest])
