"""Regularised models against the equations, their gradients against differences, and each option alone."""

from typing import Any

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

import oracle
from elman.errors import ConfigError
from elman.formats.model_file import build_model, describe_model
from elman.gradcheck import check_gradients
from elman.layers import TimeDropout
from elman.layers.dropout import dropouts_of
from elman.layers.penalty import TimePenalty
from elman.models import wavefront
from elman.models.recurrent import RecurrentLM
from elman.models.regularisation import Regularisation
from elman.workers import use_workers
from support.loops import CAN_COMPILE, switch_jit
from support.tiny import blocks_of, small_lm

V, D, H, N, T = 9, 4, 5, 3, 6
every_cell = pytest.mark.parametrize("cell", ["rnn", "lstm", "gru"])

ALONE: dict[str, Regularisation] = {
    "mask": Regularisation("block"),
    "input": Regularisation(input_dropout=0.6),
    "output": Regularisation(output_dropout=0.0),
    "embedding": Regularisation(embedding_dropout=0.4),
    "recurrent": Regularisation(recurrent_dropout=0.4),
    "activation": Regularisation(activation_penalty=2.0),
    "temporal": Regularisation(temporal_penalty=1.5),
}
ALL = Regularisation("block", 0.2, 0.5, 0.3, 0.4, 2.0, 1.5)
PENALTIES = Regularisation(activation_penalty=2.0, temporal_penalty=1.5)
every_one = pytest.mark.parametrize("regularisation", [*ALONE.values(), ALL], ids=[*ALONE, "all"])


def lm(regularisation: Regularisation = ALL, dropout: float = 0.3, V: int = V, **options: Any) -> RecurrentLM:
    return small_lm(
        V, **{"D": D, "H": H, "layers": 2, **options}, dropout=dropout, regularisation=regularisation
    )


def pairs(V: int = V, count: int = 3) -> list[tuple[Any, Any]]:
    return list(zip(blocks_of(V, N, T, count), blocks_of(V, N, T, count, seed=1), strict=True))


class Objective:
    """What training goes down, the loss and its penalties, with the same masks for every block."""

    def __init__(self, model: RecurrentLM) -> None:
        self.model = model
        self.params, self.grads, self.layers = model.params, model.grads, model.layers
        self._random_state = model.dropout_rng.bit_generator.state

    def forward(self, xs: Any, ts: Any) -> float:
        self.model.dropout_rng.bit_generator.state = self._random_state
        loss = self.model.forward(xs, ts)
        return loss + sum(layer.penalty() for layer in self.layers if isinstance(layer, TimePenalty))

    def backward(self, dout: float = 1.0) -> None:
        self.model.backward(dout)


def prove(model: RecurrentLM, T: int) -> None:
    """Check every gradient on the second of two consecutive blocks."""
    before, xs, ts = blocks_of(V, 2, T, 3)
    report = check_gradients(Objective(model), xs, ts, before=before, max_entries=10)
    assert len(report.rows) >= len(model.params) + 1  # the incoming state has a row, too
    assert report.passed, report


@every_cell
@every_one
def test_gradients_agree_with_differences(cell: str, regularisation: Regularisation) -> None:
    prove(lm(regularisation, cell=cell), 4)


@pytest.mark.parametrize("cell", ["lstm", "fpool"])
@pytest.mark.parametrize("dropout_mask", ["step", "block"])
def test_gradients_of_residual_blocks_whose_branches_are_dropped(cell: str, dropout_mask: Any) -> None:
    regularisation = Regularisation(dropout_mask, recurrent_dropout=0.4 if cell == "lstm" else 0.0)
    prove(lm(regularisation, cell=cell, block="residual", mlp=6), 4)


def test_dropout_in_residual_blocks_is_of_the_branches_and_not_of_their_sum() -> None:
    model, plain = (lm(Regularisation(), dropout, block="residual", mlp=6) for dropout in (0.5, 0.0))
    block, same = model.rnn_layers[0], plain.rnn_layers[0]
    assert [layer for layer in model.layers if layer in model.rnn_layers] == model.layers[2:4]
    assert len(dropouts_of(block)) == 2
    branch, whole = block.branches[0], same.branches[0]
    xs = np.random.default_rng(0).normal(size=(N, T, D))
    added, kept = branch.begin(xs), whole.begin(xs)
    branch.forward_steps(0, T)
    whole.forward_steps(0, T)
    mask = branch.dropout._mask.swapaxes(0, 1)
    assert 0 < np.mean(mask == 0) < 1
    assert_allclose(added - xs, (kept - xs) * mask, rtol=1e-12, atol=1e-15)
    model.train_mode(False)
    assert not any(dropout.train_flg for dropout in dropouts_of(block))


@every_cell
@pytest.mark.parametrize("options", [{"D": H, "tie_weights": True}, {"layers": 1}, {"D": 0}], ids=str)
@pytest.mark.parametrize("T", [2, 3])
def test_gradients_of_other_models_with_everything_on(cell: str, options: dict[str, Any], T: int) -> None:
    regularisation = Regularisation("block", None if options.get("D") == 0 else 0.2, 0.5, 0.3, 0.4, 2.0, 1.5)
    prove(lm(regularisation, cell=cell, **options), T)


def slow_objective(model: RecurrentLM, xs: Any, ts: Any, states: list[Any]) -> tuple[float, float]:
    """Return loss and penalties from the equations, with the masks that the model drew; states are brought on."""
    w, layers = model.weights, model.layers
    masks = iter([layer._mask.swapaxes(0, 1) for layer in layers if isinstance(layer, TimeDropout)])
    signal = oracle.embedding(xs, w["embedding"]) * model.embedding.dropout._mask[xs]  # type: ignore[union-attr]
    for k, rnn in enumerate(model.rnn_layers):
        signal = signal * next(masks)  # (N, 1, D), over all steps
        Wx, Wh, b = w[f"{k}.Wx"], w[f"{k}.Wh"] * rnn._mask, w[f"{k}.b"]
        if model.cell == "lstm":
            signal, cs = oracle.lstm(signal, Wx, Wh, b, *states[k])
            states[k] = [signal[:, -1], cs[:, -1]]
        else:
            more = [w[f"{k}.b_h"]] if model.cell == "gru" else []
            signal = getattr(oracle, model.cell)(signal, Wx, Wh, b, *more, *states[k])
            states[k] = [signal[:, -1]]
    changes = [(signal[:, t] - signal[:, t - 1]) ** 2 for t in range(1, xs.shape[1])]
    dropped = signal * next(masks)
    loss, _ = oracle.softmax_cross_entropy(oracle.affine(dropped, w["output.W"], w["output.b"]), ts)
    return loss, float(ALL.activation_penalty * (dropped**2).mean() + ALL.temporal_penalty * np.mean(changes))


@every_cell
def test_the_loss_follows_the_equations_without_the_penalties(cell: str) -> None:
    model = lm(cell=cell)
    states = [[np.zeros((N, H)) for _ in rnn.states] for rnn in model.rnn_layers]
    for xs, ts in pairs():
        found = model.forward(xs, ts)
        loss, penalties = slow_objective(model, xs, ts, states)
        assert found == pytest.approx(loss, rel=1e-12)
        added = sum(layer.penalty() for layer in model.layers if isinstance(layer, TimePenalty))
        assert added == pytest.approx(penalties, rel=1e-12)


def test_penalties_leave_the_reported_loss_alone_and_scale_with_it() -> None:
    model, plain = lm(PENALTIES), lm(Regularisation())
    scaled = lm(PENALTIES)
    xs, ts = pairs()[0]
    assert model.forward(xs, ts) == plain.forward(xs, ts) == scaled.forward(xs, ts)
    model.backward()
    plain.backward()
    scaled.backward(dout=7.0)
    assert np.abs(model.grads[1] - plain.grads[1]).max() > 1e-3
    for grad, expected in zip(scaled.grads, model.grads, strict=True):
        assert_allclose(grad, 7 * expected, rtol=1e-10, atol=1e-15)


@every_cell
@pytest.mark.parametrize("number", [2, 3])
def test_several_threads_give_the_numbers_of_one(cell: str, number: int) -> None:
    model, twin = lm(cell=cell, V=50), lm(cell=cell, V=50)
    for xs, ts in pairs(50):
        with use_workers(number):
            assert wavefront.applies(model.layers[1:], model.loss_layer)
            loss = model.forward(xs, ts)
            model.backward(2.5)
        assert loss == pytest.approx(twin.forward(xs, ts), rel=1e-12)
        twin.backward(2.5)
        for ours, theirs in zip(model.grads, twin.grads, strict=True):
            assert_allclose(ours, theirs, rtol=1e-11, atol=1e-14)


@every_cell
@pytest.mark.parametrize("batch_size", [2, 3])
@pytest.mark.parametrize("compiled", [False, True])
def test_single_precision_gives_the_same_numbers(
    monkeypatch: pytest.MonkeyPatch, cell: str, batch_size: int, compiled: bool
) -> None:
    """By NumPy's passes, and by the compiled loops, which for few sequences make the products themselves."""
    switch_jit(monkeypatch, compiled and CAN_COMPILE)
    model, twin = lm(cell=cell, dtype=np.float32), lm(cell=cell)
    for xs, ts in pairs():
        assert model.forward(xs[:batch_size], ts[:batch_size]) == pytest.approx(
            twin.forward(xs[:batch_size], ts[:batch_size]), rel=1e-5
        )
        model.backward()
        twin.backward()
        for ours, theirs in zip(model.grads, twin.grads, strict=True):
            assert ours.dtype == np.float32
            assert_allclose(ours, theirs, rtol=1e-3, atol=1e-6)


@every_one
def test_reading_and_evaluating_know_nothing_of_it(regularisation: Regularisation) -> None:
    model, plain = lm(regularisation), lm(Regularisation(), dropout=0.0)
    (xs, ts), (ys, us) = pairs(count=2)
    model.forward(xs, ts)
    model.reset_state()
    assert_array_equal(
        model.target_log_probs(xs, model.start(N))[0], plain.target_log_probs(xs, plain.start(N))[0]
    )
    model.train_mode(False)
    random_state = model.dropout_rng.bit_generator.state
    assert model.forward(ys, us) == pytest.approx(plain.forward(ys, us), rel=1e-12)
    assert model.dropout_rng.bit_generator.state == random_state
    model.train_mode()
    model.forward(ys, us)
    model.backward()


@every_one
def test_the_arrays_stay_the_same_and_only_the_rows_that_were_read_have_a_gradient(
    regularisation: Regularisation,
) -> None:
    model = lm(regularisation)
    weights = [p.copy() for p in model.params]
    arrays = [id(a) for a in (*model.params, *model.grads)]
    for xs, ts in pairs():
        model.forward(xs % 4, ts)
        model.backward()
        assert_array_equal(model.grad_rows[0], np.unique(xs % 4))
        assert not model.grads[0][4:].any()
    assert [id(a) for a in (*model.params, *model.grads)] == arrays
    for p, q in zip(model.params, weights, strict=True):
        assert_array_equal(p, q)


def test_by_default_only_dropout_draws_random_numbers() -> None:
    model, same = small_lm(dropout=0.3, layers=2), lm(Regularisation())
    explicit = lm(Regularisation("step", 0.3, 0.3))
    for xs, ts in pairs():
        assert model.forward(xs, ts) == same.forward(xs, ts) == explicit.forward(xs, ts)


@pytest.mark.parametrize(
    ("options", "dropout", "expected"),
    [
        ({}, 0.3, [0.3, 0.3, 0.3]),
        ({"input_dropout": 0.0}, 0.3, [0.3, 0.3]),
        ({"output_dropout": 0.5}, 0.3, [0.3, 0.3, 0.5]),
        ({"input_dropout": 0.2, "output_dropout": 0.5}, 0.0, [0.2, 0.5]),
        ({"input_dropout": 0.0, "output_dropout": 0.0}, 0.3, [0.3]),
    ],
    ids=str,
)
def test_each_place_has_its_dropout_rate(
    options: dict[str, float], dropout: float, expected: list[float]
) -> None:
    model = lm(Regularisation(**options), dropout)  # type: ignore[arg-type]
    assert [layer.ratio for layer in model.layers if isinstance(layer, TimeDropout)] == expected


def test_tied_word_vectors_are_dropped_on_their_way_in_only() -> None:
    """With all words dropped, the loss is that of reading zeros and writing with the vectors as they are."""
    regularisation = Regularisation(embedding_dropout=0.999)
    model, blind = (lm(r, 0.0, D=H, tie_weights=True) for r in (regularisation, Regularisation()))
    blind.embedding.params[0] = np.zeros((V, H))  # the output layer still has the vectors
    xs, ts = pairs()[0]
    assert model.forward(xs, ts) == pytest.approx(blind.forward(xs, ts), rel=1e-12)
    assert not model.embedding.dropout._mask.any()  # type: ignore[union-attr]


def test_a_model_is_loaded_without_it_or_with_another() -> None:
    model = lm()
    arrays, about = describe_model(model)
    assert not set(about["model"]) & set(Regularisation.__dataclass_fields__)
    loaded = build_model(arrays, about, None)  # type: ignore[arg-type]
    assert [type(layer).__name__ for layer in loaded.layers].count("TimeDropout") == 3
    again = build_model(arrays, about, None, regularisation=ALL)  # type: ignore[arg-type]
    assert [type(layer) for layer in again.layers] == [type(layer) for layer in model.layers]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (
            {"input_dropout": 1.0},
            r"input_dropout must be in \[0, 1\), or None for the value of dropout; got 1.0",
        ),
        ({"output_dropout": -0.1}, "output_dropout must be"),
        ({"embedding_dropout": 1.0}, r"embedding_dropout must be in \[0, 1\), got 1.0"),
        ({"recurrent_dropout": -0.5}, "recurrent_dropout must be"),
        ({"recurrent_dropout": float("nan")}, "got nan"),
        ({"activation_penalty": -1.0}, "activation_penalty must be ≥ 0 and finite, got -1.0"),
        ({"temporal_penalty": float("inf")}, "temporal_penalty must be"),
        ({"dropout_mask": "epoch"}, "dropout_mask must be 'step' or 'block', got 'epoch'"),
    ],
    ids=str,
)
def test_what_is_out_of_range_is_named(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        lm(Regularisation(**options))


def test_elementwise_cells_have_no_wh_to_drop() -> None:
    with pytest.raises(ConfigError, match=r"`recurrent_dropout=0\.2` .*, which a TimeFPool has not"):
        lm(Regularisation(recurrent_dropout=0.2), cell="fpool")


def test_one_hot_input_has_no_word_vectors_to_drop() -> None:
    with pytest.raises(ConfigError, match=r"`input_dropout=0\.2` drops word vectors"):
        lm(Regularisation(input_dropout=0.2), D=0)
