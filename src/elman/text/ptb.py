"""The Penn Treebank in the form the textbook uses: ``ptb.load_data``."""

import numpy as np
from numpy.typing import NDArray

from elman.text.corpus import encode_corpus
from elman.text.datasets import resolve
from elman.text.tokenizers import WordTokenizer


def load_data(split: str = "train") -> tuple[NDArray[np.int64], dict[str, int], dict[int, str]]:
    """Return the ids (T,) of a split, the id of each word, and the word of each id.

    Splits are train (929,589 ids), valid (73,760) and test (82,430); newlines are ``<eos>``. The 10,000 words
    are numbered in order of first appearance in train. Files that are not on this machine are downloaded. Raises
    DatasetError for an unknown split or a failed download. Source: T. Mikolov's preparation of the corpus.
    """
    words = WordTokenizer()
    files = resolve("ptb", split)
    train = encode_corpus(resolve("ptb"), words, cache=None)
    chosen = (
        train if split == "train" else encode_corpus(files, words, cache=None, vocabulary=train.vocabulary)
    )
    id_to_word = dict(enumerate(train.vocabulary.tokens))
    return chosen.ids.astype(np.int64), {word: i for i, word in id_to_word.items()}, id_to_word
