"""Convert PyTorch state dicts of the plain recurrent language model to and from ours.

    encoder.weight       (V, D)     nn.Embedding: the word vectors
    rnn.weight_ih_l{k}   (G·H, D)   nn.RNN, nn.LSTM or nn.GRU: Wx of layer k, transposed; D = H above the first
    rnn.weight_hh_l{k}   (G·H, H)   Wh, transposed; G is 1, 4 (i, f, g, o) or 3 (r, z, n), in our order
    rnn.bias_ih_l{k}, rnn.bias_hh_l{k}  (G·H,)   their sum is b, except for a GRU's n, where bias_hh is b_h
    decoder.weight       (V, H)     nn.Linear: the output's W, transposed
    decoder.bias         (V,)

These are the names in PyTorch's example `word_language_model`. For a model with other names, ``names`` maps the parts
to them: ``{"encoder": "embedding", "rnn": "lstm", "decoder": "linear"}``. Prefixes that all keys share, such as
``module.`` and ``_orig_mod.``, are left out. Arrays may be NumPy arrays or tensors; only
`to_state_dict` needs PyTorch.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from elman.arrays import to_numpy
from elman.errors import ConfigError, MissingExtra, ModelFileError
from elman.formats.model_file import check_finite
from elman.models.recurrent import RecurrentLM

PARTS = ("encoder", "rnn", "decoder")
GATES = {"rnn": 1, "lstm": 4, "gru": 3}  # of the layers that PyTorch has
PREFIXES = (
    "module.",
    "_orig_mod.",
    "model.",
)  # of DataParallel, torch.compile, and modules that hold the model
NONLINEARITIES = ("tanh", "relu")
Arrays = dict[str, NDArray[Any]]
_SHOWN = 6


def to_state_dict(model: Any, names: Mapping[str, str] | None = None) -> dict[str, Any]:
    """Return a model's PyTorch state dict, as tensors; a tied matrix is the same tensor under two keys.

    Raises:
        MissingExtra: PyTorch is not installed.
        ModelFileError: PyTorch's layers cannot represent the model (see `to_arrays`).
    """
    try:
        import torch
    except ImportError as error:
        raise MissingExtra("torch", "torch") from error
    arrays = to_arrays(model, names)
    tensors = {id(array): torch.from_numpy(array) for array in arrays.values()}
    return {name: tensors[id(array)] for name, array in arrays.items()}


def to_arrays(model: Any, names: Mapping[str, str] | None = None) -> Arrays:
    """Return the state dict of `to_state_dict` as NumPy arrays with the weights' dtype.

    One-hot input becomes an embedding that is the identity (V, V).

    Raises:
        ModelFileError: the model is not recurrent, or has an adaptive softmax.
        ConfigError: ``names`` has a part other than encoder, rnn and decoder.
    """
    if not isinstance(model, RecurrentLM):
        raise ModelFileError(
            f"nn.Embedding, nn.RNN and nn.Linear cannot represent a {type(model).__name__}; export a recurrent model"
        )
    if model.adaptive is not None:
        raise ModelFileError(
            "nn.Linear cannot represent an adaptive softmax; export with `to='onnx'`, or use `train(softmax='full')`"
        )
    if model.block != "plain":
        raise ModelFileError(
            "a model of residual blocks cannot be written as a state dict of PyTorch's layers; only plain layers can"
        )
    if model.cell not in GATES:
        raise ModelFileError(
            f"PyTorch has no layer for `cell={model.cell!r}`; only {', '.join(GATES)} can be written as a state dict"
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
    nonlinearity: str = "tanh",
) -> RecurrentLM:
    """Return a RecurrentLM with the weights of a state dict; V, D, H, layers and cell are inferred from the shapes.

    The weights are float32, or float64 if one of them is.

    Args:
        state_dict: names to arrays or tensors; missing biases (``bias=False``) are 0.
        cell: "rnn", "lstm" or "gru"; checked against the shapes.
        names: the names of the parts, if they are not encoder, rnn and decoder.
        tie_weights: whether the decoder's matrix is the word vectors; None: whether both share memory.
        nonlinearity: of an nn.RNN, which a state dict does not record; elman has only "tanh".

    Raises:
        ModelFileError: an array is missing, unexpected, of the wrong shape or not finite; or the layer is
            bidirectional, has projections, or is an nn.RNN with relu.
        ConfigError: ``names``, ``cell`` or ``nonlinearity`` is unknown.
    """
    named = checked_names(names)
    source = StateDict(without_prefixes(state_dict, named), named)
    if nonlinearity not in NONLINEARITIES:
        raise ConfigError(f"`nonlinearity` must be one of {', '.join(NONLINEARITIES)}, got {nonlinearity!r}")
    source.refuse_other_kinds()
    V, D = source.shape("encoder", "weight")
    rows, H = source.shape("rnn", "weight_hh_l0")
    found = _cell(source, rows, H, cell)
    if found == "rnn" and nonlinearity != "tanh":
        raise ModelFileError(
            "the model is an nn.RNN with relu, and elman's has tanh: its probabilities would be wrong; train it with "
            "nonlinearity='tanh', or as an LSTM or GRU"
        )
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
            b_hh[2 * H :] = 0  # this part is b_h, which the reset gate multiplies
        weights[f"{k}.b"] = b + b_hh
    if tie_weights:
        source.check_tied(V, D, H)
    else:
        weights["output.W"] = source.take("decoder", "weight", (V, H)).T
    weights["output.b"] = source.bias("decoder", "bias", V)
    source.refuse_the_rest()
    check_finite(weights, "the state dict")
    dtype = np.result_type(*weights.values())
    weights = {name: np.ascontiguousarray(weight, dtype) for name, weight in weights.items()}
    return RecurrentLM(V, D, H, found, layers, tie_weights=tie_weights, weights=weights)


def _cell(source: "StateDict", rows: int, H: int, requested: str | None) -> str:
    """Return the cell with this number of gate rows, which must be the requested one."""
    if requested is not None and requested not in GATES:
        raise ConfigError(f"unknown cell {requested!r}; choose from {', '.join(GATES)}")
    found = next((cell for cell, gates in GATES.items() if rows == gates * H), None)
    key = source.key("rnn", "weight_hh_l0")
    if found is None:
        raise ModelFileError(
            f"{key} must be (H, H) for nn.RNN, (4·H, H) for nn.LSTM or (3·H, H) for nn.GRU, got ({rows}, {H})"
        )
    if requested not in (None, found):
        raise ModelFileError(f"{key} is ({rows}, {H}), so the cell is {found!r}, not {requested!r}")
    return found


def checked_names(names: Mapping[str, str] | None) -> dict[str, str]:
    """Return the name of each of PARTS. Raises ConfigError if ``names`` has another part."""
    names = names or {}
    for part in names:
        if part not in PARTS:
            raise ConfigError(f"unknown part {part!r} of a model; the parts are {', '.join(PARTS)}")
    return {part: part for part in PARTS} | dict(names)


def full_key(names: Mapping[str, str], part: str, name: str) -> str:
    """Return the key of an array of a part."""
    return f"{names[part]}.{name}" if names[part] else name


def without_prefixes(state_dict: Mapping[str, Any], names: Mapping[str, str]) -> Mapping[str, Any]:
    """Return a state dict without PREFIXES that all keys have, unless ``names`` contains them."""
    if wrong := [key for key in state_dict if not isinstance(key, str)]:
        raise ModelFileError(f"the keys of a state dict must be strings, got {wrong[0]!r}")
    while state_dict:
        shared = next((each for each in PREFIXES if all(key.startswith(each) for key in state_dict)), None)
        if shared is None or any(name.startswith(shared) for name in names.values()):
            break
        state_dict = {key.removeprefix(shared): value for key, value in state_dict.items()}
    return state_dict


class StateDict:
    """A state dict to read: takes arrays by part and name, checks their shapes, and remembers which have been taken.

    Args:
        state_dict: names to arrays or tensors.
        names: the name of each of PARTS in it.
    """

    def __init__(self, state_dict: Mapping[str, Any], names: Mapping[str, str]) -> None:
        self._arrays, self._names = state_dict, names
        self._taken: set[str] = set()

    def key(self, part: str, name: str) -> str:
        """Return the key of an array of a part in this state dict."""
        return full_key(self._names, part, name)

    def has(self, part: str, name: str) -> bool:
        """Return whether there is such an array."""
        return self.key(part, name) in self._arrays

    def shape(self, part: str, name: str) -> tuple[int, int]:
        """Return the shape of a matrix."""
        shape = tuple(getattr(self._find(part, name), "shape", ()))
        if len(shape) != 2:
            raise ModelFileError(f"{self.key(part, name)} must be a matrix, got shape {shape}")
        return int(shape[0]), int(shape[1])

    def take(self, part: str, name: str, shape: Sequence[int]) -> NDArray[Any]:
        """Return a copy of an array, in float32 or float64. Raises ModelFileError for another shape."""
        key, value = self.key(part, name), self._find(part, name)
        found = tuple(getattr(value, "shape", ()))
        if found != tuple(shape):
            raise ModelFileError(f"{key} must be of shape {tuple(shape)}, got {found}")
        self._taken.add(key)
        return _floats(key, value)

    def bias(self, part: str, name: str, size: int) -> NDArray[Any]:
        """Return a bias; zeros if the layer has no biases of this kind (``bias=False``)."""
        kinds = ("bias_ih_l", "bias_hh_l") if part == "rnn" else (name,)
        starts = tuple(self.key(part, kind) for kind in kinds)
        if not any(key.startswith(starts) for key in self._arrays):
            return np.zeros(size, np.float32)
        return self.take(part, name, (size,))

    def count_layers(self) -> int:
        """Return the number of recurrent layers."""
        k = 1
        while self.has("rnn", f"weight_hh_l{k}"):
            k += 1
        return k

    def same_memory(self) -> bool:
        """Return whether the decoder's matrix and the word vectors are the same array."""
        one = self._find("encoder", "weight")
        other: Any = self._arrays.get(self.key("decoder", "weight"))
        if getattr(other, "shape", None) != one.shape:
            return False
        if hasattr(one, "data_ptr"):
            return bool(one.data_ptr() == other.data_ptr())
        return np.shares_memory(one, other)

    def check_tied(self, V: int, D: int, H: int) -> None:
        """Raise ModelFileError if the word vectors cannot be the decoder's matrix, or differ from it."""
        vectors, matrix = (self.key(part, "weight") for part in ("encoder", "decoder"))
        if D != H:
            raise ModelFileError(
                f"the word vectors {vectors} have width {D} and the hidden state {H}, so {matrix} cannot be tied to "
                "them; omit tie_weights"
            )
        if not self.has("decoder", "weight"):
            return
        if not np.array_equal(self.take("encoder", "weight", (V, D)), self.take("decoder", "weight", (V, H))):
            raise ModelFileError(
                f"{matrix} is not equal to {vectors}, so the model does not tie them; omit tie_weights"
            )

    def refuse_other_kinds(self) -> None:
        """Raise ModelFileError for bidirectional layers and projections, which RecurrentLM does not have."""
        start = self.key("rnn", "")
        for key in self._arrays:
            if key.startswith(start) and key.endswith("_reverse"):
                raise ModelFileError(
                    f"{key} belongs to a bidirectional layer, which sees the words to predict: not a language model"
                )
            if key.startswith(f"{start}weight_hr_l"):
                raise ModelFileError(
                    f"{key} belongs to an LSTM with projections (proj_size), which elman lacks"
                )

    def refuse_the_rest(self) -> None:
        """Raise ModelFileError if there are arrays that have not been taken."""
        rest = [key for key in self._arrays if key not in self._taken]
        if rest:
            raise ModelFileError(
                f"the state dict has the additional arrays {_some(rest)}; only models of nn.Embedding, one nn.RNN, "
                "nn.LSTM or nn.GRU, and nn.Linear can be read"
            )

    def _find(self, part: str, name: str) -> Any:
        key = self.key(part, name)
        if key in self._arrays:
            return self._arrays[key]
        close = [other.removesuffix(name).rstrip(".") for other in self._arrays if other.endswith(name)]
        if part == "rnn" and len(close) == 1:
            hint = f"give the layer's name: `names={{'rnn': {close[0]!r}}}`"
        elif key == self.key("decoder", "weight"):
            hint = f"if it is tied to {self.key('encoder', 'weight')}, set `tie_weights=True`"
        else:
            hint = f"give the part's name: `names={{{part!r}: ...}}`"
        raise ModelFileError(
            f"the state dict has no {key}; {hint}; it has {_some(list(self._arrays)) or 'nothing'}"
        )


def _floats(key: str, value: Any) -> NDArray[Any]:
    """Return a copy of an array or tensor, in float64 if it has that dtype, else in float32."""
    if getattr(value, "is_meta", False):
        raise ModelFileError(
            f"{key} is a meta tensor, which has a shape but no numbers; save the model itself"
        )
    is_tensor = hasattr(value, "detach")
    dtype: Any = value.dtype if is_tensor else np.asarray(value).dtype
    if not (dtype.is_floating_point if is_tensor else dtype.kind == "f" or dtype.name == "bfloat16"):
        raise ModelFileError(f"{key} must contain floating-point numbers, got {dtype}")
    if is_tensor:
        tensor = value.detach().cpu()
        value = (tensor if "float64" in str(dtype) else tensor.float()).numpy()
    return np.array(value, np.float64 if value.dtype == np.float64 else np.float32)


def _some(keys: Sequence[str]) -> str:
    """Return the first few keys as text."""
    return ", ".join(keys[:_SHOWN]) + (", ..." if len(keys) > _SHOWN else "")
