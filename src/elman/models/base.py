"""`LanguageModel`, the protocol of all models: P(next token | past), for N sequences at once.

Also here: the checks of a model's arguments, and `Past`, the state of models that see only the last k tokens.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Protocol, TypeVar, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from elman.errors import ShapeError, VocabularyError

Ids = NDArray[np.integer[Any]]
LogProbs = NDArray[np.floating[Any]]
Mask = NDArray[np.bool_]
S = TypeVar("S", bound="State")


class State(Protocol):
    """What a model remembers of N sequences: an immutable value.

    It can be stored, compared with ``==``, hashed, and shared between candidates with a common prefix.
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
    """P(next token | past), as a natural logarithm, for N sequences at once.

    Ids are integers in [0, vocab_size), shaped (N, T). Evaluation, generation, rescoring and serving use these
    methods only. No later call changes what a method returned, and any number of threads may read with one model
    (while it is not being trained): each gets the numbers that it would get alone.
    """

    @property
    def vocab_size(self) -> int:
        """V, the number of tokens."""
        ...

    def start(self, batch_size: int = 1) -> Any:
        """Return the initial state of N sequences, which have read nothing."""
        ...

    def feed(self, ids: Ids, state: Any) -> Any:
        """Read ids (N, T) after ``state``; return the state that follows."""
        ...

    def next_log_probs(self, state: Any) -> LogProbs:
        """Return ln P(next = v | past) for every v: (N, V); the exponentials of a row sum to 1."""
        ...

    def target_log_probs(self, ids: Ids, state: Any, counted: Mask | None = None) -> tuple[LogProbs, Any]:
        """Return ln P(ids[n, t] | past of sequence n, ids[n, :t]) as (N, T), and the state after reading ids.

        Where ``counted`` (N, T) is False the id is read, but its probability is not needed: the result there is 0,
        and a model with a costly output does not compute it. So sequences of different lengths can be padded, with
        any id. Never allocates N·T·V numbers at once.
        """
        ...


def begin(model: LanguageModel, eos: int | None, batch_size: int = 1) -> Any:
    """Return the state at the start of a text: after the end-of-line token ``eos``, if there is one."""
    state = model.start(batch_size)
    return state if eos is None else model.feed(np.full((batch_size, 1), eos), state)


def checked_ids(ids: Ids | NDArray[Any], batch_size: int, vocab_size: int) -> NDArray[np.int64]:
    """Return ids (N, T) as int64.

    Raises:
        ShapeError: the shape is not (batch_size, T).
        VocabularyError: an id is not an integer in [0, vocab_size).
    """
    ids = np.asarray(ids)
    if ids.ndim != 2 or len(ids) != batch_size:
        raise ShapeError(
            f"ids must be ({batch_size}, T), with the state's number of sequences, got {ids.shape}"
        )
    if ids.dtype.kind not in "iu":
        raise VocabularyError(f"ids must be integers, got {ids.dtype}")
    if ids.size and (ids.min() < 0 or ids.max() >= vocab_size):
        outside = ids[(ids < 0) | (ids >= vocab_size)][0]
        raise VocabularyError(
            f"ids must lie in [0, {vocab_size}), got {outside}; encode the text with the model's own vocabulary"
        )
    return ids.astype(np.int64)


def checked_mask(counted: Mask, shape: tuple[int, ...]) -> Mask:
    """Return ``counted`` as an array. Raises ShapeError unless it is boolean and of the shape of the ids."""
    counted = np.asarray(counted)
    if counted.shape != shape or counted.dtype != np.bool_:
        raise ShapeError(
            f"counted must be booleans {shape}, one for each id, got {counted.dtype} {counted.shape}"
        )
    return counted


BEFORE_TEXT = -1  # in a `Past`, in place of an id: the text had not begun


@dataclass(frozen=True)
class Past:
    """The last k ids of each sequence, oldest first; `BEFORE_TEXT` (-1) where the text had not begun.

    In an n-gram model of sentences the ids reach back to the beginning of the sentence, ``<s>``, whose id is V.
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
        """Return the ids as an array (N, k); ``length`` is k, which cannot be inferred where N is 0."""
        return np.array(self.past, np.int64).reshape(self.batch_size, length)

    @cached_property
    def stored_array(self) -> NDArray[np.int64]:
        """The `array` of a state from which many texts are read; do not modify it."""
        return np.array(self.past, np.int64)

    def to_arrays(self) -> dict[str, NDArray[Any]]:
        """Return the state as named arrays: the input of `from_arrays`."""
        return {"ids": np.array(self.past, np.int64)}

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, NDArray[Any]]) -> "Past":
        """Return the state that `to_arrays` described."""
        return cls.of(arrays["ids"])
