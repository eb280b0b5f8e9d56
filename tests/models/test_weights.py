"""Initial weights: names, shapes, order and scale."""

from typing import Any

import numpy as np
import pytest

from elman.errors import ConfigError
from elman.models.weights import draw_weights, plan_weights

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
        ({"vocab_size": 0}, "vocab_size must be at least 1, got 0"),
        ({"hidden_size": 0}, "hidden_size"),
        ({"layers": 0}, "layers"),
        ({"wordvec_size": -1}, "wordvec_size.*or 0 for one-hot"),
        ({"tie_weights": True}, "wordvec 3 and hidden 4"),
        ({"tie_weights": True, "wordvec_size": 0}, "wordvec 0 and hidden 4"),
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


@pytest.mark.parametrize("cell", ["rnn", "lstm", "gru"])
def test_a_weight_scale_is_that_of_every_matrix(cell: str) -> None:
    weights = draw_weights(plan_weights(300, 0, 60, cell), 0.01, np.random.default_rng(0))
    for name, weight in weights.items():
        if weight.ndim == 1:
            assert not weight.any(), name
        else:
            assert weight.std() == pytest.approx(0.01, rel=0.03), name


def test_an_output_bias_as_long_as_gates_is_no_forget_gate() -> None:
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
