"""Initial weights: names, shapes, order and scale."""

from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from elman.errors import ConfigError
from elman.layers import TimeRNN
from elman.models.parameters import CELLS, add_cell, draw_weights, plan_weights, recurrent_layer
from elman.models.recurrent import RecurrentLM

V, D, H = 6, 3, 4


def shapes(**options: Any) -> dict[str, tuple[int, ...]]:
    return {name: weight.shape for name, weight in plan_weights(V, D, H, **options).items()}


def test_the_elman_network_in_the_order_of_drawing() -> None:
    assert list(shapes().items()) == [
        ("embedding", (V, D)),
        ("0.Wx", (D, H)),
        ("0.Wh", (H, H)),
        ("0.b", (H,)),
        ("output.W", (H, V)),
        ("output.b", (V,)),
    ]


@pytest.mark.parametrize("init", ["orthogonal", "identity"])
def test_what_is_for_wh_is_refused_without_one(init: str) -> None:
    with pytest.raises(ConfigError, match=f"init '{init}' is for .* Wh, which this model has not"):
        drawn(init, "rglru")


@pytest.mark.parametrize(("cell", "gates"), [("rnn", 1), ("lstm", 4), ("gru", 3)])
def test_layers_stand_on_one_another(cell: str, gates: int) -> None:
    found = shapes(cell=cell, layers=2)
    assert found["0.Wx"] == (D, gates * H)
    assert found["1.Wx"] == found["1.Wh"] == found["0.Wh"] == (H, gates * H)
    assert found["1.b"] == (gates * H,)
    assert ("1.b_h" in found) == (cell == "gru")


def test_one_hot_input_has_the_rows_of_wx_for_an_embedding() -> None:
    found = {name: weight.shape for name, weight in plan_weights(V, 0, H, "lstm", 2).items()}
    assert found["embedding"] == (V, 4 * H)
    assert "0.Wx" not in found
    assert found["1.Wx"] == (H, 4 * H)


def test_tied_weights_have_no_output_matrix() -> None:
    found = {name: weight.shape for name, weight in plan_weights(V, H, H, tie_weights=True).items()}
    assert "output.W" not in found
    assert found["output.b"] == (V,)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"cell": "elman"}, "'elman'; choose from rnn, lstm, gru"),
        ({"vocab_size": 0}, "vocab_size must be ≥ 1, got 0"),
        ({"hidden_size": 0}, "hidden_size"),
        ({"layers": 0}, "layers"),
        ({"wordvec_size": -1}, "wordvec_size.*or 0 for one-hot"),
        ({"tie_weights": True}, "wordvec 3 and hidden 4"),
        ({"tie_weights": True, "wordvec_size": 0}, "wordvec 0 and hidden 4"),
        ({"cell": "qrnn", "wordvec_size": 0}, "`cell='qrnn'` .* takes no one-hot input"),
    ],
)
def test_what_makes_no_model_is_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        plan_weights(**{"vocab_size": V, "wordvec_size": D, "hidden_size": H, **options})


@pytest.mark.parametrize("cell", ["rnn", "lstm", "gru"])
def test_matrices_have_the_stated_scale_and_biases_are_constant(cell: str) -> None:
    V, D, H = 300, 90, 60
    weights = draw_weights(plan_weights(V, D, H, cell, 2), rng=np.random.default_rng(0))
    stated = {"embedding": 0.01, "0.Wx": D**-0.5, "output.W": H**-0.5, "0.Wh": H**-0.5, "1.Wx": H**-0.5}
    for name, scale in stated.items():
        assert weights[name].std() == pytest.approx(scale, rel=0.03), name
        assert abs(weights[name].mean()) < 0.03 * scale, name
    for name, weight in weights.items():
        if weight.ndim == 1:
            gated = cell != "rnn" and name in ("0.b", "1.b")
            remembers = weight[H : 2 * H] if gated else weight[:0]
            assert (remembers == 1).all(), name
            assert weight.sum() == len(remembers), name


@pytest.mark.parametrize(
    "cell",
    [
        name
        for name in CELLS
        if name not in ("rnn", "lstm", "gru", "rglru", "mogrifier", "rwkv4", "rwkv7", "mamba", "mamba2")
    ],
)
def test_linear_recurrences_keep_most_of_their_state_at_first(cell: str) -> None:
    """With an input of zeros a state of 1 becomes σ(1) after one step."""
    weights = draw_weights(plan_weights(V, D, H, cell), rng=np.random.default_rng(0), dtype=np.float64)
    layer = recurrent_layer(cell, weights, 0)
    xs, state = np.zeros((1, 1, D)), {name: np.ones((1, n)) for name, n in layer.state_widths.items()}
    zero = {name: np.zeros_like(values) for name, values in state.items()}
    ends = []
    for before in (state, zero):
        layer.carry({**before, **({"x": zero["x"]} if "x" in zero else {})})
        layer.forward(xs)
        carried = layer.carried()
        ends.append(carried.get("c", carried["h"]))
    assert ends[0] - ends[1] == pytest.approx(1 / (1 + np.exp(-1)))


def test_decays_of_the_rglru_begin_spread() -> None:
    decay = draw_weights(plan_weights(V, D, 50, "rglru"), dtype=np.float64)["0.decay"]
    kept = 1 / (1 + np.exp(decay))  # after a step whose gate is 1/8
    assert (kept[0], kept[-1]) == pytest.approx((0.9, 0.999))
    assert_allclose(np.diff(kept**2), (0.999**2 - 0.9**2) / 49)


@pytest.mark.parametrize("cell", ["rnn", "lstm", "gru"])
def test_a_weight_scale_is_that_of_every_matrix(cell: str) -> None:
    weights = draw_weights(plan_weights(300, 0, 60, cell), 0.01, np.random.default_rng(0))
    for name, weight in weights.items():
        if weight.ndim == 1:
            assert not weight.any(), name
        else:
            assert weight.std() == pytest.approx(0.01, rel=0.03), name


def test_an_output_bias_as_long_as_gates_is_not_a_forget_gate() -> None:
    weights = draw_weights(plan_weights(4 * H, D, H, "lstm"), rng=np.random.default_rng(0))
    assert not weights["output.b"].any()


def test_one_seed_one_model_in_either_precision() -> None:
    plan = plan_weights(V, D, H)
    single, double = (
        draw_weights(plan, rng=np.random.default_rng(3), dtype=dtype) for dtype in (np.float32, np.float64)
    )
    for name in plan:
        assert single[name].dtype == np.float32
        assert double[name].dtype == np.float64
        np.testing.assert_array_equal(single[name], double[name].astype(np.float32))


def test_without_a_generator_the_global_stream_is_drawn_from() -> None:
    plan = plan_weights(V, D, H)
    np.random.seed(5)
    first = draw_weights(plan)
    np.random.seed(5)
    np.testing.assert_array_equal(first["embedding"], (np.random.randn(V, D) * 0.01).astype(np.float32))


# Other kinds of initial weights


def drawn(init: Any, cell: str = "rnn", H: int = 40, scale: float | None = None) -> dict[str, Any]:
    return draw_weights(plan_weights(60, 20, H, cell, 2), scale, np.random.default_rng(0), np.float64, init)


@pytest.mark.parametrize("cell", ["rnn", "lstm", "gru"])
def test_uniform_weights_fill_the_interval(cell: str) -> None:
    for name, weight in drawn("uniform", cell, scale=0.1).items():
        if weight.ndim == 1:
            assert not weight.any()
            continue
        assert np.abs(weight).max() < 0.1, name
        assert weight.std() == pytest.approx(0.1 / np.sqrt(3), rel=0.05)
        assert (weight.min(), weight.max()) == pytest.approx((-0.1, 0.1), abs=0.003)


@pytest.mark.parametrize(("cell", "gates"), [("rnn", 1), ("lstm", 4), ("gru", 3)])
@pytest.mark.parametrize("scale", [None, 0.01])
def test_orthogonal_weights_keep_lengths_and_the_others_are_as_usual(
    cell: str, gates: int, scale: float | None
) -> None:
    H = 40
    weights, usual = drawn("orthogonal", cell, H, scale), drawn("normal", cell, H, scale)
    for name, weight in weights.items():
        if not name.endswith(".Wh"):
            assert_array_equal(weight, usual[name])
            continue
        blocks = np.split(weight, gates, axis=1)
        for block in blocks:
            assert_allclose(block @ block.T, np.eye(H), atol=1e-12)
        for block, other in pairwise(blocks):
            assert np.abs(block - other).max() > 0.1


def test_orthogonal_weights_prefer_no_direction() -> None:
    """Two by two: as many turns as reflections, at angles spread over the circle."""
    plan = plan_weights(3, 2, 2)
    found = [draw_weights(plan, rng=np.random.default_rng(k), init="orthogonal")["0.Wh"] for k in range(400)]
    assert np.mean([np.linalg.det(W) > 0 for W in found]) == pytest.approx(0.5, abs=0.1)
    assert_allclose(np.mean(found, axis=0), np.zeros((2, 2)), atol=0.15)


def test_the_identity_is_of_the_plain_rnn() -> None:
    weights, usual = drawn("identity"), drawn("normal")
    for name, weight in weights.items():
        assert_array_equal(weight, np.eye(40) if name.endswith(".Wh") else usual[name])


@pytest.mark.parametrize(
    ("init", "cell", "message"),
    [
        ("identity", "lstm", "here it is 40 x 160; use cell='rnn', or init='orthogonal'"),
        ("identity", "gru", "40 x 120"),
        ("uniform", "rnn", "needs weight_scale; set it, to 0.1 say"),
        ("xavier", "rnn", "unknown init 'xavier'; choose from normal, uniform, orthogonal, identity"),
    ],
)
def test_a_kind_that_does_not_fit_is_an_error(init: str, cell: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        drawn(init, cell)


def test_uniform_weights_come_from_numpys_stream_where_no_other_is_given() -> None:
    plan = plan_weights(V, D, H)
    np.random.seed(0)
    first = draw_weights(plan, 0.1, init="uniform")
    np.random.seed(0)
    again = draw_weights(plan, 0.1, init="uniform")
    for name in plan:
        assert_array_equal(first[name], again[name])
    assert (first["0.Wh"] != first["0.Wh"].T).any()


def test_a_cell_of_ones_own_is_built_by_its_name() -> None:
    class Other(TimeRNN):
        pass

    add_cell("other", Other)
    add_cell("other", Other)
    (layer,) = RecurrentLM(V, D, H, "other").rnn_layers
    assert type(layer) is Other
    with pytest.raises(ConfigError, match="there is a cell 'other' already"):
        add_cell("other", TimeRNN)
