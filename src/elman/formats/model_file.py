"""One-file models: safetensors with one JSON string that says what the arrays are."""

import contextlib
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

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
WINDOWS: dict[Any, Any] = {model.kind: model for model in (CBOW, NPLM)}
RANKS = "output.ranks"  # of an adaptive softmax: the place of each id in the order of falling frequency

Arrays = dict[str, NDArray[Any]]


def write_arrays(path: Path, arrays: Mapping[str, NDArray[Any]], about: Mapping[str, Any]) -> None:
    """Write arrays and a JSON description to ``path``, wholly or not at all.

    Raises:
        ModelFileError: the folder cannot be written or the disk is full.
    """
    from safetensors.numpy import save

    # the format's writer corrupts arrays that are not in row-major order, in silence
    ordered = {name: np.ascontiguousarray(to_numpy(array)) for name, array in arrays.items()}
    data = save(ordered, metadata={KEY: json.dumps(about, ensure_ascii=False)})
    try:
        with atomic_write(path) as file:
            file.write(data)
    except OSError as error:
        raise ModelFileError(
            f"cannot write {path}: {error.strerror or error}; nothing was changed"
        ) from error


def read_arrays(path: Path) -> tuple[Arrays, dict[str, Any]]:
    """Return the arrays and the description that `write_arrays` wrote.

    Raises:
        ModelFileError: the file is missing, truncated, or not one of elman's.
    """
    from safetensors import SafetensorError, safe_open

    if not path.is_file():
        raise ModelFileError(f"there is no model at {path}; `elman train CORPUS -o RUN` makes one")
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
    """Return a model's arrays and its description, from which `build_model` makes it again."""
    if isinstance(model, NgramModel):
        return model.to_arrays(), {"kind": "ngram", "model": {"order": model.order}}
    if isinstance(model, Mixture):
        return _describe_members(model)
    if not isinstance(model, RecurrentLM | WindowLM):
        raise ModelFileError(f"a {type(model).__name__} is not kept in a file; save the model that it wraps")
    arrays: Arrays = dict(model.weights)
    if model.ranks is not None:
        arrays[RANKS] = model.ranks
    kind = model.kind if isinstance(model, WindowLM) else "recurrent"
    return arrays, {"kind": kind, "model": model.hyperparameters}


def _describe_members(mixture: Mixture) -> tuple[Arrays, dict[str, Any]]:
    """Return the arrays of a mixture's members, each under its number, and the description of all."""
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
    """Return the model that `describe_model` described; a recurrent one with its weights on ``backend``.

    No file tells of a ``regularisation``, which matters only where training goes on.

    Raises:
        ModelFileError: the kind is unknown, or an array is missing or of another shape than described.
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
    """Return copies of the weights of a plan; raises ModelFileError where one is not as planned."""
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
    """Return the ranks of an adaptive softmax, or raise ModelFileError; None for another output."""
    if shape.get("adaptive") is None:
        return None
    try:
        return checked_ranks(arrays[RANKS], shape["vocab_size"])
    except (KeyError, ConfigError) as error:
        raise ModelFileError(f"{where}: the array {RANKS!r} is missing or damaged ({error})") from error


def describe(text_model: TokenizedModel) -> tuple[Arrays, dict[str, Any]]:
    """Return the arrays and the description that a model file holds."""
    arrays, about = describe_model(text_model.model)
    return arrays, about | {
        "format": FORMAT,
        "tokenizer": _described(text_model.tokenizer),
        "vocabulary": text_model.vocabulary.to_json(),
        "start": text_model.start,
        "info": text_model.info,
    }


def _described(tokenizer: Tokenizer) -> dict[str, Any]:
    """Return what `make_tokenizer` makes a tokenizer again from."""
    about = {"level": tokenizer.level, "lower": tokenizer.lower}
    return about | ({"json": tokenizer.json} if isinstance(tokenizer, SubwordTokenizer) else {})


def save_model(path: str | Path, text_model: TokenizedModel) -> None:
    """Write a model with its tokenizer and vocabulary to one file.

    Raises:
        ModelFileError: the folder cannot be written or the disk is full; a file that was there is as it was.
    """
    write_arrays(Path(path), *describe(text_model))


@contextlib.contextmanager
def reading_description(path: Path) -> Iterator[None]:
    """Raise ModelFileError, naming ``path``, for what is missing or wrong in a description read within."""
    try:
        yield
    except (ModelFileError, MissingExtra):
        raise
    except (KeyError, TypeError, ValueError, ElmanError) as error:
        raise ModelFileError(f"{path}: its description is incomplete ({error!r})") from error


def model_file(path: Path) -> Path:
    """Return the file that `elman.load` reads: of a run folder its best model, or its last before there is a best."""
    if not path.is_dir():
        return path
    best, last = path / MODEL_NAME, path / LAST_NAME
    return last if last.is_file() and not best.is_file() else best  # a run stopped in its first epoch


def read_model(path: Path, backend: Backend = NUMPY) -> TokenizedModel:
    """Return the model of a model file, with its tokenizer and vocabulary.

    Raises:
        ModelFileError: the file is missing, truncated, foreign, or of an unknown kind.
        MissingExtra: the model is of subwords, and the library that cuts them is not installed.
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
