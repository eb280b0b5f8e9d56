"""A recurrent language model unrolled over the last steps of a text: what each step reads, holds and predicts."""

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from elman.errors import TextError
from elman.inspection.gradient_flow import GradientFlow, flowing_state, gradient_flow
from elman.inspection.network import Network, recurrent
from elman.inspection.text_properties import EncodedText
from elman.layers import TimeRNN
from elman.layers import adaptive as adaptive_output
from elman.layers.recurrent import StatefulLayer, TimeDenseRecurrence
from elman.layers.rglru import SCALE, TimeRGLRU
from elman.models.parameters import adaptive_softmax_layer
from elman.models.recurrent import RecurrentLM
from elman.text.token_writer import TokenWriter
from elman.text_model import TextModel

STEPS = 32  # as many columns as a reader follows
UNITS = 16  # whose values are kept
CANDIDATES = 3
DIGITS = 4  # significant ones

Values = NDArray[np.floating]
Inside = dict[str, Values]  # states and gates by name


@dataclass(frozen=True)
class Unrolled:
    """L steps of a recurrent model over a text, of which step t predicts what step t + 1 reads.

    ``scores`` (L, V) come before the softmax; those of an adaptive softmax, which has no single layer of scores, are
    ln P. ``terms`` are what the equations name besides states and gates: for the RNN the two terms of tanh's argument,
    x_t·Wx + b and h_{t-1}·Wh, and for the RG-LRU the decay a.
    """

    model: RecurrentLM
    coded: EncodedText
    first: int  # the number of steps before these
    ids: NDArray[np.intp]  # (L,)
    xs: Values  # the word vectors (L, D); (L, 0) for one-hot input
    layers: list[Inside]  # of each layer, the bottom one first: (L, H)
    before: list[Inside]  # the states that come in, (width,) each
    terms: list[Inside]  # of each layer: (L, H)
    carried: list[list[str]]  # of each layer, the states that the next step reads
    through: list[str]  # of each layer, the state of its cell whose gradient flows from step to step
    weights: list[dict[str, list[int]]]  # of each layer, the shapes of Wx and Wh, where it has them
    scores: Values
    gradients: list[
        GradientFlow
    ]  # of each layer, at the L - 1 steps that have a loss; none for a single step

    def as_json(self, text_model: TextModel) -> dict[str, Any]:
        """Return what the page shows: all steps, with the values of the first `UNITS` units."""
        return {
            "cell": self.model.cell,
            "layers": len(self.layers),
            "hidden": self.model.hidden_size,
            "wordvec": self.model.wordvec_size,
            "vocabulary": self.model.vocab_size,
            "first": self.first,
            "steps": self._steps_json(TokenWriter(text_model.tokenizer, text_model.vocabulary)),
            "x": rounded(self.xs[:, :UNITS]),
            "inside": [_first_units(layer) for layer in self.layers],
            "before": [
                _first_units({name: state for name, state in layer.items() if name in inside})
                for layer, inside in zip(self.before, self.layers, strict=True)
            ],
            "terms": [_first_units(layer) for layer in self.terms],
            "widths": [{name: len(state) for name, state in layer.items()} for layer in self.before],
            "carried": self.carried,
            "through": self.through,
            "weights": self.weights,
            "gradients": [
                {name: rounded(getattr(flow, name)) for name in ("above", "flowing", "arriving")}
                for flow in self.gradients
            ],
        }

    def _steps_json(self, writer: TokenWriter) -> list[dict[str, Any]]:
        """Return each step's token, its place in the text, the best candidates, and the token that comes next."""
        coded = self.coded
        places = coded.offsets[coded.ids >= 0].tolist()
        if coded.start_id is not None:
            places = [[0, 0], *places]
        names = [writer.push(int(id_))[0] for id_ in coded.read()]
        probabilities = np.exp(self.scores - self.scores.max(axis=1, keepdims=True))  # (L, V)
        probabilities /= probabilities.sum(axis=1, keepdims=True)

        def candidate(t: int, id_: int, name: str) -> dict[str, Any]:
            score, probability = rounded([self.scores[t, id_], probabilities[t, id_]])
            return {"id": id_, "token": name, "score": score, "probability": probability}

        found = []
        for t, (start, end) in enumerate(places[self.first :]):
            best = np.argsort(-self.scores[t], kind="stable")[:CANDIDATES]
            following = None
            if t + 1 < len(self.ids):
                following = candidate(t, int(self.ids[t + 1]), names[self.first + t + 1])
            found.append(
                {
                    "token": names[self.first + t],
                    "start": start,
                    "end": end,
                    "top": [candidate(t, int(id_), writer.name(int(id_))) for id_ in best],
                    "next": following,
                }
            )
        return found


def unroll(text_model: TextModel, text: str, steps: int = STEPS) -> Unrolled:
    """Return a recurrent model unrolled over the last ``steps`` steps with which it reads a text.

    Tokens that the vocabulary lacks are not read. The model is not changed.

    Raises:
        NoHiddenUnits: the model is not a recurrent network.
        TextError: the text has no token, or none that is in the vocabulary.
    """
    model = recurrent(text_model.model)
    coded = EncodedText.of(text_model, text)
    ids = coded.read()
    if not len(ids):
        raise TextError("the text to unroll has no token that is in the vocabulary; give another one")
    first = max(0, len(ids) - steps)
    network = Network(model)
    if first:
        network.read(ids[:first])
    before = [_incoming(layer) for layer in network.layers]
    hs = network.read(ids[first:])
    layers = [{name: values[0].copy() for name, values in layer.inside.items()} for layer in network.layers]
    xs = network.weights["embedding"][ids[first:]]
    return Unrolled(
        model,
        coded,
        first,
        ids[first:],
        xs if model.wordvec_size else xs[:, :0],
        layers,
        before,
        _terms(network, xs, layers, before),
        [_read_states(layer) for layer in network.layers],
        [flowing_state(layer.recurrence) for layer in network.layers],
        [_shapes(network, k) for k in range(len(network.layers))],
        _scores(model, network, hs),
        gradient_flow(model, ids, first) if len(ids) > first + 1 else [],
    )


def _incoming(layer: StatefulLayer) -> Inside:
    """Return the states that come in, (width,) each; zeros before the first step."""
    widths, dtype = layer.state_widths, layer.params[0].dtype
    return {
        name: np.zeros(widths[name], dtype) if state is None else np.asarray(state)[0]
        for name, state in layer.carried().items()
    }


def _read_states(layer: Any) -> list[str]:
    """Return the names of the states that the next step reads: those of the cell, h only if it is among them."""
    cell = layer.recurrence
    own = [name for name in cell.state_widths if name != "h" or flowing_state(cell) == "h"]
    return own if cell is layer else [f"{layer.of_cell}{name}" for name in own]


def _terms(network: Network, xs: Values, layers: list[Inside], before: list[Inside]) -> list[Inside]:
    """Return what the equations of every layer name besides its states and gates, (L, H) each."""
    found: list[Inside] = []
    for layer, inside, state in zip(network.layers, layers, before, strict=True):
        of_layer, cell = {}, layer.recurrence
        if isinstance(layer, TimeRNN):
            Wx, b = layer.projection.Wx, layer.projection.b
            h_prev = np.concatenate([state["h"][None], inside["h"][:-1]])  # (L, H)
            of_layer = {"x": (xs if Wx is None else xs @ Wx) + b, "h": h_prev @ layer.Wh}
        elif isinstance(cell, TimeRGLRU):
            of_layer = {"a": np.exp(-SCALE * np.logaddexp(0, cell.vector) * inside["r"])}
        found.append(of_layer)
        xs = inside["h"]
    return found


def _shapes(network: Network, k: int) -> dict[str, list[int]]:
    """Return the shapes of Wx and Wh of layer k, where it has them; for one-hot input, the embedding is Wx."""
    cell = network.layers[k].recurrence
    if not hasattr(cell, "Wx"):  # RWKV, whose input goes through several matrices
        return {}
    found = {"Wx": list((network.weights["embedding"] if cell.Wx is None else cell.Wx).shape)}
    if isinstance(cell, TimeDenseRecurrence):
        found["Wh"] = list(cell.Wh.shape)
    return found


def _scores(model: RecurrentLM, network: Network, hs: Values) -> Values:
    """Return the scores (L, V) that follow from hs (L, H), or ln P of an adaptive softmax."""
    if model.adaptive is not None:
        layer = adaptive_softmax_layer(network.weights, model.adaptive, model.ranks)
        found: Values = adaptive_output.log_probs(hs, layer.weights)
        return found
    W = network.weights["embedding"].T if model.tie_weights else network.weights["output.W"]
    found = hs @ W + network.weights["output.b"]
    return found


def _first_units(inside: Inside) -> dict[str, Any]:
    return {name: rounded(values[..., :UNITS]) for name, values in inside.items()}


def rounded(values: ArrayLike) -> Any:
    """Return numbers as nested lists, with `DIGITS` significant digits; None for what JSON lacks."""
    return _rounded(np.asarray(values).tolist())


def _rounded(values: Any) -> Any:
    if isinstance(values, list):
        return [_rounded(each) for each in values]
    return float(f"{values:.{DIGITS}g}") if math.isfinite(values) else None
