"""A text as a model reads it: its tokens, where they stand, and at which steps."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from elman.errors import TextError
from elman.models.text_model import TextModel
from elman.text.offsets import token_offsets


@dataclass(frozen=True)
class CodedText:
    """A text's T tokens with their ids (T,), -1 for one that a closed vocabulary lacks, which is not read.

    Token t stands in the text as ``text[offsets[t, 0]:offsets[t, 1]]``. ``start_id`` is read before the first,
    where the model has its texts begin after a token.
    """

    text: str
    tokens: list[str]
    ids: NDArray[np.intp]
    offsets: NDArray[np.intp]  # (T, 2)
    start_id: int | None

    @classmethod
    def of(cls, text_model: TextModel, text: str) -> "CodedText":
        """Return the text as the model reads it. Raises TextError for one without a token."""
        tokens, ids = text_model.encode(text)
        if not tokens:
            raise TextError("the text to look at holds no token; give one with at least one")
        offsets = token_offsets(text_model.tokenizer, text)[: len(tokens)]
        return cls(text, tokens, ids.astype(np.intp), offsets, text_model.start_id)

    def read(self, end: int | None = None) -> NDArray[np.intp]:
        """Return the ids that are read up to token ``end``, not included, or to the text's end: one a step."""
        known = self.ids[:end][self.ids[:end] >= 0]
        return known if self.start_id is None else np.concatenate([[self.start_id], known])

    @property
    def steps(self) -> NDArray[np.intp]:
        """For each token the step after which it has been read, (T,); -1: before all steps."""
        begun = self.start_id is not None
        steps: NDArray[np.intp] = np.cumsum(self.ids >= 0) - 1 + int(begun)
        return steps
