"""LanguageModel: the few calls that every model which can give P(next word | past) answers.

The check of ids at a model's boundary.

The last few ids of each sequence: all that a model with a fixed window remembers, as a value.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, TypeVar, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from elman.errors import ShapeError, VocabularyError

Ids = NDArray[np.integer[Any]]
LogProbs = NDArray[np.floating[Any]]
Mask = NDArray[np.bool_]
S = TypeVar("S", bound="State")


class State(Protocol):
    """What a model remembers of the past of N sequences: a value, never changed once made.

    It can be kept, compared with ``==``, hashed, and shared between candidates with a common prefix.
    """

    @property
    def batch_size(self) -> int:
        """The number N of sequences."""
        ...

    def select(self: S, rows: Sequence[int] | Ids) -> S:
        """Return the state of these sequences, in this order; a sequence may be repeated or left out."""
        ...

    def join(self: S, *others: S) -> S:
        """Return one state with this state's sequences followed by those of the others."""
        ...


@runtime_checkable
class LanguageModel(Protocol):
    """P(next token | past), by natural logarithm, for N sequences at once.

    Ids are integers in [0, vocab_size), shaped (N, T). Evaluating, generating, rescoring and serving
    are written once, against these calls. What they return is the caller's own: no later call changes it.
    """

    @property
    def vocab_size(self) -> int:
        """V, the number of tokens that share the probability."""
        ...

    def start(self, batch_size: int = 1) -> Any:
        """Return the state of having read nothing, for N sequences."""
        ...

    def feed(self, ids: Ids, state: Any) -> Any:
        """Read ids (N, T) after ``state``; return the state that follows."""
        ...

    def next_log_probs(self, state: Any) -> LogProbs:
        """Return ln P(next = v | past) for every v: (N, V); the exponentials of a row sum to 1."""
        ...

    def target_log_probs(self, ids: Ids, state: Any, counted: Mask | None = None) -> tuple[LogProbs, Any]:
        """Return ln P(ids[n, t] | past of sequence n, ids[n, :t]) as (N, T), and the state after reading ids.

        Where ``counted`` (N, T) is False the id is read, as everywhere, but its probability is not asked for: 0
        stands in its place, and a model whose output is costly spares itself the work. So sequences of unlike
        lengths are padded, with any id. Never holds N·T·V numbers at once.
        """
        ...


def begin(model: LanguageModel, eos: int | None, batch_size: int = 1) -> Any:
    """Return the state at the start of a text: after the end-of-line token, where the vocabulary has one."""
    state = model.start(batch_size)
    return state if eos is None else model.feed(np.full((batch_size, 1), eos), state)


def checked_ids(ids: Ids | NDArray[Any], batch_size: int, vocab_size: int) -> NDArray[np.int64]:
    """Return ids (N, T) as int64, with N the state's sequences.

    Raises ShapeError for another shape, VocabularyError for what is no integer in [0, vocab_size).
    """
    ids = np.asarray(ids)
    if ids.ndim != 2 or len(ids) != batch_size:
        raise ShapeError(
            f"ids must be ({batch_size}, T), as many sequences as the state has, got {ids.shape}"
        )
    if not np.issubdtype(ids.dtype, np.integer):
        raise VocabularyError(f"ids must be integers, got {ids.dtype}")
    if ids.size and (ids.min() < 0 or ids.max() >= vocab_size):
        outside = ids[(ids < 0) | (ids >= vocab_size)][0]
        raise VocabularyError(f"ids must lie in [0, {vocab_size}), got {outside}; encode the text anew")
    return ids.astype(np.int64)


def checked_mask(counted: Mask, shape: tuple[int, ...]) -> Mask:
    """Return ``counted`` as an array; raises ShapeError unless it is of truth values and has the shape of the ids."""
    counted = np.asarray(counted)
    if counted.shape != shape or counted.dtype != np.bool_:
        raise ShapeError(
            f"counted must be booleans {shape}, one for each id, got {counted.dtype} {counted.shape}"
        )
    return counted


BEFORE_TEXT = -1


@dataclass(frozen=True)
class Past:
    """The last k ids of each sequence, the oldest first, -1 where the text had not begun.

    Of an n-gram model of sentences they reach back to the sentence's beginning ``<s>``, whose id is V; before it is -1.
    """

    past: tuple[tuple[int, ...], ...]

    @property
    def batch_size(self) -> int:
        """The number N of sequences."""
        return len(self.past)

    def select(self, rows: Sequence[int] | Ids) -> "Past":
        """Return the state of these sequences, in this order."""
        return Past(tuple(self.past[row] for row in rows))

    def join(self, *others: "Past") -> "Past":
        """Return the sequences of this state followed by those of the others."""
        return Past(sum((other.past for other in others), self.past))

    @classmethod
    def of(cls, ids: NDArray[np.int64]) -> "Past":
        """Return the state whose last ids are these, (N, k)."""
        return cls(tuple(map(tuple, ids.tolist())))

    def array(self, length: int) -> NDArray[np.int64]:
        """Return the ids as an array (N, k); ``length`` is k, which no sequences or no ids would not tell."""
        return np.array(self.past, np.int64).reshape(self.batch_size, length)

    def to_arrays(self) -> dict[str, NDArray[Any]]:
        """Return the state as named arrays: the input of `from_arrays`."""
        return {"ids": np.array(self.past, np.int64)}

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, NDArray[Any]]) -> "Past":
        """Return the state that `to_arrays` described."""
        return cls.of(arrays["ids"])
