"""Warnings about the texts of a run whose options were not chosen, each with its remedy."""

import logging

from elman.models.clusters import count_ids
from elman.text import datasets
from elman.text.corpus import Corpus
from elman.text.registry import named
from elman.training.config import Config
from elman.training.corpora import RunCorpora

MANY = 2_000  # tokens; a shorter text is an exercise
MOST_SINGLE = 0.5  # of the vocabulary

logger = logging.getLogger(__name__)


def warn_about(corpora: RunCorpora, config: Config, valid: str | None) -> None:
    """Log a warning for a vocabulary mostly of words that occur once, and one for a run without validation.

    ``valid`` is the argument of `load_corpora`. A recipe (which has an ``about``) is taken to know what it does, and
    so is a built-in corpus.
    """
    built_in = datasets.is_named(corpora.name) and named(corpora.name).built_in
    if config.about or built_in or corpora.train.tokens < MANY:
        return
    single = _singletons(corpora.train) if config.level == "word" else 0
    if single > MOST_SINGLE * len(corpora.train.vocabulary):
        closed = corpora.train.vocabulary.unk is None
        logger.warning(
            "%s of the %s words of the vocabulary occur only once, too rarely to be learnt%s; "
            "try `min_count=2`, or `level='subword'`",
            f"{single:,}",
            f"{len(corpora.train.vocabulary):,}",
            ", and a new word will have the probability 0" if closed else "",
        )
    if corpora.valid is None and valid is None and config.model != "ngram":  # which has no epochs
        logger.warning(
            "without a validation text nothing shows when the model begins to memorise; "
            "hold out the end of the text with `valid='auto'`"
        )


def _singletons(train: Corpus) -> int:
    """Return the number of tokens of the vocabulary that occur once."""
    return int((count_ids(train.ids, len(train.vocabulary)) == 1).sum())
