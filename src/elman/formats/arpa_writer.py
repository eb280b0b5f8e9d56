"""ARPA files, written: an n-gram model as text that every n-gram program reads.

Each line holds log10 P(w | h), the n-gram h w, and log10 of the weight by which what follows h w backs off. The
interpolated model is represented exactly: P is stored with all its parts added up, and the backoff weight of
an unseen n-gram's context is what interpolation multiplies the shorter context's probability with.
"""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from elman.errors import ModelFileError
from elman.files import atomic_write
from elman.formats.arpa_reader import END, LOG_ZERO, START
from elman.models.ngram.levels import numbers_and_probs, rows_of
from elman.models.ngram.model import NgramModel
from elman.models.tokenized import TokenizedModel
from elman.text.vocabulary import UNK, Vocabulary

_BLOCK = 1 << 16  # n-grams written at a time


def write_arpa(path: str | Path, text_model: TokenizedModel) -> None:
    """Write an n-gram model of sentences to ``path``; ``<eos>`` is called ``</s>`` there, as is usual.

    Numbers have 9 significant digits. Raises ModelFileError for a model that the format cannot hold, and
    for a folder that cannot be written or a full disk; a file that was there is as it was then.
    """
    path = Path(path)
    model = _checked(text_model)
    names = _names(text_model.vocabulary)
    try:
        with atomic_write(path, "w", encoding="utf-8") as file:
            sizes = [len(names), *(len(level.keys) - 1 for level in model.levels[1:])]
            file.write("\\data\\\n" + "".join(f"ngram {n}={size}\n" for n, size in enumerate(sizes, 1)))
            for n in range(1, model.order + 1):
                file.write(f"\n\\{n}-grams:\n")
                for rows in _rows(model, n):
                    file.writelines(_lines(model, rows, names))
            file.write("\n\\end\\\n")
    except OSError as error:
        raise ModelFileError(
            f"cannot write {path}: {error.strerror or error}; nothing was changed"
        ) from error


def _checked(text_model: TokenizedModel) -> NgramModel:
    model: Any = text_model.model
    if not isinstance(model, NgramModel):
        raise ModelFileError(
            "an ARPA file holds n-grams, and this is no n-gram model; see `elman train --model ngram`"
        )
    if text_model.tokenizer.level != "word":
        raise ModelFileError(f"an ARPA file holds words, and this is a model of {text_model.unit}s")
    if model.eos is None:
        raise ModelFileError(
            "an ARPA file holds a model of sentences, but the contexts of this one reach over the ends of lines; "
            "make one by `elman train --model ngram`, or by NgramModel.train(..., eos=)"
        )
    return model


def _names(vocabulary: Vocabulary) -> list[str]:
    """Return what the ids from 0 to V are called in the file; V is ``<s>``."""
    names = [*vocabulary.tokens, START]
    if vocabulary.eos_id is not None:
        names[vocabulary.eos_id] = END
    if vocabulary.unk_id is not None:
        names[vocabulary.unk_id] = UNK
    if len(set(names)) < len(names):
        raise ModelFileError(
            f"the vocabulary holds {START} or {END} as a word, which have a meaning of their own in an ARPA file; "
            "replace them in the training text"
        )
    return names


def _rows(model: NgramModel, n: int) -> Iterator[NDArray[np.int64]]:
    """Yield the n-grams to write, block by block, (B, n); of 1-grams all there are, seen or not."""
    if n == 1:
        yield np.arange(model.vocab_size + 1)[:, None]
        return
    for first in range(0, len(model.levels[n - 1].keys) - 1, _BLOCK):
        last = min(first + _BLOCK, len(model.levels[n - 1].keys) - 1)
        yield rows_of(model.levels, n, np.arange(first, last))


def _lines(model: NgramModel, rows: NDArray[np.int64], names: Sequence[str]) -> Iterator[str]:
    n = rows.shape[1]
    numbers, probs = numbers_and_probs(model.levels, rows, model.vocab_size)
    log10_probs = np.log10(np.where(rows[:, -1] == model.vocab_size, 10.0**LOG_ZERO, probs))
    backoffs = model.levels[n].backoffs[numbers] if n < model.order else np.ones(len(rows))
    log10_backoffs = np.log10(backoffs, out=np.full(len(rows), float(LOG_ZERO)), where=backoffs > 0)
    for log10_prob, row, log10_backoff in zip(
        log10_probs.tolist(), rows.tolist(), log10_backoffs.tolist(), strict=True
    ):
        end = f"\t{log10_backoff:.9g}\n" if log10_backoff else "\n"
        yield f"{log10_prob:.9g}\t{' '.join([names[id_] for id_ in row])}{end}"
