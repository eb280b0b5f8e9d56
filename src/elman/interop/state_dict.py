"""A state dict that is being read: its arrays by part and name, and clear words for what does not fit."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from elman.errors import ConfigError, ModelFileError

PARTS = ("encoder", "rnn", "decoder")
Arrays = dict[str, NDArray[Any]]
_SHOWN = 6


def checked_names(names: Mapping[str, str] | None) -> dict[str, str]:
    """Return what each of PARTS is called. Raises ConfigError where ``names`` names another part."""
    names = names or {}
    for part in names:
        if part not in PARTS:
            raise ConfigError(f"unknown part {part!r} of a model; the parts are {', '.join(PARTS)}")
    return {part: part for part in PARTS} | dict(names)


def full_key(names: Mapping[str, str], part: str, name: str) -> str:
    """Return the key of an array of a part."""
    return f"{names[part]}.{name}" if names[part] else name


class StateDict:
    """Arrays or tensors by name; remembers which have been taken.

    Args:
        state_dict: names to arrays.
        names: what each of PARTS is called in it.
    """

    def __init__(self, state_dict: Mapping[str, Any], names: Mapping[str, str]) -> None:
        self._arrays, self._names = state_dict, names
        self._taken: set[str] = set()

    def key(self, part: str, name: str) -> str:
        """Return what an array of a part is called here."""
        return full_key(self._names, part, name)

    def has(self, part: str, name: str) -> bool:
        """Tell whether there is such an array."""
        return self.key(part, name) in self._arrays

    def shape(self, part: str, name: str) -> tuple[int, int]:
        """Return the shape of a matrix."""
        shape = tuple(getattr(self._find(part, name), "shape", ()))
        if len(shape) != 2:
            raise ModelFileError(f"{self.key(part, name)} must be a matrix, and is of shape {shape}")
        return int(shape[0]), int(shape[1])

    def take(self, part: str, name: str, shape: Sequence[int]) -> NDArray[Any]:
        """Return a copy of an array, in float32 or float64. Raises ModelFileError for another shape."""
        key, value = self.key(part, name), self._find(part, name)
        found = tuple(getattr(value, "shape", ()))
        if found != tuple(shape):
            raise ModelFileError(f"{key} must be of shape {tuple(shape)}, and is of shape {found}")
        self._taken.add(key)
        return _floats(key, value)

    def bias(self, part: str, name: str, size: int) -> NDArray[Any]:
        """Return a bias, of zeros where the layer was made with ``bias=False``: none of its kind is there then."""
        kinds = ("bias_ih_l", "bias_hh_l") if part == "rnn" else (name,)
        starts = tuple(self.key(part, kind) for kind in kinds)
        if not any(key.startswith(starts) for key in self._arrays):
            return np.zeros(size, np.float32)
        return self.take(part, name, (size,))

    def count_layers(self) -> int:
        """Return how many layers stand one on the other."""
        k = 1
        while self.has("rnn", f"weight_hh_l{k}"):
            k += 1
        return k

    def same_memory(self) -> bool:
        """Tell whether the decoder's matrix and the word vectors are one array."""
        one = self._find("encoder", "weight")
        other: Any = self._arrays.get(self.key("decoder", "weight"))
        if getattr(other, "shape", None) != one.shape:
            return False
        if hasattr(one, "data_ptr"):
            return bool(one.data_ptr() == other.data_ptr())
        return np.shares_memory(one, other)

    def check_tied(self, V: int, D: int, H: int) -> None:
        """Raise ModelFileError where the word vectors cannot be the decoder's matrix, or differ from what is there."""
        vectors, matrix = (self.key(part, "weight") for part in ("encoder", "decoder"))
        if D != H:
            raise ModelFileError(
                f"{vectors} has word vectors of {D} numbers and the hidden state {H}: {matrix} cannot be tied to it; "
                "leave tie_weights out"
            )
        if not self.has("decoder", "weight"):
            return
        if not np.array_equal(self.take("encoder", "weight", (V, D)), self.take("decoder", "weight", (V, H))):
            raise ModelFileError(
                f"{matrix} is not equal to {vectors}: the model does not tie them; leave tie_weights out"
            )

    def refuse_other_kinds(self) -> None:
        """Raise ModelFileError for what has no counterpart here."""
        start = self.key("rnn", "")
        for key in self._arrays:
            if key.startswith(start) and key.endswith("_reverse"):
                raise ModelFileError(
                    f"{key} is of a bidirectional layer, which sees the words it predicts; it is no language model"
                )
            if key.startswith(f"{start}weight_hr_l"):
                raise ModelFileError(f"{key} is of an LSTM with projections (proj_size), which elman has not")

    def refuse_the_rest(self) -> None:
        """Raise ModelFileError where arrays are left that the plain model does not have."""
        rest = [key for key in self._arrays if key not in self._taken]
        if rest:
            raise ModelFileError(
                f"the state dict holds {_some(rest)} besides the plain model of nn.Embedding, one nn.RNN, nn.LSTM "
                "or nn.GRU, and nn.Linear; such a model cannot be read"
            )

    def _find(self, part: str, name: str) -> Any:
        key = self.key(part, name)
        if key in self._arrays:
            return self._arrays[key]
        close = [other.removesuffix(name).rstrip(".") for other in self._arrays if other.endswith(name)]
        if part == "rnn" and len(close) == 1:
            hint = f"say what the layer is called: names={{'rnn': {close[0]!r}}}, or --name rnn={close[0]}"
        elif key == self.key("decoder", "weight"):
            hint = f"where it is tied to {self.key('encoder', 'weight')}, say so (tie_weights=True, --tie-weights)"
        else:
            hint = f"say by names (--name {part}=...) what the part is called"
        raise ModelFileError(
            f"the state dict has no {key}; {hint}; it holds {_some(list(self._arrays)) or 'nothing'}"
        )


def _floats(key: str, value: Any) -> NDArray[Any]:
    """Return a copy of an array or tensor in float64 if it is that, else in float32."""
    if hasattr(value, "detach"):
        tensor = value.detach().cpu()
        kept = tensor.dtype.is_floating_point
        array = (tensor if "float64" in str(tensor.dtype) else tensor.float()).numpy()
    else:
        array = np.asarray(value)
        kept = array.dtype.kind == "f" or array.dtype.name == "bfloat16"
    if not kept:
        raise ModelFileError(f"{key} must hold floating-point numbers, and holds {value.dtype}")
    return np.array(array, np.float64 if array.dtype == np.float64 else np.float32)


def _some(keys: Sequence[str]) -> str:
    """Return the first few names."""
    return ", ".join(keys[:_SHOWN]) + (", ..." if len(keys) > _SHOWN else "")
