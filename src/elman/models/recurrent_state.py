"""The state of a recurrent language model, as an immutable value."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from elman.arrays import Array, as_ids, namespace, to_numpy
from elman.models.base import Ids
from elman.one_line import number_of, one_line


class RecurrentState:
    """The carried states of every layer: h (N, H), c (N, H) of an LSTM, and whatever else a cell carries.

    ``h[k]`` is the output of layer k at the last token, so ``h[-1]`` is what the next token is predicted from.
    ``arrays`` has the states of all layers by name. Immutable: nothing else refers to its arrays. States are equal if
    their numbers are.
    """

    __slots__ = ("arrays",)

    def __init__(self, h: Sequence[Array], c: Sequence[Array] = (), **others: Sequence[Array]) -> None:
        named = {"h": h, "c": c, **others}
        self.arrays = {name: tuple(arrays) for name, arrays in named.items() if len(arrays)}
        for array in self._all():
            if isinstance(array, np.ndarray):
                array.flags.writeable = False

    @classmethod
    def of(cls, layers: Sequence[Mapping[str, Array]]) -> "RecurrentState":
        """Return the state of layers that carry these arrays by name; all carry the same names."""
        return cls(**{name: [layer[name] for layer in layers] for name in layers[0]})

    def __repr__(self) -> str:
        return one_line(self, number_of(self.batch_size, "sequence"))

    def _all(self) -> list[Array]:
        return [array for arrays in self.arrays.values() for array in arrays]

    @property
    def h(self) -> tuple[Array, ...]:
        """The output (N, H) of every layer at the last token."""
        return self.arrays["h"]

    @property
    def c(self) -> tuple[Array, ...]:
        """c (N, H) of every layer that has one."""
        return self.arrays.get("c", ())

    @property
    def batch_size(self) -> int:
        """The number N of sequences."""
        return len(self.h[0])

    def layer(self, k: int) -> dict[str, Array]:
        """Return the states of layer k by name."""
        return {name: arrays[k] for name, arrays in self.arrays.items()}

    def select(self, rows: Sequence[int] | Ids) -> "RecurrentState":
        """Return the state of these sequences, in this order; a sequence may be repeated or left out."""
        index = as_ids(rows, self.h[0])
        return RecurrentState(**{name: [a[index] for a in arrays] for name, arrays in self.arrays.items()})

    def join(self, *others: "RecurrentState") -> "RecurrentState":
        """Return one state with this state's sequences followed by those of the others."""
        concatenate = namespace(self.h[0]).concatenate
        return RecurrentState(
            **{
                name: [
                    concatenate(parts)
                    for parts in zip(arrays, *(o.arrays[name] for o in others), strict=True)
                ]
                for name, arrays in self.arrays.items()
            }
        )

    def to_arrays(self) -> dict[str, Array]:
        """Return the state as named arrays: the input of `from_arrays`."""
        return {f"{name}.{k}": a for name, arrays in self.arrays.items() for k, a in enumerate(arrays)}

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, Array]) -> "RecurrentState":
        """Return the state that `to_arrays` described."""
        names = dict.fromkeys(name.rpartition(".")[0] for name in arrays)
        counts = {name: sum(each.rpartition(".")[0] == name for each in arrays) for name in names}
        return cls(**{name: [arrays[f"{name}.{k}"] for k in range(counts[name])] for name in names})

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, RecurrentState):
            return NotImplemented
        ours, theirs = self.to_arrays(), other.to_arrays()
        return ours.keys() == theirs.keys() and all(
            np.array_equal(to_numpy(array), to_numpy(theirs[name])) for name, array in ours.items()
        )

    def __hash__(self) -> int:
        # + 0 turns -0.0 into the equal 0.0
        return hash(tuple((to_numpy(a) + 0).tobytes() for a in self._all()))


def state_of(layers: Sequence[Any]) -> RecurrentState:
    """Return a copy of the state that recurrent layers carry."""
    return RecurrentState.of([{name: a + 0 for name, a in layer.carried().items()} for layer in layers])


def put_state(layers: Sequence[Any], state: RecurrentState) -> None:
    """Set the state that recurrent layers carry."""
    for k, layer in enumerate(layers):
        layer.carry(state.layer(k))
