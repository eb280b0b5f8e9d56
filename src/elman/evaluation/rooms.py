"""The rooms task: top-1 accuracy, perplexity by distance, and the lowest possible perplexity.

In the rooms world each line ends with the name that began it ("Mary said hi to ..."), and the true distribution of the
text is known.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from elman.errors import ElmanError
from elman.evaluation.perplexity import BLOCK, Evaluation, begin, evaluate, perplexity_of, read
from elman.models.base import Ids
from elman.models.rooms_truth import RoomsTruth
from elman.models.tokenized import TokenizedModel
from elman.text.registry import LANGUAGES
from elman.text.rooms import World
from elman.text.vocabulary import Vocabulary

LOWEST = "lowest possible"  # the name of that perplexity among a run's references


def rooms_optimum(corpus: str, ids: Ids, vocabulary: Vocabulary) -> Evaluation | None:
    """Evaluate the true distribution of the rooms world ``corpus`` on ids (n,) of a text.

    Return None if ``corpus`` is not a rooms world, or that world cannot generate the text.
    """
    if corpus not in LANGUAGES:
        return None
    try:
        truth = RoomsTruth(World(LANGUAGES[corpus]), vocabulary.tokens)
    except ElmanError:
        return None
    evaluation = evaluate(truth, ids, eos=vocabulary.eos_id)
    return evaluation if math.isfinite(evaluation.nll_nats) and not evaluation.unknown else None


def top1_accuracy(text_model: TokenizedModel, world: World, lines: Sequence[str]) -> float:
    """Return the top-1 accuracy on the rooms task: the fraction of lines whose answer the model ranks first.

    Each line is read alone. Its answer is the name at its end, which is also the name at its beginning.

    Raises:
        TextError: the world cannot generate a line.
    """
    model, vocabulary = text_model.model, text_model.vocabulary
    right = 0
    for line in lines:
        tokens = line.split()
        (answer,) = np.flatnonzero(world.distance(tokens))
        state = read(model, vocabulary.encode(tokens[:answer]), text_model.start_id)
        right += int(model.next_log_probs(state)[0].argmax()) == vocabulary.id(tokens[answer])
    return right / len(lines)


@dataclass(frozen=True)
class Distances:
    """The answers whose name is ``least`` to ``most`` words back: their number and their mean -ln P."""

    least: int
    most: int
    answers: int
    nll_nats: float

    @property
    def perplexity(self) -> float:
        """The perplexity of these answers: 1 if always certain and right, 7 for a guess among the other names."""
        return perplexity_of(self.nll_nats)


def answer_nlls(
    text_model: TokenizedModel, world: World, text: str
) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Return the distance in words and -ln P in nats of every answer in a text of the world: (K,) each.

    The answer to "Mary said hi to ..." is the first name of its line; the distance is `World.distance`. As in
    `evaluate`, the state is carried through the text, but only the answers are scored.

    Raises:
        TextError: the world cannot generate the text.
        VocabularyError: the vocabulary lacks one of its words.
    """
    model = text_model.model
    tokens, ids = text_model.encode(text)
    distances = world.distance(tokens)  # (T,)
    is_answer = distances > 0
    nlls = np.zeros(len(tokens))
    state = begin(model, text_model.start_id)
    for k in range(0, len(tokens), BLOCK):
        block = slice(k, k + BLOCK)
        log_probs, state = model.target_log_probs(ids[None, block], state, is_answer[None, block])
        nlls[block] = -log_probs[0]
    return distances[is_answer], nlls[is_answer]


def by_distance(
    distances: NDArray[np.int64], nlls: NDArray[np.float64], width: int = 4, least_answers: int = 30
) -> list[Distances]:
    """Return the mean -ln P of answers (K,) by distance, in bins of ``width`` words.

    Bins with fewer than ``least_answers`` answers are left out, because their means are too noisy.
    """
    spans = (distances - 1) // width
    found = []
    for span in np.unique(spans).tolist():
        of_span = nlls[spans == span]
        if len(of_span) >= least_answers:
            least = span * width + 1
            found.append(Distances(least, least + width - 1, len(of_span), float(of_span.mean())))
    return found
