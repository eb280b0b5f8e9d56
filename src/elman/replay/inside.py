"""What goes on inside a recurrent model while it reads a text, as the page takes it, one byte a number."""

import base64
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from elman.errors import ElmanError
from elman.inspection.network import INSIDE
from elman.inspection.properties import PROPERTIES, property_of
from elman.inspection.through_time import through_time
from elman.inspection.trace import Trace, trace
from elman.models.rnnlm import RecurrentLM
from elman.models.text_model import TextModel
from elman.replay.scored import rounded

LEVELS = 127  # of a number's absolute value

Part = tuple[int, str]  # a layer, counted from the bottom, and a state or a gate of it


def parts_of(model: RecurrentLM) -> list[Part]:
    """Return what there is to keep, the most telling first: the states from the top layer down, then the gates."""
    layers = range(len(model.rnn_layers) - 1, -1, -1)
    states, gates = (
        [name for name in INSIDE[model.cell] if (name in "hc") == of_state] for of_state in (True, False)
    )
    return [(layer, name) for names in (states, gates) for layer in layers for name in names]


def record_inside(text_model: TextModel, text: str, parts: Sequence[Part]) -> dict[str, Any]:
    """Return these parts after every token, the text's properties there, and the gradients of every token."""
    traced = trace(text_model, text)
    coded = traced.coded
    return {
        "traces": {f"{layer}.{what}": _packed(traced.values(what, layer)) for layer, what in parts},
        "properties": {name: property_of(coded, name).tolist() for name in PROPERTIES},
        "gradients": [_gradient(text_model, traced, index) for index in range(len(coded.tokens))],
        "begins": coded.start_id is not None,
    }


def _packed(values: NDArray[np.floating]) -> dict[str, Any]:
    """Return (T, H) numbers as signed bytes, in base64, and the absolute value that 127 stands for."""
    limit = float(np.abs(values).max()) or 1.0
    levels = np.rint(values.astype(np.float64) / limit * LEVELS).astype(np.int8)
    return {"limit": rounded(limit, 6), "bytes": base64.b64encode(levels.tobytes()).decode("ascii")}


def _gradient(text_model: TextModel, traced: Trace, index: int) -> list[float | None] | None:
    """Return the norms at the tokens before one; None for a token that the vocabulary lacks."""
    try:
        found = through_time(text_model, traced.coded.text, index)
    except ElmanError:
        return None
    return [rounded(norm, 3) for norm in found.norms.tolist()]
