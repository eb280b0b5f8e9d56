"""A text model of every kind, with the same vocabulary of words."""

import numpy as np

from elman.models.adaptive.cache import CachedModel
from elman.models.mixture import Mixture
from elman.models.ngram.model import NgramModel
from elman.models.ngram.smoothing import kneser_ney
from elman.models.window_models import CBOW, NPLM
from elman.text_model import TextModel
from support.ngrams import sentence_model
from support.tiny import STORY, small_lm

KINDS = ("recurrent", "n-gram", "n-gram of a stream", "window", "mixture", "cache")


def word_model(kind: str, closed: bool = False) -> TextModel:
    """A small model of words; its vocabulary has ``<unk>`` unless it is ``closed``."""
    given: TextModel = sentence_model(STORY, min_count=1 if closed else 2)
    vocabulary = given.vocabulary
    V = len(vocabulary)
    ids = given.encode(STORY)[1]
    options = {"rng": np.random.default_rng(3), "weight_scale": 0.7, "dtype": np.float64}
    models = {
        "recurrent": lambda: small_lm(V, cell="lstm"),
        "n-gram": lambda: given.model,
        "n-gram of a stream": lambda: NgramModel.train(ids, V, 3, kneser_ney),
        "window": lambda: NPLM(V, 4, 5, window=3, **options),
        "mixture": lambda: Mixture(
            [small_lm(V), CBOW(V, 4, window=2, **options), given.model], [0.5, 0.2, 0.3]
        ),
        "cache": lambda: CachedModel(small_lm(V), 5, 0.2),
    }
    return TextModel(models[kind](), given.tokenizer, vocabulary)
