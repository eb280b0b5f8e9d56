"""The gradient check passes right layers and fails wrong ones."""

from typing import Any

import numpy as np
import pytest

from elman.errors import ConfigError
from elman.gradcheck import check_gradients
from elman.layers import TimeAffine, TimeEmbedding, TimeLSTM, TimeRNN, TimeSoftmaxWithLoss
from support.recurrent import KINDS


def failed(report: Any) -> list[str]:
    return [row.name for row in report.rows if not row.passed]


class Scale:
    """A learner's first layer: y = w·x, with an error that can be put into either gradient."""

    def __init__(self, dw_error: float = 0.0, dx_error: float = 0.0) -> None:
        self.params, self.grads = [np.array([1.5])], [np.zeros(1)]
        self.dw_error, self.dx_error = dw_error, dx_error

    def forward(self, x: Any) -> Any:
        self.x = x
        return self.params[0] * x

    def backward(self, dout: Any) -> Any:
        self.grads[0][...] = (self.x * dout).sum() * (1 + self.dw_error)
        return self.params[0] * dout * (1 + self.dx_error)


class Accumulator:
    """A learner's recurrent layer, h_t = w·h_{t-1} + x_t: a carried h, but no c and no reset_state."""

    def __init__(self) -> None:
        self.params, self.grads = [np.array([0.7])], [np.zeros(1)]
        self.h: Any = None

    def set_state(self, h: Any) -> None:
        self.h = h

    def forward(self, xs: Any) -> Any:
        h = np.zeros(len(xs)) if self.h is None else self.h
        self.hs = [h]
        for t in range(xs.shape[1]):
            self.hs.append(self.params[0] * self.hs[-1] + xs[:, t])
        self.h = self.hs[-1]
        return np.stack(self.hs[1:], axis=1)

    def backward(self, dhs: Any) -> Any:
        dxs, dh = np.zeros_like(dhs), 0.0
        self.grads[0][...] = 0
        for t in reversed(range(dhs.shape[1])):
            dh = dhs[:, t] + dh
            dxs[:, t] = dh
            self.grads[0] += (dh * self.hs[t]).sum()
            dh = dh * self.params[0]
        self.dh = dh
        return dxs


def test_passes_a_right_layer() -> None:
    report = check_gradients(Scale(), np.random.default_rng(0).standard_normal((2, 3)))
    assert report.passed
    assert [(row.name, row.shape, row.checked) for row in report.rows] == [
        ("params[0]", (1,), 1),
        ("input", (2, 3), 6),
    ]
    assert max(row.max_abs_error for row in report.rows) < 1e-8


@pytest.mark.parametrize("error", [1.0, 1e-4, -1.0, np.nan])
def test_flags_a_wrong_gradient(error: float) -> None:
    """-1 is a gradient that was never written, 1 one that was added twice."""
    x = np.random.default_rng(0).standard_normal((2, 3))
    report = check_gradients(Scale(dw_error=error), x)
    assert not report.passed
    assert failed(report) == ["params[0]"]
    assert failed(check_gradients(Scale(dx_error=error), x)) == ["input"]


def test_flags_a_gradient_that_is_wrong_in_one_entry_only() -> None:
    class OneWrong(TimeAffine):
        def backward(self, dout: Any) -> Any:
            dxs = super().backward(dout)
            self.grads[1][2] += 1e-3
            return dxs

    rng = np.random.default_rng(0)
    layer = OneWrong(rng.standard_normal((3, 4)), rng.standard_normal(4))
    assert failed(check_gradients(layer, rng.standard_normal((2, 2, 3)))) == ["params[1]"]


@pytest.mark.parametrize("T", [2, 5])
def test_flags_a_recurrence_that_forgets_what_flows_back(T: int) -> None:
    class NotThroughTime(TimeRNN):
        def begin_backward(self, dhs: Any) -> Any:
            dxs = super().begin_backward(dhs)
            self._WhT = np.zeros_like(self._WhT)
            return dxs

    rng = np.random.default_rng(0)
    layer = NotThroughTime(*KINDS["rnn"].weights(rng), stateful=True)
    before, xs = rng.standard_normal((2, 2, T, 3))
    assert failed(check_gradients(layer, xs, before=before)) == [
        "params[0]",
        "params[1]",
        "params[2]",
        "input",
        "incoming h",
    ]


@pytest.mark.parametrize("wrong", ["h", "c"])
def test_flags_a_wrong_gradient_of_the_carried_state(wrong: str) -> None:
    class WrongState(TimeLSTM):
        def backward(self, dhs: Any) -> Any:
            dxs = super().backward(dhs)
            setattr(self, f"d{wrong}", getattr(self, f"d{wrong}") * 1.01)
            return dxs

    rng = np.random.default_rng(0)
    layer = WrongState(*KINDS["lstm"].weights(rng), stateful=True)
    before, xs = rng.standard_normal((2, 2, 3, 3))
    assert failed(check_gradients(layer, xs, before=before)) == [f"incoming {wrong}"]


def test_flags_a_loss_whose_gradient_is_not_the_mean() -> None:
    class Summed(TimeSoftmaxWithLoss):
        def backward(self, dout: float = 1.0) -> Any:
            return super().backward(dout * self._count)

    rng = np.random.default_rng(0)
    scores, ts = rng.standard_normal((2, 3, 4)), rng.integers(0, 4, (2, 3))
    assert check_gradients(TimeSoftmaxWithLoss(), scores, ts).passed
    assert failed(check_gradients(Summed(), scores, ts)) == ["input"]


def test_checks_a_user_defined_recurrent_layer() -> None:
    rng = np.random.default_rng(0)
    before, xs = rng.standard_normal((2, 2, 4))
    report = check_gradients(Accumulator(), xs, before=before)
    assert [row.name for row in report.rows] == ["params[0]", "input", "incoming h"]
    assert report.passed


def test_a_state_whose_gradient_the_layer_does_not_keep_is_left_out() -> None:
    class WithoutDc(TimeLSTM):
        def backward(self, dhs: Any) -> Any:
            dxs = super().backward(dhs)
            del self.dc
            return dxs

    rng = np.random.default_rng(0)
    layer = WithoutDc(*KINDS["lstm"].weights(rng), stateful=True)
    before, xs = rng.standard_normal((2, 2, 3, 3))
    report = check_gradients(layer, xs, before=before)
    assert report.passed
    assert report.rows[-1].name == "incoming h"


def test_without_an_earlier_block_a_stateful_layer_starts_from_zeros() -> None:
    rng = np.random.default_rng(0)
    layer = TimeRNN(*KINDS["rnn"].weights(rng), stateful=True)
    layer.forward(rng.standard_normal((5, 2, 3)))
    assert check_gradients(layer, rng.standard_normal((2, 3, 3))).passed


def test_checks_the_recurrent_layers_of_a_model_together() -> None:
    """A stack with integer input and a scalar loss: no row for the ids, one for each carried state."""

    class Stack:
        def __init__(self, rng: np.random.Generator) -> None:
            self.layers = [
                TimeEmbedding(rng.standard_normal((6, 3))),
                TimeLSTM(*KINDS["lstm"].weights(rng, 3, 4), stateful=True),
                TimeRNN(*KINDS["rnn"].weights(rng, 4, 4), stateful=True),
                TimeAffine(rng.standard_normal((4, 6)), np.zeros(6)),
            ]
            self.loss_layer = TimeSoftmaxWithLoss()
            self.params = [p for layer in self.layers for p in layer.params]
            self.grads = [g for layer in self.layers for g in layer.grads]

        def forward(self, xs: Any, ts: Any) -> float:
            for layer in self.layers:
                xs = layer.forward(xs)
            return self.loss_layer.forward(xs, ts)

        def backward(self, dout: float = 1.0) -> Any:
            gradient = self.loss_layer.backward(dout)
            for layer in reversed(self.layers):
                gradient = layer.backward(gradient)
            return gradient

    rng = np.random.default_rng(0)
    before, xs, ts = rng.integers(0, 6, (3, 2, 4))
    report = check_gradients(Stack(rng), xs, ts, before=before)
    assert [row.name for row in report.rows][-4:] == ["params[8]", "incoming h", "incoming c", "incoming h"]
    assert report.passed, report


def test_checks_no_more_than_max_entries() -> None:
    rng = np.random.default_rng(0)
    layer = TimeAffine(rng.standard_normal((3, 4)), rng.standard_normal(4))
    report = check_gradients(layer, rng.standard_normal((2, 2, 3)), max_entries=5, rng=rng)
    assert [row.checked for row in report.rows] == [5, 4, 5]


def test_leaves_parameters_and_input_as_they_were() -> None:
    rng = np.random.default_rng(0)
    layer, x = TimeAffine(rng.standard_normal((3, 4)), rng.standard_normal(4)), rng.standard_normal((2, 2, 3))
    arrays = [*layer.params, x]
    before = [a.copy() for a in arrays]
    check_gradients(layer, x)
    for array, value in zip(arrays, before, strict=True):
        np.testing.assert_array_equal(array, value)


def test_refuses_single_precision_weights() -> None:
    layer = TimeAffine(np.zeros((3, 4)), np.zeros(4, dtype=np.float32))
    with pytest.raises(ConfigError, match=r"params\[1\] is float32.*float64"):
        check_gradients(layer, np.zeros((2, 2, 3)))


def test_refuses_single_precision_input() -> None:
    with pytest.raises(ConfigError, match=r"the input is float32.*float64"):
        check_gradients(
            TimeSoftmaxWithLoss(), np.zeros((1, 1, 3), dtype=np.float32), np.zeros((1, 1), dtype=int)
        )
