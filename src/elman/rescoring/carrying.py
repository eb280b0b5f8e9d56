"""Reading on from utterance to utterance of a speaker: the past is the best candidate of each before."""

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from elman.models.base import begin
from elman.models.text_model import TextModel
from elman.rescoring.lm_scores import Encoded, Work, read_tree, threads_for

Choose = Callable[[int, NDArray[np.float64]], int]


def carried_lm_scores(
    text_model: TextModel, utterances: Sequence[Encoded], speakers: Sequence[Sequence[int]], choose: Choose
) -> tuple[list[NDArray[np.float64]], Work]:
    """Return ln P (K,) of every utterance's candidates, read after the best candidates of the same speaker before.

    ``speakers`` holds the places of each one's utterances in their order, the busiest speaker first;
    ``choose(place, ln_probs)`` tells which candidate of an utterance is read on from. All speakers are read side
    by side.
    """
    scores: list[NDArray[np.float64]] = [np.empty(0)] * len(utterances)
    work = Work()
    state = begin(text_model.model, text_model.start_id, len(speakers))
    with threads_for(text_model.model):
        for turn in range(max(map(len, speakers), default=0)):
            places = [places[turn] for places in speakers if turn < len(places)]
            state = state.select(range(len(places)))
            found, after = read_tree(
                text_model.model, [utterances[place] for place in places], state, work, keep=True
            )
            firsts = np.cumsum([0, *map(len, found[:-1])])
            best = [choose(place, ln_probs) for place, ln_probs in zip(places, found, strict=True)]
            state = after.select(firsts + best)
            for place, ln_probs in zip(places, found, strict=True):
                scores[place] = ln_probs
    return scores, work
