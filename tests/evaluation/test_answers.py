"""Who is greeted in rooms: the truth always knows, a 2-gram guesses."""

import numpy as np
import pytest

from elman import NgramModel, RoomsTruth, TextModel, World, make_tokenizer
from elman.errors import TextError
from elman.evaluation.answers import share_right
from elman.text.vocabulary import Vocabulary


@pytest.mark.parametrize("language", ["en", "ko"])
def test_the_truth_is_always_right_and_a_short_window_is_not(language: str) -> None:
    world = World(language)
    lines = world.text(3000, np.random.default_rng(1)).splitlines()
    vocabulary = Vocabulary(world.vocabulary, eos="<eos>")
    words = make_tokenizer("word")
    truth = TextModel(RoomsTruth(world, vocabulary.tokens), words, vocabulary)
    assert share_right(truth, world, lines) == 1
    ids = vocabulary.encode(words.tokens("\n".join(lines), end=True))
    markov = TextModel(NgramModel.train(ids, len(vocabulary), order=2), words, vocabulary)
    assert share_right(markov, world, lines) < 0.5


def test_a_line_of_another_world_is_refused() -> None:
    vocabulary = Vocabulary(World().vocabulary, eos="<eos>")
    truth = TextModel(RoomsTruth(World(), vocabulary.tokens), make_tokenizer("word"), vocabulary)
    with pytest.raises(TextError, match="cannot say"):
        share_right(truth, World(), ["Nobody came ."])
