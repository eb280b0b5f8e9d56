"""Minibatches for truncated BPTT: one long text read as N sequences in order, T steps at a time."""

from collections.abc import Collection
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from elman.errors import ConfigError, TextError
from elman.files import release_pages

KEPT = 1 << 22  # ids of a memory-mapped text that are read before its pages are released
Wrap = Literal["circle", "restart"]


def fitting_block(
    tokens: int, batch_size: int, time_size: int, given: Collection[str] = (), wrap: Wrap = "circle"
) -> tuple[int, int]:
    """Return the sizes of a block no longer than a text of ``tokens``: fewer sequences first, then fewer steps.

    Sizes named in ``given`` ("batch_size", "time_size") stay, even if the text is then too short.

    >>> fitting_block(101, 20, 35), fitting_block(31, 20, 35), fitting_block(31, 20, 35, ["batch_size"])
    ((2, 35), (1, 30), (20, 1))
    """
    targets = tokens - 1 - (wrap == "restart")
    if "batch_size" not in given:
        batch_size = max(1, min(batch_size, targets // time_size))
    if "time_size" not in given:
        time_size = max(1, min(time_size, targets // batch_size))
    return batch_size, time_size


class Minibatches:
    """Blocks (N, T) of inputs and targets, in reading order.

    Sequence i starts at offset i·(len(xs) // N). ``wrap`` is what happens at the end of the text:

    - "circle": every sequence continues at the beginning, in the middle of a block if necessary, and keeps its hidden
      state (the textbook's way). An epoch is len(xs) // (N·T) blocks.
    - "restart": for one sequence only. When no whole block is left, reading starts again at the beginning with the
      hidden state set to zero (min-char-rnn's way). An epoch is one reading of the text.

    The time index advances once per step, for all sequences together: a published copy of the textbook's code that
    advances it once per sequence skips most of the text.
    """

    def __init__(
        self, xs: NDArray[Any], ts: NDArray[Any], batch_size: int, time_size: int, wrap: Wrap = "circle"
    ) -> None:
        if len(xs) != len(ts):
            raise ConfigError(f"xs and ts must have the same length, got {len(xs)} and {len(ts)}")
        if batch_size < 1 or time_size < 1:
            raise ConfigError(f"batch size and time size must be ≥ 1, got {batch_size} and {time_size}")
        if wrap == "restart" and batch_size != 1:
            raise ConfigError(f"wrap 'restart' needs batch size 1, got {batch_size}")
        block = batch_size * time_size
        needed = block + (wrap == "restart")
        if len(xs) < needed:
            raise TextError(
                f"the text is too short: {len(xs) + 1} tokens, but one block of {batch_size} sequences of {time_size} "
                f"steps needs {needed + 1}; give more text, or a smaller batch size or time size"
            )
        self.xs, self.ts = xs, ts
        self.wrap, self.batch_size, self.time_size = wrap, batch_size, time_size
        self.blocks_per_epoch = (len(xs) - (wrap == "restart")) // block
        self.position = 0  # steps that every sequence has read
        offsets = np.arange(batch_size) * (len(xs) // batch_size)  # (N,)
        self._first_places = offsets[:, None] + np.arange(time_size)  # (N, T)
        self._kept_steps = max(1, KEPT // batch_size)

    def next(self) -> tuple[NDArray[Any], NDArray[Any], bool]:
        """Return inputs and targets (N, T), and whether reading has just started again at the beginning."""
        T, length = self.time_size, len(self.xs)
        restarted = self.wrap == "restart" and self.position + T >= length
        if restarted:
            self.position = 0
        places = (self._first_places + self.position) % length  # (N, T)
        if self.position // self._kept_steps != (self.position + T) // self._kept_steps:
            release_pages(self.xs)
            release_pages(self.ts)
        self.position += T
        return self.xs[places], self.ts[places], restarted
