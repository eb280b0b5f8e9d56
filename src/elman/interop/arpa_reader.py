"""ARPA files, read: the backoff n-gram model of any program as one of ours."""

import gzip
import zlib
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from elman.errors import ModelFileError
from elman.interop.arpa_text import END, ArpaText, Section
from elman.models.ngram import NgramModel
from elman.models.ngram_level import UNSEEN, Level
from elman.models.ngram_rows import numbers_and_probs
from elman.models.text_model import TextModel
from elman.text.tokenizers import EOS, make_tokenizer
from elman.text.vocabulary import UNK, Vocabulary

_LEAST = 1e-10  # of what backing off gives is the least that a listed probability counts: so that rounding leaves P > 0


def read_arpa(path: str | Path) -> TextModel:
    """Return the model of an ARPA file (UTF-8; gzipped if its name ends in .gz); its ``</s>`` is our ``<eos>``.

    P(w | h) is the number in the line of h w, and backoff(h) · P(w | h without its oldest word) where there is
    none. Whether these sum to 1 is for the file's maker to see to. Where the file has ``<unk>``, it is what
    unknown words are read as.

    Raises:
        ModelFileError: the file is missing or damaged: names the line.
    """
    path = Path(path)
    if not path.is_file():
        raise ModelFileError(f"there is no ARPA file at {path}")
    try:
        with gzip.open(path) if path.suffix == ".gz" else path.open("rb") as file:
            text = ArpaText(path, file)
    except (OSError, EOFError, zlib.error) as error:
        raise ModelFileError(f"{path} cannot be read: {error}") from error
    vocabulary = _vocabulary(text)
    model = NgramModel(_levels(text), len(vocabulary), vocabulary.eos_id)
    return TextModel(model, make_tokenizer("word"), vocabulary, {"imported": path.name})


def _vocabulary(text: ArpaText) -> Vocabulary:
    """Return the file's words in their order there."""
    if END not in text.words:
        raise ModelFileError(f"{text.path} has no {END} among its 1-grams: it is no model of sentences")
    if EOS in text.words:
        raise ModelFileError(
            f"{text.path} has {EOS} beside {END} among its 1-grams: both end a sentence here"
        )
    tokens = [EOS if word == END else word for word in text.words]
    unk = next((word for word in (UNK, "<UNK>") if word in tokens), None)
    return Vocabulary(tokens, unk, EOS)


def _levels(text: ArpaText) -> list[Level]:
    """Return the tables that give each listed n-gram its probability, and the others their context's backoff."""
    levels: list[Level] = []
    backoffs = np.zeros(1)  # (C,) of the contexts: every word stands among the 1-grams, none backs off
    V = len(text.words)
    for section in text.sections:
        rows = section.rows
        contexts = np.zeros(len(rows), np.int64)
        lower = np.ones(len(rows))  # (G,) P(w | h without its oldest word)
        if section.n > 1:
            contexts, _ = numbers_and_probs(levels, rows[:, :-1], V)
            _, lower = numbers_and_probs(levels, rows[:, 1:], V)
            _check(text, section, contexts)
        backed_off = backoffs[contexts] * lower
        probs = np.maximum(10 ** np.array(section.log10_probs), _LEAST * backed_off)
        if section.n == 1:
            probs[rows[:, 0] == V] = 0  # <s> is never predicted
        keys = contexts * (V + 1) + rows[:, -1]
        order = np.argsort(keys, kind="stable")
        _check_distinct(text, section, keys, order)
        levels.append(Level(keys[order], (probs - backed_off)[order], backoffs, V + 1))
        backoffs = 10 ** np.array(section.log10_backoffs)[order]
    return levels


def _check(text: ArpaText, section: Section, contexts: NDArray[np.int64]) -> None:
    """Raise ModelFileError for the first n-gram whose first n - 1 words are not listed."""
    (orphans,) = np.nonzero(contexts == UNSEEN)
    if orphans.size:
        n = section.n
        text.fail(f"this {n}-gram begins with a {n - 1}-gram that is not listed", section.lines[orphans[0]])


def _check_distinct(
    text: ArpaText, section: Section, keys: NDArray[np.int64], order: NDArray[np.intp]
) -> None:
    """Raise ModelFileError for the first n-gram that is listed a second time."""
    twice = order[1:][keys[order[1:]] == keys[order[:-1]]]
    if twice.size:
        text.fail(f"this {section.n}-gram stands in the file a second time", section.lines[int(twice.min())])
