"""The tokenizer of a model of subwords, written as a tokenizer.json: `elman train --tokenizer` reads it again."""

from pathlib import Path

from elman.errors import ModelFileError
from elman.files import atomic_write
from elman.models.text_model import TextModel
from elman.text.subword import SubwordTokenizer


def write_tokenizer(path: str | Path, text_model: TextModel) -> None:
    """Write the tokenizer of a model of subwords to ``path``; its ids are the model's.

    Raises:
        ModelFileError: the model is of other tokens, or the folder cannot be written, or the disk is full.
    """
    tokenizer = text_model.tokenizer
    if not isinstance(tokenizer, SubwordTokenizer):
        raise ModelFileError(
            f"a tokenizer.json holds subwords, and this is a model of {text_model.unit}s; see `elman train --level "
            "subword`"
        )
    try:
        with atomic_write(Path(path), "w", encoding="utf-8") as file:
            file.write(tokenizer.json)
    except OSError as error:
        raise ModelFileError(
            f"cannot write {path}: {error.strerror or error}; nothing was changed"
        ) from error
