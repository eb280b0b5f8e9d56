"""Export to other programs: which format a file's suffix stands for, and the function that writes it."""

from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal, NamedTuple, get_args

from elman.errors import ConfigError
from elman.formats.arpa_writer import is_compressed_arpa, write_arpa
from elman.formats.onnx import Form, write_onnx
from elman.formats.torch_file import write_torch
from elman.formats.vocabulary_file import write_tokenizer
from elman.models.tokenized import TokenizedModel

FormatName = Literal["arpa", "tokenizer", "torch", "onnx"]


class Format(NamedTuple):
    """A file format: the suffix of its files, and the function ``write(path, text_model)`` that writes one."""

    suffix: str
    write: Callable[..., None]


FORMATS: dict[FormatName, Format] = {
    "arpa": Format(".arpa", write_arpa),
    "tokenizer": Format(".json", write_tokenizer),
    "torch": Format(".safetensors", write_torch),
    "onnx": Format(".onnx", write_onnx),
}


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
    suffix, write = FORMATS[name]
    if path.suffix != suffix and not (name == "arpa" and is_compressed_arpa(path)):
        raise ConfigError(f"name the file to write, with the suffix {suffix}: MODEL{suffix}, not {path.name}")
    options: dict[str, Any] = {} if form is None else {"form": form}
    write(path, text_model, **options)


def _format_of(path: Path) -> FormatName:
    """Return the format that a file's suffix stands for; arpa if none."""
    for name, form in FORMATS.items():
        if form.suffix == path.suffix:
            return name
    return "arpa"
