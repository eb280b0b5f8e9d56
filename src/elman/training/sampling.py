"""When a training run writes a sample of its own: often enough to be watched, seldom enough to cost next to nothing."""

import math
import time

FIRST = 1.0  # seconds of training before the first sample
BETWEEN = 5.0  # seconds, at least, from one to the next
COST = 100  # times what a sample took, at least, from one to the next: 1 % of the time


class SampleTimer:
    """Tells whether a sample is due: every ``every`` blocks, or, where that is 0, by the clock."""

    def __init__(self, every: int = 0) -> None:
        self.every = every
        self.drawn_at = -1  # the iteration of the last sample; -1: there is none
        self._due_at = math.inf
        self._began = 0.0

    def start(self) -> None:
        """Begin to count the time."""
        self._due_at = time.monotonic() + FIRST

    def due(self, iteration: int) -> bool:
        """Return whether a sample is due after so many blocks."""
        if iteration == self.drawn_at:
            return False
        return iteration % self.every == 0 if self.every else time.monotonic() >= self._due_at

    def wanting(self, iteration: int, finished: bool) -> bool:
        """Return whether a run that ends here lacks a sample: it has none, or, by the clock, none of what it became."""
        return self.drawn_at < 0 or (finished and not self.every and self.drawn_at != iteration)

    def drawing(self) -> None:
        """Note that a sample is begun."""
        self._began = time.monotonic()

    def drawn(self, iteration: int) -> None:
        """Note that a sample is done."""
        now = time.monotonic()
        self.drawn_at = iteration
        self._due_at = now + max(BETWEEN, COST * (now - self._began))
