"""Published models: a folder of config.json, model.safetensors and tokenizer.json, as `transformers` writes it.

The arrays are mapped into memory, and read when a model takes them: bfloat16 and float16 become float32.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from elman.bfloat16 import widened
from elman.errors import ConfigError, ModelFileError
from elman.formats import mamba
from elman.formats.model_file import check_finite
from elman.formats.tensors import map_arrays
from elman.models.recurrent import RecurrentLM
from elman.models.tokenized import TokenizedModel
from elman.parsing import parse_json, parsing
from elman.text.tokenizer_json import Pieces
from elman.text.tokenizers import PretrainedTokenizer

READERS = {"mamba": mamba.mamba, "mamba2": mamba.mamba2}  # by the model_type of config.json
CONFIG, WEIGHTS, INDEX, TOKENIZER = (
    "config.json",
    "model.safetensors",
    "model.safetensors.index.json",
    "tokenizer.json",
)
SEPARATOR = "<|endoftext|>"  # between the documents that a model was trained on
_SHOWN = 3


class StoredArrays:
    """The arrays of a model by name, each taken once: `take` checks its shape, `refuse_others` what was not taken."""

    def __init__(self, arrays: Mapping[str, NDArray[Any]], where: object) -> None:
        self._left, self._where = dict(arrays), where

    def __contains__(self, name: str) -> bool:
        return name in self._left

    def take(self, name: str, *shape: int) -> NDArray[Any]:
        """Return an array, float32. Raises ModelFileError if it is missing or has another shape."""
        if name not in self._left:
            raise ModelFileError(f"{self._where}: the array {name!r} is missing; it must be of shape {shape}")
        array = self._left.pop(name)
        if array.shape != shape:
            raise ModelFileError(
                f"{self._where}: the array {name!r} must be of shape {shape}, but is of shape {array.shape}"
            )
        return in_float32(array)

    def refuse_others(self) -> None:
        """Raise ModelFileError if arrays are left, naming some."""
        if self._left:
            names = ", ".join(sorted(self._left)[:_SHOWN])
            more = f" and {len(self._left) - _SHOWN} more" if len(self._left) > _SHOWN else ""
            raise ModelFileError(f"{self._where}: the model has no place for the arrays {names}{more}")


def in_float32(array: NDArray[Any]) -> NDArray[Any]:
    """Return an array as float32; uint16 stands for bfloat16, the upper half of a float32."""
    if array.dtype == np.uint16:
        return widened(array)
    return array.astype(np.float32, copy=False)


def _stored(folder: Path) -> StoredArrays:
    """Return the arrays of a folder: of its one file, or of all that its index names."""
    if not (folder / INDEX).is_file():
        return StoredArrays(_mapped(folder / WEIGHTS), folder / WEIGHTS)
    index = _json(folder / INDEX)
    with parsing(folder / INDEX, ModelFileError, "is not an index of arrays"):
        files = sorted({str(name) for name in index["weight_map"].values()})
    if any(Path(name).name != name for name in files):
        raise ModelFileError(f"{folder / INDEX} names files outside the folder")
    arrays: dict[str, NDArray[Any]] = {}
    for name in files:
        arrays |= _mapped(folder / name)
    return StoredArrays(arrays, folder)


def _mapped(path: Path) -> dict[str, NDArray[Any]]:
    arrays = map_arrays(path)
    for name, array in arrays.items():
        if array.dtype.kind not in "fu":
            raise ModelFileError(
                f"{path}: the array {name!r} is of {array.dtype}; it must be of floating numbers"
            )
    return arrays


def _json(path: Path) -> Any:
    try:
        text = path.read_bytes()
    except OSError as error:
        raise ModelFileError(
            f"{path} cannot be read ({error.strerror or error}); a published model is a folder with {CONFIG}, "
            f"{WEIGHTS} and {TOKENIZER}"
        ) from error
    found = parse_json(text, path, ModelFileError)
    if not isinstance(found, dict):
        raise ModelFileError(f"{path} must hold a JSON object")
    return found


def read_pretrained(folder: Path) -> TokenizedModel:
    """Return the model of a folder, `with_tokenizer`.

    Raises:
        ModelFileError: a file is missing or damaged, the architecture is none of `READERS`, or an array is missing, of
            another shape, additional or not finite.
        ConfigError, MissingExtra: see `with_tokenizer`.
    """
    config = _json(folder / CONFIG)
    kind = config.get("model_type")
    if kind not in READERS:
        raise ModelFileError(
            f"{folder / CONFIG}: elman has no model of type {kind!r}; it reads those of {', '.join(READERS)}"
        )
    stored = _stored(folder)
    shape, weights = READERS[kind](config, stored)
    stored.refuse_others()
    check_finite(weights, folder)
    info = {"imported": f"a model of type {kind} from {folder.resolve().name}"}
    return with_tokenizer(RecurrentLM(**shape, weights=weights), folder / TOKENIZER, info)


def with_tokenizer(model: RecurrentLM, path: Path, info: Mapping[str, Any]) -> TokenizedModel:
    """Return a published model with its tokenizer.json; texts begin after ``<|endoftext|>``, if that is a piece.

    Raises:
        ConfigError: the tokenizer cannot be used, or does not belong to the model.
        MissingExtra: the library ``tokenizers`` is not installed.
    """
    tokenizer = _tokenizer(path, model.vocab_size)
    start = SEPARATOR if SEPARATOR in tokenizer.vocabulary else "eos"
    return TokenizedModel(model, tokenizer, tokenizer.vocabulary, dict(info), start)


def _tokenizer(path: Path, size: int) -> PretrainedTokenizer:
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"the tokenizer {path} cannot be read: {error}") from error
    Pieces(text, str(path), size)  # checks it: an error names the file
    return PretrainedTokenizer(text, size=size)
