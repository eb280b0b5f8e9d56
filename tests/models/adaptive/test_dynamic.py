"""Dynamic evaluation: a gradient step after every block, on weights that belong to the state."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from elman.errors import ConfigError, ModelFileError, TextError, TrainingDiverged
from elman.evaluation.perplexity import evaluate
from elman.formats.model_file import save_model
from elman.models.adaptive.cache import NeuralCache
from elman.models.adaptive.dynamic import DynamicModel
from elman.models.adaptive.learner import mean_squares
from elman.models.ngram.model import NgramModel
from elman.models.window_models import NPLM
from support.tiny import ids_of_length, small_lm, text_model

V, BLOCK = 6, 4
KINDS: dict[str, dict[str, Any]] = {
    "rnn": {},
    "lstm tied dropout": {"D": 5, "cell": "lstm", "tie_weights": True, "dropout": 0.5},
    "gru 2 layers": {"cell": "gru", "layers": 2, "D": 3},
    "lstm adaptive": {"cell": "lstm", "adaptive": (2, 4), "ranks": ids_of_length(V, V)},
}
Weights = dict[str, Any]


def of_kind(kind: str) -> Any:
    if kind == "window":
        return NPLM(
            V, 3, 4, window=2, dropout=0.5, rng=np.random.default_rng(3), weight_scale=0.5, dtype=np.float64
        )
    return small_lm(V, **KINDS[kind])


def numeric_gradients(model: Any, before: Any, tokens: Any) -> Weights:
    """Central differences of the mean loss of predicting tokens[1:]."""

    def loss() -> float:
        model.carry(before)
        return float(model.forward(tokens[None, :-1], tokens[None, 1:]))

    model.train_mode(False)

    grads: Weights = {}
    for name, weight in model.weights.items():
        grads[name] = grad = np.zeros_like(weight)
        for place in np.ndindex(weight.shape):
            kept, losses = weight[place], []
            for change in (1e-5, -1e-5):
                weight[place] = kept + change
                losses.append(loss())
            weight[place] = kept
            grad[place] = (losses[0] - losses[1]) / 2e-5
    return grads


def by_the_equations(
    model: Any, ids: Any, lr: float, decay: float, clip: float, squares: Weights | None
) -> list[float]:
    """ln P of each of ids (T,), word by word, with the weights of ``model`` changed on the way."""
    originals = {name: weight.copy() for name, weight in model.weights.items()}
    scores, before, tokens = [model.next_log_probs(model.start())[0, ids[0]]], model.start(), [ids[0]]
    mean = 1.0
    if squares is not None:
        mean = float(np.concatenate([np.sqrt(s).ravel() for s in squares.values()]).mean())
    for word in ids[1:]:
        now = model.feed(np.array([tokens]), before)
        scores.append(model.next_log_probs(now)[0, word])
        tokens.append(word)
        if len(tokens) > BLOCK:
            grads = numeric_gradients(model, before, np.array(tokens))
            before = model.feed(np.array([tokens[:-1]]), before)
            norm = np.sqrt(sum((g**2).sum() for g in grads.values()))
            for name, w in model.weights.items():
                root = 1.0 if squares is None else np.sqrt(squares[name])
                step = lr * grads[name] * min(1, clip / norm) / (1 if squares is None else root + 1e-3)
                w += np.minimum(1, decay * root / mean) * (originals[name] - w) - step
            tokens = tokens[-1:]
    return scores


@pytest.mark.parametrize(
    ("kind", "decay", "scaled"),
    [
        ("rnn", 0.0, False),
        ("lstm tied dropout", 0.3, True),
        ("gru 2 layers", 0.3, False),
        ("lstm adaptive", 0.0, True),
        ("window", 0.3, True),
    ],
)
def test_it_is_the_definition(kind: str, decay: float, scaled: bool) -> None:
    inner, twin = of_kind(kind), of_kind(kind)
    ids = ids_of_length(10, V, seed=3)
    squares = mean_squares(inner, ids_of_length(60, V), BLOCK) if scaled else None
    named = None
    if squares is not None:
        named = {
            name: next(s for p, s in zip(inner.params, squares, strict=True) if p is weight)
            for name, weight in inner.weights.items()
        }
    model = DynamicModel(inner, 0.2, decay, BLOCK, squares, clip_norm=0.4)
    scores, _ = model.target_log_probs(ids[None], model.start())
    assert_allclose(scores[0], by_the_equations(twin, ids, 0.2, decay, 0.4, named), rtol=1e-5)


def test_mean_squares_are_those_of_the_blocks_gradients() -> None:
    model, ids = small_lm(V, cell="gru"), ids_of_length(2 * BLOCK + 3, V)
    first, second = ids[: BLOCK + 1], ids[BLOCK : 2 * BLOCK + 1]
    grads = [
        numeric_gradients(model, model.start(), first),
        numeric_gradients(model, model.feed(first[None, :-1], model.start()), second),
    ]
    expected = {name: (grads[0][name] ** 2 + grads[1][name] ** 2) / 2 for name in model.weights}
    with_gap = np.insert(ids, 3, -1)  # a token that the vocabulary does not have
    for param, square in zip(model.params, mean_squares(model, with_gap, BLOCK), strict=True):
        name = next(name for name, weight in model.weights.items() if weight is param)
        assert_allclose(square, expected[name], atol=1e-8)


@pytest.mark.parametrize("cut", [1, 3, 4, 5, 9])
def test_the_cut_into_calls_does_not_change_what_is_learnt(cut: int) -> None:
    model, ids = DynamicModel(small_lm(V, cell="lstm"), 0.5, block=BLOCK), ids_of_length(30, V)[None]
    whole = model.feed(ids, model.start())
    state = model.start()
    for k in range(0, 30, cut):
        state = model.feed(ids[:, k : k + cut], state)
    for mine, theirs in zip(state.of_sequences[0].weights, whole.of_sequences[0].weights, strict=True):
        assert_array_equal(mine, theirs)


def test_the_wrapped_model_stays_as_it_was() -> None:
    inner, ids = small_lm(V, cell="lstm", dropout=0.5), np.arange(60) % V
    inner.forward(ids[None, :5], ids[None, 1:6])
    carried = inner.carried_state()
    kept = {name: weight.copy() for name, weight in inner.weights.items()}
    static = evaluate(inner, ids).nll_nats
    model = DynamicModel(inner, 0.5, block=BLOCK)
    first = evaluate(model, ids).nll_nats
    assert first < static
    assert evaluate(model, ids).nll_nats == first  # nor does one text leak into the next
    assert evaluate(inner, ids).nll_nats == static
    assert inner.carried_state() == carried
    for name, weight in inner.weights.items():
        assert_array_equal(weight, kept[name])


def test_it_is_not_kept_in_a_file(tmp_path: Path) -> None:
    learning = text_model()
    learning.model = DynamicModel(learning.model, 0.1)
    with pytest.raises(ModelFileError, match="a DynamicModel cannot be saved; save the model"):
        save_model(tmp_path / "model.safetensors", learning)
    assert not list(tmp_path.iterdir())


def test_no_word_is_predicted_by_weights_that_have_seen_it() -> None:
    model, ids = DynamicModel(small_lm(V), 0.5, block=BLOCK), ids_of_length(20, V)
    changed = ids.copy()
    changed[11:] = ids[11:][::-1]
    scores, others = (model.target_log_probs(text[None], model.start())[0][0] for text in (ids, changed))
    assert_array_equal(scores[:11], others[:11])


def test_a_neural_cache_remembers_the_states_as_they_were() -> None:
    ids = ids_of_length(24, V)
    model = DynamicModel(small_lm(V, cell="lstm"), 0.5, block=BLOCK)
    cached = NeuralCache(model, 50, 1.0, 0.3)
    state = cached.feed(ids[None], cached.start())
    steps, keys = model.start(), []
    for word in ids:
        keys.append(steps.h[-1][0])
        steps = model.feed(np.array([[word]]), steps)
    assert_allclose(state.keys[0], keys)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"lr": 0.0}, "learning rate of dynamic evaluation must be > 0 and finite, got 0"),
        ({"lr": 0.1, "decay": 1.0}, r"decay of dynamic evaluation must be in \[0, 1\), got 1"),
        ({"lr": 0.1, "block": 0}, "block of dynamic evaluation must be ≥ 1 token, got 0"),
        ({"lr": 0.1, "clip_norm": 0.0}, "clipping norm of dynamic evaluation must be > 0"),
        ({"lr": 0.1, "epsilon": 0.0}, "epsilon of dynamic evaluation must be > 0"),
    ],
)
def test_what_makes_no_sense_is_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        DynamicModel(small_lm(V), **options)


def test_another_kind_of_model_is_refused() -> None:
    counted = NgramModel.train(ids_of_length(200, V), V, 3)
    with pytest.raises(ConfigError, match="trained by gradient descent, which NgramModel is not"):
        DynamicModel(counted, 0.1)
    learning = DynamicModel(of_kind("window"), 0.1)
    with pytest.raises(ConfigError, match="hidden states of a recurrent model, which NPLM does not have"):
        NeuralCache(learning, 5, 0.3, 0.1)


def test_a_text_too_short_for_a_gradient_is_refused() -> None:
    with pytest.raises(TextError, match="must have at least 6 known tokens"):
        mean_squares(small_lm(V), np.array([1, -1, 2, 3, 4, 5]), block=5)


@pytest.mark.parametrize("length", [2 * BLOCK, BLOCK + 3], ids=["a whole block after", "a part of one after"])
def test_weights_that_leave_all_bounds_are_noticed(length: int) -> None:
    inner = small_lm(V)
    no_squares = [np.zeros_like(param) for param in inner.params]
    with np.errstate(over="ignore"):
        model = DynamicModel(inner, 1e308, block=BLOCK, squares=no_squares)  # over ε, that is infinite
    ids = ids_of_length(1 + length, V)[None]
    with np.errstate(all="ignore"), pytest.raises(TrainingDiverged, match=r"use a smaller `dynamic\(lr\)`"):
        model.target_log_probs(ids, model.start())
