"""The figures of the tutorial and the explanations by name, each with the small objects that it is drawn from."""

from collections.abc import Callable
from functools import cache
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from elman.errors import ConfigError
from elman.figures import batches, cells, models, perplexity, time, windows
from elman.figures.drawing import Figure
from elman.figures.lineage import lineage
from elman.layers import RNN, TimeRNN
from elman.models.recurrent import RecurrentLM, SimpleRnnlm
from elman.models.window_models import CBOW, NPLM
from elman.text import datasets
from elman.text.corpus import encode_corpus
from elman.text.tokenizers import make_tokenizer
from elman.training.optimizers import SGD, Adam
from elman.training.trainer import RnnlmTrainer

HELLO = ["you", "say", "goodbye", "and", "i", "say", "hello", "."]
TOM = "Tom was watching TV in his room . Mary came into the room . Mary said hi to Tom ."
N, T, D, H = 2, 4, 3, 4  # of the small layers


class Trained(NamedTuple):
    """A small model trained on the words of HELLO, said over and over."""

    model: RecurrentLM
    ids: NDArray[np.int64]
    words: list[str]


def chapter(name: str, *, lang: str | None = None) -> Figure:
    """Draw a figure of the documentation: one of NAMES, such as "unrolled". The same name gives the same figure.

    Raises:
        ConfigError: there is no such figure.
    """
    if name not in _FIGURES:
        raise ConfigError(f"there is no figure {name!r}; choose from {', '.join(_FIGURES)}")
    return _FIGURES[name](lang)


def _layer() -> TimeRNN:
    rng = np.random.default_rng(1)
    return TimeRNN(
        rng.standard_normal((D, H)) / D**0.5, rng.standard_normal((H, H)) / H**0.5, np.zeros(H), stateful=True
    )


@cache
def _hello() -> Trained:
    words = list(dict.fromkeys(HELLO))
    ids = np.array([words.index(word) for word in HELLO])
    model = SimpleRnnlm(len(words), 10, 20, rng=np.random.default_rng(1), dtype=np.float64)
    text = np.tile(ids, 20)
    RnnlmTrainer(model, Adam(lr=0.01)).fit(
        text[:-1], text[1:], max_epoch=20, batch_size=4, time_size=5, eval_interval=None
    )
    return Trained(model, ids, words)


@cache
def _falling() -> list[float]:
    """Return the training perplexities of the textbook's run, on the first 1000 words of the built-in prose."""
    tokenizer = make_tokenizer("word", lower=True)
    ids = encode_corpus(datasets.resolve("prose-en"), tokenizer, cache=None).ids[:1000]
    kept, ids = np.unique(ids, return_inverse=True)
    model = SimpleRnnlm(len(kept), 100, 100, rng=np.random.default_rng(0), dtype=np.float64)
    trainer = RnnlmTrainer(model, SGD(lr=0.1))
    trainer.fit(ids[:-1], ids[1:], max_epoch=100, batch_size=10, time_size=5, eval_interval=None)
    return trainer.ppl_list


def _untrained() -> RecurrentLM:
    """Return a model whose gradients are large enough to be seen."""
    rng = np.random.default_rng(3)
    model = SimpleRnnlm(20, 8, 8, rng=rng, dtype=np.float64)
    model.weights["embedding"][...] *= 100  # from N(0, 1)/100
    return model


def _time_gradients(lang: str | None) -> Figure:
    rng = np.random.default_rng(2)
    xs, dhs = rng.standard_normal((N, T, D)), rng.standard_normal((N, T, H))
    return time.time_gradients(_layer(), xs, dhs, lang=lang)


def _ids(length: int) -> NDArray[np.int64]:
    return np.random.default_rng(4).integers(0, 20, length + 1)


_FIGURES: dict[str, Callable[[str | None], Figure]] = {
    "cbow-windows": lambda lang: windows.cbow_windows(HELLO, 2, lang=lang),
    "left-context": lambda lang: windows.left_context(HELLO, 6, lang=lang),
    "tom-and-mary": lambda lang: windows.far_answer(TOM, lang=lang),
    "sum-or-concatenation": lambda lang: windows.sum_or_concatenation(
        CBOW(7, 5, 2, rng=np.random.default_rng(0)),
        NPLM(7, 5, 10, 2, rng=np.random.default_rng(0)),
        HELLO[:2],
        lang=lang,
    ),
    "loop": lambda lang: cells.loop(_layer(), lang=lang),
    "unrolled": lambda lang: time.unrolled(_layer(), HELLO[:5], lang=lang),
    "shapes": lambda lang: cells.shapes(RNN(*_layer().params), N, lang=lang),
    "step-forward": lambda lang: cells.cell_graph("rnn", N, D, H, lang=lang),
    "step-backward": lambda lang: cells.cell_graph("rnn", N, D, H, backward=True, lang=lang),
    "full-bptt": lambda lang: time.bptt(_untrained(), _ids(10), lang=lang),
    "truncated-bptt": lambda lang: time.bptt(_untrained(), _ids(30), 10, lang=lang),
    "block-order": lambda lang: batches.block_order(10, lang=lang),
    "minibatch": lambda lang: batches.blocks(np.arange(1000).reshape(2, 500), 10, lang=lang),
    "time-rnn": lambda lang: time.time_layer(_layer(), lang=lang),
    "time-rnn-gradients": _time_gradients,
    "rnnlm": lambda lang: models.network(SimpleRnnlm(7, 10, 20, rng=np.random.default_rng(0)), lang=lang),
    "rnnlm-sentence": lambda lang: models.sentence(*_hello(), lang=lang),
    "time-layers": lambda lang: time.time_layers(
        SimpleRnnlm(7, 10, 20, rng=np.random.default_rng(0)), T, lang=lang
    ),
    "loss-mean": lambda lang: models.mean_loss(
        _hello().model, _hello().ids[:T], _hello().ids[1 : T + 1], lang=lang
    ),
    "perplexity": lambda lang: perplexity.branches(lang=lang),
    "perplexity-falls": lambda lang: perplexity.perplexity_curve(_falling(), lang=lang),
    "lineage": lambda lang: lineage(lang=lang),
}
NAMES = tuple(_FIGURES)
