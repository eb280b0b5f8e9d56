"""How many lanes take a step together, such that no lane's numbers depend on the others, to the last bit.

A matrix product of 8 rows may round otherwise than one of 1 or of 12, and a row at one place of a block of rows
otherwise than at another: BLAS libraries choose their loops by the shape. A row does not depend on what stands in
the other rows. So all steps are of the same number of lanes, and that number is one with which, on this machine
and with this model, a lane's place does not matter. One lane alone always will do.
"""

from typing import Any

import numpy as np

from elman.models.base import LanguageModel

WIDTHS = (8, 4, 2)
STEPS = 6


def exact_width(model: LanguageModel, start: Any) -> int:
    """Return the largest of `WIDTHS` with which a lane's place does not matter, or 1; ``start`` has one lane."""
    return next((width for width in WIDTHS if place_is_of_no_matter(model, start, width)), 1)


def place_is_of_no_matter(model: LanguageModel, start: Any, width: int) -> bool:
    """Tell whether so many lanes with the same text have the same probabilities, bit by bit."""
    state = start.select([0] * width)
    for id_ in np.random.default_rng(0).integers(0, model.vocab_size, STEPS):
        state = model.feed(np.full((width, 1), id_), state)
        log_probs = model.next_log_probs(state)
        if any(row.tobytes() != log_probs[0].tobytes() for row in log_probs[1:]):
            return False
    return True
