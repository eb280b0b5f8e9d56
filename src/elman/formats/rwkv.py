"""Convert published RWKV checkpoints: arrays under the names of the authors' program become a `RecurrentLM`.

    emb.weight, head.weight (V, D)        blocks.0.ln0, blocks.{k}.ln1, blocks.{k}.ln2, ln_out: weight and bias (D,)
    blocks.{k}.att.…                      the time mix        blocks.{k}.ffn.…           the channel mix

Matrices called ``….weight`` are those of nn.Linear, and transposed here; the others are not. Vectors may be (1, 1, D).
RWKV-4's mixes are 1 - μ. The version is recognised by the names. The output has no bias, ours is zero.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from elman.errors import ConfigError, ModelFileError
from elman.formats.model_file import check_finite
from elman.formats.pretrained import TOKENIZER, with_tokenizer
from elman.formats.vocabulary_file import read_text
from elman.layers.rwkv7 import MIXES
from elman.models.parameters import CELLS, plan_weights
from elman.models.recurrent import RecurrentLM
from elman.models.tokenized import TokenizedModel
from elman.text.tokenizers import WorldTokenizer
from elman.text.world_vocabulary import (
    FILE,
    PACKAGE,
    installed_vocabulary,
    is_world_vocabulary,
    read_world_vocabulary,
)

Arrays = Mapping[str, NDArray[Any]]
_BLOCK = re.compile(r"blocks\.(\d+)\.(.+)")
_SHOWN = 3


@dataclass(frozen=True)
class _Source:
    """Where a weight of ours comes from: the name of an array, and whether that is transposed, or taken from 1."""

    name: str
    transposed: bool = False
    from_one: bool = False


def _norm(ours: str, theirs: str) -> dict[str, _Source]:
    return {f"{ours}_gain": _Source(f"{theirs}.weight"), f"{ours}_bias": _Source(f"{theirs}.bias")}


_PROJECTIONS = {"Wr": "receptance", "Wk": "key", "Wv": "value", "Wo": "output"}
_LINEAR = {ours: _Source(f"att.{theirs}.weight", True) for ours, theirs in _PROJECTIONS.items()}
_MLP = {f"ffn_{ours}": _Source(f"ffn.{_PROJECTIONS[ours]}.weight", True) for ours in ("Wk", "Wv")}
_SHARED = {**_norm("ln1", "ln1"), **_norm("ln2", "ln2"), **_LINEAR, **_MLP}
_LOW_RANK = [f"{part}{n}" for part in "wavg" for n in "012" if part + n != "g0"]
_VALUES = ("v0", "v1", "v2")  # of the low-rank part that the first block has not
SOURCES: dict[str, dict[str, _Source]] = {  # of a cell: the names within a block, except those of its ends
    "rwkv4": {
        **_SHARED,
        **{f"x_{c}": _Source(f"att.time_mix_{c}", from_one=True) for c in "rkv"},
        **{f"ffn_{c}": _Source(f"ffn.time_mix_{c}", from_one=True) for c in "kr"},
        "decay": _Source("att.time_decay"),
        "first": _Source("att.time_first"),
        "ffn_Wr": _Source("ffn.receptance.weight", True),
    },
    "rwkv7": {
        **_SHARED,
        **{name: _Source(f"att.{name}") for name in (*MIXES, *_LOW_RANK, "k_k", "k_a", "r_k")},
        **_norm("group", "att.ln_x"),
        "ffn_k": _Source("ffn.x_k"),
    },
}


def is_rwkv(names: Iterable[str]) -> bool:
    """Return whether these names of arrays are those of an RWKV checkpoint, of any version."""
    found = set(names)
    return {"emb.weight", "blocks.0.att.receptance.weight"} <= found


def version_of(names: Iterable[str], where: object) -> str:
    """Return the cell of a checkpoint with these names of arrays. Raises ModelFileError for other versions."""
    found = set(names)
    if "blocks.0.att.r_k" in found:
        return "rwkv7"
    if "blocks.0.att.time_decay" in found and "blocks.0.att.ln_x.weight" not in found:
        return "rwkv4"
    other = "6" if "blocks.0.att.time_maa_x" in found else "5"
    raise ModelFileError(f"{where} is a model of RWKV-{other}; elman reads those of RWKV-4 and RWKV-7")


def from_rwkv(arrays: Arrays, where: object) -> RecurrentLM:
    """Return the model of a checkpoint, in float32; ``where`` is what errors call it.

    Raises:
        ModelFileError: it is of another version, or an array is missing, unknown, misshaped or not finite.
    """
    cell = version_of(arrays, where)
    numbers = [int(found[1]) for found in map(_BLOCK.fullmatch, arrays) if found]
    layers = min(1 + max(numbers), len(arrays))  # an absurd number is an unknown array
    sources = _sources(cell, layers)
    _check_names(arrays, sources, where)
    shapes = {name: _shape(arrays[source.name], source) for name, source in sources.items()}
    if len(shapes["embedding"]) != 2:
        raise ModelFileError(f"{where}: emb.weight must be (V, D), but is {shapes['embedding']}")
    V, D = shapes["embedding"]
    try:
        sizes = _sizes(cell, shapes)
    except IndexError:
        raise ModelFileError(f"{where}: a matrix of a block has only one dimension") from None
    try:
        plan = plan_weights(V, D, D, cell, layers, sizes=sizes)
    except ConfigError as error:
        raise ModelFileError(f"{where}: {error}") from error
    weights: dict[str, NDArray[Any]] = {"output.b": np.zeros(V, np.float32)}
    for name, source in sources.items():
        expected = plan[name].shape
        if shapes[name] != expected:
            theirs = expected[::-1] if source.transposed else expected
            raise ModelFileError(
                f"{where}: {source.name} must be {theirs}, but is {tuple(arrays[source.name].shape)}"
            )
        array = np.asarray(arrays[source.name], np.float32)
        array = 1 - array if source.from_one else array
        weights[name] = np.ascontiguousarray(array.T if source.transposed else array.reshape(expected))
    check_finite(weights, where)
    return RecurrentLM(V, D, D, cell, layers, sizes=sizes, weights={name: weights[name] for name in plan})


def read_rwkv(
    path: Path,
    arrays: Arrays,
    vocab: Path | None = None,
    level: str | None = None,
    lower: bool = False,
    unk: str | None = None,
    eos: str | None = None,
    encoding: str = "utf-8",
) -> TokenizedModel:
    """Return the model of a checkpoint with its tokenizer: the world vocabulary, a tokenizer.json, or a ``level``.

    Args:
        path: the file, for messages.
        arrays: what is in it.
        vocab: RWKV's vocabulary file, or the tokenizer.json of a model trained on the Pile; None: the vocabulary of the
            installed package `rwkv`. With a ``level``, a file of tokens, which ``lower``, ``unk``, ``eos`` and
            ``encoding`` describe: see `read_text`.

    Raises:
        ModelFileError: see `from_rwkv`; or the vocabulary has another size than the model.
        VocabularyError: the vocabulary cannot be read.
        ConfigError: there is no vocabulary, or the arguments about it contradict each other; or see `with_tokenizer`.
        MissingExtra: a tokenizer.json needs the library ``tokenizers``.
    """
    model = from_rwkv(arrays, path)
    info = {"imported": path.name}
    if level is not None:
        if vocab is None and level != "byte":
            raise ConfigError(f"{path} contains no vocabulary; give it with `vocab='vocab.txt'`")
        text = read_text(vocab, level, lower, unk, eos, encoding)
        if len(text.vocabulary) != model.vocab_size:
            raise ModelFileError(
                f"the vocabulary has {len(text.vocabulary)} tokens, but {path} has word vectors for "
                f"{model.vocab_size}; they do not belong together"
            )
        return TokenizedModel(model, text.tokenizer, text.vocabulary, info)
    given = {"lower": lower, "unk": unk, "eos": eos}
    for name, value in given.items():
        if value:
            raise ConfigError(
                f"`{name}` does not apply to RWKV's own vocabulary; leave it out, or give a `level`"
            )
    found = vocab or installed_vocabulary()
    if found is None:
        raise ConfigError(
            f"{path} contains no vocabulary; give RWKV's with `vocab='{FILE}'`, or install the package `{PACKAGE}`, "
            "which has it"
        )
    if found.suffix == Path(TOKENIZER).suffix:
        return with_tokenizer(model, found, info)
    if not is_world_vocabulary(found):
        raise ConfigError(
            f"{found} is neither RWKV's vocabulary, with an id, a piece in quotes and its number of bytes in every "
            f"line, nor a {TOKENIZER}; for a file of tokens say what they are: `level='char'`"
        )
    tokenizer = WorldTokenizer(tuple(read_world_vocabulary(found, model.vocab_size)))
    return TokenizedModel(model, tokenizer, tokenizer.vocabulary, info)


def _sources(cell: str, layers: int) -> dict[str, _Source]:
    """Return where every weight of a model comes from, but the output's bias."""
    found = {"embedding": _Source("emb.weight"), "output.W": _Source("head.weight", True)}
    for k in range(layers):
        of_block = {**(_norm("ln0", "ln0") if k == 0 else {}), **SOURCES[cell]}
        for ours, source in of_block.items():
            if k or ours not in _VALUES:
                found[f"{k}.{ours}"] = replace(source, name=f"blocks.{k}.{source.name}")
    return found | {f"{layers - 1}.{ours}": source for ours, source in _norm("last", "ln_out").items()}


def _check_names(arrays: Arrays, sources: Mapping[str, _Source], where: object) -> None:
    known = {source.name for source in sources.values()}
    unused = {f"blocks.0.att.{name}" for name in _VALUES}  # which some checkpoints have
    if missing := [name for name in known if name not in arrays]:
        raise ModelFileError(f"{where} lacks {_listed(sorted(missing))}; it is incomplete")
    if unknown := [name for name in arrays if name not in known | unused]:
        raise ModelFileError(
            f"{where} has {_listed(unknown)}, which an RWKV of this version has not; it is another architecture"
        )


def _listed(names: list[str]) -> str:
    more = f" and {len(names) - _SHOWN} more arrays" if len(names) > _SHOWN else ""
    return ", ".join(names[:_SHOWN]) + more


def _shape(array: Any, source: _Source) -> tuple[int, ...]:
    """Return the shape of a weight: without dimensions of 1 before a vector, and transposed if it will be."""
    shape = tuple(array.shape)
    if len(shape) == 3 and shape[:2] == (1, 1):
        return shape[2:]
    return shape[::-1] if source.transposed else shape


def _sizes(cell: str, shapes: Mapping[str, tuple[int, ...]]) -> dict[str, int]:
    """Return the sizes of the blocks. Raises IndexError where a matrix is a vector."""
    of_block = {name.partition(".")[2]: shape for name, shape in shapes.items() if name[0].isdigit()}
    sizes: dict[str, int] = CELLS[cell].sizes_of(of_block)
    return sizes
