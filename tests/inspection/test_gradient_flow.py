"""The gradients that flow through the steps are those of the model's own backward pass, cut at the ends of blocks."""

from typing import Any

import numpy as np
import pytest

from elman.inspection.gradient_flow import GradientFlow, flowing_state, gradient_flow
from support.looked import CELLS, EVERY_CELL, KINDS, network, recurrent, remembered

IDS = np.array([4, 0, 3, 1, 6, 2, 5, 7])
FIRST = 2  # steps that are read before
L = len(IDS) - 1 - FIRST


def of_backward_pass(model: Any, t: int, end: int, only_end: bool) -> list[Any]:
    """What flows into the state (H,) of each layer after step t from the losses of later steps, or of ``end`` only."""
    at = FIRST + t + 1
    model.reset_state()
    model.forward(IDS[None, :at], IDS[None, 1 : at + 1])
    targets = IDS[None, at + 1 : FIRST + end + 2].copy()
    if only_end:
        targets[:, :-1] = -1  # ignored
    model.forward(IDS[None, at : FIRST + end + 1], targets)
    losses = 1 if only_end else end - t
    model.backward(dout=losses / L)  # the loss is a mean over the losses that count
    return [getattr(layer, f"d{flowing_state(layer)}")[0].copy() for layer in model.rnn_layers]


@pytest.mark.parametrize(
    ("cell", "kind"),
    [*((cell, kind) for cell in CELLS for kind in KINDS), *((cell, "two layers") for cell in EVERY_CELL)],
)
def test_what_flows_back_is_that_of_the_backward_pass(cell: str, kind: str) -> None:
    model = recurrent(network(cell, kind))
    before = remembered(model)
    flows = gradient_flow(model, IDS, FIRST)
    np.testing.assert_equal(remembered(model), before)
    assert len(flows) == len(model.rnn_layers)
    for end, row in ((L - 1, L - 1), (2, 2), (L - 1, L)):
        for t in range(end):
            wanted = of_backward_pass(model, t, end, only_end=row == L)
            for flow, dh in zip(flows, wanted, strict=True):
                np.testing.assert_allclose(flow.flowing[row, t], np.linalg.norm(dh), rtol=1e-9)
        for flow in flows:
            assert (flow.flowing[row, end:] == 0).all()
            assert (flow.arriving[row, end + 1 :] == 0).all()
            np.testing.assert_array_equal(flow.arriving[row, end], flow.above[row, end])


@pytest.mark.parametrize("cell", EVERY_CELL)
def test_the_gradient_flows_through_the_state_that_the_next_step_reads(cell: str) -> None:
    (flow,) = gradient_flow(recurrent(network(cell)), IDS, FIRST)
    others = {"qrnn": "c", "sru": "c", "mamba": "s", "mamba2": "s", "rwkv4": "numerator", "rwkv7": "S"}
    assert flow.through == others.get(cell, "h")
    assert (flow.flowing[L, : L - 1] > 0).all()
    if flow.through != "h":
        np.testing.assert_allclose(flow.arriving, np.hypot(flow.above, flow.flowing))


def test_the_gradient_of_h_is_what_comes_from_above_and_from_the_next_step() -> None:
    model = recurrent(network("rnn"))
    (flow,) = gradient_flow(model, IDS, FIRST)
    state = model.start(1)
    W, _ = model.loss_weights
    for t in range(L - 1):
        state = model.feed(IDS[None, : FIRST + t + 1], model.start(1))
        error = np.exp(model.next_log_probs(state)[0]) - np.eye(model.vocab_size)[IDS[FIRST + t + 1]]
        (back,) = of_backward_pass(model, t, L - 1, only_end=False)
        np.testing.assert_allclose(flow.above[L - 1, t], np.linalg.norm(error @ W.T / L), rtol=1e-9)
        np.testing.assert_allclose(flow.arriving[L - 1, t], np.linalg.norm(error @ W.T / L + back), rtol=1e-9)


def test_blocks_are_cut_at_their_ends() -> None:
    (flow,) = gradient_flow(recurrent(network("gru")), IDS)
    whole, cut = flow.block_norms(len(IDS)), flow.block_norms(3)
    np.testing.assert_array_equal(whole, flow.arriving[-2])
    np.testing.assert_array_equal(cut[:3], flow.arriving[2, :3])
    np.testing.assert_array_equal(cut[3:6], flow.arriving[5, 3:6])
    assert cut[6] == whole[6]
    assert (whole[:6] != cut[:6]).all()


def test_a_single_step_has_one_gradient() -> None:
    (flow,) = gradient_flow(recurrent(network("lstm")), IDS[:2])
    assert isinstance(flow, GradientFlow)
    assert flow.arriving.shape == (2, 1)
    assert (flow.flowing == 0).all()
    assert flow.arriving[0, 0] == flow.arriving[1, 0] > 0
