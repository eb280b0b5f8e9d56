"""Write n-gram models as ARPA files, a text format that every n-gram program reads.

Each line holds log10 P(w | h), the n-gram h w, and log10 of the backoff weight of the context h w. The interpolated
model is represented exactly: P is the sum of all interpolated parts, and the backoff weight of a context is the factor
with which interpolation multiplies the shorter context's probability.
"""

import bz2
import gzip
import io
import lzma
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import IO, Any

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
OPENERS: dict[str, Any] = {".bz2": bz2.open, ".xz": lzma.open}


def write_arpa(path: str | Path, text_model: TokenizedModel) -> None:
    """Write an n-gram model of sentences to ``path``; ``<eos>`` becomes ``</s>``, as is usual in the format.

    Numbers have 9 significant digits. A path that ends in .gz, .bz2 or .xz is compressed.

    Raises:
        ModelFileError: the format cannot represent the model, the folder cannot be written, or the disk is full; an
            existing file is left unchanged.
    """
    path = Path(path)
    model = _checked(text_model)
    names = _names(text_model.vocabulary)
    try:
        with atomic_write(path) as plain, _compressed(plain, path.suffix) as file:
            sizes = [len(names), *(len(level.keys) for level in model.levels[1:])]
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


@contextmanager
def _compressed(file: IO[bytes], suffix: str) -> Iterator[IO[str]]:
    """Yield a file of text whose UTF-8 goes to ``file``, compressed as the suffix says."""
    with ExitStack() as stack:
        target: Any = file
        if suffix == ".gz":  # without the time and a name, so that the same model is the same file
            target = stack.enter_context(gzip.GzipFile("", "wb", 6, file, mtime=0))
        elif suffix in OPENERS:
            target = stack.enter_context(OPENERS[suffix](file, "wb"))
        text = io.TextIOWrapper(target, encoding="utf-8", newline="\n")
        yield text
        text.flush()
        text.detach()


def _checked(text_model: TokenizedModel) -> NgramModel:
    model: Any = text_model.model
    if not isinstance(model, NgramModel):
        raise ModelFileError(
            "only n-gram models can be written as ARPA files, and this is not one; see `train(model='ngram')`"
        )
    if text_model.tokenizer.level != "word":
        raise ModelFileError(
            f"only word models can be written as ARPA files; this is a model of {text_model.unit}s"
        )
    if model.eos is None:
        raise ModelFileError(
            "only models of sentences can be written as ARPA files, but this one's contexts cross the ends of lines; "
            "train one with `train(model='ngram')` or NgramModel.train(..., eos=)"
        )
    return model


def _names(vocabulary: Vocabulary) -> list[str]:
    """Return the names of the ids 0 to V in the file; V is ``<s>``."""
    names = [*vocabulary.tokens, START]
    if vocabulary.eos_id is not None:
        names[vocabulary.eos_id] = END
    if vocabulary.unk_id is not None:
        names[vocabulary.unk_id] = UNK
    if len(set(names)) < len(names):
        raise ModelFileError(
            f"the vocabulary contains the word {START} or {END}, which has a special meaning in an ARPA file; "
            "replace it in the training text"
        )
    return names


def _rows(model: NgramModel, n: int) -> Iterator[NDArray[np.int64]]:
    """Yield the n-grams to write, block by block, (B, n); 1-grams include those that were never seen."""
    if n == 1:
        yield np.arange(model.vocab_size + 1)[:, None]
        return
    for first in range(0, len(model.levels[n - 1].keys), _BLOCK):
        last = min(first + _BLOCK, len(model.levels[n - 1].keys))
        yield rows_of(model.levels, n, np.arange(first, last))


def _lines(model: NgramModel, rows: NDArray[np.int64], names: Sequence[str]) -> Iterator[str]:
    n = rows.shape[1]
    numbers, probs = numbers_and_probs(model.levels, rows, model.vocab_size)
    log10_probs = np.log10(np.where(rows[:, -1] == model.vocab_size, 10.0**LOG_ZERO, probs))
    backoffs = model.levels[n].backoffs_of(numbers) if n < model.order else np.ones(len(rows))
    log10_backoffs = np.log10(backoffs, out=np.full(len(rows), float(LOG_ZERO)), where=backoffs > 0)
    for log10_prob, row, log10_backoff in zip(
        log10_probs.tolist(), rows.tolist(), log10_backoffs.tolist(), strict=True
    ):
        end = f"\t{log10_backoff:.9g}\n" if log10_backoff else "\n"
        yield f"{log10_prob:.9g}\t{' '.join([names[id_] for id_ in row])}{end}"
