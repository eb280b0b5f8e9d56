"""Folders of published models, as `transformers` writes them, made of small random models."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import tokenizers
from safetensors.numpy import save_file
from tokenizers import AddedToken, Tokenizer, models, normalizers, pre_tokenizers, trainers

from elman.models.recurrent import RecurrentLM
from support.tiny import STORY, small_lm

V = 330  # word vectors, some of which have no piece
OPTIONS: dict[str, dict[str, Any]] = {
    "mamba": {"D": 6, "H": 12, "sizes": {"state": 3, "rank": 2, "kernel": 4}},
    "mamba2": {"D": 6, "H": 12, "sizes": {"head": 3, "state": 4, "groups": 2, "kernel": 4}},
}


def byte_level(text: str = STORY, size: int = 300) -> Tokenizer:
    """A tokenizer like that of GPT-NeoX: byte-level BPE, with pieces of several spaces and ``<|endoftext|>``."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.normalizer = normalizers.NFC()
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    trainer = trainers.BpeTrainer(
        vocab_size=size,
        special_tokens=["<|endoftext|>", "<|padding|>"],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator([f"{text}\n\n{text}  \n"] * 2, trainer)
    tokenizer.add_tokens([AddedToken(" " * k, normalized=True) for k in range(8, 1, -1)])
    return tokenizer


def mamba2_arrays(model: RecurrentLM) -> dict[str, Any]:
    w, found = model.weights, {}
    for k in range(len(model.rnn_layers)):
        mixer = f"backbone.layers.{k}.mixer."
        found |= {
            f"backbone.layers.{k}.norm.weight": w[f"{k}.gain"],
            mixer + "in_proj.weight": np.concatenate([w[f"{k}.{name}"] for name in ("Wg", "Wx", "Wdt")], 1).T,
            mixer + "conv1d.weight": w[f"{k}.conv"].T[:, None],
            mixer + "conv1d.bias": w[f"{k}.conv_b"],
            mixer + "dt_bias": w[f"{k}.dt_b"],
            mixer + "A_log": w[f"{k}.A_log"].reshape(-1),
            mixer + "D": w[f"{k}.skip"],
            mixer + "norm.weight": w[f"{k}.inner_gain"],
            mixer + "out_proj.weight": w[f"{k}.Wo"].T,
        }
    return found


def mamba2_config(model: RecurrentLM) -> dict[str, Any]:
    P, S, G, K = (model.sizes[name] for name in ("head", "state", "groups", "kernel"))
    return {
        "num_heads": model.hidden_size // P,
        "head_dim": P,
        "state_size": S,
        "n_groups": G,
        "conv_kernel": K,
        "time_step_limit": [0.0, {"__float__": "Infinity"}],
    }


def mamba_arrays(model: RecurrentLM) -> dict[str, Any]:
    w, found = model.weights, {}
    for k in range(len(model.rnn_layers)):
        mixer = f"backbone.layers.{k}.mixer."
        found |= {
            f"backbone.layers.{k}.norm.weight": w[f"{k}.gain"],
            mixer + "in_proj.weight": np.concatenate([w[f"{k}.Wx"], w[f"{k}.Wg"]], 1).T,
            mixer + "conv1d.weight": w[f"{k}.conv"].T[:, None],
            mixer + "conv1d.bias": w[f"{k}.conv_b"],
            mixer + "x_proj.weight": np.concatenate([w[f"{k}.Wr"], w[f"{k}.Wbc"]], 1).T,
            mixer + "dt_proj.weight": w[f"{k}.Wdt"].T,
            mixer + "dt_proj.bias": w[f"{k}.dt_b"],
            mixer + "A_log": w[f"{k}.A_log"].T,
            mixer + "D": w[f"{k}.skip"],
            mixer + "out_proj.weight": w[f"{k}.Wo"].T,
        }
    return found


def mamba_config(model: RecurrentLM) -> dict[str, Any]:
    sizes = model.sizes
    return {"state_size": sizes["state"], "time_step_rank": sizes["rank"], "conv_kernel": sizes["kernel"]}


WRITERS = {"mamba": (mamba_config, mamba_arrays), "mamba2": (mamba2_config, mamba2_arrays)}


def model_of(kind: str, **options: Any) -> RecurrentLM:
    """A small model in float32 with word vectors that are its output, too."""
    model = small_lm(
        V, cell=kind, layers=2, dtype=np.float32, **{"tie_weights": True, **OPTIONS[kind], **options}
    )
    model.weights["output.b"][...] = 0
    return model


def contents(model: RecurrentLM) -> tuple[dict[str, Any], dict[str, Any]]:
    """The config and the arrays of a model."""
    config_of, arrays_of = WRITERS[model.cell]
    config = {
        "model_type": model.cell,
        "vocab_size": model.vocab_size,
        "hidden_size": model.wordvec_size,
        "num_hidden_layers": len(model.rnn_layers),
        "expand": model.hidden_size / model.wordvec_size,
        "layer_norm_epsilon": 1e-5,
        "tie_word_embeddings": model.tie_weights,
        **config_of(model),
    }
    last = len(model.rnn_layers) - 1
    arrays = {
        "backbone.embeddings.weight": model.weights["embedding"],
        "backbone.norm_f.weight": model.weights[f"{last}.last_gain"],
        **arrays_of(model),
    }
    if not model.tie_weights:
        arrays["lm_head.weight"] = model.weights["output.W"].T
    return config, arrays


def write_arrays(path: Path, arrays: dict[str, Any]) -> None:
    save_file({name: np.ascontiguousarray(array) for name, array in arrays.items()}, path)


def write_folder(folder: Path, model: RecurrentLM, tokenizer: Tokenizer | None = None) -> Path:
    """Write the model and a tokenizer, and return the folder."""
    config, arrays = contents(model)
    folder.mkdir(exist_ok=True)
    (folder / "config.json").write_text(json.dumps(config), encoding="utf-8")
    write_arrays(folder / "model.safetensors", arrays)
    (tokenizer or byte_level()).save(str(folder / "tokenizer.json"))
    return folder


def read_tokenizer(folder: Path) -> Any:
    return tokenizers.Tokenizer.from_file(str(folder / "tokenizer.json"))
