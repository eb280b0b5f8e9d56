"""The figures of a chapter on recurrent networks, drawn from live objects: real shapes, real words, real numbers.

Each function returns a `Figure`, an SVG picture that a notebook shows and ``save(path)`` writes. Labels are in the
user's language, or in ``lang``, "en" or "ko"; colours follow the light or dark screen. `chapter` draws the chapter's
own figures by name.

>>> import numpy as np
>>> from elman import TimeRNN
>>> layer = TimeRNN(np.ones((3, 4)), np.ones((4, 4)), np.zeros(4))
>>> unrolled(layer, "you say goodbye".split())
Figure('Unrolled over time')
"""

from elman.figures.batches import block_order, blocks
from elman.figures.cells import cell_graph, loop, shapes
from elman.figures.chapter import NAMES, chapter
from elman.figures.drawing import Figure
from elman.figures.lineage import lineage
from elman.figures.models import mean_loss, network, sentence
from elman.figures.perplexity import branches, perplexity_curve
from elman.figures.time import bptt, time_gradients, time_layer, time_layers, unrolled
from elman.figures.windows import cbow_windows, far_answer, left_context, sum_or_concatenation

__all__ = [
    "NAMES",
    "Figure",
    "block_order",
    "blocks",
    "bptt",
    "branches",
    "cbow_windows",
    "cell_graph",
    "chapter",
    "far_answer",
    "left_context",
    "lineage",
    "loop",
    "mean_loss",
    "network",
    "perplexity_curve",
    "sentence",
    "shapes",
    "sum_or_concatenation",
    "time_gradients",
    "time_layer",
    "time_layers",
    "unrolled",
]
