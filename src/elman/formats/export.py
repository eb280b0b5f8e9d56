"""Export to other programs: which format a file's suffix stands for, and the function that writes it.

The functions are loaded when they are first used: whoever loads a model to score with it needs none of them.
"""

import importlib
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal, NamedTuple, cast, get_args

from elman.errors import ConfigError
from elman.models.tokenized import TokenizedModel

FormatName = Literal["arpa", "tokenizer", "torch", "onnx"]
Form = Literal["sequence", "step"]  # of an ONNX file
COMPRESSED_ARPA = (".arpa.gz", ".arpa.bz2", ".arpa.xz")


class Format(NamedTuple):
    """A file format: the suffix of its files, and the module and name of the function that writes one."""

    suffix: str
    module: str
    function: str


FORMATS: dict[FormatName, Format] = {
    "arpa": Format(".arpa", "elman.formats.arpa_writer", "write_arpa"),
    "tokenizer": Format(".json", "elman.formats.vocabulary_file", "write_tokenizer"),
    "torch": Format(".safetensors", "elman.formats.torch_file", "write_torch"),
    "onnx": Format(".onnx", "elman.formats.onnx", "write_onnx"),
}


def writer(name: FormatName) -> Callable[..., None]:
    """Return the function ``write(path, text_model)`` of a format."""
    form = FORMATS[name]
    return cast(Callable[..., None], getattr(importlib.import_module(form.module), form.function))


def export(
    text_model: TokenizedModel, path: str | Path, to: FormatName | None = None, form: Form | None = None
) -> None:
    """Write a model, or its tokenizer, in the format of another program: see `elman.TextModel.export`.

    Raises:
        ConfigError: the suffix is not that of the format, or ``form`` is given for another format than ONNX.
        ModelFileError: the format cannot hold the model, or the file cannot be written.
        MissingExtra: a library that writes the format is not installed.
    """
    path = Path(path)
    name = _format_of(path) if to is None else to
    if name not in FORMATS:
        raise ConfigError(f"`to` must be one of {', '.join(FORMATS)}, got {name!r}")
    if form is not None and name != "onnx":
        raise ConfigError(f"`form` applies only to `to='onnx'`, not to {name}; leave it out")
    if form is not None and form not in get_args(Form):
        raise ConfigError(f"`form` must be one of {', '.join(get_args(Form))}, got {form!r}")
    suffix = FORMATS[name].suffix
    if path.suffix != suffix and not (name == "arpa" and path.name.endswith(COMPRESSED_ARPA)):
        raise ConfigError(f"name the file to write, with the suffix {suffix}: MODEL{suffix}, not {path.name}")
    options: dict[str, Any] = {} if form is None else {"form": form}
    writer(name)(path, text_model, **options)


def _format_of(path: Path) -> FormatName:
    """Return the format that a file's suffix stands for; arpa if none."""
    for name, form in FORMATS.items():
        if form.suffix == path.suffix:
            return name
    return "arpa"
