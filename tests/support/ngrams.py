"""Tiny n-gram models of words."""

from typing import Any

from elman.models.ngram.model import NgramModel
from elman.models.ngram.smoothing import kneser_ney
from elman.text.tokenizers import make_tokenizer
from elman.text.vocabulary import Vocabulary
from elman.text_model import TextModel
from support.tiny import STORY


def sentence_model(text: str = STORY, order: int = 3, smoothing: Any = kneser_ney, min_count: int = 1) -> Any:
    """An n-gram model of a text's lines, with its vocabulary."""
    tokenizer = make_tokenizer("word")
    tokens = tokenizer.tokens(text, end=True)
    counts = {token: tokens.count(token) for token in tokens}
    vocabulary = Vocabulary.build(counts, min_count=min_count, eos=tokenizer.eos)
    ids = vocabulary.encode(tokens)
    model = NgramModel.train(ids, len(vocabulary), order, smoothing, vocabulary.eos_id)
    return TextModel(model, tokenizer, vocabulary)
