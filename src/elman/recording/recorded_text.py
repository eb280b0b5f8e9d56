"""The record of one text: token scores, candidates, states and gradients, in the compact form that the page reads."""

import base64
import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from elman.errors import ElmanError
from elman.evaluation.surprisal import entropy_bits, most_probable
from elman.inspection.influence import influences
from elman.inspection.text_properties import PROPERTIES, property_of
from elman.inspection.through_time import through_time
from elman.inspection.trace import Trace, trace
from elman.inspection.units import followed
from elman.inspection.unroll import unroll
from elman.models.base import LogProbs
from elman.models.recurrent import RecurrentLM
from elman.text.offsets import token_offsets
from elman.text.token_writer import TokenWriter
from elman.text_model import TextModel

MAX_CANDIDATES = 40  # per place
REPLACEMENTS = 8  # of every token


def rounded(value: float, digits: int = 4) -> float | None:
    """Return a number with so many significant digits; None for infinity and NaN, which JSON lacks."""
    return float(f"{value:.{digits}g}") if math.isfinite(value) else None


def record_scores(text_model: TextModel, text: str, names: dict[int, str]) -> dict[str, Any]:
    """Return the tokens of a text with their surprisals and, at every place, the most probable candidates.

    ``places`` has one more entry than ``tokens``, for the end of the text. The candidates of a place are a list
    [id, ln P, id, ln P, ...]; their names are added to ``names``.
    """
    _, ids = text_model.encode(text)
    offsets = np.minimum(token_offsets(text_model.tokenizer, text)[: len(ids)], len(text)).tolist()
    writer = TokenWriter(text_model.tokenizer, text_model.vocabulary)
    state = text_model.begin_sentence()
    model, unknown_id = text_model.model, text_model.vocabulary.unknown_id
    tokens: list[list[Any]] = []
    places = []
    for id_, (start, end) in zip(ids.tolist(), offsets, strict=True):
        log_probs = model.next_log_probs(state)[0]
        places.append(_place(log_probs, writer, names))
        known = id_ >= 0
        name = writer.push(id_)[0] if known else text[start:end]
        bits = rounded(0.0 - float(log_probs[id_]) / math.log(2), 5) if known else None
        rank = 1 + int((log_probs > log_probs[id_]).sum()) if known else 0
        tokens.append([name, id_, start, end, bits, rank, int(id_ == unknown_id)])
        if known:
            state = model.feed(np.array([[id_]]), state)
    places.append(_place(model.next_log_probs(state)[0], writer, names))
    return {"text": text, "tokens": tokens, "places": places}


def _place(log_probs: LogProbs, writer: TokenWriter, names: dict[int, str]) -> dict[str, Any]:
    best = [id_ for id_ in most_probable(log_probs, MAX_CANDIDATES).tolist() if np.isfinite(log_probs[id_])]
    for id_ in best:
        names.setdefault(id_, writer.name(id_))
    top = [value for id_ in best for value in (id_, rounded(float(log_probs[id_]), 5))]
    return {
        "entropy": rounded(float(entropy_bits(log_probs)), 5),
        "possible": int(np.isfinite(log_probs).sum()),
        "top": top,
    }


def whole_ln_prob(text_model: TextModel, text: str) -> float | None:
    """Return ln P of a text and its end, by which candidates are compared; None for probability 0."""
    return rounded(text_model.score(text) * math.log(10), 7)


LEVELS = 127  # of the absolute value, so that a number fits into a signed byte

Part = tuple[int, str]  # a layer, counted from the bottom, and the name of a state or gate


def parts_of(model: RecurrentLM) -> list[Part]:
    """Return all parts, the most informative first: the states from the top layer down, then the gates."""
    layers = range(len(model.rnn_layers) - 1, -1, -1)
    names, states_only = model.rnn_layer.names_inside(), model.rnn_layer.state_widths
    states, gates = (
        [name for name in names if (name in states_only) == of_state] for of_state in (True, False)
    )
    return [(layer, name) for names in (states, gates) for layer in layers for name in names]


def record_inside(text_model: TextModel, text: str, parts: Sequence[Part]) -> dict[str, Any]:
    """Return the values of parts after every token, the text's properties, every token's gradients, and `unroll`."""
    traced = trace(text_model, text)
    coded = traced.coded
    return {
        "traces": {f"{layer}.{what}": _packed(traced.values(what, layer)) for layer, what in parts},
        "properties": {name: property_of(coded, name).tolist() for name in PROPERTIES},
        "followed": {f"{layer}.{what}": followed(traced, what, layer) for layer, what in parts},
        "gradients": [_gradient(text_model, traced, index) for index in range(len(coded.tokens))],
        "begins": coded.start_id is not None,
        "unrolled": unroll(text_model, text).as_json(text_model),
    }


def record_influence(text_model: TextModel, text: str) -> dict[str, Any]:
    """Return, for every token, the influence in bits of those before it, and what each token was replaced by."""
    found = {each.position: each for each in influences(text_model, text, REPLACEMENTS)}
    tokens = len(text_model.encode(text)[0])
    bits = [
        [rounded(value, 3) for value in found[index].bits.tolist()] if index in found else None
        for index in range(tokens)
    ]
    last = found[max(found)]
    return {"influence": {"bits": bits, "replacements": [row.replacements for row in last]}}


def _packed(values: NDArray[np.floating]) -> dict[str, Any]:
    """Return (T, H) numbers as signed bytes, in base64, and the absolute value of level 127."""
    limit = float(np.abs(values).max()) or 1.0
    levels = np.rint(values.astype(np.float64) / limit * LEVELS).astype(np.int8)
    return {"limit": rounded(limit, 6), "bytes": base64.b64encode(levels.tobytes()).decode("ascii")}


def _gradient(text_model: TextModel, traced: Trace, index: int) -> list[float | None] | None:
    """Return the gradient norms at the tokens before one; None for a token that the vocabulary lacks."""
    try:
        found = through_time(text_model, traced.coded.text, index)
    except ElmanError:
        return None
    return [rounded(norm, 3) for norm in found.norms.tolist()]
