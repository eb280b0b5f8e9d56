"""State dicts of PyTorch: the plain recurrent language model, to and from ours.

    encoder.weight       (V, D)     nn.Embedding: the word vectors
    rnn.weight_ih_l{k}   (G·H, D)   nn.RNN, nn.LSTM or nn.GRU: Wx of layer k, transposed; D = H above the first
    rnn.weight_hh_l{k}   (G·H, H)   Wh, transposed; G is 1, 4 (i, f, g, o) or 3 (r, z, n), in our order
    rnn.bias_ih_l{k}, rnn.bias_hh_l{k}  (G·H,)   their sum is b, but for a GRU's n: there bias_hh is b_h
    decoder.weight       (V, H)     nn.Linear: the output's W, transposed
    decoder.bias         (V,)

These are the names of PyTorch's example `word_language_model`. Where a model calls its parts differently, ``names``
says how: ``{"encoder": "embedding", "rnn": "lstm", "decoder": "linear"}``. Arrays may be NumPy's or tensors; PyTorch
is needed by `to_state_dict` only.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np

from elman.arrays import to_numpy
from elman.errors import ConfigError, MissingExtra, ModelFileError
from elman.interop.state_dict import Arrays, StateDict, checked_names, full_key
from elman.models.rnnlm import RecurrentLM
from elman.models.weights import GATES


def to_state_dict(model: Any, names: Mapping[str, str] | None = None) -> dict[str, Any]:
    """Return the state dict of the same model in PyTorch, as tensors; a tied matrix is one tensor, twice.

    Raises:
        MissingExtra: PyTorch is not installed.
        ModelFileError: the model has no such form (see `to_arrays`).
    """
    try:
        import torch
    except ImportError as error:
        raise MissingExtra("torch", "torch") from error
    arrays = to_arrays(model, names)
    tensors = {id(array): torch.from_numpy(array) for array in arrays.values()}
    return {name: tensors[id(array)] for name, array in arrays.items()}


def to_arrays(model: Any, names: Mapping[str, str] | None = None) -> Arrays:
    """Return what `to_state_dict` does, as NumPy arrays of the weights' own dtype.

    One-hot input becomes an embedding that is the identity (V, V).

    Raises:
        ModelFileError: the model is no recurrent one, or has an adaptive softmax.
        ConfigError: ``names`` names another part than encoder, rnn and decoder.
    """
    if not isinstance(model, RecurrentLM):
        raise ModelFileError(
            f"a {type(model).__name__} has no form in nn.Embedding, nn.RNN and nn.Linear; export a recurrent model"
        )
    if model.adaptive is not None:
        raise ModelFileError(
            "an adaptive softmax has no form in nn.Linear; export it --to onnx, or train with --softmax full"
        )
    weights = {name: to_numpy(weight) for name, weight in model.weights.items()}
    if not model.wordvec_size:
        weights["0.Wx"] = weights["embedding"]
        weights["embedding"] = np.eye(model.vocab_size, dtype=weights["embedding"].dtype)
    arrays = {"encoder.weight": np.array(weights["embedding"])}
    for k in range(len(model.rnn_layers)):
        b, H = weights[f"{k}.b"], model.hidden_size
        b_hh = np.zeros_like(b)
        if model.cell == "gru":
            b_hh[2 * H :] = weights[f"{k}.b_h"]
        arrays[f"rnn.weight_ih_l{k}"] = np.array(weights[f"{k}.Wx"].T, order="C")
        arrays[f"rnn.weight_hh_l{k}"] = np.array(weights[f"{k}.Wh"].T, order="C")
        arrays[f"rnn.bias_ih_l{k}"], arrays[f"rnn.bias_hh_l{k}"] = np.array(b), b_hh
    tied = model.tie_weights
    arrays["decoder.weight"] = (
        arrays["encoder.weight"] if tied else np.array(weights["output.W"].T, order="C")
    )
    arrays["decoder.bias"] = np.array(weights["output.b"])
    named = checked_names(names)
    return {full_key(named, *key.split(".")): array for key, array in arrays.items()}


def from_state_dict(
    state_dict: Mapping[str, Any],
    cell: str | None = None,
    names: Mapping[str, str] | None = None,
    tie_weights: bool | None = None,
) -> RecurrentLM:
    """Return our model with the weights of a state dict; V, D, H, the layers and the cell follow from the shapes.

    Args:
        state_dict: names to arrays or tensors; biases that are not there (``bias=False``) are 0.
        cell: "rnn" (tanh: a state dict does not say so), "lstm" or "gru"; checked against the shapes.
        names: what the parts are called, where not encoder, rnn and decoder.
        tie_weights: whether the decoder's matrix is the word vectors; None: if both are the same memory.

    The weights are float32, or float64 where one of them is.

    Raises:
        ModelFileError: an array is missing, too many, or of a shape that does not fit; or the layer is
            bidirectional or has projections.
        ConfigError: ``names`` or ``cell`` is unknown.
    """
    source = StateDict(state_dict, checked_names(names))
    source.refuse_other_kinds()
    V, D = source.shape("encoder", "weight")
    rows, H = source.shape("rnn", "weight_hh_l0")
    found = _cell(source, rows, H, cell)
    G = GATES[found]
    layers = source.count_layers()
    if tie_weights is None:
        tie_weights = source.same_memory()
    weights: Arrays = {"embedding": source.take("encoder", "weight", (V, D))}
    for k in range(layers):
        weights[f"{k}.Wx"] = source.take("rnn", f"weight_ih_l{k}", (G * H, H if k else D)).T
        weights[f"{k}.Wh"] = source.take("rnn", f"weight_hh_l{k}", (G * H, H)).T
        b = source.bias("rnn", f"bias_ih_l{k}", G * H)
        b_hh = source.bias("rnn", f"bias_hh_l{k}", G * H)
        if found == "gru":
            weights[f"{k}.b_h"] = b_hh[2 * H :].copy()
            b_hh[2 * H :] = 0  # it stands inside the reset, and is b_h
        weights[f"{k}.b"] = b + b_hh
    if tie_weights:
        source.check_tied(V, D, H)
    else:
        weights["output.W"] = source.take("decoder", "weight", (V, H)).T
    weights["output.b"] = source.bias("decoder", "bias", V)
    source.refuse_the_rest()
    dtype = np.result_type(*weights.values())
    weights = {name: np.ascontiguousarray(weight, dtype) for name, weight in weights.items()}
    return RecurrentLM(V, D, H, found, layers, tie_weights=tie_weights, weights=weights)


def _cell(source: StateDict, rows: int, H: int, asked: str | None) -> str:
    """Return the cell that has so many rows of gates, which must be the one asked for."""
    if asked is not None and asked not in GATES:
        raise ConfigError(f"unknown cell {asked!r}; choose from {', '.join(GATES)}")
    found = next((cell for cell, gates in GATES.items() if rows == gates * H), None)
    key = source.key("rnn", "weight_hh_l0")
    if found is None:
        raise ModelFileError(
            f"{key} must be (H, H) of nn.RNN, (4·H, H) of nn.LSTM or (3·H, H) of nn.GRU, and is ({rows}, {H})"
        )
    if asked not in (None, found):
        raise ModelFileError(f"{key} is ({rows}, {H}), as in a layer {found!r}; it is no {asked!r}")
    return found
