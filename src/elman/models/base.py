"""LanguageModel: the few calls that every model which can give P(next word | past) answers."""

from collections.abc import Sequence
from typing import Any, Protocol, TypeVar, runtime_checkable

import numpy as np
from numpy.typing import NDArray

Ids = NDArray[np.integer[Any]]
LogProbs = NDArray[np.floating[Any]]
Mask = NDArray[np.bool_]
S = TypeVar("S", bound="State")


class State(Protocol):
    """What a model remembers of the past of N lanes: a value, never changed once made.

    It can be kept, compared with ``==``, hashed, and shared between candidates with a common prefix.
    """

    @property
    def lanes(self) -> int:
        """The number N of lanes."""
        ...

    def select(self: S, lanes: Sequence[int] | Ids) -> S:
        """Return the state of these lanes, in this order; a lane may be repeated or left out."""
        ...

    def join(self: S, *others: S) -> S:
        """Return one state with this state's lanes followed by those of the others."""
        ...


@runtime_checkable
class LanguageModel(Protocol):
    """P(next token | past), by natural logarithm, for N lanes at once.

    Ids are integers in [0, vocab_size), shaped (N, T). Evaluating, generating, rescoring and serving
    are written once, against these calls. What they return is the caller's own: no later call changes it.
    """

    @property
    def vocab_size(self) -> int:
        """V, the number of tokens that share the probability."""
        ...

    def start(self, lanes: int = 1) -> Any:
        """Return the state of having read nothing, for N lanes."""
        ...

    def feed(self, ids: Ids, state: Any) -> Any:
        """Read ids (N, T) after ``state``; return the state that follows."""
        ...

    def next_log_probs(self, state: Any) -> LogProbs:
        """Return ln P(next = v | past) for every v: (N, V); the exponentials of a row sum to 1."""
        ...

    def target_log_probs(self, ids: Ids, state: Any, counted: Mask | None = None) -> tuple[LogProbs, Any]:
        """Return ln P(ids[n, t] | past of lane n, ids[n, :t]) as (N, T), and the state after reading ids.

        Where ``counted`` (N, T) is False the id is read, as everywhere, but its probability is not asked for: 0
        stands in its place, and a model whose output is costly spares itself the work. So lanes of unlike
        lengths are padded, with any id. Never holds N·T·V numbers at once.
        """
        ...


def begin(model: LanguageModel, eos: int | None, lanes: int = 1) -> Any:
    """Return the state at the start of a text: after the end-of-line token, where the vocabulary has one."""
    state = model.start(lanes)
    return state if eos is None else model.feed(np.full((lanes, 1), eos), state)
