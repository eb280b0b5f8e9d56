"""Who is greeted? How often a model's first choice is right, in the world rooms."""

from collections.abc import Sequence

import numpy as np

from elman.evaluation.perplexity import read
from elman.models.text_model import TextModel
from elman.text.rooms import World


def share_right(text_model: TextModel, world: World, lines: Sequence[str]) -> float:
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
