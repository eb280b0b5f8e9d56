"""Record the states and gates of a recurrent network while it reads a text, for every layer and step."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from elman.arrays import Array
from elman.errors import ConfigError, TextError
from elman.inspection.network import Network, recurrent
from elman.inspection.text_properties import EncodedText
from elman.text_model import TextModel


@dataclass(frozen=True)
class Trace:
    """The states and gates of every layer, the bottom one first, after each token of a text; see `trace`."""

    cell: str
    coded: EncodedText
    layers: Sequence[Mapping[str, Array]]  # by name, (steps, width)
    choices: tuple[str, ...]
    """The names of the states and gates: h for an RNN; h, c, i, f, g, o for an LSTM; h, r, z, n for a GRU."""

    def values(self, what: str = "h", layer: int | None = None) -> NDArray[np.floating]:
        """Return a state or gate of a layer, counted from 0 at the bottom (None: the top), after each token: (T, H).

        A token that the vocabulary lacks is not read, so the values do not change; before the first step they are 0.

        Raises:
            ConfigError: there is no such layer, or its cells have no such state or gate.
        """
        k = checked_layer(layer, len(self.layers))
        checked_what(what, self.cell, self.choices)
        steps = self.layers[k][what]
        before = np.zeros((1, steps.shape[1]), steps.dtype)
        found: NDArray[np.floating] = np.concatenate([before, steps])[self.coded.steps + 1]
        return found


def trace(text_model: TextModel, text: str) -> Trace:
    """Return the states and gates of a recurrent model as it reads a text from its beginning.

    The memory needed is proportional to the length of the text. The model is not changed.

    Raises:
        NoHiddenUnits: the model is not a recurrent network.
        TextError: the text has no token, or none that is in the vocabulary.
    """
    model = recurrent(text_model.model)
    coded = EncodedText.of(text_model, text)
    ids = coded.read()
    if not len(ids):
        raise TextError("the text to inspect has no token that is in the vocabulary; give another one")
    network = Network(model)
    network.read(ids)
    layers = [{name: values[0] for name, values in layer.inside.items()} for layer in network.layers]
    return Trace(model.cell, coded, layers, network.layers[0].names_inside())


def checked_layer(layer: int | None, layers: int) -> int:
    """Return a valid index of a layer; None is the top one. Raises ConfigError if there is no such layer."""
    if layer is None:
        return layers - 1
    if not 0 <= layer < layers:
        raise ConfigError(
            f"layer must be 0 (the bottom one) to {layers - 1} in a model of {layers}, got {layer}"
        )
    return layer


def checked_what(what: str, cell: str, choices: Sequence[str]) -> str:
    """Return the name of a state or gate. Raises ConfigError if it is not one of those that such cells have."""
    if what not in choices:
        raise ConfigError(f"a cell of kind {cell} has no {what!r}; choose from {', '.join(choices)}")
    return what
