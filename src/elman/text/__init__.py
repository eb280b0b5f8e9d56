"""Text to ids: reading, tokens, vocabularies, corpora."""

from elman.text.corpus import Corpus, encode_corpus, encode_text
from elman.text.reading import normalise, read_text
from elman.text.tokenizers import Tokenizer, make_tokenizer
from elman.text.vocabulary import Vocabulary

__all__ = [
    "Corpus",
    "Tokenizer",
    "Vocabulary",
    "encode_corpus",
    "encode_text",
    "make_tokenizer",
    "normalise",
    "read_text",
]
