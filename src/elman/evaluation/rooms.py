"""The rooms task: top-1 accuracy, perplexity by distance, and the lowest possible perplexity.

The lowest possible perplexity, where the true distribution of a text is known: the rooms world.

Who is greeted? How often a model's first choice is right, in the world rooms.

How a model's answers depend on how far back they stand, in the world rooms.
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
    """Return the evaluation of the true distribution on ids (n,) of a text of the world ``corpus``.

    None where ``corpus`` is no such world, or the text is none that it can say.
    """
    if corpus not in LANGUAGES:
        return None
    try:
        truth = RoomsTruth(World(LANGUAGES[corpus]), vocabulary.tokens)
    except ElmanError:
        return None
    evaluation = evaluate(truth, ids, eos=vocabulary.eos_id)
    return evaluation if math.isfinite(evaluation.nll_nats) and not evaluation.unknown else None


def share_right(text_model: TokenizedModel, world: World, lines: Sequence[str]) -> float:
    """Return the share of ``lines`` of a world, each read by itself, whose answer is the model's first choice.

    The answer is the name at the line's end, which stands at its beginning too, 18 words back or more.

    Raises:
        TextError: a line is none that the world can say.
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
    """The answers whose name was said from ``least`` to ``most`` words before: how many, and their mean -ln P."""

    least: int
    most: int
    answers: int
    nll_nats: float

    @property
    def perplexity(self) -> float:
        """The perplexity of these answers: 1 for one who knows, 7 for one who guesses among the other names."""
        return perplexity_of(self.nll_nats)


def answer_nlls(
    text_model: TokenizedModel, world: World, text: str
) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Return, for every answer in a text of the world, its distance in words, and -ln P of it in nats: (K,) each.

    The answer to "Mary said hi to ..." is the name that its line began with; the distance is `World.distance`. The
    text is read as in `evaluate`, the state carried through it; of all its words the answers alone are scored.

    Raises:
        TextError: the world cannot say the text.
        VocabularyError: the vocabulary lacks one of its words.
    """
    model = text_model.model
    tokens, ids = text_model.encode(text)
    distances = world.distance(tokens)  # (T,)
    asked = distances > 0
    nlls = np.zeros(len(tokens))
    state = begin(model, text_model.start_id)
    for k in range(0, len(tokens), BLOCK):
        block = slice(k, k + BLOCK)
        log_probs, state = model.target_log_probs(ids[None, block], state, asked[None, block])
        nlls[block] = -log_probs[0]
    return distances[asked], nlls[asked]


def by_distance(
    distances: NDArray[np.int64], nlls: NDArray[np.float64], width: int = 4, least_answers: int = 30
) -> list[Distances]:
    """Return the mean -ln P of answers (K,) from 1 to ``width`` words back, from there to twice that, and so on.

    Spans of distances that have fewer than ``least_answers`` are left out: their means would be chance.
    """
    spans = (distances - 1) // width
    found = []
    for span in np.unique(spans).tolist():
        of_span = nlls[spans == span]
        if len(of_span) >= least_answers:
            least = span * width + 1
            found.append(Distances(least, least + width - 1, len(of_span), float(of_span.mean())))
    return found
