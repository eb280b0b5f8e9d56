"""The lowest possible perplexity of a text of the rooms world."""

from itertools import islice

import numpy as np
import pytest

from elman.evaluation.optimum import rooms_optimum
from elman.evaluation.perplexity import evaluate
from elman.models.ngram import NgramModel
from elman.text.rooms import World
from elman.text.vocabulary import Vocabulary

WORLDS = [("rooms", "en"), ("rooms-ko", "ko")]


def text_of(language: str, n: int, seed: int) -> tuple[Vocabulary, np.ndarray, np.ndarray]:
    world = World(language)
    vocabulary = Vocabulary(list(world.vocabulary), eos="<eos>")
    tokens, probs = zip(*islice(world.tokens(np.random.default_rng(seed)), n), strict=True)
    return vocabulary, vocabulary.encode(tokens), np.array(probs)


@pytest.mark.parametrize(("corpus", "language"), WORLDS)
def test_is_the_entropy_of_the_text(corpus: str, language: str) -> None:
    vocabulary, ids, probs = text_of(language, 3000, seed=0)
    found = rooms_optimum(corpus, ids, vocabulary)
    assert found is not None
    assert found.perplexity == pytest.approx(np.exp(-np.log(probs).mean()), rel=1e-9)


@pytest.mark.parametrize(("corpus", "language"), WORLDS)
def test_no_trained_model_is_better(corpus: str, language: str) -> None:
    vocabulary, train, _ = text_of(language, 6000, seed=1)
    _, held_out, _ = text_of(language, 3000, seed=2)
    found = rooms_optimum(corpus, held_out, vocabulary)
    assert found is not None
    for order in (1, 2, 3, 5):
        model = NgramModel.train(train, len(vocabulary), order)
        assert evaluate(model, held_out, eos=vocabulary.eos_id).perplexity > found.perplexity


def test_other_corpora_have_none() -> None:
    vocabulary, ids, _ = text_of("en", 50, seed=0)
    assert rooms_optimum("ptb", ids, vocabulary) is None


def test_a_text_that_the_world_cannot_say_has_none() -> None:
    vocabulary, ids, _ = text_of("en", 50, seed=0)
    assert rooms_optimum("rooms", ids[::-1], vocabulary) is None
    assert rooms_optimum("rooms", np.append(ids, -1), vocabulary) is None


def test_another_vocabulary_has_none() -> None:
    vocabulary, ids, _ = text_of("en", 50, seed=0)
    assert rooms_optimum("rooms-ko", ids, vocabulary) is None
