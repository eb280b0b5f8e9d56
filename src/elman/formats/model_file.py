"""Model files: one safetensors file with the arrays and a JSON description of the model, tokenizer and vocabulary."""

import contextlib
import hashlib
import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors import safe_open
from safetensors.numpy import save

from elman.arrays import not_finite, to_numpy
from elman.backend import NUMPY, Backend
from elman.bfloat16 import all_finite
from elman.errors import ConfigError, ElmanError, MissingExtra, ModelFileError
from elman.files import atomic_write
from elman.formats.kenlm_binary import refuse_kenlm_binary
from elman.formats.tensors import map_arrays, marked_bfloat16, refuse_other_dtypes
from elman.formats.versions import versions
from elman.layers.base import Weight
from elman.layers.bfloat16_matrix import Bfloat16Matrix, is_product
from elman.models.clusters import checked_ranks
from elman.models.mixture import Mixture
from elman.models.ngram.model import NgramModel
from elman.models.parameters import CELLS, MOST_LAYERS, plan_weights
from elman.models.recurrent import RecurrentLM
from elman.models.regularisation import NONE, Regularisation
from elman.models.tokenized import TokenizedModel
from elman.models.window import WindowLM
from elman.models.window_models import CBOW, NPLM
from elman.parsing import parse_json, parsing
from elman.text.tokenizers import (
    PretrainedTokenizer,
    SubwordTokenizer,
    Tokenizer,
    WordTokenizer,
    WorldTokenizer,
    make_tokenizer,
)
from elman.text.vocabulary import Vocabulary

FORMAT = 1
KEY = "elman"
DIGEST = re.compile(r'\{"sha256": "([0-9a-f]{64})", ')  # the beginning of a description
OLD_KEYS = {"format", "kind", "model", "tokenizer", "vocabulary", "start", "info", "training"}
MODEL_DTYPES = ("F32", "F64", "BF16", "I32", "I64")  # of the arrays in model files and checkpoints
MOST_WINDOW, MOST_SIZE = 1_000_000, 2**31 - 1
_SHOWN = 4
MODEL_NAME, LAST_NAME = "model.safetensors", "last.safetensors"
READY = ".elman-ready"  # in a run folder: a complete new run whose files have not been moved up yet
WINDOWS: dict[Any, Any] = {model.kind: model for model in (CBOW, NPLM)}
RANKS = "output.ranks"  # of an adaptive softmax: the rank of each id by descending frequency

Arrays = dict[str, NDArray[Any]]


def write_arrays(path: Path, arrays: Mapping[str, NDArray[Any]], about: Mapping[str, Any]) -> None:
    """Write arrays, a JSON description and the SHA-256 of both to ``path``, completely or not at all.

    Raises:
        ModelFileError: the folder cannot be written or the disk is full.
    """
    # safetensors silently corrupts arrays that are not in row-major order
    ordered = {name: np.ascontiguousarray(_stored(array)) for name, array in arrays.items()}
    # names of files that are not UTF-8 contain lone surrogates, which are written as JSON's escapes
    text = json.dumps(about, ensure_ascii=False).encode("utf-8", "backslashreplace").decode("utf-8")
    # the digest is part of the one description, because safetensors writes several in any order
    data = save(ordered, metadata={KEY: f'{{"sha256": "{digest_of(ordered, text)}", {text[1:]}'})
    if any(array.dtype == np.uint16 for array in ordered.values()):
        data = marked_bfloat16(data)
    try:
        with atomic_write(path) as file:
            file.write(data)
    except OSError as error:
        raise ModelFileError(
            f"cannot write {path}: {error.strerror or error}; nothing was changed"
        ) from error


def _stored(array: Any) -> NDArray[Any]:
    """Return an array as NumPy's; bfloat16 as its bits, uint16, which no other array has."""
    return array.bits if isinstance(array, Bfloat16Matrix) else to_numpy(array)


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


def digest_of(arrays: Mapping[str, NDArray[Any]], description: str) -> str:
    """Return the SHA-256 of a description and of each array: its name, dtype, shape and bytes, in order of name."""
    digest = hashlib.sha256(description.encode("utf-8"))
    for name in sorted(arrays):
        array = arrays[name]
        digest.update(f"\0{name}\0{array.dtype.name}\0{array.shape}\0".encode())
        data: Any = np.ascontiguousarray(array).reshape(-1).view(np.uint8)
        digest.update(data)
    return digest.hexdigest()


def read_arrays(path: Path, verify: bool = True) -> tuple[Arrays, dict[str, Any]]:
    """Return the arrays and the description that `write_arrays` wrote.

    The arrays are memory-mapped: their pages are read when they are used, and changes stay in this process. ``verify``
    compares them with the SHA-256 in the file; files of elman 0.2.0 and before have none.

    Raises:
        ModelFileError: the file is missing, truncated, damaged, or not written by elman.
    """
    if not path.is_file():
        raise ModelFileError(f"there is no model at {path}; `elman.train()` makes one")
    refuse_kenlm_binary(path)
    with (
        parsing(path, ModelFileError, "is truncated or is not a model file"),
        safe_open(path, framework="numpy") as file,
    ):
        metadata = file.metadata() or {}
        about = metadata.get(KEY)
        if about is None:
            raise ModelFileError(f"{path} is a safetensors file, but not one that elman wrote")
        refuse_other_dtypes(file, path, MODEL_DTYPES)
    arrays = map_arrays(path)
    description = parse_json(about, f"{path}: its description cannot be read: it", ModelFileError)
    version = description.get("format") if isinstance(description, dict) else None
    if not isinstance(version, int):
        raise ModelFileError(f"{path}: its description cannot be read (it has no format)")
    if verify and not _matches(arrays, about, description):
        raise ModelFileError(
            f"{path} is damaged: its content does not match the SHA-256 that was stored with it; take it from a "
            "backup, or read it as it is with `verify=False`"
        )
    description.pop("sha256", None)
    if version != FORMAT:
        raise ModelFileError(
            f"{path} has format {version}, this elman reads format {FORMAT}; use a newer elman"
        )
    return arrays, description


def _matches(arrays: Arrays, text: str, description: Mapping[str, Any]) -> bool:
    """Return whether a file's content is what its SHA-256 says; one without it must be like those of elman 0.2.0."""
    found = DIGEST.match(text)
    if found is None:
        return description.keys() <= OLD_KEYS
    return found[1] == digest_of(arrays, "{" + text[found.end() :])


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
        check_finite(arrays, where)
        return NgramModel.from_arrays(arrays)
    if kind == "mixture":
        return _build_mixture(arrays, about["model"], where, backend)
    if kind != "recurrent" and kind not in WINDOWS:
        raise ModelFileError(f"{where} holds a model of kind {kind!r}, which this elman does not know")
    shape = dict(about["model"])
    _check_sizes(shape, arrays, where)
    dropout = shape.pop("dropout")
    if kind in WINDOWS:
        made = WINDOWS[kind]
        weights = _planned(arrays, made.plan(**shape), where)
        return made(**shape, dropout=dropout, weights=weights, backend=backend)
    weights = _planned(arrays, plan_weights(**shape), where, bfloat16=CELLS[shape["cell"]].is_block)
    ranks = _ranks(arrays, shape, where)
    return RecurrentLM(
        **shape,
        dropout=dropout,
        weights=weights,
        ranks=ranks,
        regularisation=regularisation,
        backend=backend,
    )


def _check_sizes(shape: Mapping[str, Any], arrays: Arrays, where: Path) -> None:
    """Raise ConfigError for hyperparameters of a wrong type or out of range, before anything is made from them."""
    for name, value in shape.items():
        if name == "tie_weights":
            valid = isinstance(value, bool)
        elif name in ("cell", "block"):
            valid = isinstance(value, str)
        elif name == "sizes":
            valid = isinstance(value, dict) and all(_is_size(size) and size for size in value.values())
        elif name == "dropout":
            valid = isinstance(value, (int, float)) and 0 <= value < 1
        elif name == "adaptive":
            valid = value is None or (
                isinstance(value, list) and len(value) <= len(arrays) and all(map(_is_size, value))
            )
        else:
            most = {"layers": min(MOST_LAYERS, len(arrays)), "window": MOST_WINDOW}.get(name, MOST_SIZE)
            valid = _is_size(value) and value <= most
        if not valid:
            shown = repr(value)
            shown = shown if len(shown) <= 40 else shown[:40] + "…"
            raise ConfigError(
                f"{name} = {shown} does not agree with the {len(arrays)} arrays of {where.name}"
            )


def _is_size(value: Any) -> bool:
    return type(value) is int and 0 <= value <= MOST_SIZE


def _planned(
    arrays: Arrays, plan: Mapping[str, Weight], where: Path, bfloat16: bool = False
) -> dict[str, Any]:
    """Return copies of the planned weights; matrices of ``bfloat16``, if allowed, stay mapped into memory.

    Raises:
        ModelFileError: one is missing, has another shape, is not float32 or float64 as the others, or is not finite.
    """
    weights: dict[str, Any] = {}
    for name, like in plan.items():
        found = arrays.get(name)
        if found is None or found.shape != like.shape:
            what = "missing" if found is None else f"of shape {found.shape}"
            raise ModelFileError(f"{where}: the array {name!r} must be of shape {like.shape}, but is {what}")
        if bfloat16 and found.dtype == np.uint16 and is_product(name):
            weights[name] = Bfloat16Matrix(found)
            continue
        first = next(iter(weights.values()), found)
        if found.dtype.name not in ("float32", "float64") or found.dtype != first.dtype:
            raise ModelFileError(
                f"{where}: the array {name!r} is {found.dtype}; all weights must be float32, or all float64"
            )
        weights[name] = np.array(found)
    check_finite(weights, where)
    return weights


def check_finite(arrays: Mapping[str, Any], where: object) -> None:
    """Raise ModelFileError where arrays hold NaN or infinite numbers; names each, their count and the first place."""
    wrong = []
    for name, array in arrays.items():
        if isinstance(array, Bfloat16Matrix) and all_finite(array.bits):
            continue
        array = np.asarray(array)
        count, place = not_finite(array) if array.dtype.kind == "f" else (0, ())
        if count:
            at = f"[{', '.join(map(str, place))}]"
            wrong.append(f"{name} ({count:,} of {array.size:,} numbers, the first {array[place]} at {at})")
    if wrong:
        more = f" and {len(wrong) - _SHOWN} more" if len(wrong) > _SHOWN else ""
        raise ModelFileError(
            f"{where} has weights that are not finite: {', '.join(wrong[:_SHOWN])}{more}; its scores would be "
            "meaningless: take an earlier checkpoint"
        )


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
        "versions": versions(text_model.model),
    }


def _described(tokenizer: Tokenizer) -> dict[str, Any]:
    """Return the arguments from which `make_tokenizer` rebuilds a tokenizer."""
    about: dict[str, Any] = {"level": tokenizer.level, "lower": tokenizer.lower}
    if isinstance(tokenizer, PretrainedTokenizer):
        return about | {"json": tokenizer.json, "size": tokenizer.size}
    if isinstance(tokenizer, SubwordTokenizer):
        return about | {"json": tokenizer.json}
    if isinstance(tokenizer, WorldTokenizer):
        return about | {"pieces": list(tokenizer.pieces_by_id)}
    if isinstance(tokenizer, WordTokenizer) and tokenizer.whitespace != "unicode":
        return about | {"whitespace": tokenizer.whitespace}
    return about


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
        with parsing(f"{path}:", ModelFileError, "its description is incomplete"):
            yield
    except (ModelFileError, MissingExtra):
        raise
    except ElmanError as error:
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


def read_model(path: Path, backend: Backend = NUMPY, verify: bool = True) -> TokenizedModel:
    """Return the model of a model file, with its tokenizer and vocabulary; ``verify`` as for `read_arrays`.

    Raises:
        ModelFileError: the file is missing, truncated, not written by elman, or of an unknown kind.
        MissingExtra: it is a subword model, and the library ``tokenizers`` is not installed.
    """
    arrays, about = read_arrays(path, verify)
    with reading_description(path):
        model = build_model(arrays, about, path, backend)
        vocabulary = Vocabulary.from_json(about["vocabulary"])
        tokenizer = make_tokenizer(**about["tokenizer"])
        info, start = dict(about.get("info", {})), about.get("start", "eos")
        if start not in ("eos", "empty") and start not in vocabulary:
            raise ModelFileError(
                f"{path}: its description says start = {start!r}; it must be eos, empty or a token"
            )
    if len(vocabulary) != model.vocab_size:
        raise ModelFileError(
            f"{path}: the vocabulary has {len(vocabulary)} tokens but the model {model.vocab_size}; "
            "they do not belong together"
        )
    return TokenizedModel(model, tokenizer, vocabulary, info, start)
