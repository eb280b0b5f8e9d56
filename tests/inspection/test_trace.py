"""Traces have the states and gates of the one-step cells, and do not change the model."""

from typing import Any

import numpy as np
import pytest

import elman
from elman.errors import ConfigError, TextError
from elman.inspection.network import NoHiddenUnits
from support.every_kind import word_model
from support.looked import CELLS, KINDS, inputs, network, recurrent, remembered, walk
from support.tiny import text_model

TEXT = "tom was watching tv\nmary was"


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("cell", CELLS)
def test_states_and_gates_are_those_of_the_equations(cell: str, kind: str) -> None:
    text_model = network(cell, kind)
    model = recurrent(text_model)
    traced = elman.trace(text_model, TEXT)
    ids = text_model.encode(TEXT)[1]
    start = text_model.start_id
    assert start is not None
    wanted = walk(model, inputs(model, np.array([start, *ids])))[1:]
    assert traced.choices == model.rnn_layer.names_inside()
    assert set(traced.layers[0]) == set(model.rnn_layer.names_inside())
    for layer in range(len(model.rnn_layers)):
        for what in traced.choices:
            found = traced.values(what, layer)
            assert found.shape == (len(ids), 5)
            np.testing.assert_allclose(
                found, [step[layer][what][0] for step in wanted], rtol=1e-9, atol=1e-12
            )
    np.testing.assert_array_equal(traced.values(), traced.values("h", len(model.rnn_layers) - 1))


@pytest.mark.parametrize("cell", CELLS)
def test_float32_states_are_those_that_the_model_reads_with(cell: str) -> None:
    text_model = network(cell, "two layers", dtype=np.float32, H=24)
    state = text_model.begin_sentence()
    traced = elman.trace(text_model, TEXT)
    for t, id_ in enumerate(text_model.encode(TEXT)[1]):
        state = text_model.model.feed(np.array([[id_]]), state)
        for layer in (0, 1):
            np.testing.assert_allclose(traced.values("h", layer)[t], state.h[layer][0], rtol=1e-4, atol=1e-6)
            if cell == "lstm":
                np.testing.assert_allclose(
                    traced.values("c", layer)[t], state.c[layer][0], rtol=1e-4, atol=1e-6
                )


def test_an_empty_past_and_unknown_tokens() -> None:
    model = network("lstm")
    model.start = "empty"
    whole = elman.trace(model, "tom zeppelin was").values()
    np.testing.assert_array_equal(whole[0], whole[1])  # what is not read changes nothing
    np.testing.assert_array_equal(whole[[0, 2]], elman.trace(model, "tom was").values())
    first = elman.trace(model, "zeppelin tom")
    for what in first.choices:
        assert not first.values(what)[0].any()
    with pytest.raises(TextError, match="no token that is in the vocabulary"):
        elman.trace(model, "zeppelin")
    model.start = "eos"
    begun = elman.trace(model, "zeppelin").values()
    assert begun.any()


@pytest.mark.parametrize(
    ("level", "counts"), [("char", [1] * 4), ("jamo", [2, 2, 1, 3]), ("byte", [3, 3, 1, 3])]
)
def test_offsets_of_tokens_in_the_text(level: str, counts: list[int]) -> None:
    model = text_model(level, "말 하다\n", D=4, H=5)
    coded = elman.trace(model, "하다 말").coded
    places = [("하다 말"[start:end]) for start, end in coded.offsets]
    assert places == [c for c, count in zip("하다 말", counts, strict=True) for _ in range(count)]


@pytest.mark.parametrize("cell", CELLS)
def test_inspecting_does_not_change_the_model(cell: str) -> None:
    text_model = network(cell, "two layers", dropout=0.3)
    model = recurrent(text_model)
    xs = np.arange(6).reshape(2, 3)
    model.forward(xs, xs)
    model.backward()
    text_model.begin_sentence()
    before = remembered(model)
    elman.trace(text_model, TEXT)
    elman.through_time(text_model, TEXT, 3)
    elman.correlated_units(text_model, TEXT, "text_position")
    after = remembered(model)
    np.testing.assert_equal(after, before)
    for weight in model.weights.values():
        assert weight.flags.writeable
    model.backward()  # what the training pass keeps is there still


def test_missing_layers_and_gates_are_refused() -> None:
    traced = elman.trace(network("gru", "two layers"), TEXT)
    for layer in (-1, 2, 10**9):
        with pytest.raises(ConfigError, match=r"layer must be 0 \(the bottom one\) to 1"):
            traced.values("h", layer)
    with pytest.raises(ConfigError, match="a cell of kind gru has no 'c'; choose from h, r, z, n"):
        traced.values("c")
    with pytest.raises(TextError, match="has no tokens"):
        elman.trace(network("rnn"), " ")


@pytest.mark.parametrize(
    ("kind", "hint"),
    [
        (
            "n-gram",
            "NgramModel has no hidden units of its own; use a model that was trained with `cell='rnn'`",
        ),
        ("window", "NPLM has no hidden units"),
        ("mixture", "of its 3 members number 1 is recurrent"),
        ("cache", "the model that it wraps is recurrent"),
    ],
)
def test_other_models_have_no_hidden_units(kind: str, hint: str) -> None:
    model: Any = word_model(kind)
    for look in (
        lambda: elman.trace(model, "tom"),
        lambda: elman.through_time(model, "tom", 0),
        lambda: elman.correlated_units(model, "tom was", "space"),
    ):
        with pytest.raises(NoHiddenUnits, match=hint):
            look()
