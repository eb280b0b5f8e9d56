"""The unrolled network holds the model's own words, states, gates, scores and gradients."""

import json

import numpy as np
import pytest

import elman
from elman.errors import TextError
from elman.inspection.gradient_flow import flowing_state, gradient_flow
from elman.inspection.network import NoHiddenUnits
from elman.inspection.unroll import DIGITS, UNITS, rounded, unroll
from support.every_kind import word_model
from support.looked import CELLS, EVERY_CELL, KINDS, inputs, network, recurrent, remembered
from support.tiny import text_model

TEXT = "tom was watching tv\nmary was"


@pytest.mark.parametrize(
    ("cell", "kind"),
    [*((cell, kind) for cell in CELLS for kind in KINDS), *((cell, "two layers") for cell in EVERY_CELL)],
)
def test_every_step_holds_what_the_model_computes(cell: str, kind: str) -> None:
    lm = network(cell, kind)
    model = recurrent(lm)
    before = remembered(model)
    found = unroll(lm, TEXT)
    np.testing.assert_equal(remembered(model), before)
    traced = elman.trace(lm, TEXT)
    ids = traced.coded.read()
    assert found.first == 0
    np.testing.assert_array_equal(found.ids, ids)
    for inside, wanted, state in zip(found.layers, traced.layers, found.before, strict=True):
        assert set(inside) == set(model.rnn_layer.names_inside())
        np.testing.assert_equal(inside, wanted)
        assert all((values == 0).all() for values in state.values())
    if model.wordvec_size:
        np.testing.assert_array_equal(found.xs, inputs(model, ids))
    else:
        assert found.xs.shape == (len(ids), 0)
    state = model.start(1)
    for t, id_ in enumerate(ids):
        state = model.feed(np.array([[id_]]), state)
        P = np.exp(found.scores[t] - found.scores[t].max())
        np.testing.assert_allclose(np.log(P / P.sum()), model.next_log_probs(state)[0], rtol=1e-9, atol=1e-12)
    for flow, wanted_flow in zip(found.gradients, gradient_flow(model, ids), strict=True):
        np.testing.assert_array_equal(flow.arriving, wanted_flow.arriving)


@pytest.mark.parametrize("kind", ["two layers", "one-hot"])
def test_the_terms_of_an_rnn_add_up_to_the_argument_of_tanh(kind: str) -> None:
    found = unroll(network("rnn", kind), TEXT, steps=4)
    for inside, terms in zip(found.layers, found.terms, strict=True):
        np.testing.assert_allclose(np.tanh(terms["x"] + terms["h"]), inside["h"], rtol=1e-9)


@pytest.mark.parametrize("cell", EVERY_CELL)
def test_the_last_steps_continue_the_ones_before(cell: str) -> None:
    lm = network(cell, "two layers")
    whole, part = unroll(lm, TEXT), unroll(lm, TEXT, steps=3)
    assert (part.first, len(part.ids)) == (len(whole.ids) - 3, 3)
    for all_steps, last_steps, state in zip(whole.layers, part.layers, part.before, strict=True):
        for name, values in last_steps.items():
            np.testing.assert_allclose(values, all_steps[name][-3:], rtol=1e-9)
        for name, value in state.items():
            if name in all_steps:  # the QRNN's x is an input
                np.testing.assert_allclose(value, all_steps[name][-4], rtol=1e-9)
    np.testing.assert_allclose(part.scores, whole.scores[-3:], rtol=1e-9)
    assert [step["token"] for step in part.as_json(lm)["steps"]] == [
        step["token"] for step in whole.as_json(lm)["steps"]
    ][-3:]


def test_the_term_of_an_rglru_is_what_keeps_its_state() -> None:
    found = unroll(network("rglru"), TEXT)
    ((inside, terms),) = zip(found.layers, found.terms, strict=True)
    (layer,) = recurrent(network("rglru")).rnn_layers
    kept = np.log1p(np.exp(layer.vector)) * 8 * inside["r"]
    np.testing.assert_allclose(terms["a"], np.exp(-kept), rtol=1e-9)


@pytest.mark.parametrize("cell", EVERY_CELL)
def test_the_json_has_the_shapes_of_weights_and_states(cell: str) -> None:
    lm = network(cell)
    found = json.loads(json.dumps(unroll(lm, TEXT).as_json(lm), allow_nan=False))
    (layer,) = recurrent(lm).rnn_layers
    shapes = {name: getattr(layer.recurrence, name, None) for name in ("Wx", "Wh")}
    assert found["weights"] == [{name: list(W.shape) for name, W in shapes.items() if W is not None}]
    assert found["widths"] == [layer.state_widths]
    assert set(found["before"][0]) == set(layer.state_widths) & set(found["inside"][0])
    assert found["through"] == [flowing_state(layer)]


@pytest.mark.parametrize("cell", ["rnn", "sru"])
def test_of_a_residual_block_the_states_of_its_cell_are_carried(cell: str) -> None:
    lm = network(cell, block="residual", layers=2)
    found = unroll(lm, TEXT).as_json(lm)
    own = ["cell_c"] if cell == "sru" else ["cell_h"]
    assert found["carried"] == [own, own]
    assert set(found["before"][0]) == {"h", "cell_h", *own}
    assert found["widths"][0] == {"h": 4, "cell_h": 5, **dict.fromkeys(own, 5)}


def test_the_json_names_tokens_candidates_and_what_comes_next() -> None:
    lm = network("gru", H=24)
    found = json.loads(json.dumps(unroll(lm, "tom zeppelin was").as_json(lm), allow_nan=False))
    assert [found[name] for name in ("cell", "layers", "hidden", "wordvec", "first")] == ["gru", 1, 24, 4, 0]
    start, tom, was = found["steps"]  # the unknown word is not read
    assert [step["token"].strip() for step in (start, tom, was)] == ["", "tom", "was"]
    assert [(step["start"], step["end"]) for step in (start, tom, was)] == [(0, 0), (0, 3), (13, 16)]
    assert was["next"] is None
    assert tom["next"]["token"].strip() == "was"
    wanted = lm.next_distribution("tom", 3)
    assert [each["token"].strip() for each in tom["top"]] == [name for name, _ in wanted]
    assert [each["probability"] for each in tom["top"]] == pytest.approx([p for _, p in wanted], rel=1e-3)
    assert [len(values) for values in found["inside"][0]["z"]] == [UNITS] * 3
    assert [len(rows) for rows in found["gradients"][0]["arriving"]] == [2] * 3  # two losses: three rows


def test_a_text_of_one_token_has_no_gradient() -> None:
    lm = text_model("char", "ab ba")
    assert lm.start_id is None
    found = unroll(lm, "a")
    assert (len(found.ids), found.gradients, found.as_json(lm)["gradients"]) == (1, [], [])


def test_what_cannot_be_unrolled_is_refused() -> None:
    with pytest.raises(NoHiddenUnits):
        unroll(word_model("n-gram"), TEXT)
    with pytest.raises(TextError, match="has no tokens"):
        unroll(network("rnn"), " ")
    lm = text_model("char", "ab ba")
    with pytest.raises(TextError, match="no token that is in the vocabulary"):
        unroll(lm, "z")


def test_numbers_are_rounded_to_significant_digits() -> None:
    assert rounded([[1.23456, -0.000123456], [np.inf, np.nan]]) == [[1.235, -0.0001235], [None, None]]
    assert DIGITS == 4
