"""The lowest possible perplexity, where the true distribution of a text is known: the rooms world."""

import math

from elman.errors import ElmanError
from elman.evaluation.perplexity import Evaluation, evaluate
from elman.models.base import Ids
from elman.models.rooms_truth import RoomsTruth
from elman.text.builtin import LANGUAGES
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
