"""The recurrent language model against the equations, and its gradients against differences."""

import copy
import tracemalloc
from typing import Any

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

import oracle
from elman.errors import ConfigError, VocabularyError
from elman.gradcheck import check_gradients
from elman.layers import TimeAffine, TimeEmbedding, TimeGRU, TimeLSTM, TimeRNN, TimeSoftmaxWithLoss
from elman.models.parameters import CELLS
from elman.models.recurrent import RecurrentLM, SimpleRnnlm
from support.cells import CELLS as PLANNED
from support.tiny import blocks_of, ids_of_length, small_lm

V, D, H, N, T = 9, 4, 5, 3, 6
every_cell = pytest.mark.parametrize("cell", ["rnn", "lstm", "gru"])


# The textbook model


def textbook_draws(V: int, D: int, H: int) -> list[Any]:
    rn = np.random.randn
    embed_W = (rn(V, D) / 100).astype("f")
    rnn_Wx = (rn(D, H) / np.sqrt(D)).astype("f")
    rnn_Wh = (rn(H, H) / np.sqrt(H)).astype("f")
    rnn_b = np.zeros(H, dtype="f")
    affine_W = (rn(H, V) / np.sqrt(H)).astype("f")
    affine_b = np.zeros(V, dtype="f")
    return [embed_W, rnn_Wx, rnn_Wh, rnn_b, affine_W, affine_b]


def test_a_seed_gives_the_numbers_of_the_textbook() -> None:
    for seed in (0, 1):
        np.random.seed(seed)
        model = SimpleRnnlm(50, 20, 30)
        np.random.seed(seed)
        expected = textbook_draws(50, 20, 30)
        assert len(model.params) == len(expected)
        for param, drawn in zip(model.params, expected, strict=True):
            assert param.dtype == np.float32
            assert_allclose(param, drawn, rtol=1.2e-7, atol=0)


def test_the_textbook_names() -> None:
    model = SimpleRnnlm(V, D, H)
    assert [type(layer) for layer in model.layers] == [TimeEmbedding, TimeRNN, TimeAffine]
    assert type(model.loss_layer) is TimeSoftmaxWithLoss
    assert model.rnn_layer is model.layers[1]
    assert model.rnn_layer.stateful
    of_the_layers = [p for layer in model.layers for p in layer.params]
    assert all(p is q for p, q in zip(model.params, of_the_layers, strict=True))
    grads_of_the_layers = [g for layer in model.layers for g in layer.grads]
    assert all(g is q for g, q in zip(model.grads, grads_of_the_layers, strict=True))
    assert [p.shape for p in model.params] == [g.shape for g in model.grads]


def test_its_loss_is_that_of_the_equations() -> None:
    model = SimpleRnnlm(V, D, H, dtype=np.float64)
    W, Wx, Wh, b, affine_W, affine_b = model.params
    h = np.zeros((N, H))
    for xs, ts in zip(blocks_of(V, N, T, 3), blocks_of(V, N, T, 3, seed=1), strict=True):
        hs = oracle.rnn(oracle.embedding(xs, W), Wx, Wh, b, h)
        loss, _ = oracle.softmax_cross_entropy(oracle.affine(hs, affine_W, affine_b), ts)
        assert model.forward(xs, ts) == pytest.approx(loss, rel=1e-12)
        h = hs[:, -1]  # the forward pass is never cut


def test_forgetting_the_state_makes_a_block_the_first_one() -> None:
    model = SimpleRnnlm(V, D, H)
    xs, ts = blocks_of(V, N, T, 2)
    first, second = model.forward(xs, ts), model.forward(xs, ts)
    assert first != second
    model.reset_state()
    assert model.rnn_layer.h is None
    assert model.forward(xs, ts) == first


def test_backward_scales_with_dout() -> None:
    model = small_lm()
    xs, ts = blocks_of(V, N, T, 2)
    model.forward(xs, ts)
    model.backward()
    once = [g.copy() for g in model.grads]
    model.reset_state()
    model.forward(xs, ts)
    model.backward(dout=7.0)
    for grad, expected in zip(model.grads, once, strict=True):
        assert_allclose(grad, 7 * expected, rtol=1e-12)


def test_is_the_recurrent_lm_of_the_same_weights() -> None:
    simple = SimpleRnnlm(V, D, H, dtype=np.float64)
    fused = RecurrentLM(V, D, H, weights={name: w.copy() for name, w in simple.weights.items()})
    for xs, ts in zip(blocks_of(V, N, T, 3), blocks_of(V, N, T, 3, seed=1), strict=True):
        assert simple.forward(xs, ts) == pytest.approx(fused.forward(xs, ts), rel=1e-12)
        simple.backward()
        fused.backward()
        for ours, theirs in zip(simple.grads, fused.grads, strict=True):
            assert_allclose(ours, theirs, rtol=1e-9, atol=1e-15)
        assert_array_equal(simple.grad_rows[0], fused.grad_rows[0])


def test_the_arrays_of_params_and_grads_stay_the_same_objects() -> None:
    model = small_lm(cell="lstm", layers=2)
    before = [id(a) for a in (*model.params, *model.grads)]
    for xs in blocks_of(V, N, T, 2):
        model.forward(xs, xs)
        model.backward()
    model.target_log_probs(xs, model.start(N))
    assert [id(a) for a in (*model.params, *model.grads)] == before


# Gradients


def prove(model: Any, T: int, seed: int = 0) -> None:
    """Check every gradient on the second of two consecutive blocks."""
    before, xs, ts = blocks_of(V, 2, T, 3, seed)
    report = check_gradients(model, xs, ts, before=before, max_entries=30)
    assert len(report.rows) >= len(model.params) + 1  # the incoming state has a row, too
    assert report.passed, report


@every_cell
@pytest.mark.parametrize("layers", [1, 2])
@pytest.mark.parametrize("T", [1, 2, 5])
def test_gradients_of_the_stack(cell: str, layers: int, T: int) -> None:
    prove(small_lm(cell=cell, layers=layers), T)


@every_cell
@pytest.mark.parametrize("T", [1, 2, 5])
def test_gradients_of_tied_weights(cell: str, T: int) -> None:
    prove(small_lm(D=H, cell=cell, tie_weights=True), T)


@pytest.mark.parametrize("cell", PLANNED)
def test_gradients_of_linear_recurrences(cell: str) -> None:
    prove(small_lm(D=H, cell=cell, layers=2, tie_weights=True), 3)


@every_cell
@pytest.mark.parametrize("T", [1, 2, 5])
def test_gradients_with_one_hot_input(cell: str, T: int) -> None:
    prove(small_lm(D=0, cell=cell, layers=2), T)


@pytest.mark.parametrize("T", [1, 2, 5])
def test_gradients_of_the_textbook_model(T: int) -> None:
    prove(SimpleRnnlm(V, D, H, dtype=np.float64), T)


@pytest.mark.parametrize("options", [{}, {"D": 0}, {"D": H, "tie_weights": True}])
def test_gradients_through_dropout(options: dict[str, Any]) -> None:
    class SameMasks:
        """Draws the same masks in every forward pass, so that there is one function to differentiate."""

        def __init__(self, model: RecurrentLM) -> None:
            self.model, self.layers = model, model.layers
            self.params, self.grads = model.params, model.grads
            self.masks = model.dropout_rng.bit_generator.state

        def forward(self, xs: Any, ts: Any) -> float:
            self.model.dropout_rng.bit_generator.state = self.masks
            return self.model.forward(xs, ts)

        def backward(self) -> None:
            self.model.backward()

    prove(SameMasks(small_lm(cell="lstm", layers=2, dropout=0.4, **options)), 3)


# One-hot input


@every_cell
def test_one_hot_input_is_a_product_with_one_hot_vectors(cell: str) -> None:
    model = small_lm(D=0, cell=cell)
    G = model.params[0].shape[1]
    rest = [model.weights[f"0.{name}"] for name in ("Wh", "b")]
    rest += [model.weights["0.b_h"]] if cell == "gru" else []
    layer = {"rnn": TimeRNN, "lstm": TimeLSTM, "gru": TimeGRU}[cell](model.params[0], *rest, stateful=True)
    output = TimeAffine(model.weights["output.W"], model.weights["output.b"])
    loss_layer = TimeSoftmaxWithLoss()
    for xs, ts in zip(blocks_of(V, N, T, 2), blocks_of(V, N, T, 2, seed=1), strict=True):
        loss = loss_layer.forward(output.forward(layer.forward(oracle.one_hot(xs, V))), ts)
        layer.backward(output.backward(loss_layer.backward()))
        assert model.forward(xs, ts) == pytest.approx(loss, rel=1e-12)
        model.backward()
        assert model.grads[0].shape == (V, G)
        assert_allclose(model.grads[0], layer.grads[0], rtol=1e-9, atol=1e-15)
        assert_allclose(model.grads[1], layer.grads[1], rtol=1e-9, atol=1e-15)


# Tied weights


def test_tied_weights_are_one_array_listed_once() -> None:
    model = small_lm(D=H, tie_weights=True)
    W, _ = model.loss_weights
    assert W.base is model.weights["embedding"]
    assert model.loss_layer.params[0].base is model.embedding.params[0]
    assert model.loss_layer.grads[0].base is model.embedding.grads[0]
    assert sum(p is model.weights["embedding"] for p in model.params) == 1
    assert len({id(p) for p in model.params}) == len(model.params) == len(model.weights)
    assert [p.shape for p in model.params] == [g.shape for g in model.grads]
    assert sum(p.shape == (V, H) for p in model.params) == 1
    model.forward(*blocks_of(V, N, T, 2))
    model.backward()
    assert model.grad_rows == [None] * len(model.grads)  # the output touches every row


def test_tied_weights_change_together() -> None:
    model = small_lm(D=H, tie_weights=True)
    ids = ids_of_length(N * T).reshape(N, T)
    before = model.next_log_probs(model.start())
    model.forward(ids, ids)
    model.backward()
    for param, grad in zip(model.params, model.grads, strict=True):
        param -= 0.1 * grad
    assert (model.next_log_probs(model.start()) != before).any()
    assert_array_equal(model.loss_weights[0].T, model.embedding.params[0])


@pytest.mark.parametrize(
    "options", [{}, {"D": 0}, {"D": H, "tie_weights": True}, {"cell": "gru", "layers": 2}]
)
def test_every_weight_is_a_parameter(options: dict[str, Any]) -> None:
    model = small_lm(**options)
    assert {id(p) for p in model.params} == {id(w) for w in model.weights.values()}


def test_only_the_named_rows_of_a_gradient_differ_from_zero() -> None:
    model = small_lm()
    for xs in blocks_of(V, 1, 3, 4):
        model.forward(xs, xs)
        model.backward()
        rows, *others = model.grad_rows
        assert set(rows.tolist()) == set(xs.reshape(-1).tolist())
        assert not np.delete(model.grads[0], rows, axis=0).any()
        assert others == [None] * (len(model.grads) - 1)


# Dropout


def test_dropout_is_for_training_only() -> None:
    model = small_lm(layers=2, dropout=0.5)
    without = small_lm(layers=2)
    xs, ts = blocks_of(V, N, T, 2)
    first = model.forward(xs, ts)
    model.reset_state()
    assert model.forward(xs, ts) != first  # other masks
    model.reset_state()
    model.train_mode(False)
    assert model.forward(xs, ts) == pytest.approx(without.forward(xs, ts), rel=1e-12)
    model.train_mode()
    scores, _ = model.target_log_probs(xs, model.start(N))
    assert_array_equal(scores, without.target_log_probs(xs, without.start(N))[0])


def test_dropout_comes_from_the_generator() -> None:
    model, twin = small_lm(dropout=0.5), small_lm(dropout=0.5)
    other = copy.deepcopy(model)
    other.dropout_rng.random()
    xs, ts = blocks_of(V, N, T, 2)
    assert model.forward(xs, ts) == twin.forward(xs, ts) != other.forward(xs, ts)


@pytest.mark.parametrize(("D", "count"), [(4, 3), (0, 2)])
def test_dropout_is_after_the_vectors_between_layers_and_before_the_output(D: int, count: int) -> None:
    model = small_lm(D=D, layers=2, dropout=0.5)
    kinds = [type(layer).__name__ for layer in model.layers]
    assert kinds.count("TimeDropout") == count
    assert kinds[-1] == "TimeDropout"
    assert ("TimeDropout" in kinds[1]) == (D > 0)


# The carried state


@pytest.mark.parametrize("cell", CELLS)
def test_a_carried_state_can_be_taken_out_and_put_back(cell: str) -> None:
    model = small_lm(cell=cell, layers=2)
    assert model.carried_state() is None
    (xs, ts), (ys, us) = blocks_of(V, N, T, 2), blocks_of(V, N, T, 2, seed=1)
    model.forward(xs, ts)
    state = model.carried_state()
    assert state is not None
    expected = model.forward(ys, us)
    model.carry(state)
    assert model.forward(ys, us) == expected
    model.carry(None)
    assert model.forward(xs, ts) == small_lm(cell=cell, layers=2).forward(xs, ts)


@pytest.mark.parametrize("cell", CELLS)
def test_training_and_reading_lead_to_the_same_state(cell: str) -> None:
    model = small_lm(cell=cell, layers=2)
    xs, ts = blocks_of(V, N, T, 2)
    model.forward(xs, ts)
    assert model.carried_state() == model.feed(xs, model.start(N))


# The shape of a model


def test_a_model_can_be_built_again_from_its_hyperparameters() -> None:
    model = small_lm(cell="gru", layers=2, dropout=0.25)
    twin = RecurrentLM(**model.hyperparameters)
    assert twin.hyperparameters == model.hyperparameters
    assert [p.shape for p in twin.params] == [p.shape for p in model.params]


def test_given_weights_are_used_and_not_copied() -> None:
    model = small_lm()
    twin = RecurrentLM(V, 4, 5, weights=model.weights)
    assert all(p is q for p, q in zip(twin.params, model.params, strict=True))


def test_one_generator_one_model() -> None:
    first, second = (RecurrentLM(V, D, H, rng=np.random.default_rng(7)) for _ in range(2))
    for p, q in zip(first.params, second.params, strict=True):
        assert_array_equal(p, q)


def test_scoring_a_block_never_holds_the_scores_of_all_its_steps() -> None:
    V, T = 20_000, 1500
    model = RecurrentLM(V, 1, 1)
    ids = ids_of_length(T, V)[None]
    model.target_log_probs(ids[:, :2], model.start())  # whatever is compiled or imported at its first use
    tracemalloc.start()
    model.target_log_probs(ids, model.start())
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < T * V * 4 / 3


@pytest.mark.parametrize("dtype", ["bfloat16", "int8"])
@pytest.mark.parametrize("tied", [False, True])
def test_rounded_output_weights_give_the_same_scores_for_one_word_and_for_many(
    dtype: Any, tied: bool
) -> None:
    model = RecurrentLM(30, 8, 8, "lstm", 2, tie_weights=tied, rng=np.random.default_rng(0))
    W = model.loss_weights[0].copy()
    model.reduce_output(dtype)
    assert 0 < np.abs(model.loss_weights[0] - W).max() < 0.01 * np.abs(W).max()
    assert dtype in repr(model)
    ids = np.arange(12)[None]
    whole, end = model.target_log_probs(ids, model.start())
    state = model.start()
    for t, id_ in enumerate(ids[0]):
        assert_allclose(model.next_log_probs(state)[0, id_], whole[0, t], rtol=1e-5)
        found, state = model.target_log_probs(ids[:, t : t + 1], state)
        assert_allclose(found[0], whole[0, t], rtol=1e-5)
    assert_allclose(state.h[-1], end.h[-1], rtol=1e-4, atol=1e-6)
    assert_allclose(state.c[0], end.c[0], rtol=1e-4, atol=1e-6)


def test_training_ends_the_use_of_rounded_output_weights() -> None:
    model = RecurrentLM(30, 8, 8, "lstm", rng=np.random.default_rng(0))
    model.reduce_output("float32")
    assert model.reduced_output is None
    model.reduce_output("int8")
    ids = np.arange(6).reshape(2, 3)
    model.forward(ids, ids)
    model.backward()
    assert model.reduced_output is None


def test_the_output_of_an_adaptive_softmax_is_not_rounded() -> None:
    model = RecurrentLM(30, 8, 8, adaptive=[10], rng=np.random.default_rng(0))
    with pytest.raises(ConfigError, match="adaptive softmax"):
        model.reduce_output("int8")


def test_a_word_that_does_not_exist_is_an_error_for_one_word_too() -> None:
    model = RecurrentLM(30, 8, 8, "lstm", rng=np.random.default_rng(0))
    for wrong in (30, -1):
        with pytest.raises(VocabularyError, match="ids must lie in"):
            model.target_log_probs(np.array([[wrong]]), model.start())


@pytest.mark.parametrize(
    ("cell", "block"),
    [
        *((cell, "plain") for cell in CELLS),
        *((cell, "residual") for cell in CELLS if not CELLS[cell].is_block),
    ],
)
def test_reading_nothing_changes_nothing(cell: str, block: str) -> None:
    model = small_lm(V, D, H, cell=cell, layers=2, block=block)
    state, nothing = model.feed(np.array([[1, 2, 3]]), model.start()), np.zeros((1, 0), np.intp)
    assert model.feed(nothing, state) == state
    scores, hidden, after = model.target_log_probs_and_hidden(nothing, state)
    assert (scores.shape, hidden.shape) == ((1, 0), (1, 0, model.output_size))
    assert after == state
