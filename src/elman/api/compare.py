"""Compare several models on one text."""

import os
from collections.abc import Mapping, Sequence
from pathlib import Path

from elman.errors import ConfigError
from elman.evaluation.comparison_table import Comparison, compared
from elman.formats.model_file import MODEL_NAME, model_file
from elman.text.reading import Errors
from elman.text.sources import Text, is_path, source_files, temporary_folder
from elman.text_model import Model, TextModel, as_model, by_name


def compare(
    models: Sequence[Model] | Mapping[str, Model],
    text: Text,
    split: str = "test",
    *,
    encoding: str = "utf-8",
    errors: Errors = "strict",
    seed: int = 0,
) -> Comparison:
    """Compare several models on one text.

    Only models of the same vocabulary are ranked by perplexity. Others are ranked by bits per character, or not at all
    where unknown words are scored as `<unk>`.

    Args:
        models: two or more models or paths, or a mapping from names to them.
        text: a file, a folder, a named corpus, a stream or lines.
        split: the part of a named corpus.
        encoding: of files and streams.
        errors: what happens to a line that is not in the encoding: see `elman.TextModel.evaluate`.
        seed: of the bootstrap and of the sign-flip test.

    Raises:
        ConfigError: there are fewer than two models, or the text is a run.
        TextError: the text cannot be read.
    """
    named = by_name(models)
    if len(named) < 2:
        raise ConfigError("name two or more different models to compare, and then the text")
    if isinstance(text, (str, os.PathLike)) and (Path(text) / MODEL_NAME).exists():
        raise ConfigError(f"{os.fspath(text)} is a run, not a text; name the text after the models")
    if not is_path(text) and not hasattr(text, "read"):
        encoding = "utf-8"  # in which lines are copied
    loaded = {name: (as_model(model), _file_bytes(model)) for name, model in named.items()}
    with temporary_folder() as folder, source_files(text, split, folder) as files:
        found = [
            compared(name, model, files, encoding, size, errors) for name, (model, size) in loaded.items()
        ]
    return Comparison(found, seed)


def _file_bytes(model: Model) -> int | None:
    return None if isinstance(model, TextModel) else model_file(Path(model)).stat().st_size
