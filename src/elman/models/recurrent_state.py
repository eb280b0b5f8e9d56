"""The state of a recurrent language model, as an immutable value."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from elman.arrays import Array, as_ids, namespace, to_numpy
from elman.models.base import Ids
from elman.one_line import number_of, one_line


class RecurrentState:
    """h (N, H) of every layer, and c (N, H) of every LSTM layer.

    Immutable: nothing else refers to its arrays. States are equal if their numbers are.
    """

    __slots__ = ("c", "h")

    def __init__(self, h: Sequence[Array], c: Sequence[Array] = ()) -> None:
        self.h, self.c = tuple(h), tuple(c)
        for array in (*self.h, *self.c):
            if isinstance(array, np.ndarray):
                array.flags.writeable = False

    def __repr__(self) -> str:
        return one_line(self, number_of(self.batch_size, "sequence"))

    @property
    def batch_size(self) -> int:
        """The number N of sequences."""
        return len(self.h[0])

    def select(self, rows: Sequence[int] | Ids) -> "RecurrentState":
        """Return the state of these sequences, in this order; a sequence may be repeated or left out."""
        index = as_ids(rows, self.h[0])
        return RecurrentState([a[index] for a in self.h], [a[index] for a in self.c])

    def join(self, *others: "RecurrentState") -> "RecurrentState":
        """Return one state with this state's sequences followed by those of the others."""
        concatenate = namespace(self.h[0]).concatenate
        return RecurrentState(
            [concatenate(parts) for parts in zip(self.h, *(o.h for o in others), strict=True)],
            [concatenate(parts) for parts in zip(self.c, *(o.c for o in others), strict=True)],
        )

    def to_arrays(self) -> dict[str, Array]:
        """Return the state as named arrays: the input of `from_arrays`."""
        named = (("h", self.h), ("c", self.c))
        return {f"{name}.{k}": array for name, arrays in named for k, array in enumerate(arrays)}

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, Array]) -> "RecurrentState":
        """Return the state that `to_arrays` described."""
        h, c = ([name for name in arrays if name.startswith(f"{which}.")] for which in ("h", "c"))
        return cls([arrays[f"h.{k}"] for k in range(len(h))], [arrays[f"c.{k}"] for k in range(len(c))])

    def __eq__(self, other: object) -> bool:
        if (
            not isinstance(other, RecurrentState)
            or len(self.h) != len(other.h)
            or len(self.c) != len(other.c)
        ):
            return NotImplemented if not isinstance(other, RecurrentState) else False
        pairs = zip((*self.h, *self.c), (*other.h, *other.c), strict=True)
        return all(np.array_equal(to_numpy(a), to_numpy(b)) for a, b in pairs)

    def __hash__(self) -> int:
        # + 0 turns -0.0 into the equal 0.0
        return hash(tuple((to_numpy(a) + 0).tobytes() for a in (*self.h, *self.c)))


def state_of(layers: Sequence[Any]) -> RecurrentState:
    """Return a copy of the state that recurrent layers carry."""
    return RecurrentState(
        [layer.h + 0 for layer in layers], [layer.c + 0 for layer in layers if hasattr(layer, "c")]
    )


def put_state(layers: Sequence[Any], state: RecurrentState) -> None:
    """Set the state that recurrent layers carry."""
    for k, layer in enumerate(layers):
        layer.set_state(state.h[k], *(c[k] for c in (state.c,) if c))
