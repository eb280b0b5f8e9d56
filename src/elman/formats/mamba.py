"""The weights of Mamba-2 as `transformers` names them, turned into those of `RecurrentLM`."""

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from elman.arrays import Array
from elman.errors import ModelFileError
from elman.layers.mamba2 import EPS

Take = Callable[[str, tuple[int, ...]], Array]  # a name and its shape -> the array, float32
Shape = dict[str, Any]  # the hyperparameters of a `RecurrentLM`


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
    return V, D, int(config.get("expand", 2) * D), layers


def _around(config: Mapping[str, Any], take: Take, V: int, D: int, layers: int) -> dict[str, Array]:
    """Return the weights before and after the blocks."""
    weights = {"embedding": take("backbone.embeddings.weight", (V, D)), "output.b": np.zeros(V, np.float32)}
    weights[f"{layers - 1}.last_gain"] = take("backbone.norm_f.weight", (D,))
    if not config.get("tie_word_embeddings", True):
        weights["output.W"] = take("lm_head.weight", (V, D)).T
    return weights


def _conv(config: Mapping[str, Any], take: Take, mixer: str, K: int, C: int) -> dict[str, Array]:
    biased = config.get("use_conv_bias", True)
    return {
        "conv": take(mixer + "conv1d.weight", (C, 1, K))[:, 0].T,
        "conv_b": take(mixer + "conv1d.bias", (C,)) if biased else np.zeros(C, np.float32),
    }


def mamba2(config: Mapping[str, Any], take: Take) -> tuple[Shape, dict[str, Array]]:
    """Return the hyperparameters and weights of a model of type mamba2; matrices are transposed views.

    Raises:
        ModelFileError: the config has an option that elman's model lacks, or its sizes contradict each other.
    """
    expect(config, time_step_limit=[0.0, float("inf")])
    V, D, H, layers = _common(config, EPS)
    sizes = ("head_dim", "state_size", "n_groups", "conv_kernel", "num_heads")
    P, S, G, K, heads = (size(config, name) for name in sizes)
    if heads * P != H or heads % G:
        raise ModelFileError(
            f"config.json: {heads} heads of width {P} in {G} groups do not make up the inner width {H}"
        )
    C = H + 2 * G * S
    weights = _around(config, take, V, D, layers)
    for k in range(layers):
        mixer = f"backbone.layers.{k}.mixer."
        into = take(mixer + "in_proj.weight", (H + C + heads, D))
        of_layer = {
            "gain": take(f"backbone.layers.{k}.norm.weight", (D,)),
            "Wx": into[H : H + C].T,
            **_conv(config, take, mixer, K, C),
            "Wdt": into[H + C :].T,
            "dt_b": take(mixer + "dt_bias", (heads,)),
            "A_log": take(mixer + "A_log", (heads,)).reshape(G, heads // G),
            "skip": take(mixer + "D", (heads,)),
            "Wg": into[:H].T,
            "inner_gain": take(mixer + "norm.weight", (H,)),
            "Wo": take(mixer + "out_proj.weight", (D, H)).T,
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


READERS = {"mamba2": mamba2}  # by model_type
