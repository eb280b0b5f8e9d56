"""Correlations are Pearson's, and the unit that was planted is found."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import elman
from elman.errors import ConfigError, ShapeError
from elman.inspection.units import MEMORY, correlations, followed, strongest
from support.looked import network
from support.tiny import STORY


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 1000), T=st.integers(3, 30), H=st.integers(1, 5))
def test_correlations_are_pearsons(seed: int, T: int, H: int) -> None:
    rng = np.random.default_rng(seed)
    values, given_ = rng.standard_normal((T, H)), rng.standard_normal(T)
    wanted = [np.corrcoef(values[:, h], given_)[0, 1] for h in range(H)]
    np.testing.assert_allclose(correlations(values, given_), wanted, rtol=1e-9, atol=1e-12)
    np.testing.assert_allclose(
        correlations(values.astype(np.float32), 5 - 3 * given_), -np.array(wanted), atol=1e-5
    )


def test_constant_columns_and_properties() -> None:
    values = np.stack([np.full(4, 0.1), [0, 0, 1, 1], [np.nan, 0, 1, 1]], axis=1)
    np.testing.assert_array_equal(correlations(values, [0, 0, 1, 1]), [0, 1, 0])
    with pytest.raises(ConfigError, match="the same at every token"):
        correlations(values, np.ones(4))
    with pytest.raises(ConfigError, match="the same at every token"):
        correlations(np.zeros((0, 3)), [])
    with pytest.raises(ShapeError, match=r"must be \(4,\), got \(3,\)"):
        correlations(values, [1, 2, 3])


def test_the_strongest_units_come_first() -> None:
    model = network("lstm", "two layers", H=12)
    text = "tom was watching tv\nmary was reading"
    values = elman.trace(model, text).values("c", 0)
    wanted = correlations(values, [3, 7, 16, 19, 0, 4, 8, 16])
    found = elman.correlated_units(model, text, "line_position", "c", 0, top=5)
    assert [each.unit for each in found] == np.argsort(-np.abs(wanted))[:5].tolist()
    np.testing.assert_allclose([each.correlation for each in found], wanted[[each.unit for each in found]])
    assert len(elman.correlated_units(model, text, "line_position", top=100)) == 12


def test_the_unit_that_was_planted_is_found() -> None:
    model = network("rnn", H=6)
    embedding, Wx = model.model.weights["embedding"], model.model.weights["0.Wx"]  # type: ignore[attr-defined]
    mary = model.vocabulary.encode(["mary"])[0]
    embedding[:, 0] = -1
    embedding[mary, 0] = 1
    Wx[:, 2] = [9, 0, 0, 0]
    text = "tom said hi to mary . mary was asleep"
    (found,) = elman.correlated_units(model, text, (15, 24), top=1)
    assert found.unit == 2
    assert found.correlation > 0.7


def test_invalid_requests_are_refused() -> None:
    model = network("rnn")
    for of, problem in (
        ("inside_quotes", "the same at every token"),
        ((0, 7), "the same at every token"),
        ((0, 0), "a span must be within"),
        ((3, 2), "a span must be within"),
        ((-1, 2), "a span must be within"),
        ((0, 8), "a span must be within the text's 7 characters"),
        ("mood", "there is no property 'mood'; choose from inside_quotes, "),
    ):
        with pytest.raises(ConfigError, match=problem):
            elman.correlated_units(model, "tom was", of)  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match="top must be an integer ≥ 1, got 0"):
        elman.correlated_units(model, "tom was", "text_position", top=0)


def test_a_property_that_needs_memory_is_preferred() -> None:
    traced = elman.trace(network("lstm"), STORY)
    found = followed(traced, "h", None)
    assert found in MEMORY
    best = {
        name: abs(strongest(traced, name, "h", None, 1)[0].correlation)
        for name in MEMORY
        if name not in ("inside_quotes", "inside_brackets", "after_name")  # the same everywhere
    }
    assert found == max(best, key=lambda name: best[name])
    assert followed(elman.trace(network("lstm"), "tom"), "h", None) is None
