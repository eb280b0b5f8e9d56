"""The repr of everything public is one short line, without arrays or addresses."""

import inspect
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import elman
from elman.layers.adaptive import AdaptiveWeights
from elman.text import encode_corpus
from elman.text.subword_training import train_subwords
from elman.text.tokenizers import make_tokenizer
from support.ngrams import sentence_model

MADE_OTHERWISE = {"ElmanError", "LanguageModel", "State"}  # an exception, and two protocols


def zeros(*shape: int) -> Any:
    return np.zeros(shape, np.float32)


def cells() -> dict[str, Any]:
    found = {}
    for name, gates in (("RNN", 1), ("LSTM", 4), ("GRU", 3)):
        weights = zeros(3, gates * 5), zeros(5, gates * 5), zeros(gates * 5)
        for each in (name, f"Time{name}"):
            found[each] = getattr(elman, each)(*weights)
    return found


def made() -> dict[str, Any]:
    """Return an instance of every public class, by its name."""
    recurrent = elman.RecurrentLM(1000, 20, 30, "lstm", layers=2)
    ngrams = sentence_model()
    world = elman.World("en")
    lstm = zeros(3, 20), zeros(5, 20), zeros(20)
    both = elman.TimeBidirectional(elman.TimeLSTM(*lstm), elman.TimeLSTM(*lstm))
    output = elman.TimeAffineSoftmaxWithLoss(zeros(5, 7), zeros(7))
    adaptive = AdaptiveWeights((zeros(5, 3), zeros(3)), [(zeros(5, 2), zeros(2, 4), zeros(4))])
    return {
        **cells(),
        "AdaGrad": elman.AdaGrad(),
        "Adam": elman.Adam(0.002, beta1=0.8),
        "Backend": elman.Backend(),
        "CBOW": elman.CBOW(10, 4),
        "CachedModel": elman.CachedModel(recurrent, 100, 0.1),
        "Corpus": encode_corpus([Path(__file__)], make_tokenizer("word"), cache=None),
        "DynamicModel": elman.DynamicModel(recurrent, 0.1),
        "Mixture": elman.Mixture([recurrent] * 6, [0.5, 0.1, 0.1, 0.1, 0.1, 0.1]),
        "Momentum": elman.Momentum(1.0),
        "NPLM": elman.NPLM(10, 4, 6),
        "NeuralCache": elman.NeuralCache(recurrent, 100, 0.3, 0.1),
        "NgramModel": ngrams.model,
        "RMSProp": elman.RMSProp(),
        "RecurrentLM": recurrent,
        "Recursive": elman.Recursive(zeros(4, 4), zeros(4, 4), zeros(4)),
        "Regularisation": elman.Regularisation(),
        "RnnlmTrainer": elman.RnnlmTrainer(recurrent, elman.Adam()),
        "RoomsTruth": elman.RoomsTruth(world, world.vocabulary),
        "SGD": elman.SGD(np.float64(0.1)),
        "Sampler": elman.Sampler(0.5, exclude=tuple(range(1000))),
        "SimpleRnnlm": elman.SimpleRnnlm(100, 3, 4),
        "TimeAdaptiveSoftmaxWithLoss": elman.TimeAdaptiveSoftmaxWithLoss(adaptive),
        "TimeAffine": elman.TimeAffine(zeros(5, 7), zeros(7)),
        "TimeAffineSoftmaxWithLoss": output,
        "TimeBidirectional": both,
        "TimeDropout": elman.TimeDropout(0.25),
        "TimeEmbedding": elman.TimeEmbedding(zeros(7, 5)),
        "TimeSoftmaxWithLoss": elman.TimeSoftmaxWithLoss(),
        "Vocabulary": elman.Vocabulary([str(k) for k in range(1000)]),
        "World": world,
    }


INSTANCES = made()
SHOWN = {
    "Adam": "Adam(lr=0.002, beta1=0.8, step 0)",
    "CachedModel": "CachedModel(RecurrentLM(LSTM 2×30, word vectors 20, vocabulary 1,000, 64,440 parameters), "
    "size=100, weight=0.1)",
    "Mixture": "Mixture(0.5 RecurrentLM + 0.1 RecurrentLM + 0.1 RecurrentLM + 0.1 RecurrentLM + 2 more, "
    "vocabulary 1,000)",
    "NgramModel": "NgramModel(order 3, vocabulary 24, 136 n-grams)",
    "RecurrentLM": "RecurrentLM(LSTM 2×30, word vectors 20, vocabulary 1,000, 64,440 parameters)",
    "Recursive": "Recursive(4 → 4, 36 parameters)",
    "RnnlmTrainer": "RnnlmTrainer(RecurrentLM, Adam(lr=0.001, step 0), epoch 0, iteration 0)",
    "SGD": "SGD(lr=0.1, step 0)",
    "Sampler": "Sampler(temperature=0.5, 1,000 ids excluded)",
    "TimeAdaptiveSoftmaxWithLoss": "TimeAdaptiveSoftmaxWithLoss(5 → 6, 1 cluster, 40 parameters)",
    "TimeBidirectional": "TimeBidirectional(TimeLSTM(3 → 5, 180 parameters), TimeLSTM(3 → 5, 180 parameters))",
    "TimeLSTM": "TimeLSTM(3 → 5, 180 parameters)",
    "Vocabulary": "Vocabulary(1,000 tokens, unk=None, eos=None)",
}


@pytest.mark.parametrize("name", INSTANCES)
def test_a_repr_is_one_short_line(name: str) -> None:
    shown = repr(INSTANCES[name])
    assert shown.startswith(f"{name}(")
    assert len(shown) < 200
    assert "\n" not in shown
    assert "array(" not in shown


@pytest.mark.parametrize("name", SHOWN)
def test_a_repr_names_sizes_and_settings(name: str) -> None:
    assert repr(INSTANCES[name]) == SHOWN[name]


def test_every_public_class_has_a_repr_of_its_own() -> None:
    classes = {name: getattr(elman, name) for name in elman.__all__ if inspect.isclass(getattr(elman, name))}
    assert set(INSTANCES) <= set(classes)
    assert [
        name
        for name, each in classes.items()
        if each.__repr__ is object.__repr__ and name not in MADE_OTHERWISE
    ] == []


@pytest.mark.parametrize("name", ["CachedModel", "DynamicModel", "Mixture", "NgramModel", "RecurrentLM"])
def test_the_repr_of_a_state_is_one_short_line(name: str) -> None:
    shown = repr(INSTANCES[name].start(2))
    assert len(shown) < 200
    assert "array" not in shown
    assert "object at" not in shown


def test_a_tokenizer_does_not_show_its_file() -> None:
    pytest.importorskip("tokenizers")
    tokenizer = make_tokenizer("subword", json=train_subwords(["a b c d e f"] * 10, "bpe", 270))
    assert repr(tokenizer) == f"SubwordTokenizer({len(tokenizer.vocabulary)} pieces, lower=False)"


def test_shared_parameters_count_once() -> None:
    tied = elman.RecurrentLM(10, 4, 4, tie_weights=True)
    assert f"{sum(p.size for p in tied.params)} parameters" in repr(tied)
    assert "1 parameter)" in repr(elman.TimeEmbedding(zeros(1, 1)))
