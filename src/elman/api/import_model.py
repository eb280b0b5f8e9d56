"""Import models of other programs: which format a file has, and what only the user can say about it."""

import os
from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal, get_args

from elman.errors import ConfigError
from elman.formats.arpa_reader import is_arpa, read_arpa
from elman.formats.kenlm_binary import refuse_kenlm_binary
from elman.formats.pretrained import read_pretrained
from elman.formats.torch_file import SUFFIXES, read_torch
from elman.models.recurrent import RecurrentLM
from elman.models.tokenized import TokenizedModel
from elman.text_model import TextModel, text_model_of

Dtype = Literal["float32", "bfloat16"]
Names = Mapping[str, str] | Iterable[tuple[str, str]]


def import_model(
    file: str | os.PathLike[str],
    *,
    vocab: str | os.PathLike[str] | None = None,
    level: str | None = None,
    lower: bool = False,
    unk: str | None = None,
    eos: str | None = None,
    names: Names = (),
    tie_weights: bool = False,
    nonlinearity: str | None = None,
    encoding: str = "utf-8",
    dtype: Dtype = "float32",
) -> TextModel:
    """Return the model in a file of another program; `TextModel.save` makes a run of it.

    Args:
        file: the folder of a published model, as `transformers` writes it (of type mamba or mamba2), with config.json,
            model.safetensors and tokenizer.json; a checkpoint of RWKV-4 or RWKV-7, as .pth or safetensors; an
            ARPA file, compressed or not; or the state dict of PyTorch's nn.Embedding, nn.RNN, nn.LSTM or nn.GRU, and
            nn.Linear, as safetensors or as ``torch.save`` writes it. It may be in a checkpoint, under ``state_dict``,
            ``model_state_dict`` or ``model``. PyTorch is not needed, and no code in a file is run. The other arguments,
            but for ``encoding``, describe a state dict.
        vocab: file of tokens, one per line (maybe with its count or id), or JSON: a list, or an object of tokens and
            ids; a state dict that elman wrote holds its own. For an RWKV checkpoint: RWKV's world vocabulary, which is
            found by itself in the installed package `rwkv`; or, of a model trained on the Pile, its tokenizer.json.
        level: what a token is: "word" (the default), "char", "jamo" or "byte".
        lower: the tokens come from lower-cased text.
        unk, eos: the tokens for unknown words and for the end of a line; `<unk>` and `<eos>` by default, or `<UNK>`
            and `</s>` where the vocabulary has those.
        names: names of the parts "encoder", "rnn" and "decoder", such as ``{"rnn": "lstm"}``.
        tie_weights: the decoder shares its matrix with the word vectors; found by itself if both are one tensor.
        nonlinearity: of an nn.RNN: "tanh" (the default) or "relu", which is refused. A state dict does not record it.
        encoding: of an ARPA file, or of ``vocab``.
        dtype: of the matrices of an RWKV or Mamba model: "float32", or "bfloat16", which takes half of the memory. The
            model can then be read, but not trained; numbers that are bfloat16 in the file stay as they are.

    Raises:
        ModelFileError: the file is missing or damaged, or its model is none that elman has.
        VocabularyError: the vocabulary cannot be read.
        ConfigError: the file is of no known format, there is no vocabulary, or the arguments contradict each other.
        MissingExtra: a tokenizer.json needs the library ``tokenizers``, which is not installed.
    """
    if dtype not in get_args(Dtype):
        raise ConfigError(f"`dtype` must be one of {', '.join(get_args(Dtype))}, got {dtype!r}")
    file, parts = Path(file), dict(names)
    described: dict[str, Any] = {
        "vocab": None if vocab is None else Path(vocab),
        "level": level,
        "lower": lower or None,
        "unk": unk,
        "eos": eos,
        "names": parts or None,
        "tie_weights": tie_weights or None,
        "nonlinearity": nonlinearity,
    }
    given = {name: value for name, value in described.items() if value is not None}
    if file.is_dir():
        if given:
            raise ConfigError(
                f"`{next(iter(given))}` applies only to a state dict, not to a folder; leave it out"
            )
        found = read_pretrained(file)
    elif is_arpa(file, encoding):
        if given:
            raise ConfigError(
                f"`{next(iter(given))}` applies only to a state dict, not to an ARPA file; leave it out"
            )
        found = read_arpa(file, encoding)
    else:
        refuse_kenlm_binary(file)
        if not file.name.endswith(SUFFIXES):
            raise ConfigError(
                f"{file} cannot be imported: it is not an ARPA file, and its suffix is not one of a state dict: "
                f"{', '.join(SUFFIXES)}"
            )
        found = read_torch(file, **given, encoding=encoding)
    return text_model_of(found if dtype == "float32" else _in_bfloat16(found))


def _in_bfloat16(found: TokenizedModel) -> TokenizedModel:
    if not isinstance(found.model, RecurrentLM):
        raise ConfigError("an n-gram model has no matrices to keep in bfloat16; leave `dtype` out")
    return replace(found, model=found.model.in_bfloat16())
