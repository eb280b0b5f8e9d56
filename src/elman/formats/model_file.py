"""Model files: one safetensors file with the arrays and a JSON description of the model, tokenizer and vocabulary."""

import contextlib
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save

from elman.arrays import to_numpy
from elman.backend import NUMPY, Backend
from elman.errors import ConfigError, ElmanError, MissingExtra, ModelFileError
from elman.files import atomic_write
from elman.models.clusters import checked_ranks
from elman.models.mixture import Mixture
from elman.models.ngram.model import NgramModel
from elman.models.parameters import Weight, plan_weights
from elman.models.recurrent import RecurrentLM
from elman.models.regularisation import NONE, Regularisation
from elman.models.tokenized import TokenizedModel
from elman.models.window import WindowLM
from elman.models.window_models import CBOW, NPLM
from elman.text.tokenizers import SubwordTokenizer, Tokenizer, make_tokenizer
from elman.text.vocabulary import Vocabulary

FORMAT = 1
KEY = "elman"
MODEL_NAME, LAST_NAME = "model.safetensors", "last.safetensors"
READY = ".elman-ready"  # in a run folder: a complete new run whose files have not been moved up yet
WINDOWS: dict[Any, Any] = {model.kind: model for model in (CBOW, NPLM)}
RANKS = "output.ranks"  # of an adaptive softmax: the rank of each id by descending frequency

Arrays = dict[str, NDArray[Any]]


def write_arrays(path: Path, arrays: Mapping[str, NDArray[Any]], about: Mapping[str, Any]) -> None:
    """Write arrays and a JSON description to ``path``, completely or not at all.

    Raises:
        ModelFileError: the folder cannot be written or the disk is full.
    """
    # safetensors silently corrupts arrays that are not in row-major order
    ordered = {name: np.ascontiguousarray(to_numpy(array)) for name, array in arrays.items()}
    data = save(ordered, metadata={KEY: json.dumps(about, ensure_ascii=False)})
    try:
        with atomic_write(path) as file:
            file.write(data)
    except OSError as error:
        raise ModelFileError(
            f"cannot write {path}: {error.strerror or error}; nothing was changed"
        ) from error


def is_safetensors(path: Path) -> bool:
    """Return whether a file begins as a safetensors file does: with the size of a JSON object, and its brace."""
    try:
        with path.open("rb") as file:
            head = file.read(9)
        return (
            len(head) == 9 and head[8:] == b"{" and int.from_bytes(head[:8], "little") < path.stat().st_size
        )
    except OSError:
        return False


def read_arrays(path: Path) -> tuple[Arrays, dict[str, Any]]:
    """Return the arrays and the description that `write_arrays` wrote.

    Raises:
        ModelFileError: the file is missing, truncated, or not written by elman.
    """
    if not path.is_file():
        raise ModelFileError(f"there is no model at {path}; `elman.train()` makes one")
    try:
        with safe_open(path, framework="numpy") as file:
            about = (file.metadata() or {}).get(KEY)
            arrays = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except (SafetensorError, OSError, ValueError) as error:
        raise ModelFileError(f"{path} is truncated or is not a model file ({error})") from error
    if about is None:
        raise ModelFileError(f"{path} is a safetensors file, but not one that elman wrote")
    try:
        description = json.loads(about)
        version = description["format"]
    except (ValueError, TypeError, KeyError) as error:
        raise ModelFileError(f"{path}: its description cannot be read ({error})") from error
    if version != FORMAT:
        raise ModelFileError(
            f"{path} has format {version}, this elman reads format {FORMAT}; use a newer elman"
        )
    return arrays, description


def describe_model(model: Any) -> tuple[Arrays, dict[str, Any]]:
    """Return a model's arrays and its description, from which `build_model` rebuilds it."""
    if isinstance(model, NgramModel):
        return model.to_arrays(), {"kind": "ngram", "model": {"order": model.order}}
    if isinstance(model, Mixture):
        return _describe_members(model)
    if not isinstance(model, RecurrentLM | WindowLM):
        raise ModelFileError(f"a {type(model).__name__} cannot be saved; save the model that it wraps")
    arrays: Arrays = dict(model.weights)
    if model.ranks is not None:
        arrays[RANKS] = model.ranks
    kind = model.kind if isinstance(model, WindowLM) else "recurrent"
    return arrays, {"kind": kind, "model": model.hyperparameters}


def _describe_members(mixture: Mixture) -> tuple[Arrays, dict[str, Any]]:
    """Return the arrays of a mixture's members, prefixed by the member's index, and their description."""
    arrays: Arrays = {}
    members = []
    for k, model in enumerate(mixture.models):
        own, about = describe_model(model)
        arrays |= {f"{_prefix(k)}{name}": array for name, array in own.items()}
        members.append(about)
    return arrays, {"kind": "mixture", "model": {"weights": list(mixture.weights), "members": members}}


def _prefix(k: int) -> str:
    return f"members.{k}."


def build_model(
    arrays: Arrays,
    about: Mapping[str, Any],
    where: Path,
    backend: Backend = NUMPY,
    regularisation: Regularisation = NONE,
) -> Any:
    """Return the model that `describe_model` described; a recurrent one has its weights on ``backend``.

    Files do not store the ``regularisation``, which matters only if training continues.

    Raises:
        ModelFileError: the kind is unknown, or an array is missing or has a different shape than described.
    """
    kind = about.get("kind")
    if kind == "ngram":
        return NgramModel.from_arrays(arrays)
    if kind == "mixture":
        return _build_mixture(arrays, about["model"], where, backend)
    if kind != "recurrent" and kind not in WINDOWS:
        raise ModelFileError(f"{where} holds a model of kind {kind!r}, which this elman does not know")
    shape = dict(about["model"])
    dropout = shape.pop("dropout")
    if kind in WINDOWS:
        made = WINDOWS[kind]
        weights = _planned(arrays, made.plan(**shape), where)
        return made(**shape, dropout=dropout, weights=weights, backend=backend)
    weights = _planned(arrays, plan_weights(**shape), where)
    ranks = _ranks(arrays, shape, where)
    return RecurrentLM(
        **shape,
        dropout=dropout,
        weights=weights,
        ranks=ranks,
        regularisation=regularisation,
        backend=backend,
    )


def _planned(arrays: Arrays, plan: Mapping[str, Weight], where: Path) -> Arrays:
    """Return copies of the planned weights. Raises ModelFileError if one is missing or has another shape."""
    weights: Arrays = {}
    for name, like in plan.items():
        found = arrays.get(name)
        if found is None or found.shape != like.shape:
            what = "missing" if found is None else f"of shape {found.shape}"
            raise ModelFileError(f"{where}: the array {name!r} must be of shape {like.shape}, but is {what}")
        weights[name] = np.array(found)
    return weights


def _build_mixture(arrays: Arrays, model: Mapping[str, Any], where: Path, backend: Backend) -> Mixture:
    members = []
    for k, about in enumerate(model["members"]):
        start = _prefix(k)
        own = {name.removeprefix(start): array for name, array in arrays.items() if name.startswith(start)}
        members.append(build_model(own, about, where, backend))
    return Mixture(members, model["weights"])


def _ranks(arrays: Arrays, shape: Mapping[str, Any], where: Path) -> NDArray[Any] | None:
    """Return the ranks of an adaptive softmax, None for another output. Raises ModelFileError for invalid ranks."""
    if shape.get("adaptive") is None:
        return None
    try:
        return checked_ranks(arrays[RANKS], shape["vocab_size"])
    except (KeyError, ConfigError) as error:
        raise ModelFileError(f"{where}: the array {RANKS!r} is missing or damaged ({error})") from error


def describe(text_model: TokenizedModel) -> tuple[Arrays, dict[str, Any]]:
    """Return the arrays and the description to store in a model file."""
    arrays, about = describe_model(text_model.model)
    return arrays, about | {
        "format": FORMAT,
        "tokenizer": _described(text_model.tokenizer),
        "vocabulary": text_model.vocabulary.to_json(),
        "start": text_model.start,
        "info": text_model.info,
    }


def _described(tokenizer: Tokenizer) -> dict[str, Any]:
    """Return the arguments from which `make_tokenizer` rebuilds a tokenizer."""
    about = {"level": tokenizer.level, "lower": tokenizer.lower}
    return about | ({"json": tokenizer.json} if isinstance(tokenizer, SubwordTokenizer) else {})


def save_model(path: str | Path, text_model: TokenizedModel) -> None:
    """Write a model with its tokenizer and vocabulary to one file.

    Raises:
        ModelFileError: the folder cannot be written or the disk is full; an existing file is left unchanged.
    """
    write_arrays(Path(path), *describe(text_model))


@contextlib.contextmanager
def reading_description(path: Path) -> Iterator[None]:
    """Turn errors from reading a description in this context into ModelFileError, which names ``path``."""
    try:
        yield
    except (ModelFileError, MissingExtra):
        raise
    except (KeyError, TypeError, ValueError, ElmanError) as error:
        raise ModelFileError(f"{path}: its description is incomplete ({error!r})") from error


def model_file(path: Path) -> Path:
    """Return the file that `elman.load` reads: in a run folder the best model, or the last one if there is no best."""
    if not path.is_dir():
        return path
    for folder in (path / READY, path):
        for name in (MODEL_NAME, LAST_NAME):  # no best: the run stopped in its first epoch
            if (folder / name).is_file():
                return folder / name
    return path / MODEL_NAME


def read_model(path: Path, backend: Backend = NUMPY) -> TokenizedModel:
    """Return the model of a model file, with its tokenizer and vocabulary.

    Raises:
        ModelFileError: the file is missing, truncated, not written by elman, or of an unknown kind.
        MissingExtra: it is a subword model, and the library ``tokenizers`` is not installed.
    """
    arrays, about = read_arrays(path)
    with reading_description(path):
        model = build_model(arrays, about, path, backend)
        vocabulary = Vocabulary.from_json(about["vocabulary"])
        tokenizer = make_tokenizer(**about["tokenizer"])
    if len(vocabulary) != model.vocab_size:
        raise ModelFileError(
            f"{path}: the vocabulary has {len(vocabulary)} tokens but the model {model.vocab_size}; "
            "they do not belong together"
        )
    return TokenizedModel(model, tokenizer, vocabulary, about.get("info", {}), about.get("start", "eos"))
