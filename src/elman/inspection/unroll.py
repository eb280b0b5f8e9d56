"""A recurrent language model unrolled over the last steps of a text: what each step reads, holds and predicts."""

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from elman.errors import TextError
from elman.inspection.gradient_flow import GradientFlow, gradient_flow
from elman.inspection.network import Network, recurrent
from elman.inspection.text_properties import EncodedText
from elman.layers import TimeRNN
from elman.layers import adaptive as adaptive_output
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
    ln P. ``products`` are, for the RNN, the two terms of tanh's argument: x_t·Wx + b and h_{t-1}·Wh.
    """

    model: RecurrentLM
    coded: EncodedText
    first: int  # the number of steps before these
    ids: NDArray[np.intp]  # (L,)
    xs: Values  # the word vectors (L, D); (L, 0) for one-hot input
    layers: list[Inside]  # of each layer, the bottom one first: (L, H)
    before: list[Inside]  # the states that come in: (H,)
    products: list[Inside]  # of each layer: (L, H)
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
            "before": [_first_units(layer) for layer in self.before],
            "products": [_first_units(layer) for layer in self.products],
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
    dtype = network.weights["embedding"].dtype
    before = [
        {
            name: np.zeros(width, dtype) if (state := getattr(layer, name)) is None else state[0]
            for name, width in layer.state_widths.items()
            if name in layer.names_inside()
        }
        for layer in network.layers
    ]
    hs = network.read(ids[first:])
    layers = [{name: values[0].copy() for name, values in layer.inside.items()} for layer in network.layers]
    xs = network.weights["embedding"][ids[first:]]
    is_rnn = isinstance(network.layers[0], TimeRNN)
    products = _products(network, xs, layers, before) if is_rnn else [{} for _ in layers]
    return Unrolled(
        model,
        coded,
        first,
        ids[first:],
        xs if model.wordvec_size else xs[:, :0],
        layers,
        before,
        products,
        _scores(model, network, hs),
        gradient_flow(model, ids, first) if len(ids) > first + 1 else [],
    )


def _products(network: Network, xs: Values, layers: list[Inside], before: list[Inside]) -> list[Inside]:
    """Return x_t·Wx + b and h_{t-1}·Wh of every RNN layer, (L, H) each."""
    found = []
    for layer, inside, state in zip(network.layers, layers, before, strict=True):
        assert isinstance(layer, TimeRNN)
        Wx, b = layer.projection.Wx, layer.projection.b
        h_prev = np.concatenate([state["h"][None], inside["h"][:-1]])  # (L, H)
        found.append({"x": (xs if Wx is None else xs @ Wx) + b, "h": h_prev @ layer.Wh})
        xs = inside["h"]
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
