"""Models of other programs: which format a file has, and what only the user can say about it."""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from elman.errors import ConfigError
from elman.formats.arpa_reader import is_arpa, read_arpa
from elman.formats.kenlm_binary import refuse_kenlm_binary
from elman.formats.torch_file import SUFFIXES, read_torch
from elman.models.tokenized import TokenizedModel

Names = Mapping[str, str] | Iterable[tuple[str, str]]


def read_foreign(
    file: str | Path,
    *,
    vocab: str | Path | None = None,
    level: str | None = None,
    lower: bool = False,
    unk: str | None = None,
    eos: str | None = None,
    names: Names = (),
    tie_weights: bool = False,
    nonlinearity: str | None = None,
    encoding: str = "utf-8",
) -> TokenizedModel:
    """Return the model in a file of another program: see `elman.import_model`.

    Raises:
        ConfigError: the file's suffix is of no format, or an argument does not apply to its format.
        ModelFileError: the file is missing or damaged, or holds another kind of model.
    """
    file, parts = Path(file), dict(names)
    described: dict[str, Any] = {
        "vocab": vocab,
        "level": level,
        "lower": lower or None,
        "unk": unk,
        "eos": eos,
        "names": parts or None,
        "tie_weights": tie_weights or None,
        "nonlinearity": nonlinearity,
    }
    given = {name: value for name, value in described.items() if value is not None}
    if is_arpa(file, encoding):
        if given:
            raise ConfigError(
                f"`{next(iter(given))}` applies only to a state dict, not to an ARPA file; leave it out"
            )
        return read_arpa(file, encoding)
    refuse_kenlm_binary(file)
    if not file.name.endswith(SUFFIXES):
        raise ConfigError(
            f"{file} cannot be imported: it is not an ARPA file, and its suffix is not one of a state dict: "
            f"{', '.join(SUFFIXES)}"
        )
    return read_torch(file, **given, encoding=encoding)
