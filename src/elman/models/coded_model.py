"""A language model together with the tokenizer and the vocabulary that give its ids a meaning."""

from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from elman.models.base import LanguageModel
from elman.text.reading import normalise
from elman.text.tokenizers import Tokenizer
from elman.text.vocabulary import Vocabulary


@dataclass
class CodedModel:
    """What a model file holds: a model, a tokenizer and a vocabulary, which belong together; see `TextModel`.

    ``info`` is free data about the model's making (corpus, recipe, seed), shown to people. ``start`` says how
    a text begins: after the token that ends a line ("eos", where the vocabulary has one), or with the
    "empty" past, for a model that was only ever trained to begin so.
    """

    model: LanguageModel
    tokenizer: Tokenizer
    vocabulary: Vocabulary
    info: dict[str, Any] = field(default_factory=dict)
    start: Literal["eos", "empty"] = "eos"

    @property
    def start_id(self) -> int | None:
        """The id that a text begins after; None for the empty past."""
        return self.vocabulary.eos_id if self.start == "eos" else None

    @property
    def unit(self) -> str:
        """What a token is, in words: the "per what" of a perplexity."""
        level = self.tokenizer.level
        return "character" if level == "char" else level

    def encode(self, text: str, end: bool = False) -> tuple[list[str], NDArray[np.int32]]:
        """Return the tokens of ``text`` and their ids (-1 for an unknown one of a closed vocabulary)."""
        tokens = self.tokenizer.tokens(normalise(text), end)
        return tokens, self.vocabulary.encode(tokens)

    def encode_line(self, line: str) -> tuple[list[str], NDArray[np.int32]]:
        """Return the tokens and ids of one line and its end, where the vocabulary has a token for that."""
        return self.encode(line + "\n" if self.vocabulary.eos_id is not None else line)

    def is_unknown(self, tokens: list[str]) -> NDArray[np.bool_]:
        """Tell for each token whether the vocabulary lacks it; a literal ``<unk>`` counts as unknown."""
        unknown: NDArray[np.bool_] = self.vocabulary.encode(tokens) == self.vocabulary.unknown_id
        return unknown
