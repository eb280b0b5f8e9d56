"""One language model, and the candidates of an n-best list as it reads them."""

import math
from collections.abc import Sequence
from typing import Literal

import numpy as np

from elman.models.text_model import TextModel
from elman.rescoring.casing import Case, case_of, in_case
from elman.rescoring.lexicon import SHARE, Lexicon
from elman.rescoring.lm_scores import Encoded, encode
from elman.rescoring.nbest import Utterance
from elman.rescoring.recurring import Recurring
from elman.rescoring.spelling import Spelling
from elman.rescoring.weights import Floats

Unknown = Literal["spelled", "plain"]


class Reader:
    """The candidates in the case and the ids of a model, ``encoded``, and how probable their unknown words are.

    ``case`` None is that of the model's vocabulary. An unknown word is one of the lexicon's, with a probability of
    `lexicon.SHARE`, or else any string.

    Raises:
        VocabularyError: the model knows no end of a line.
    """

    def __init__(
        self,
        text_model: TextModel,
        utterances: Sequence[Utterance],
        case: Case | None,
        unknown: Unknown,
        lexicon: Lexicon | None = None,
    ) -> None:
        self.text_model = text_model
        self.case = found = case or case_of(text_model.vocabulary)
        texts = [[in_case(c.text, found) for c in u.candidates] for u in utterances]
        self.encoded: list[Encoded] = [encode(text_model, each) for each in texts]
        spells = unknown == "spelled" and text_model.unit == "word"
        spells = spells and text_model.vocabulary.unk_id is not None
        self._unknown = [[self._unknown_words(t) if spells else [] for t in each] for each in texts]
        words = {w for each in self._unknown for text in each for w in text}
        self._nlls = Spelling(text_model.vocabulary).nll_nats(words) if words else {}
        if words and lexicon is not None:
            known = lexicon.unknown_to(text_model.vocabulary, found)
            self._nlls = {w: _nll_of_either(nll, known.get(w, 0.0)) for w, nll in self._nlls.items()}

    def _unknown_words(self, text: str) -> list[str]:
        vocabulary = self.text_model.vocabulary
        return [w for w in self.text_model.tokenizer.tokens(text) if w not in vocabulary]

    def spelled(self, place: int, before: Recurring | None = None) -> Floats:
        """Return ln P (K,) of the unknown words of an utterance's candidates, among all unknown words.

        ``before`` knows the unknown words that the speaker said before.
        """
        seen = before or Recurring(0.0)
        return np.array(
            [sum(seen.ln_prob(w, self._nlls[w]) for w in words) for words in self._unknown[place]], np.float64
        )

    def unknown_words(self, place: int, candidate: int) -> Sequence[str]:
        """Return the unknown words of a candidate, where their spelling counts."""
        return self._unknown[place][candidate]


def _nll_of_either(spelling_nll: float, prob: float) -> float:
    """Return -ln P of a word whose spelling has ``spelling_nll`` nats, and which has ``prob`` in the lexicon."""
    spelled = math.log1p(-SHARE) - spelling_nll
    return -(np.logaddexp(spelled, math.log(SHARE * prob)) if prob else spelled)
