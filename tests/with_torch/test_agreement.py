"""Outputs and gradients written by hand agree with PyTorch's own layers through its autograd.

Always over two consecutive blocks: the state of the first is carried into the second and detached there.
"""

from typing import Any

import numpy as np
import pytest
from numpy.testing import assert_allclose

from elman.layers import (
    TimeAffine,
    TimeAffineSoftmaxWithLoss,
    TimeBidirectional,
    TimeEmbedding,
    TimeLSTM,
    TimeSoftmaxWithLoss,
)
from support.recurrent import KINDS

torch = pytest.importorskip("torch")
torch.set_num_threads(1)
pytestmark = pytest.mark.torch

N, D, H, V = 3, 5, 4, 7
TORCH_LAYERS = {"rnn": "RNN", "lstm": "LSTM", "gru": "GRU", "gru with b_h": "GRU"}


def tensor(values: Any) -> Any:
    return torch.tensor(values, dtype=torch.float64, requires_grad=True)


def close(ours: Any, theirs: Any) -> None:
    assert_allclose(ours, theirs.detach().numpy(), rtol=1e-9, atol=1e-12)


def torch_recurrent(name: str, weights: list[Any]) -> Any:
    """Return nn.RNN, nn.LSTM or nn.GRU with our weights: its matrices are ours transposed, its b_ih our b."""
    Wx, Wh, b, *b_h = weights
    width, hidden = len(Wx), len(Wh)
    layer = getattr(torch.nn, TORCH_LAYERS[name])(width, hidden, batch_first=True, dtype=torch.float64)
    b_hh = np.zeros_like(b)
    if b_h:
        b_hh[2 * hidden :] = b_h[0]
    with torch.no_grad():
        for parameter, value in zip(layer.parameters(), (Wx.T, Wh.T, b, b_hh), strict=True):
            parameter.copy_(torch.tensor(value))
    return layer


def gradients_in_our_form(layer: Any, count: int) -> list[Any]:
    dWx, dWh, db, db_hh = (parameter.grad for parameter in layer.parameters())
    return [dWx.T, dWh.T, db, db_hh[-layer.hidden_size :]][:count]


def test_parameters_of_torch_stand_in_the_order_that_these_tests_rely_on() -> None:
    names = [name for name, _ in torch.nn.LSTM(D, H).named_parameters()]
    assert names == ["weight_ih_l0", "weight_hh_l0", "bias_ih_l0", "bias_hh_l0"]


@pytest.mark.parametrize("T", [1, 2, 6])
@pytest.mark.parametrize("name", KINDS)
def test_recurrent_layers(name: str, T: int) -> None:
    rng = np.random.default_rng(T)
    kind = KINDS[name]
    weights = kind.weights(rng, D, H)
    ours, theirs = kind.Time(*weights, stateful=True), torch_recurrent(name, weights)
    states = [torch.zeros(1, N, H, dtype=torch.float64) for _ in kind.states]
    for _ in range(2):
        values, dhs = rng.standard_normal((N, T, D)), rng.standard_normal((N, T, H))
        xs = tensor(values)
        states = [s.detach().requires_grad_() for s in states]
        incoming = states
        theirs.zero_grad()
        hs, last = theirs(xs, tuple(states) if len(states) == 2 else states[0])
        hs.backward(torch.tensor(dhs))
        states = list(last) if len(states) == 2 else [last]

        close(ours.forward(values), hs)
        close(ours.backward(dhs), xs.grad)
        for mine, other in zip(kind.carried(ours), states, strict=True):
            close(mine, other[0])
        for mine, other in zip(kind.carried(ours, "d"), incoming, strict=True):
            close(mine, other.grad[0])
        for mine, other in zip(ours.grads, gradients_in_our_form(theirs, len(weights)), strict=True):
            close(mine, other)


@pytest.mark.parametrize("lengths", [None, [5, 2, 4]], ids=str)
@pytest.mark.parametrize("name", KINDS)
def test_bidirectional_layers(name: str, lengths: list[int] | None) -> None:
    rng = np.random.default_rng(0)
    kind, T = KINDS[name], 5
    weights = [kind.weights(rng, D, H) for _ in range(2)]
    ours = TimeBidirectional(*(kind.Time(*each) for each in weights))
    one_way = [torch_recurrent(name, each) for each in weights]
    theirs = getattr(torch.nn, TORCH_LAYERS[name])(
        D, H, batch_first=True, bidirectional=True, dtype=torch.float64
    )
    with torch.no_grad():
        for parameter, value in zip(
            theirs.parameters(), [p for layer in one_way for p in layer.parameters()], strict=True
        ):
            parameter.copy_(value)
    values, dhs = rng.standard_normal((N, T, D)), rng.standard_normal((N, T, 2 * H))
    xs = tensor(values)
    steps = torch.nn.utils.rnn.pack_padded_sequence(
        xs, lengths or [T] * N, batch_first=True, enforce_sorted=False
    )
    hs, _ = torch.nn.utils.rnn.pad_packed_sequence(theirs(steps)[0], batch_first=True, total_length=T)
    hs.backward(torch.tensor(dhs))

    close(ours.forward(values, lengths), hs)
    close(ours.backward(dhs), xs.grad)
    found = [parameter.grad for parameter in theirs.parameters()]
    expected = [
        each
        for dWx, dWh, db, db_hh in (found[:4], found[4:])
        for each in [dWx.T, dWh.T, db, db_hh[-H:]][: len(weights[0])]
    ]
    for mine, other in zip(ours.grads, expected, strict=True):
        close(mine, other)


@pytest.mark.parametrize("name", KINDS)
def test_one_step_cells(name: str) -> None:
    rng = np.random.default_rng(0)
    kind = KINDS[name]
    weights = kind.weights(rng, D, H)
    values, states = rng.standard_normal((N, D)), kind.draw_states(rng, N, H)
    douts = rng.standard_normal((len(states), N, H))
    theirs = getattr(torch.nn, TORCH_LAYERS[name] + "Cell")(D, H, dtype=torch.float64)
    theirs.load_state_dict(
        {k.removesuffix("_l0"): v for k, v in torch_recurrent(name, weights).state_dict().items()}
    )
    x, incoming = tensor(values), [tensor(s) for s in states]
    theirs_out = theirs(x, tuple(incoming) if len(states) == 2 else incoming[0])
    ours = kind.Cell(*weights)
    ours_out = ours.forward(values, *states)
    if len(states) == 1:
        ours_out, theirs_out = [ours_out], [theirs_out]
    for mine, other in zip(ours_out, theirs_out, strict=True):
        close(mine, other)

    torch.autograd.backward(theirs_out, [torch.tensor(d) for d in douts])
    for mine, other in zip(ours.backward(*douts), [x, *incoming], strict=True):
        close(mine, other.grad)
    for mine, other in zip(ours.grads, gradients_in_our_form(theirs, len(weights)), strict=True):
        close(mine, other)


def test_embedding() -> None:
    rng = np.random.default_rng(0)
    W = rng.standard_normal((V, D))
    ours, theirs = TimeEmbedding(W), torch.nn.Embedding.from_pretrained(torch.tensor(W), freeze=False)
    for _ in range(2):
        ids, dout = rng.integers(0, V, (N, 4)), rng.standard_normal((N, 4, D))
        theirs.zero_grad()
        vectors = theirs(torch.tensor(ids))
        vectors.backward(torch.tensor(dout))
        close(ours.forward(ids), vectors)
        ours.backward(dout)
        close(ours.grads[0], theirs.weight.grad)


def test_affine() -> None:
    rng = np.random.default_rng(0)
    W, b = rng.standard_normal((H, V)), rng.standard_normal(V)
    ours, theirs = TimeAffine(W, b), torch.nn.Linear(H, V, dtype=torch.float64)
    with torch.no_grad():
        theirs.weight.copy_(torch.tensor(W.T))
        theirs.bias.copy_(torch.tensor(b))
    for _ in range(2):
        values, dout = rng.standard_normal((N, 4, H)), rng.standard_normal((N, 4, V))
        xs = tensor(values)
        theirs.zero_grad()
        scores = theirs(xs)
        scores.backward(torch.tensor(dout))
        close(ours.forward(values), scores)
        close(ours.backward(dout), xs.grad)
        close(ours.grads[0], theirs.weight.grad.T)
        close(ours.grads[1], theirs.bias.grad)


@pytest.mark.parametrize("ignore_label", [-1, 3])
def test_cross_entropy(ignore_label: int) -> None:
    rng = np.random.default_rng(0)
    ours = TimeSoftmaxWithLoss(ignore_label)
    for _ in range(2):
        values, ts = 5 * rng.standard_normal((N, 4, V)), rng.integers(0, V, (N, 4))
        ts[1, 1:] = ignore_label
        xs = tensor(values)
        loss = torch.nn.functional.cross_entropy(
            xs.reshape(-1, V), torch.tensor(ts).reshape(-1), ignore_index=ignore_label
        )
        (2.5 * loss).backward()
        close(ours.forward(values, ts), loss)
        close(ours.backward(2.5), xs.grad)


@pytest.mark.parametrize("fused", [False, True])
def test_a_stack_of_embedding_two_lstms_affine_and_loss(fused: bool) -> None:
    rng = np.random.default_rng(0)
    T = 6
    table, W, b = rng.standard_normal((V, D)), rng.standard_normal((H, V)), rng.standard_normal(V)
    weights = [KINDS["lstm"].weights(rng, width, H) for width in (D, H)]

    embedding, lstms = TimeEmbedding(table), [TimeLSTM(*w, stateful=True) for w in weights]
    affine, softmax = TimeAffine(W, b), TimeSoftmaxWithLoss()
    output = TimeAffineSoftmaxWithLoss(W, b)

    E, A, B = tensor(table), tensor(W), tensor(b)
    theirs = [torch_recurrent("lstm", w) for w in weights]
    carried = [(torch.zeros(1, N, H, dtype=torch.float64),) * 2 for _ in theirs]

    for _ in range(2):
        ids, ts = rng.integers(0, V, (N, T)), rng.integers(-1, V, (N, T))
        for parameter in (E, A, B, *theirs[0].parameters(), *theirs[1].parameters()):
            parameter.grad = None
        signal = E[torch.tensor(ids)]
        for k, layer in enumerate(theirs):
            signal, carried[k] = layer(signal, tuple(s.detach() for s in carried[k]))
        loss = torch.nn.functional.cross_entropy(
            (signal @ A + B).reshape(-1, V), torch.tensor(ts).reshape(-1), ignore_index=-1
        )
        loss.backward()

        hs = lstms[1].forward(lstms[0].forward(embedding.forward(ids)))
        if fused:
            close(output.forward(hs, ts), loss)
            dhs, output_grads = output.backward(), output.grads
        else:
            close(softmax.forward(affine.forward(hs), ts), loss)
            dhs, output_grads = affine.backward(softmax.backward()), affine.grads
        embedding.backward(lstms[0].backward(lstms[1].backward(dhs)))

        close(embedding.grads[0], E.grad)
        for mine, other in zip(lstms, theirs, strict=True):
            for gradient, expected in zip(mine.grads, gradients_in_our_form(other, 3), strict=True):
                close(gradient, expected)
        close(output_grads[0], A.grad)
        close(output_grads[1], B.grad)
