"""A warning about texts of which much is not in a model's vocabulary: numbers that look plausible but mean little."""

import logging

from elman.models.tokenized import TokenizedModel

MOST = 0.05  # of a text's tokens or words
logger = logging.getLogger(__name__)


def warn_of_unknown(
    text_model: TokenizedModel, unknown: int, total: int, unit: str = "", most: float = MOST
) -> None:
    """Log a warning if more than a fraction ``most`` of a text's tokens, or of another ``unit``, are unknown.

    Without an unknown token in the vocabulary their probability is 0, which needs no warning. A ``<unk>`` that is
    written in the text is not to be counted.
    """
    if text_model.vocabulary.unk is None or unknown <= most * total:
        return
    logger.warning(
        f"{unknown:,} of {total:,} {unit or text_model.unit}s ({unknown / total:.1%}) are not in the vocabulary and "
        f"were scored as {text_model.vocabulary.unk}, which says little about them; spell the text as the model's "
        "training text was (case, punctuation), or train a model of subwords: `train(level='subword')`"
    )


def count_unknown(text_model: TokenizedModel, unknown: int, line: str) -> int:
    """Return how many of the ``unknown`` tokens of a line are not a ``<unk>`` that the line itself contains."""
    unk = text_model.vocabulary.unk
    if not unknown or unk is None or unk not in line:
        return unknown
    return unknown - (line.split().count(unk) if text_model.tokenizer.level == "word" else 0)
