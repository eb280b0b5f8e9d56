"""The probability of lines that go on from one another."""

from collections.abc import Iterable, Iterator

import numpy as np
from numpy.typing import NDArray

from elman.evaluation.many_texts import multiplications
from elman.evaluation.scoring import LineScore, count_unknown, windows
from elman.models.base import Ids
from elman.models.text_model import BLOCK, TextModel
from elman.threads import suited_threads


class CarriedLines:
    """Scores lines as one text: the state after a line is the one before the next, from call to call.

    The first is predicted from the end of a line. Tokens that a closed vocabulary lacks make their line
    impossible (infinite -ln P) and are not read; the lines after it go on from the others. An n-gram model of
    sentences, whose contexts do not reach over the end of a line, scores every line as if it stood alone.
    """

    def __init__(self, text_model: TextModel) -> None:
        self._text_model = text_model
        self._state = text_model.begin_sentence()

    def score(self, lines: Iterable[str]) -> Iterator[LineScore]:
        """Yield the scores of the lines that follow; the state goes on as they are taken."""
        vocabulary = self._text_model.vocabulary
        for window in windows(lines):
            texts = [self._text_model.encode_line(line)[1] for line in window]
            nlls = np.split(self._read(np.concatenate(texts)), np.cumsum([len(ids) for ids in texts[:-1]]))
            for ids, of_line in zip(texts, nlls, strict=True):
                yield LineScore(len(ids), count_unknown(ids, vocabulary), float(of_line.sum()))

    def _read(self, ids: Ids) -> NDArray[np.float64]:
        """Return -ln P in nats of each of ids (n,), (n,), and go on to the state after them."""
        model = self._text_model.model
        nlls = np.full(len(ids), np.inf)
        (known,) = np.nonzero(ids >= 0)
        with suited_threads(multiplications(model, min(BLOCK, len(known)))):
            for first in range(0, len(known), BLOCK):
                places = known[first : first + BLOCK]
                log_probs, self._state = model.target_log_probs(
                    ids[None, places].astype(np.intp), self._state
                )
                nlls[places] = -log_probs[0]
        return nlls
