"""A language model put to work on an n-best list: ln P of its candidates, once, as a table of numbers."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from elman.models.text_model import TextModel
from elman.rescoring.carrying import carried_lm_scores
from elman.rescoring.casing import Case, case_of, in_case
from elman.rescoring.lm_scores import Encoded, Work, encode, lm_scores
from elman.rescoring.nbest import Utterance
from elman.rescoring.speakers import SEPARATOR, in_order
from elman.rescoring.spelling import Spelling
from elman.rescoring.weights import IMPOSSIBLE, Floats, Table, Weights

Unknown = Literal["spelled", "plain"]


@dataclass
class Rescorer:
    """Gives the candidates of an n-best list their numbers, by a model of any kind.

    ``case`` None is the case of the model's vocabulary. ``unknown`` says what a word that the model does not
    know has: the probability of `<unk>` (plain), or that times the probability of its spelling (spelled), by
    which models of words with `<unk>` can tell a rare word from none. ``work`` counts what was read in all.

    Raises:
        VocabularyError: the model knows no end of a line.
    """

    text_model: TextModel
    utterances: Sequence[Utterance]
    case: Case | None = None
    unknown: Unknown = "spelled"
    work: Work = field(default_factory=Work)

    def __post_init__(self) -> None:
        self.case = self.case or case_of(self.text_model.vocabulary)
        case = self.case
        texts = [[in_case(c.text, case) for c in u.candidates] for u in self.utterances]
        self.encoded: list[Encoded] = [encode(self.text_model, each) for each in texts]
        spells = self.unknown == "spelled" and self.text_model.unit == "word"
        spells = spells and self.text_model.vocabulary.unk_id is not None
        self._spelling = self._spelled(texts) if spells else [np.zeros(len(each)) for each in texts]

    def _spelled(self, texts: Sequence[Sequence[str]]) -> list[Floats]:
        """Return ln P (K,) of how the unknown words of each candidate are spelled."""
        tokenizer, vocabulary = self.text_model.tokenizer, self.text_model.vocabulary
        words = [[tokenizer.tokens(text) for text in each] for each in texts]
        unknown = {w for each in words for text in each for w in text if w not in vocabulary}
        nlls = Spelling(vocabulary).nll_nats(unknown)
        return [np.array([-sum(nlls.get(w, 0.0) for w in text) for text in each]) for each in words]

    def table(self) -> Table:
        """Return the numbers of all candidates, every utterance read from the beginning of a line."""
        scores, work = lm_scores(self.text_model, self.encoded)
        return self._table(scores, work)

    def carried_table(self, weights: Weights, separator: str = SEPARATOR) -> Table:
        """Return the numbers, every utterance read after its speaker's before: their best candidates by ``weights``."""

        def choose(place: int, ln_probs: NDArray[np.float64]) -> int:
            one = Table.of([self.utterances[place]], [ln_probs + self._spelling[place]])
            return int(one.best(weights)[0])

        speakers = in_order([utterance.name for utterance in self.utterances], separator)
        scores, work = carried_lm_scores(self.text_model, self.encoded, speakers, choose)
        return self._table(scores, work)

    def _table(self, scores: Sequence[Floats], work: Work) -> Table:
        self.work.steps += work.steps
        self.work.tokens += work.tokens
        return Table.of(self.utterances, [a + b for a, b in zip(scores, self._spelling, strict=True)])

    def unknown_words(self) -> tuple[int, int]:
        """Return how many words of the first candidates the model does not know, and how many words these have."""
        words = sum(len(u.candidates[0].text.split()) for u in self.utterances)
        return sum(int(each.unknown[0]) for each in self.encoded), words


def reranked(utterances: Sequence[Utterance], table: Table, totals: Floats) -> list[Utterance]:
    """Return the utterances with their candidates in the order of ``totals`` (U, K), ranked anew, and their ``lm``."""
    found = []
    for u, total, lm in zip(utterances, totals, table.lm, strict=True):
        order = np.argsort(-total[: len(u.candidates)], kind="stable").tolist()
        ranked = [replace(u.candidates[k], rank=r, lm=_ln_prob(lm[k])) for r, k in enumerate(order, 1)]
        found.append(Utterance(u.name, tuple(ranked)))
    return found


def _ln_prob(lm: float) -> float:
    return -math.inf if lm <= IMPOSSIBLE else float(lm)
