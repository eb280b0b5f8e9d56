"""`TokenizedModel`: a language model with the tokenizer and the vocabulary of its ids.

Also here, for any model: how much of the past its probabilities depend on, and its state without any past.
"""

from collections.abc import Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from functools import cached_property
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from elman.arrays import is_torch
from elman.models.adaptive.cache import CachedModel, CacheState
from elman.models.base import BEFORE_TEXT, Ids, LanguageModel, Past, begin
from elman.models.mixture import Mixture, MixtureState
from elman.models.ngram.model import NgramModel
from elman.models.window import WindowLM
from elman.one_line import one_line
from elman.text.hashed_words import HashedWords
from elman.text.tokenizers import EOS, Tokenizer, UnendedLine, WordTokenizer
from elman.text.tokenizers.base import cased
from elman.text.vocabulary import Vocabulary
from elman.workers import limited_threads


def reading_threads(tokens: int, *models: LanguageModel) -> AbstractContextManager[None]:
    """Return a context that limits the threads to what models can use when they read ``tokens`` tokens at once."""
    return limited_threads(tokens * max(map(_largest_weight, models), default=0))


def _largest_weight(model: LanguageModel) -> int:
    """Return the size of the largest matrix; 0 if there is none, if torch does threading, or if blocks are small."""
    if isinstance(model, Mixture):
        return max(map(_largest_weight, model.models))
    if isinstance(model, CachedModel):
        return _largest_weight(model.model)
    weights = getattr(model, "params", [])
    return 0 if not weights or is_torch(weights[0]) else max(int(weight.size) for weight in weights)


def order_of(model: LanguageModel) -> int | None:
    """Return the most tokens that a probability depends on, the predicted one included; None if there is no limit.

    For an n-gram model this is n; for a window of k words k + 1; for a mixture the largest order of its members; for
    a cache at least its size + 1. Recurrent and dynamically evaluated models depend on everything they have read.
    """
    if isinstance(model, NgramModel):
        return model.order
    if isinstance(model, WindowLM):
        return model.window + 1
    if isinstance(model, CachedModel):
        own = order_of(model.model)
        return None if own is None else max(own, model.size + 1)
    if isinstance(model, Mixture):
        limits = [order for order in map(order_of, model.models) if order is not None]
        return max(limits) if len(limits) == len(model.models) else None
    return None


def use_hash_tables(model: LanguageModel) -> None:
    """Enter the n-grams of a model, or of those that it is made of, in their hash tables: see `NgramModel`."""
    if isinstance(model, NgramModel):
        model.use_hash_table()
    elif isinstance(model, Mixture):
        for member in model.models:
            use_hash_tables(member)
    elif isinstance(model, CachedModel):
        use_hash_tables(model.model)


def ngram_lengths(model: LanguageModel, ids: Ids, state: Any, read: int) -> NDArray[np.int64]:
    """Return how many tokens the probability of each of ids (1, T) depends on, itself included: (1, T).

    ``read`` tokens were read before the one-sequence ``state``. For an n-gram model it is the length of the longest
    n-gram found; for a mixture the largest of its members'; for other models all tokens up to their order.
    """
    if isinstance(model, NgramModel):
        return model.matched_lengths(ids, state)
    if isinstance(model, Mixture):
        pairs = zip(model.models, state.members, strict=True)
        of_members = [ngram_lengths(member, ids, own, read) for member, own in pairs]
        longest: NDArray[np.int64] = np.stack(of_members).max(axis=0)
        return longest
    lengths = read + 1 + np.arange(ids.shape[1])[None]
    order = order_of(model)
    return lengths if order is None else np.minimum(lengths, order)


def null_context(model: LanguageModel) -> Any:
    """Return the state of one sequence without any past, not even the beginning of a sentence."""
    if isinstance(model, NgramModel):
        return Past.of(np.full((1, model.order - 1), BEFORE_TEXT))
    if isinstance(model, Mixture):
        return MixtureState(tuple(null_context(member) for member in model.models))
    state = model.start()
    if isinstance(state, CacheState) and isinstance(model, CachedModel):
        return CacheState(null_context(model.model), state.words, state.keys)
    return state


@dataclass
class TokenizedModel:
    """The content of a model file: a model with its tokenizer and vocabulary; see `elman.TextModel`.

    ``info`` describes how the model was made (corpus, seed, …), for display. ``start`` is the past at the beginning
    of a text: the end-of-line token ("eos", if the vocabulary has one), nothing ("empty"), for a model that was trained
    to begin so, or another token, such as `<|endoftext|>`.
    """

    model: LanguageModel
    tokenizer: Tokenizer
    vocabulary: Vocabulary
    info: dict[str, Any] = field(default_factory=dict)
    start: str = "eos"

    def __repr__(self) -> str:
        return one_line(self, repr(self.model), f"{self.unit}s")

    @property
    def start_id(self) -> int | None:
        """The id that precedes a text; None for the empty past."""
        if self.start == "eos":
            return self.vocabulary.eos_id
        return None if self.start == "empty" else self.vocabulary.id(self.start)

    @property
    def unit(self) -> str:
        """The unit of a token (word, character, jamo, byte, subword): what a perplexity is per."""
        level = self.tokenizer.level
        return "character" if level == "char" else level

    def encode(self, text: str | bytes, end: bool = False) -> tuple[list[str], NDArray[np.int32]]:
        """Return the tokens of ``text`` and their ids (-1 for an unknown one of a closed vocabulary)."""
        tokens = self.tokenizer.tokens(self.tokenizer.prepare(text), end)
        return tokens, self.vocabulary.encode(tokens)

    def encode_line(self, line: str | bytes) -> tuple[list[str], NDArray[np.int32]]:
        """Return the tokens and ids of one line and, if it has one and the vocabulary a token for it, of its end."""
        return self.encode(self._with_end(line))

    def prepared(self, text: str | bytes, end: bool) -> str:
        """Return a text as its tokenizer reads it; with ``end``, it is a line, and its end follows."""
        return self.tokenizer.prepare(self._with_end(text) if end else text)

    def _with_end(self, line: str | bytes) -> str:
        if isinstance(line, bytes):
            line = self.tokenizer.prepare(line)
        return line + "\n" if self.predicts_end(line) else line

    def ids(self, text: str | bytes) -> NDArray[np.int32]:
        """Return the ids of `encode`, which are found faster without the tokens."""
        return self.ids_of(self.tokenizer.prepare(text))

    def ids_of(self, prepared: str) -> NDArray[np.int32]:
        """Return the ids of a text that is prepared."""
        if isinstance(self.tokenizer, WordTokenizer):
            return self.tokenizer.ids(prepared, self.vocabulary)
        return self.vocabulary.encode(self.tokenizer.tokens(prepared))

    def word_log_probs(self, prepared: str, start: Any) -> tuple[NDArray[np.float64], int] | None:
        """Return ln P of each token of a text that is prepared, read from ``start``, and how many are unknown.

        It is one compiled call of an n-gram model. Returns None where that is impossible.
        """
        model, tokenizer = self.model, self.tokenizer
        if not (isinstance(model, NgramModel) and model.is_hashed and isinstance(tokenizer, WordTokenizer)):
            return None
        text = cased(prepared, tokenizer.lower)
        return model.word_log_probs(text, *self._words, start) if tokenizer.splits_at_ascii(text) else None

    @cached_property
    def _words(self) -> tuple[HashedWords, int, int, bool]:
        """The words, and what else `HashedWords.find` needs to find them, stored because a line is read so fast."""
        separators = isinstance(self.tokenizer, WordTokenizer) and self.tokenizer.separators
        return self.vocabulary.hashed_words, self.vocabulary.id(EOS), self.vocabulary.unknown_id, separators

    def line_ids(self, line: str | bytes) -> NDArray[np.int32]:
        """Return the ids of `encode_line`, which are found faster without the tokens."""
        return self.ids(self._with_end(line))

    def encode_lines(self, lines: Sequence[str | bytes]) -> list[NDArray[np.int32]]:
        """Return the ids of every line, as `line_ids`; lines of words are encoded together, which is faster."""
        eos = self.vocabulary.eos_id
        joined = [line for line in lines if type(line) is str]
        if isinstance(self.tokenizer, WordTokenizer) and eos is not None and len(joined) == len(lines):
            ids = self.ids("\n".join([*joined, ""]))
            ends = (np.flatnonzero(ids == eos) + 1).tolist()
            if len(ends) == len(lines):  # no line contains a newline, or the end of a line as a word
                return [ids[first:end] for first, end in pairwise([0, *ends])]
        return [self.line_ids(line) for line in lines]

    def predicts_end(self, line: str) -> bool:
        """Return whether the end of a line is one of its tokens."""
        return self.vocabulary.eos_id is not None and not isinstance(line, UnendedLine)

    def is_unknown(self, tokens: list[str]) -> NDArray[np.bool_]:
        """Return for each token whether the vocabulary lacks it; a literal ``<unk>`` counts as unknown."""
        unknown: NDArray[np.bool_] = self.vocabulary.encode(tokens) == self.vocabulary.unknown_id
        return unknown

    def begin_sentence(self) -> Any:
        """Return the state at the beginning of a sentence: an immutable, hashable value.

        >>> state = model.begin_sentence()
        >>> state == model.begin_sentence(), len({state, model.begin_sentence()})
        (True, 1)
        """
        if isinstance(self.model, NgramModel):
            return self.model.begin(self.start_id)
        with limited_threads(0):
            return begin(self.model, self.start_id)

    def null_context(self) -> Any:
        """Return the state without any past, not even the beginning of a sentence: KenLM's null context.

        A recurrent model has not seen it in training, unless it was trained from an empty past; see `begin_sentence`.

        >>> model.null_context() == model.begin_sentence()
        False
        """
        return null_context(self.model)
