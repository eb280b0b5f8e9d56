"""The state of a model with a cache, as a value: the state of the model itself, and the last words read."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from elman.models.base import Ids

NO_WORD = -1


class CacheState:
    """``inner``, the wrapped model's state, with the words (N, L) read last and the key (N, L, K) of each.

    The newest word is the last. A lane that has read fewer than another has `NO_WORD` on the left. K is 0
    where a cache does not weigh its words. Immutable; equal states have equal numbers.
    """

    __slots__ = ("inner", "keys", "words")

    def __init__(self, inner: Any, words: NDArray[np.int64], keys: NDArray[np.floating[Any]]) -> None:
        used = int((words != NO_WORD).sum(axis=1).max(initial=0))  # so that equal pasts have equal shapes
        start = words.shape[1] - used
        self.inner, self.words, self.keys = inner, words[:, start:].copy(), keys[:, start:] + 0
        for array in (self.words, self.keys):
            array.flags.writeable = False

    @property
    def lanes(self) -> int:
        """The number N of lanes."""
        return len(self.words)

    def select(self, lanes: Sequence[int] | Ids) -> "CacheState":
        """Return the state of these lanes, in this order; a lane may be repeated or left out."""
        index = np.asarray(lanes, np.intp)
        return CacheState(self.inner.select(lanes), self.words[index], self.keys[index])

    def join(self, *others: "CacheState") -> "CacheState":
        """Return one state with this state's lanes followed by those of the others."""
        states = (self, *others)
        longest = max(state.words.shape[1] for state in states)
        missing = [(longest - state.words.shape[1], 0) for state in states]
        words = [
            np.pad(s.words, ((0, 0), left), constant_values=NO_WORD)
            for s, left in zip(states, missing, strict=True)
        ]
        keys = [np.pad(s.keys, ((0, 0), left, (0, 0))) for s, left in zip(states, missing, strict=True)]
        inner = self.inner.join(*(other.inner for other in others))
        return CacheState(inner, np.concatenate(words), np.concatenate(keys))

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, CacheState):
            return NotImplemented
        same = np.array_equal(self.words, other.words) and np.array_equal(self.keys, other.keys)
        return bool(same and self.inner == other.inner)

    def __hash__(self) -> int:
        # + 0, above, turned -0.0 into 0.0, which it equals
        return hash((self.inner, self.words.tobytes(), self.keys.tobytes()))
