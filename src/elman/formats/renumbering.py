"""Models with the same tokens under other ids: `renumbered` moves the rows, columns and n-grams of a model once."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from elman.arrays import to_numpy
from elman.backend import NUMPY
from elman.errors import VocabularyError
from elman.formats.model_file import RANKS, build_model, describe_model
from elman.models.mixture import Mixture
from elman.models.ngram.model import NgramModel
from elman.text.vocabulary import Vocabulary

ROWS = ("embedding", "output.b", RANKS)  # arrays whose first axis is the vocabulary
COLUMNS = ("output.W",)  # and whose last one is; an adaptive softmax is ordered by rank, not by id


def renumbered(model: Any, vocabulary: Vocabulary, order: Vocabulary) -> Any:
    """Return a model of ``vocabulary`` whose ids are those of ``order``, which has the same tokens.

    Its probabilities are those of the given model up to rounding: sums over the vocabulary run in another order.

    Raises:
        VocabularyError: the tokens differ.
        ModelFileError: the model is a wrapper, such as one with a cache.
    """
    if set(vocabulary.tokens) != set(order.tokens):
        raise VocabularyError("only a vocabulary of the same tokens can be brought into another order")
    new_ids = order.encode(list(vocabulary.tokens)).astype(np.int64)  # (V,): the new id of each old one
    return _renumbered(model, new_ids)


def _renumbered(model: Any, new_ids: NDArray[np.int64]) -> Any:
    if isinstance(model, Mixture):
        return Mixture([_renumbered(member, new_ids) for member in model.models], model.weights)
    arrays, about = describe_model(model)
    if isinstance(model, NgramModel):
        return NgramModel.from_arrays(_ngrams(arrays, model, new_ids))
    old_ids = np.argsort(new_ids)
    moved = {name: _moved(name, to_numpy(array), old_ids) for name, array in arrays.items()}
    return build_model(moved, about, Path("the model"), NUMPY)


def _moved(name: str, array: NDArray[Any], old_ids: NDArray[np.int64]) -> NDArray[Any]:
    if name in ROWS:
        return array[old_ids]
    return np.ascontiguousarray(array[:, old_ids]) if name in COLUMNS else array


def _ngrams(
    arrays: Mapping[str, NDArray[Any]], model: NgramModel, new_ids: NDArray[np.int64]
) -> dict[str, NDArray[Any]]:
    """Return the tables of n-grams under new ids, sorted again; the symbol ``<s>``, V, keeps its number."""
    moved = dict(arrays)
    if model.eos is not None:
        moved["eos"] = new_ids[[model.eos]]
    symbols = np.append(new_ids, model.vocab_size)  # (V + 1,)
    contexts = np.zeros(1, np.int64)  # the new number of each n-gram one token shorter
    for n, level in enumerate(model.levels, 1):
        parents, last = np.divmod(arrays[f"{n}.keys"], level.symbols)
        keys = contexts[parents] * level.symbols + symbols[last]
        sorting = np.argsort(keys)
        moved[f"{n}.keys"], moved[f"{n}.weights"] = keys[sorting], arrays[f"{n}.weights"][sorting]
        moved[f"{n}.backoffs"] = arrays[f"{n}.backoffs"][np.argsort(contexts)]
        contexts = np.argsort(sorting)
    return moved
