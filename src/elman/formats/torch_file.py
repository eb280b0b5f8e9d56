"""Read and write files with PyTorch state dicts, as safetensors or pickles."""

from collections.abc import Mapping
from pathlib import Path
from pickle import UnpicklingError
from typing import Any

from safetensors import SafetensorError, safe_open
from safetensors.numpy import save

from elman.errors import ConfigError, MissingExtra, ModelFileError
from elman.files import atomic_write
from elman.formats.model_file import KEY
from elman.formats.state_dict import from_state_dict, to_arrays
from elman.formats.vocabulary_file import from_metadata, read_text, to_metadata
from elman.models.tokenized import TokenizedModel

PICKLES = (".pt", ".pth", ".bin")
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
) -> TokenizedModel:
    """Return the model in a state dict file, with the vocabulary from a second file.

    Args:
        path: a .safetensors file, or one written by ``torch.save(model.state_dict(), path)``. The latter needs PyTorch,
            which reads it with ``weights_only=True``, so that no code in the file is run.
        vocab: one token per line or a JSON list; not needed for bytes, nor for a file written by `write_torch`.
        level, lower, unk, eos: the kind of tokens, see `read_text`; words by default.
        names, tie_weights: see `from_state_dict`.

    Raises:
        ModelFileError: the file is missing or damaged, or its model is not the plain recurrent one.
        VocabularyError: the vocabulary cannot be read.
        ConfigError: there is no vocabulary, or the arguments about it contradict each other.
        MissingExtra: PyTorch is needed and not installed.
    """
    path = Path(path)
    state_dict, metadata = read_state_dict(path)
    model = from_state_dict(state_dict, names=names, tie_weights=tie_weights)
    if vocab is None and level is None and "tokens" in metadata:
        if lower or unk is not None or eos is not None:
            raise ConfigError(f"{path} contains its own vocabulary; omit lower, unk and eos")
        text = from_metadata(metadata, path)
    elif vocab is None and level != "byte":
        raise ConfigError(f"{path} contains no vocabulary; give it with `vocab='vocab.txt'`")
    else:
        text = read_text(None if vocab is None else Path(vocab), level or "word", lower, unk, eos)
    if len(text.vocabulary) != model.vocab_size:
        raise ModelFileError(
            f"the vocabulary has {len(text.vocabulary)} tokens, but {path} has word vectors for {model.vocab_size}; "
            "they do not belong together"
        )
    return TokenizedModel(model, text.tokenizer, text.vocabulary, {"imported": path.name}, text.start)


def read_state_dict(path: Path) -> tuple[dict[str, Any], dict[str, str]]:
    """Return the arrays of a file by name, and its metadata; arrays that the metadata calls tied are one array.

    Raises:
        ModelFileError: the file is missing, damaged, or not a state dict.
        MissingExtra: it is a pickle and PyTorch is not installed.
    """
    if not path.is_file():
        raise ModelFileError(f"there is no file {path}")
    if path.suffix in PICKLES:
        return _read_pickle(path), {}
    try:
        with safe_open(path, framework="numpy") as file:
            metadata: dict[str, str] = file.metadata() or {}
            arrays = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except (SafetensorError, OSError, ValueError, TypeError, AttributeError) as error:
        raise ModelFileError(
            f"{path} is damaged, is not a safetensors file, or has a number type that NumPy lacks ({error})"
        ) from error
    if KEY in metadata:
        raise ModelFileError(f"{path} is already an elman model; use it as it is")
    for name, kept in metadata.items():
        if kept in arrays:
            arrays[name] = arrays[kept]
    return arrays, metadata


def _read_pickle(path: Path) -> dict[str, Any]:
    try:
        import torch
    except ImportError as error:
        raise MissingExtra("torch", "torch") from error
    advice = "save one with torch.save(model.state_dict(), 'model.pt'), or as safetensors"
    try:
        found = torch.load(path, map_location="cpu", weights_only=True)
    except (UnpicklingError, RuntimeError, OSError, EOFError, ValueError, KeyError) as error:
        first_line = str(error).partition("\n")[0]
        raise ModelFileError(
            f"{path} is damaged, or not just a state dict ({first_line}); {advice}"
        ) from error
    if not isinstance(found, Mapping) or not all(hasattr(value, "shape") for value in found.values()):
        raise ModelFileError(f"{path} is not a state dict of tensors; {advice}")
    return dict(found)
