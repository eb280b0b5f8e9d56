"""Models of Mamba's blocks: reading, training, saving, and what is refused."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

import elman
from elman.errors import ConfigError, ModelFileError
from elman.formats.model_file import build_model, describe_model
from elman.formats.state_dict import to_arrays
from elman.gradcheck import check_gradients
from elman.models.recurrent import RecurrentLM
from elman.models.regularisation import Regularisation
from support.tiny import blocks_of, ids_of_length, small_lm, text_model

V, D, H, N, T = 9, 4, 6, 2, 5
MODELS: dict[str, dict[str, Any]] = {
    "mamba": {"cell": "mamba", "layers": 2},
    "mamba, sizes, tied": {"cell": "mamba", "sizes": {"state": 2, "rank": 3}, "tie_weights": True},
    "mamba2": {"cell": "mamba2", "layers": 2},
    "mamba2, groups, tied": {
        "cell": "mamba2",
        "sizes": {"head": 3, "groups": 2, "state": 2},
        "tie_weights": True,
    },
    "mamba2, adaptive": {"cell": "mamba2", "adaptive": [4]},
}
every_model = pytest.mark.parametrize("options", MODELS.values(), ids=MODELS)


def mamba_lm(**options: Any) -> RecurrentLM:
    return small_lm(V, **{"D": D, "H": H, **options})


@every_model
def test_gradients_of_the_whole_model_agree_with_differences(options: dict[str, Any]) -> None:
    xs, ts, before = blocks_of(V, N, T, 3)
    report = check_gradients(mamba_lm(**options), xs, ts, before=before, eps=1e-6, max_entries=8)
    assert report.passed, report


@every_model
def test_reading_in_pieces_is_reading_whole_and_what_training_sees(options: dict[str, Any]) -> None:
    model = mamba_lm(**options)
    (ids,) = blocks_of(V, N, 7, 1)
    whole, after = model.target_log_probs(ids, model.start(N))
    first, between = model.target_log_probs(ids[:, :3], model.start(N))
    second, end = model.target_log_probs(ids[:, 3:], between)
    assert_allclose(np.concatenate((first, second), axis=1), whole, rtol=1e-12)
    assert set(end.arrays) == set(model.rnn_layer.state_widths) == {"h", "s", "conv"}
    for name, arrays in end.arrays.items():
        assert_allclose(arrays, after.arrays[name], rtol=1e-12)
    state = model.start(N)
    for t in range(7):
        assert_allclose(model.next_log_probs(state)[range(N), ids[:, t]], whole[:, t], rtol=1e-11)
        state = model.feed(ids[:, t : t + 1], state)
    assert state.h[-1].shape == (N, D)
    model.carry(model.feed(ids[:, :1], model.start(N)))
    assert_allclose(model.forward(ids[:, 1:-1], ids[:, 2:]), -whole[:, 2:].mean(), rtol=1e-12)


@every_model
def test_a_file_holds_the_model(options: dict[str, Any], tmp_path: Path) -> None:
    model = mamba_lm(**options)
    arrays, about = describe_model(model)
    again = build_model(arrays, about, tmp_path)
    assert again.hyperparameters == model.hyperparameters
    ids = ids_of_length(12, V).reshape(N, 6)
    assert_array_equal(
        again.target_log_probs(ids, again.start(N))[0], model.target_log_probs(ids, model.start(N))[0]
    )


def test_sizes_in_a_damaged_file_are_refused(tmp_path: Path) -> None:
    arrays, about = describe_model(mamba_lm(cell="mamba2"))
    for sizes, message in (
        ([3], "does not agree"),
        ({"head": "x"}, "does not agree"),
        ({"head": 4}, "hidden 6"),
    ):
        with pytest.raises(ConfigError, match=message):
            build_model(arrays, {**about, "model": {**about["model"], "sizes": sizes}}, tmp_path)


def test_what_each_block_adds_is_dropped() -> None:
    model = mamba_lm(cell="mamba2", layers=2, dropout=0.3, regularisation=Regularisation(output_dropout=0.0))
    assert all(branch.dropout is not None for layer in model.rnn_layers for branch in layer.branches)  # type: ignore[attr-defined]
    xs, ts = blocks_of(V, N, T, 2)
    dropped = model.forward(xs, ts)
    model.backward()
    model.train_mode(False)
    model.reset_state()
    assert model.forward(xs, ts) != dropped


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"D": 0}, "`cell='mamba2'` adds to the word vectors, but wordvec is 0"),
        (
            {"block": "residual"},
            "`cell='mamba2'` is a residual block by itself; leave out `block='residual'`",
        ),
        ({"mlp": 3}, "`mlp=3` is the width of an MLP in residual blocks"),
        ({"sizes": {"head": 4}}, "hidden 6 is not 1 groups of heads of width 4"),
        ({"cell": "gru", "sizes": {"head": 4}}, "`cell='gru'` has no sizes but `hidden`; leave out head"),
        (
            {"regularisation": Regularisation(recurrent_dropout=0.4)},
            "drops weights of Wh, which a TimeStateSpace has",
        ),
        ({"init": "orthogonal"}, "init 'orthogonal' is for a hidden-to-hidden matrix Wh"),
    ],
)
def test_what_does_not_go_together_is_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        mamba_lm(**{"cell": "mamba2", **options})


def test_what_is_inside_can_be_looked_at() -> None:
    lm = text_model(cell="mamba2", layers=2)
    text = "tom was watching tv"
    traced = elman.trace(lm, text)
    assert traced.choices == ("h", "x", "B", "C", "dt", "y")
    assert traced.values("h").shape == (4, 4)
    assert traced.values("dt", 0).shape == (4, 1)
    assert (traced.values("dt") > 0).all()
    assert (elman.through_time(lm, text, 3).norms > 0).all()


def test_other_formats_refuse_it() -> None:
    with pytest.raises(ModelFileError, match="PyTorch has no layer for `cell='mamba2'`"):
        to_arrays(mamba_lm(cell="mamba2"))
