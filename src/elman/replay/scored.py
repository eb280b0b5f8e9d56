"""A text as a model reads it, token by token, with what it expected: the scores of the page, compactly."""

import math
from typing import Any

import numpy as np

from elman.evaluation.surprisal import entropy_bits
from elman.models.base import LogProbs
from elman.models.text_model import TextModel
from elman.serving.prompts import Writer
from elman.serving.ranks import most_probable
from elman.text.offsets import token_offsets

TOP = 40  # candidates that are kept at every place


def rounded(value: float, digits: int = 4) -> float | None:
    """Return a number with so many significant digits; None for what JSON cannot hold."""
    return float(f"{value:.{digits}g}") if math.isfinite(value) else None


def record_scores(text_model: TextModel, text: str, names: dict[int, str]) -> dict[str, Any]:
    """Return the tokens of a text with their surprisals and, at every place, the most probable candidates.

    ``places`` has one more than there are tokens: what may come after the text. The candidates are [id, ln P, id,
    ln P, ...]; ``names`` is told their names.
    """
    _, ids = text_model.encode(text)
    offsets = np.minimum(token_offsets(text_model.tokenizer, text)[: len(ids)], len(text)).tolist()
    writer, state = Writer(text_model), text_model.begin_sentence()
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


def _place(log_probs: LogProbs, writer: Writer, names: dict[int, str]) -> dict[str, Any]:
    best = [id_ for id_ in most_probable(log_probs, TOP).tolist() if np.isfinite(log_probs[id_])]
    for id_ in best:
        names.setdefault(id_, writer.name(id_))
    top = [value for id_ in best for value in (id_, rounded(float(log_probs[id_]), 5))]
    return {
        "entropy": rounded(float(entropy_bits(log_probs)), 5),
        "possible": int(np.isfinite(log_probs).sum()),
        "top": top,
    }


def whole_ln_prob(text_model: TextModel, text: str) -> float | None:
    """Return ln P of a text and its end, by which candidates are compared; None for 0."""
    return rounded(text_model.score(text) * math.log(10), 7)
