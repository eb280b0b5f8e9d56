"""Backends without torch, and the errors if it is missing."""

import os
import re
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from elman import arrays
from elman.backend import SPINS, Backend
from elman.errors import ConfigError, MissingExtra
from elman.formats.model_file import save_model
from elman.layers import TimeDropout, TimeEmbedding
from elman.models.recurrent import RecurrentLM
from elman.text_model import load
from elman.training.optimizers import OPTIMIZERS
from support.tiny import small_lm, text_model


def test_numpy_leaves_weights_where_they_are() -> None:
    W = np.zeros((2, 3), np.float32)
    assert Backend().place(W) is W
    model = small_lm()
    again = RecurrentLM(9, 4, 5, weights=model.weights, backend=Backend())
    assert all(again.weights[name] is weight for name, weight in model.weights.items())
    assert model.backend == again.backend == Backend()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (
            {"precision": "bf16"},
            "precision bf16 needs torch tensors; add `backend='torch'`, or use `precision='float32'`",
        ),
        (
            {"device": "cuda"},
            "device 'cuda' needs torch tensors; add `backend='torch'`, or use `device='cpu'`",
        ),
    ],
)
def test_options_that_numpy_does_not_support_are_errors(options: Any, message: str) -> None:
    with pytest.raises(ConfigError, match=f"^{re.escape(message)}$"):
        Backend(**options)


@pytest.mark.parametrize("policy", [None, "active"])
def test_torch_threads_do_not_spin_unless_the_environment_says_so(
    monkeypatch: pytest.MonkeyPatch, policy: str | None
) -> None:
    monkeypatch.setitem(sys.modules, "torch", None)
    for name, value in (("GOMP_SPINCOUNT", None), ("OMP_WAIT_POLICY", policy)):
        monkeypatch.setenv(name, value or "")
        if value is None:
            monkeypatch.delenv(name)
    with pytest.raises(MissingExtra):
        Backend("torch")
    assert os.environ.get("GOMP_SPINCOUNT") == (SPINS if policy is None else None)


def test_a_missing_torch_is_named_with_its_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "torch", None)
    with pytest.raises(MissingExtra, match=r"torch is not installed; type: pip install 'elman\[torch\]'"):
        Backend("torch")


def test_a_model_is_loaded_on_the_given_backend(tmp_path: Path) -> None:
    made = text_model()
    save_model(tmp_path / "model", made)
    for loaded in (load(tmp_path / "model"), load(tmp_path / "model", Backend())):
        assert isinstance(loaded.model, RecurrentLM)
        assert loaded.model.backend == Backend()
        for name, weight in loaded.model.weights.items():
            assert_array_equal(weight, made.model.weights[name])  # type: ignore[attr-defined]


def test_host_sync_is_forbidden_within_the_block_only() -> None:
    value = np.array(2.5)
    assert type(arrays.as_number(value)) is float
    with arrays.no_host_sync():
        assert not arrays.host_sync_allowed()
        assert arrays.as_number(value) is value
    assert arrays.host_sync_allowed()
    with pytest.raises(ZeroDivisionError), arrays.no_host_sync():
        1 / 0  # noqa: B018
    assert arrays.host_sync_allowed()


def test_without_host_sync_an_embedding_writes_the_whole_gradient() -> None:
    W, rng = np.zeros((6, 2)), np.random.default_rng(0)
    layer, other = TimeEmbedding(W), TimeEmbedding(W)
    for alone in (False, True, True, False, False):
        ids, dout = rng.integers(0, 4, (2, 3)), rng.standard_normal((2, 3, 2))
        other.forward(ids)
        other.backward(dout)
        if alone:
            with arrays.no_host_sync():
                layer.forward(ids)
                layer.backward(dout)
        else:
            layer.forward(ids)
            layer.backward(dout)
        assert (layer.rows is None) == alone
        assert_allclose(layer.grads[0], other.grads[0])


def test_a_mask_drawn_beforehand_is_the_same() -> None:
    layer, other = (TimeDropout(0.5, np.random.default_rng(0)) for _ in range(2))
    xs = np.ones((2, 3, 4))
    for _ in range(2):
        layer.draw((2, 3, 4), like=xs)
        with arrays.no_host_sync():
            dropped = layer.forward(xs)
        assert_array_equal(dropped, other.forward(xs))


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_an_update_may_be_given_its_factor(name: str) -> None:
    rng = np.random.default_rng(0)
    whole, parts = (OPTIMIZERS[name](lr=0.1) for _ in range(2))
    p = rng.standard_normal((3, 2))
    q = p.copy()
    for _ in range(3):
        g = rng.standard_normal((3, 2))
        whole.update([p], [g])
        parts.apply([q], [g], np.array(parts.next_rate()))
    assert_array_equal(p, q)
    assert whole.step == parts.step == 3
