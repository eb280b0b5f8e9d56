"""What goes on inside a recurrent network while it reads a text: states and gates, layer by layer, step by step."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from elman.arrays import Array
from elman.errors import ConfigError, TextError
from elman.inspection.network import INSIDE, Network, recurrent
from elman.inspection.text_properties import CodedText
from elman.text_model import TextModel


@dataclass(frozen=True)
class Trace:
    """The inside of every layer, from the bottom, after each token of a text; see `trace`."""

    cell: str
    coded: CodedText
    layers: Sequence[Mapping[str, Array]]  # by name, (steps, H)

    @property
    def choices(self) -> tuple[str, ...]:
        """What there is to look at: h of an RNN; h, c, i, f, g and o of an LSTM; h, r, z and n of a GRU."""
        return INSIDE[self.cell]

    def values(self, what: str = "h", layer: int | None = None) -> NDArray[np.floating]:
        """Return a state or a gate of a layer, counted from 0 at the bottom (None: the top), after each token: (T, H).

        A token that the vocabulary lacks is not read: after it all is as before; before the first step, zero.

        Raises:
            ConfigError: there is no such layer, or nothing of that name in its cells.
        """
        k = checked_layer(layer, len(self.layers))
        checked_what(what, self.cell)
        steps = self.layers[k][what]
        before = np.zeros((1, steps.shape[1]), steps.dtype)
        found: NDArray[np.floating] = np.concatenate([before, steps])[self.coded.steps + 1]
        return found


def trace(text_model: TextModel, text: str) -> Trace:
    """Return the states and gates of a recurrent model as it reads a text, from the text's beginning on.

    The memory that it takes is in proportion to the text. The model is not changed.

    Raises:
        NoHiddenUnits: the model is not a recurrent network.
        TextError: the text holds no token, or none that the model knows.
    """
    model = recurrent(text_model.model)
    coded = CodedText.of(text_model, text)
    ids = coded.read()
    if not len(ids):
        raise TextError("the text to look at holds no token that the vocabulary has; give another one")
    network = Network(model)
    network.read(ids)
    layers = [{name: values[0] for name, values in layer.inside.items()} for layer in network.layers]
    return Trace(model.cell, coded, layers)


def checked_layer(layer: int | None, layers: int) -> int:
    """Return which layer is meant, counted from 0; None: the top one. Raises ConfigError for one that is not there."""
    if layer is None:
        return layers - 1
    if not 0 <= layer < layers:
        raise ConfigError(
            f"layer must be 0 (the bottom one) to {layers - 1} in a model of {layers}, got {layer}"
        )
    return layer


def checked_what(what: str, cell: str) -> str:
    """Return what to look at. Raises ConfigError for what such cells do not have."""
    if what not in INSIDE[cell]:
        raise ConfigError(f"a cell of kind {cell} has no {what!r}; choose from {', '.join(INSIDE[cell])}")
    return what
