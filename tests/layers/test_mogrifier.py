"""What is particular to the Mogrifier LSTM; what it shares with other planned cells is in test_cells.py."""

from typing import Any

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

import oracle
from elman.errors import ConfigError, ShapeError
from elman.gradcheck import check_gradients
from elman.layers import TimeLSTM, TimeMogrifierLSTM
from elman.layers.dropout import WeightDropout
from elman.layers.mogrifier import round_names
from elman.models.recurrent import RecurrentLM
from elman.models.regularisation import Regularisation
from elman.workers import use_workers
from support.tiny import blocks_of, small_lm

N, T, D, H = 2, 5, 3, 4


def drawn(r: int, D: int = D, H: int = H, seed: int = 0) -> dict[str, Any]:
    """Return weights with r rounds."""
    rng = np.random.default_rng(seed)
    shapes = {"Wx": (D, 4 * H), "Wh": (H, 4 * H), "b": (4 * H,)}
    shapes |= {name: (H, D) if name.startswith("Q") else (D, H) for name in round_names(r)}
    return {name: 0.5 * rng.standard_normal(shape) for name, shape in shapes.items()}


def blocks(count: int = 2, width: int = D) -> Any:
    return np.random.default_rng(1).standard_normal((count, N, T, width))


@pytest.mark.parametrize("r", [2, 3, 5])
def test_any_number_of_rounds(r: int) -> None:
    weights = drawn(r)
    before, xs = blocks()
    layer = TimeMogrifierLSTM(**weights, stateful=True)
    hs = [layer.forward(before) + 0, layer.forward(xs) + 0]
    expected = oracle.mogrifier(np.concatenate((before, xs), 1), **weights)
    assert_allclose(np.concatenate(hs, 1), expected, rtol=1e-10)
    report = check_gradients(layer, xs, before=before)
    assert len(report.rows) == 3 + r + 1 + 2  # weights, input, h and c
    assert report.passed, report


def test_rounds_of_zeros_leave_an_lstm() -> None:
    weights = drawn(4)
    of_lstm = {name: weights[name] for name in ("Wx", "Wh", "b")}
    zeros = {name: np.zeros_like(weights[name]) for name in round_names(4)}
    layer, lstm = TimeMogrifierLSTM(**of_lstm, **zeros, stateful=True), TimeLSTM(**of_lstm, stateful=True)
    for xs, dhs in zip(blocks(), blocks(width=H), strict=True):
        assert_allclose(layer.forward(xs), lstm.forward(xs), rtol=1e-12)
        assert_allclose(layer.backward(dhs), lstm.backward(dhs), rtol=1e-12, atol=1e-15)
        assert layer.dc is not None
        assert_allclose(layer.dc, lstm.dc, rtol=1e-12)


def test_rounds_are_found_by_name_in_any_order() -> None:
    weights = drawn(4)
    (xs,) = blocks(1)
    turned = dict(reversed(weights.items()))
    assert_array_equal(
        TimeMogrifierLSTM(**turned).forward(xs),  # type: ignore[arg-type]
        TimeMogrifierLSTM(**weights).forward(xs),
    )


@pytest.mark.parametrize(
    ("rounds", "message"),
    [
        ({}, "got none"),
        ({"Q1": (H, D)}, "two at least; got Q1"),
        ({"Q1": (H, D), "R2": (D, H)}, "got Q1, R2"),
        ({"Q1": (H, D), "R1": (D, H), "P": (H, D)}, "got Q1, R1, P"),
        ({"Q1": (H, D), "R1": (H, D)}, r"R1 must be \(3, 4\), got \(4, 3\)"),
    ],
    ids=str,
)
def test_wrong_rounds_are_refused(rounds: dict[str, tuple[int, int]], message: str) -> None:
    with pytest.raises(ShapeError, match=message):
        TimeMogrifierLSTM(**drawn(0), **{name: np.zeros(shape) for name, shape in rounds.items()})


def test_a_one_hot_input_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"`cell='mogrifier'` gates the word vectors.*`wordvec=0`"):
        RecurrentLM(9, 0, 5, "mogrifier")
    with pytest.raises(ConfigError, match="word vectors"):
        TimeMogrifierLSTM(**{**drawn(4), "Wx": None})


class SameMask(WeightDropout):
    """Draws the same mask for every block, so that differences can be taken."""

    def draw(self, like: Any) -> None:
        self.rng = np.random.default_rng(5)
        super().draw(like)


def test_weights_of_wh_can_be_dropped() -> None:
    weights = drawn(4)
    before, xs = blocks()
    layer = TimeMogrifierLSTM(**weights, stateful=True)
    layer.dropout = SameMask(0.5, (H, 4 * H), np.random.default_rng(0))
    report = check_gradients(layer, xs, before=before)
    assert report.passed, report
    assert (layer.dWh == 0).mean() == pytest.approx(0.5, abs=0.25)
    dropped = oracle.mogrifier(xs, **{**weights, "Wh": weights["Wh"] * layer._mask})
    layer.reset_state()
    assert_allclose(layer.forward(xs), dropped, rtol=1e-10)


def test_a_model_takes_dropout_at_every_place() -> None:
    V = 9
    places = Regularisation(recurrent_dropout=0.3, embedding_dropout=0.2, temporal_penalty=0.1)
    model = small_lm(V, cell="mogrifier", layers=2, dropout=0.3, regularisation=places)
    for xs, ts in zip(blocks_of(V, N, T, 2), blocks_of(V, N, T, 2, seed=1), strict=True):
        assert np.isfinite(model.forward(xs, ts))
        model.backward()
    assert all(np.isfinite(grad).all() for grad in model.grads)
    assert all(
        (grad == 0).any() for name, grad in zip(model.weights, model.grads, strict=True) if "Wh" in name
    )


def test_spans_on_several_threads_give_the_same_numbers() -> None:
    V = 50
    found = []
    for workers in (1, 2, 3):
        model = small_lm(V, D=4, H=5, cell="mogrifier", layers=3)
        with use_workers(workers):
            losses = []
            for xs, ts in zip(blocks_of(V, N, 7, 2), blocks_of(V, N, 7, 2, seed=1), strict=True):
                losses.append(model.forward(xs, ts))
                model.backward()
            state = model.feed(blocks_of(V, N, 7, 1)[0], model.start(N))
        found.append([np.array(losses), *model.grads, *state.h, *state.c])
    for alone, several in ((found[0], found[1]), (found[0], found[2])):
        for ours, theirs in zip(alone, several, strict=True):
            assert_allclose(ours, theirs, rtol=1e-11, atol=1e-14)
