"""Models of residual blocks: reading, training, saving, and what is refused."""

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
from elman.inspection.gradient_flow import gradient_flow
from elman.layers import TimeDropout, TimeResidualBlock
from elman.models.adaptive.learner import Learner
from elman.models.parameters import draw_weights, plan_weights
from elman.models.recurrent import RecurrentLM
from elman.models.recurrent_state import RecurrentState
from elman.models.regularisation import Regularisation
from elman.training.optimizers import Adam
from elman.training.step import TrainingStep
from support.tiny import STORY, blocks_of, ids_of_length, small_lm, text_model

V, D, H, M, N, T = 9, 4, 5, 6, 2, 5
MODELS: dict[str, dict[str, Any]] = {
    "two blocks": {"cell": "gru", "layers": 2},
    "lstm, MLP": {"cell": "lstm", "layers": 2, "mlp": M},
    "tied": {"cell": "mingru", "tie_weights": True},
    "adaptive": {"cell": "rnn", "adaptive": [4], "mlp": M},
}
every_model = pytest.mark.parametrize("options", MODELS.values(), ids=MODELS)


def residual_lm(**options: Any) -> RecurrentLM:
    return small_lm(V, **{"D": D, "H": H, "block": "residual", **options})


@every_model
def test_gradients_of_the_whole_model_agree_with_differences(options: dict[str, Any]) -> None:
    xs, ts, before = blocks_of(V, N, T, 3)
    report = check_gradients(residual_lm(**options), xs, ts, before=before, eps=1e-6, max_entries=8)
    assert report.passed, report


@every_model
def test_reading_in_pieces_is_reading_whole_and_what_training_sees(options: dict[str, Any]) -> None:
    model = residual_lm(**options)
    (ids,) = blocks_of(V, N, 7, 1)
    whole, after = model.target_log_probs(ids, model.start(N))
    first, between = model.target_log_probs(ids[:, :3], model.start(N))
    second, end = model.target_log_probs(ids[:, 3:], between)
    assert_allclose(np.concatenate((first, second), axis=1), whole, rtol=1e-12)
    assert set(end.arrays) == set(model.rnn_layer.state_widths)
    for name, arrays in end.arrays.items():
        assert_allclose(arrays, after.arrays[name], rtol=1e-12)
    state = model.feed(ids[:, :1], model.start(N))
    assert state.h[-1].shape == (N, D)
    assert_allclose(np.exp(model.next_log_probs(state)).sum(axis=1), 1, rtol=1e-12)
    read = model.target_log_probs(ids[:, 1:], state)[0]
    assert_allclose(model.forward(ids[:, :-1], ids[:, 1:]), -read.mean(), rtol=1e-12)


@every_model
def test_the_carried_state_is_a_value(options: dict[str, Any]) -> None:
    model = residual_lm(**options)
    (xs, ts), (ys, us) = zip(blocks_of(V, N, T, 2), blocks_of(V, N, T, 2, seed=1), strict=True)
    model.forward(xs, ts)
    state = model.carried_state()
    assert state is not None
    loss = model.forward(ys, us)
    model.carry(RecurrentState.from_arrays(state.to_arrays()))
    assert model.forward(ys, us) == loss
    model.reset_state(np.array([1]))
    carried = model.carried_state()
    assert carried is not None
    assert all((a[1] == 0).all() and (a[0] != 0).any() for arrays in carried.arrays.values() for a in arrays)


@every_model
def test_a_file_holds_the_model(options: dict[str, Any], tmp_path: Path) -> None:
    model = residual_lm(**options)
    arrays, about = describe_model(model)
    assert about["model"]["block"] == "residual"
    again = build_model(arrays, about, tmp_path)
    assert again.hyperparameters == model.hyperparameters
    ids = ids_of_length(12, V).reshape(N, 6)
    assert_array_equal(
        again.target_log_probs(ids, again.start(N))[0], model.target_log_probs(ids, model.start(N))[0]
    )


def test_a_plain_model_is_described_as_before() -> None:
    assert not {"block", "mlp"} & set(small_lm(V).hyperparameters)


def test_dropout_stands_in_the_branches_and_penalties_after_the_blocks() -> None:
    every = Regularisation("block", 0.2, 0.5, 0.3, 0.4, 2.0, 1.5)
    model = residual_lm(cell="gru", layers=2, dropout=0.3, regularisation=every)
    kinds = [type(layer) for layer in model.layers]
    assert kinds.count(TimeDropout) == 2  # before the blocks, and after them
    assert all(branch.dropout is not None for block in model.rnn_layers for branch in block.branches)  # type: ignore[attr-defined]
    assert kinds.count(TimeResidualBlock) == 2
    assert model.rnn_layers[0].recurrence.dropout is not None  # type: ignore[attr-defined]
    xs, ts = blocks_of(V, N, T, 2)
    dropped = model.forward(xs, ts)
    model.backward()
    model.train_mode(False)
    model.reset_state()
    assert model.forward(xs, ts) != dropped
    model.reset_state()
    assert model.forward(xs, ts) == residual_lm(cell="gru", layers=2).forward(xs, ts)


def test_weights_of_wh_are_dropped_only_where_the_cell_has_them() -> None:
    with pytest.raises(ConfigError, match="drops weights of Wh, which a TimeMinGRU has not"):
        residual_lm(cell="mingru", regularisation=Regularisation(recurrent_dropout=0.4))


def test_eight_blocks_train_without_diverging() -> None:
    model = RecurrentLM(
        V, 16, 16, "mingru", 8, rng=np.random.default_rng(0), block="residual", tie_weights=True
    )
    step = TrainingStep(model, Adam(0.005), max_grad=1.0)
    ids = np.tile(ids_of_length(40, V), 60)  # a text that repeats itself
    rows = ids[: 4 * 600].reshape(4, 600)
    losses = [
        step(rows[:, t : t + 8], rows[:, t + 1 : t + 9])[0] for _ in range(3) for t in range(0, 592 - 8, 8)
    ]
    assert losses[0] == pytest.approx(np.log(V), abs=0.1)
    assert max(losses) < 1.2 * losses[0]
    assert np.mean(losses[-20:]) < 0.5 * losses[0]


def test_the_first_output_grows_little_with_depth() -> None:
    xs = np.random.default_rng(0).integers(0, V, (N, T))
    of_depth = {}
    for layers in (1, 8):
        plan = plan_weights(
            V, 32, 32, "lstm", layers, tie_weights=True, embedding_scale=1.0, block="residual", mlp=32
        )
        weights = draw_weights(plan, rng=np.random.default_rng(0))
        del weights[f"{layers - 1}.last_gain"]
        model = RecurrentLM(
            V, 32, 32, "lstm", layers, tie_weights=True, weights=weights, block="residual", mlp=32
        )
        of_depth[layers] = float((np.asarray(model.feed(xs, model.start(N)).h[-1]) ** 2).mean())
    assert of_depth[8] < 2 * of_depth[1]


def test_gains_begin_at_one_whatever_the_scale_of_the_weights() -> None:
    plan = plan_weights(V, D, H, "gru", 2, block="residual", mlp=M)
    gains = {name for name in plan if name.endswith("gain")}
    assert gains == {"0.gain", "0.mlp_gain", "1.gain", "1.mlp_gain", "1.last_gain"}
    for scale in (None, 0.1):
        weights = draw_weights(plan, scale, np.random.default_rng(0))
        assert all((weights[name] == 1).all() for name in gains)


def test_orthogonal_weights_reach_the_cell_inside() -> None:
    plan = plan_weights(V, D, H, "rnn", block="residual")
    Wh = draw_weights(plan, rng=np.random.default_rng(0), dtype=np.float64, init="orthogonal")["0.cell.Wh"]
    assert_allclose(Wh @ Wh.T, np.eye(H), atol=1e-12)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"D": 0}, "residual blocks add to the word vectors, but wordvec is 0"),
        ({"block": "plain", "mlp": 3}, "`mlp=3` is the width of an MLP in residual blocks"),
        ({"block": "dense"}, "unknown block 'dense'; choose from plain, residual"),
        ({"mlp": -1}, "mlp must be ≥ 1, or 0 for none, got -1"),
    ],
)
def test_what_does_not_go_together_is_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        residual_lm(**options)


def test_dynamic_evaluation_learns_with_a_copy() -> None:
    model = residual_lm(cell="gru")
    learner = Learner(model)
    read = learner.read(learner.model.start(), ids_of_length(6, V))
    assert read.hidden.shape == (5, D)


def test_what_is_inside_can_be_looked_at() -> None:
    lm = text_model(block="residual", cell="lstm", layers=2)
    text = "tom was watching tv"
    traced = elman.trace(lm, text)
    assert traced.choices == ("h", "cell_h", "cell_c", "i", "f", "g", "o")
    assert traced.values("h").shape == (4, 4)
    assert traced.values("cell_c", 0).shape == (4, 5)
    assert (elman.through_time(lm, text, 3).norms > 0).all()
    ids = np.array(lm.encode(STORY)[1][:9])
    for flow in gradient_flow(lm.model, ids, 2):
        assert flow.arriving.shape == (7, 6)
        assert (flow.flowing[-1, :-1] > 0).all()


def test_other_formats_refuse_it() -> None:
    with pytest.raises(ModelFileError, match="residual blocks cannot be written as a state dict"):
        to_arrays(residual_lm(cell="gru"))


def test_a_run_with_a_sampled_softmax_can_be_started_from(tmp_path: Path) -> None:
    (tmp_path / "story.txt").write_text(STORY, encoding="utf-8")
    same: dict[str, Any] = {"valid": "none", "epochs": 1, "batch_size": 4, "time_size": 10}
    sizes = {"cell": "mingru", "block": "residual", "mlp": M, "layers": 2, "wordvec": D, "hidden": H}
    sampled = {"level": "char", "softmax": "sampled", "candidates": 5}
    elman.train(tmp_path / "story.txt", tmp_path / "first", **same, **sizes, **sampled)
    elman.train(tmp_path / "story.txt", tmp_path / "second", init_from=tmp_path / "first", **same)
    model: Any = elman.load(tmp_path / "second").model
    assert (model.block, model.mlp, model.wordvec_size, model.hidden_size) == ("residual", M, D, H)
    with pytest.raises(ConfigError, match="`block` cannot be 'plain'"):
        elman.train(tmp_path / "story.txt", tmp_path / "third", init_from=tmp_path / "first", block="plain")
