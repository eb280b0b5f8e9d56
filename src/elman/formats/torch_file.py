"""Read and write files with PyTorch state dicts, as safetensors or pickles."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from safetensors import safe_open
from safetensors.numpy import save

from elman.errors import ConfigError, ModelFileError
from elman.files import atomic_write
from elman.formats.kenlm_binary import refuse_kenlm_binary
from elman.formats.model_file import KEY
from elman.formats.rwkv import is_rwkv, read_rwkv
from elman.formats.state_dict import from_state_dict, to_arrays
from elman.formats.tensors import dtypes_of, read_bfloat16, refuse_other_dtypes
from elman.formats.torch_zip import ADVICE, is_torch_zip, read_torch_zip
from elman.formats.vocabulary_file import from_metadata, read_text, to_metadata
from elman.models.tokenized import TokenizedModel
from elman.parsing import parsing

PICKLES = (".pt", ".pth", ".bin", ".ckpt", ".pth.tar", ".pt.tar")
NESTED = ("state_dict", "model_state_dict", "model")  # where checkpoints keep the state dict
DTYPES = ("F64", "F32", "F16", "BF16")
SUFFIXES = (".safetensors", *PICKLES)


def write_torch(path: str | Path, text_model: TokenizedModel) -> None:
    """Write a model's state dict as safetensors, with its vocabulary as metadata.

    Tied word vectors are written twice, so that `load_state_dict` finds all the keys it expects.

    Raises:
        ModelFileError: PyTorch's layers cannot represent the model (see `to_arrays`), or the file cannot be written.
    """
    path = Path(path)
    metadata = {"format": "pt", **to_metadata(text_model)}
    arrays = to_arrays(text_model.model)
    if arrays["decoder.weight"] is arrays["encoder.weight"]:
        metadata["decoder.weight"] = "encoder.weight"  # as safetensors.torch.save_model records ties
    try:
        with atomic_write(path) as file:
            file.write(save(arrays, metadata=metadata))
    except OSError as error:
        raise ModelFileError(
            f"cannot write {path}: {error.strerror or error}; nothing was changed"
        ) from error


def read_torch(
    path: str | Path,
    vocab: str | Path | None = None,
    *,
    level: str | None = None,
    lower: bool = False,
    unk: str | None = None,
    eos: str | None = None,
    names: Mapping[str, str] | None = None,
    tie_weights: bool | None = None,
    nonlinearity: str | None = None,
    encoding: str = "utf-8",
) -> TokenizedModel:
    """Return the model in a state dict file, with the vocabulary from a second file.

    No file needs PyTorch, and no code in one is run. An RWKV checkpoint is recognised by its names, see
    `elman.formats.rwkv`.

    Args:
        path: a .safetensors file, or one written by ``torch.save(model.state_dict(), path)``, or a checkpoint that has
            it under NESTED.
        vocab: see `read_tokens`; not needed for bytes, nor for a file written by `write_torch`.
        level, lower, unk, eos: the kind of tokens, see `read_text`; words by default.
        names, tie_weights: see `from_state_dict`.
        nonlinearity: likewise; None: relu if the file says so anywhere, else tanh.
        encoding: of the vocabulary.

    Raises:
        ModelFileError: the file is missing or damaged, or its model is not the plain recurrent one.
        VocabularyError: the vocabulary cannot be read.
        ConfigError: there is no vocabulary, or the arguments about it contradict each other.
    """
    path = Path(path)
    state_dict, metadata = read_state_dict(path)
    if is_rwkv(state_dict):
        _refuse_parts(names, tie_weights, nonlinearity)
        vocab = None if vocab is None else Path(vocab)
        return read_rwkv(path, state_dict, vocab, level, lower, unk, eos, encoding)
    with parsing(path, ModelFileError, "cannot be read as a state dict"):
        used = nonlinearity or ("relu" if _says_relu(metadata) else "tanh")
        model = from_state_dict(state_dict, names=names, tie_weights=tie_weights, nonlinearity=used)
    if vocab is None and level is None and "tokens" in metadata:
        if lower or unk is not None or eos is not None:
            raise ConfigError(f"{path} contains its own vocabulary; omit lower, unk and eos")
        text = from_metadata(metadata, path)
    elif vocab is None and level != "byte":
        raise ConfigError(f"{path} contains no vocabulary; give it with `vocab='vocab.txt'`")
    else:
        text = read_text(None if vocab is None else Path(vocab), level or "word", lower, unk, eos, encoding)
    if len(text.vocabulary) != model.vocab_size:
        raise ModelFileError(
            f"the vocabulary has {len(text.vocabulary)} tokens, but {path} has word vectors for {model.vocab_size}; "
            "they do not belong together"
        )
    return TokenizedModel(model, text.tokenizer, text.vocabulary, {"imported": path.name}, text.start)


def read_state_dict(path: Path) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return the arrays of a file by name, and what else is in it; arrays that the metadata calls tied are one array.

    Raises:
        ModelFileError: the file is missing, damaged, or not a state dict.
    """
    if not path.is_file():
        raise ModelFileError(f"there is no file {path}")
    refuse_kenlm_binary(path)
    if path.name.endswith(PICKLES):
        if not is_torch_zip(path):
            raise ModelFileError(f"{path} is damaged, or was written by PyTorch before 1.6; {ADVICE}")
        return _state_dict_in(read_torch_zip(path), path)
    with parsing(path, ModelFileError, "is damaged, or is not a safetensors file"):
        with safe_open(path, framework="numpy") as file:
            metadata: dict[str, Any] = file.metadata() or {}
            if KEY in metadata:
                raise ModelFileError(f"{path} is already an elman model; use it as it is")
            refuse_other_dtypes(file, path, DTYPES)
            dtypes = dtypes_of(file)
            arrays = {name: file.get_tensor(name) for name in dtypes if dtypes[name] != "BF16"}
        if "BF16" in dtypes.values():
            arrays |= read_bfloat16(path)
            arrays = {name: arrays[name] for name in dtypes}
    for name, kept in metadata.items():
        if kept in arrays:
            arrays[name] = arrays[kept]
    return arrays, metadata


def _refuse_parts(
    names: Mapping[str, str] | None, tie_weights: bool | None, nonlinearity: str | None
) -> None:
    given = {"names": names, "tie_weights": tie_weights, "nonlinearity": nonlinearity}
    for name, value in given.items():
        if value:
            raise ConfigError(f"`{name}` does not apply to an RWKV checkpoint; leave it out")


def _says_relu(metadata: Any) -> bool:
    """Return whether what comes with a state dict names relu as the nonlinearity of its layer."""
    if isinstance(metadata, Mapping):
        return any(map(_says_relu, metadata.values()))
    return isinstance(metadata, str) and metadata.lower() in ("relu", "rnn_relu")


def _state_dict_in(found: Any, path: Path) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return the state dict in what a file holds, and the rest of it."""
    if isinstance(found, Mapping):
        if found and all(hasattr(value, "shape") for value in found.values()):
            return dict(found), {}
        for key in NESTED:
            inner = found.get(key)
            if isinstance(inner, Mapping) and all(hasattr(value, "shape") for value in inner.values()):
                return dict(inner), {str(name): value for name, value in found.items() if name != key}
    raise ModelFileError(
        f"{path} is not a state dict of tensors, nor has it one under {', '.join(NESTED)}; {ADVICE}"
    )
