"""Reading on from utterance to utterance of a speaker: the past is the best candidate of each before."""

from collections.abc import Callable, Sequence
from contextlib import ExitStack

import numpy as np
from numpy.typing import NDArray

from elman.models.base import begin
from elman.models.text_model import TextModel
from elman.rescoring.lm_scores import Encoded, Work, read_tree, threads_for

Choose = Callable[[int, Sequence[NDArray[np.float64]]], int]


def read_on(
    models: Sequence[tuple[TextModel, Sequence[Encoded]]], speakers: Sequence[Sequence[int]], choose: Choose
) -> Work:
    """Let models read every utterance after the best candidates of the same speaker before; return what was read.

    ``speakers`` holds the places of each one's utterances in their order, the busiest speaker first.
    ``choose(place, ln_probs)`` is given ln P (K,) of an utterance's candidates by each of the models, and tells which
    of them is read on from. All speakers are read side by side.
    """
    work = Work()
    states = [begin(model.model, model.start_id, len(speakers)) for model, _ in models]
    with ExitStack() as stack:
        for model, _ in models:
            stack.enter_context(threads_for(model.model))
        for turn in range(max(map(len, speakers), default=0)):
            places = [places[turn] for places in speakers if turn < len(places)]
            found, ends = [], []
            for (model, encoded), state in zip(models, states, strict=True):
                lanes = state.select(range(len(places)))
                scores, after = read_tree(
                    model.model, [encoded[place] for place in places], lanes, work, keep=True
                )
                found.append(scores)
                ends.append(after)
            best = [
                choose(place, ln_probs)
                for place, ln_probs in zip(places, zip(*found, strict=True), strict=True)
            ]
            firsts = np.cumsum([0, *map(len, found[0][:-1])])
            states = [after.select(firsts + best) for after in ends]
    return work
