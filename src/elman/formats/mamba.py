"""The weights of Mamba and Mamba-2 as `transformers` names them, turned into those of `RecurrentLM`."""

from collections.abc import Mapping
from typing import Any, Protocol

import numpy as np

from elman.arrays import Array
from elman.errors import ModelFileError
from elman.layers.mamba import WIDTH_PER_RANK
from elman.layers.mamba2 import EPS

Shape = dict[str, Any]  # the hyperparameters of a `RecurrentLM`


HEAD = "lm_head.weight"  # of a tied model, too, in some files

COMMON = {"expand": 2, "conv_kernel": 4, "use_conv_bias": True, "layer_norm_epsilon": 1e-5}
# what a config.json may leave out, by the configuration of `transformers`
MAMBA: dict[str, Any] = COMMON | {
    "vocab_size": 50280,
    "hidden_size": 768,
    "num_hidden_layers": 32,
    "state_size": 16,
    "time_step_rank": "auto",
    "tie_word_embeddings": True,
}
MAMBA2: dict[str, Any] = COMMON | {
    "vocab_size": 32768,
    "hidden_size": 4096,
    "num_hidden_layers": 64,
    "num_heads": 128,
    "head_dim": 64,
    "state_size": 128,
    "n_groups": 8,
    "time_step_limit": [0.0, float("inf")],
    "tie_word_embeddings": False,
}


class Arrays(Protocol):
    """The arrays of a model by name: see `elman.formats.pretrained.StoredArrays`."""

    def __contains__(self, name: str) -> bool:
        """Return whether there is such an array."""
        ...

    def take(self, name: str, *shape: int) -> Array:
        """Return an array of this shape, float32."""
        ...


def expect(config: Mapping[str, Any], **only: Any) -> None:
    """Raise ModelFileError unless the options of a config.json, where it has them, are these."""
    for name, value in only.items():
        if config.get(name, value) != value:
            raise ModelFileError(
                f"config.json has {name} = {config[name]!r}, but elman's model is for {value!r}; it cannot be imported"
            )


def size(config: Mapping[str, Any], name: str) -> int:
    """Return a size of a config.json. Raises ModelFileError if it is missing, or is not an integer ≥ 1."""
    value = config.get(name)
    if type(value) is not int or value < 1:
        raise ModelFileError(f"config.json: {name} must be an integer ≥ 1, got {value!r}")
    return value


def _common(config: Mapping[str, Any], epsilon: float) -> tuple[int, int, int, int]:
    """Return V, D, H and the number of blocks."""
    expect(config, use_bias=False, hidden_act="silu", layer_norm_epsilon=epsilon)
    V, D, layers = (size(config, name) for name in ("vocab_size", "hidden_size", "num_hidden_layers"))
    return V, D, int(config["expand"] * D), layers


def _around(config: Mapping[str, Any], arrays: Arrays, V: int, D: int, layers: int) -> dict[str, Array]:
    """Return the weights before and after the blocks."""
    weights = {
        "embedding": arrays.take("backbone.embeddings.weight", V, D),
        "output.b": np.zeros(V, np.float32),
    }
    weights[f"{layers - 1}.last_gain"] = arrays.take("backbone.norm_f.weight", D)
    if HEAD in arrays or not config["tie_word_embeddings"]:
        head = arrays.take(HEAD, V, D)
        if not np.array_equal(head, weights["embedding"]):
            weights["output.W"] = head.T
    return weights


def _conv(config: Mapping[str, Any], arrays: Arrays, mixer: str, K: int, C: int) -> dict[str, Array]:
    biased = config["use_conv_bias"]
    return {
        "conv": arrays.take(mixer + "conv1d.weight", C, 1, K)[:, 0].T,
        "conv_b": arrays.take(mixer + "conv1d.bias", C) if biased else np.zeros(C, np.float32),
    }


def mamba2(config: Mapping[str, Any], arrays: Arrays) -> tuple[Shape, dict[str, Array]]:
    """Return the hyperparameters and weights of a model of type mamba2; matrices are transposed views.

    Raises:
        ModelFileError: the config has an option that elman's model lacks, or its sizes contradict each other.
    """
    config = {**MAMBA2, **config}
    if config["time_step_limit"] not in ([0.0, float("inf")], [0.0, {"__float__": "Infinity"}]):
        raise ModelFileError(
            f"config.json limits the time steps: time_step_limit = {config['time_step_limit']}; it cannot be imported"
        )
    V, D, H, layers = _common(config, EPS)
    sizes = ("head_dim", "state_size", "n_groups", "conv_kernel", "num_heads")
    P, S, G, K, heads = (size(config, name) for name in sizes)
    if heads * P != H or heads % G:
        raise ModelFileError(
            f"config.json: {heads} heads of width {P} in {G} groups do not make up the inner width {H}"
        )
    C = H + 2 * G * S
    weights = _around(config, arrays, V, D, layers)
    for k in range(layers):
        mixer = f"backbone.layers.{k}.mixer."
        into = arrays.take(mixer + "in_proj.weight", H + C + heads, D)
        of_layer = {
            "gain": arrays.take(f"backbone.layers.{k}.norm.weight", D),
            "Wx": into[H : H + C].T,
            **_conv(config, arrays, mixer, K, C),
            "Wdt": into[H + C :].T,
            "dt_b": arrays.take(mixer + "dt_bias", heads),
            "A_log": arrays.take(mixer + "A_log", heads).reshape(G, heads // G),
            "skip": arrays.take(mixer + "D", heads),
            "Wg": into[:H].T,
            "inner_gain": arrays.take(mixer + "norm.weight", H),
            "Wo": arrays.take(mixer + "out_proj.weight", D, H).T,
        }
        weights |= {f"{k}.{name}": weight for name, weight in of_layer.items()}
    return {
        "vocab_size": V,
        "wordvec_size": D,
        "hidden_size": H,
        "cell": "mamba2",
        "layers": layers,
        "tie_weights": "output.W" not in weights,
        "sizes": {"head": P, "state": S, "groups": G, "kernel": K},
    }, weights


def mamba(config: Mapping[str, Any], arrays: Arrays) -> tuple[Shape, dict[str, Array]]:
    """Return the hyperparameters and weights of a model of type mamba; most matrices are transposed views.

    Raises:
        ModelFileError: the config has an option that elman's model lacks, or its sizes contradict each other.
    """
    config = {**MAMBA, **config}
    V, D, H, layers = _common(config, EPS)
    if config["time_step_rank"] == "auto":
        config["time_step_rank"] = -(-D // WIDTH_PER_RANK)
    R, S, K = (size(config, name) for name in ("time_step_rank", "state_size", "conv_kernel"))
    weights = _around(config, arrays, V, D, layers)
    for k in range(layers):
        mixer = f"backbone.layers.{k}.mixer."
        into = arrays.take(mixer + "in_proj.weight", 2 * H, D)
        of_x = arrays.take(mixer + "x_proj.weight", R + 2 * S, H)
        of_layer = {
            "gain": arrays.take(f"backbone.layers.{k}.norm.weight", D),
            "Wx": into[:H].T,
            **_conv(config, arrays, mixer, K, H),
            "Wr": of_x[:R].T,
            "Wbc": of_x[R:].T,
            "Wdt": arrays.take(mixer + "dt_proj.weight", H, R).T,
            "dt_b": arrays.take(mixer + "dt_proj.bias", H),
            "A_log": np.ascontiguousarray(arrays.take(mixer + "A_log", H, S).T),
            "skip": arrays.take(mixer + "D", H),
            "Wg": into[H:].T,
            "Wo": arrays.take(mixer + "out_proj.weight", D, H).T,
        }
        weights |= {f"{k}.{name}": weight for name, weight in of_layer.items()}
    return {
        "vocab_size": V,
        "wordvec_size": D,
        "hidden_size": H,
        "cell": "mamba",
        "layers": layers,
        "tie_weights": "output.W" not in weights,
        "sizes": {"state": S, "rank": R, "kernel": K},
    }, weights
