"""Texts scored in batches have the same probabilities as each alone."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose

from elman.evaluation import line_scores
from elman.evaluation.line_scores import text_nlls
from elman.evaluation.perplexity import begin
from elman.models import tokenized
from elman.models.ngram.model import NgramModel
from elman.models.recurrent import SimpleRnnlm
from elman.models.rooms_truth import RoomsTruth
from elman.text.rooms import World
from support.tiny import ids_of_length, small_lm

V, EOS = 9, 8


def rooms() -> RoomsTruth:
    world = World("en")
    return RoomsTruth(world, list(world.vocabulary))


MAKERS: dict[str, Callable[[], Any]] = {
    "SimpleRnnlm": lambda: SimpleRnnlm(V, 4, 5, rng=np.random.default_rng(0)),
    "rnn one-hot": lambda: small_lm(V, D=0),
    "lstm 2 layers": lambda: small_lm(V, cell="lstm", layers=2, dropout=0.5),
    "lstm 2 layers float32": lambda: small_lm(V, cell="lstm", layers=2, dtype=np.float32),
    "gru tied": lambda: small_lm(V, D=5, cell="gru", tie_weights=True),
    "lstm adaptive": lambda: small_lm(V, cell="lstm", adaptive=(2, 5), ranks=ids_of_length(V, V)),
    "1-gram": lambda: NgramModel.train(ids_of_length(200, V), V, 1),
    "3-gram": lambda: NgramModel.train(ids_of_length(200, V), V, 3),
    "rooms": rooms,
}
MODELS = {name: make() for name, make in MAKERS.items()}
texts_of_ids = st.lists(st.lists(st.sampled_from([*range(V)] * 5 + [-1]), max_size=30), max_size=12)


def by_itself(model: Any, ids: list[int], start: Any) -> float:
    if min(ids, default=0) < 0:
        return np.inf
    log_probs, _ = model.target_log_probs(np.array([ids], int).reshape(1, -1), start)
    return -float(log_probs.sum(dtype=np.float64))


@pytest.fixture
def limits(monkeypatch: pytest.MonkeyPatch) -> Callable[[int, int], None]:
    """Set how many sequences there are at least, and how many tokens a block has."""

    def limit(batch_size: int, tokens: int) -> None:
        monkeypatch.setattr(line_scores, "MIN_BATCH", batch_size)
        monkeypatch.setattr(line_scores, "BLOCK_TOKENS", tokens)

    return limit


@pytest.mark.parametrize("name", MODELS)
def test_every_model_scores_many_texts_as_it_scores_each(name: str) -> None:
    model = MODELS[name]
    start = begin(model, EOS)
    tolerance = 1e-6 if "float32" in name or name == "SimpleRnnlm" else 1e-12

    @settings(max_examples=25, deadline=None)
    @given(texts_of_ids, st.sampled_from([(64, 2048), (3, 20), (1, 1), (5, 7), (2, 100)]))
    @example([[], [0], [], [1] * 30, [-1]], (64, 2048))
    @example([[1] * 30], (1, 7))
    def check(texts: list[list[int]], limits: tuple[int, int]) -> None:
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(line_scores, "MIN_BATCH", limits[0])
            patch.setattr(line_scores, "BLOCK_TOKENS", limits[1])
            found = text_nlls(model, [np.array(ids, np.int32) for ids in texts], start)
        assert_allclose(found, [by_itself(model, ids, start) for ids in texts], rtol=tolerance, atol=1e-12)

    check()


class Recorder:
    """A uniform model that records what it reads."""

    vocab_size = V

    def __init__(self) -> None:
        self.blocks: list[Any] = []

    def start(self, batch_size: int = 1) -> Any:
        return NgramModel.train(np.array([0]), V, 1).start(batch_size)

    def target_log_probs(self, ids: Any, state: Any, counted: Any) -> tuple[Any, Any]:
        assert ids.shape == counted.shape
        assert len(ids) == state.batch_size
        self.blocks.append(counted)
        return np.where(counted, -np.log(V), 0), state


def record(lengths: Any) -> tuple[list[Any], Any]:
    model: Any = Recorder()
    nlls = text_nlls(model, [np.zeros(length, np.int32) for length in lengths], model.start())
    return model.blocks, nlls


def test_little_padding_is_read(limits: Any) -> None:
    limits(16, 400)
    lengths = np.random.default_rng(0).integers(0, 50, 1000)
    blocks, nlls = record(lengths)
    assert_allclose(nlls, lengths * np.log(V))
    assert sum(block.sum() for block in blocks) == lengths.sum()
    assert sum(block.size for block in blocks) < 1.05 * lengths.sum()
    assert len(blocks) < lengths.sum() / 250


def test_a_block_has_at_most_block_tokens(limits: Any) -> None:
    limits(8, 100)
    blocks, _ = record([5000, 3, 3, 900, 0, 1, 40] * 3)
    assert 90 < max(block.size for block in blocks) <= 100
    blocks, _ = record([3] * 50)
    assert [block.shape for block in blocks] == [(33, 3), (17, 3)]  # short texts make more sequences


def test_a_long_text_does_not_delay_the_others(limits: Any) -> None:
    limits(4, 40)
    blocks, _ = record([1000, 10, 10, 10])
    assert [block.shape for block in blocks[:3]] == [(4, 10), (1, 40), (1, 40)]


def test_without_texts_nothing_is_read() -> None:
    blocks, nlls = record([])
    assert (blocks, nlls.shape) == ([], (0,))
    blocks, nlls = record([0, 0])
    assert (blocks, nlls.tolist()) == ([], [0, 0])


def test_threads_suit_the_largest_product(monkeypatch: pytest.MonkeyPatch) -> None:
    sizes: list[int] = []
    real = tokenized.limited_threads
    monkeypatch.setattr(tokenized, "limited_threads", lambda size: sizes.append(size) or real(size))
    model = MODELS["SimpleRnnlm"]
    largest = 5 * V  # H·V
    for texts in ([[1, 2]], [[1] * 30] * 100):
        text_nlls(model, [np.array(ids) for ids in texts], model.start())
    text_nlls(MODELS["3-gram"], [np.array([1, 2])], MODELS["3-gram"].start())
    assert sizes == [2 * largest, 2048 * largest]  # n-grams need no product
