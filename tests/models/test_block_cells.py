"""Models of cells that are blocks by themselves: their sizes, what they refuse, and the states they carry."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from elman.errors import ConfigError, ModelFileError
from elman.formats.model_file import read_model, save_model
from elman.inspection.trace import trace
from elman.models import recurrent
from elman.models.parameters import CELLS, plan_weights
from elman.models.recurrent import RecurrentLM
from elman.models.recurrent_state import RecurrentState
from elman.models.regularisation import Regularisation
from elman.workers import use_workers
from support.blocks import BLOCKS
from support.tiny import small_lm, text_model

V, D, T = 9, 8, 21
every_cell = pytest.mark.parametrize("cell", BLOCKS)


def model_of(cell: str, **options: Any) -> RecurrentLM:
    return small_lm(V, D, cell=cell, layers=3, sizes=BLOCKS[cell].sizes, **options)


@every_cell
def test_the_hidden_size_is_the_width_of_the_word_vectors(cell: str) -> None:
    model = small_lm(V, D, 5, cell=cell)
    assert (model.hidden_size, model.output_size) == (D, D)
    assert model.hyperparameters["hidden_size"] == D


@every_cell
def test_blocks_are_not_put_into_blocks_and_need_word_vectors(cell: str) -> None:
    with pytest.raises(ConfigError, match="is a residual block by itself; leave out `block='residual'`"):
        plan_weights(V, D, D, cell, block="residual")
    with pytest.raises(ConfigError, match="but wordvec is 0"):
        plan_weights(V, 0, D, cell)
    with pytest.raises(ConfigError, match="`mlp=3` is the width of an MLP in residual blocks"):
        plan_weights(V, D, D, cell, mlp=3)
    with pytest.raises(ConfigError, match="unknown size 'heads'; choose from"):
        plan_weights(V, D, D, cell, sizes={"heads": 2})
    with pytest.raises(ConfigError, match="`cell='gru'` has no sizes but `hidden`; leave out head"):
        plan_weights(V, D, D, "gru", sizes={"head": 2})
    with pytest.raises(ConfigError, match=r"`recurrent_dropout=0.1` drops weights of Wh"):
        RecurrentLM(V, D, D, cell, regularisation=Regularisation(recurrent_dropout=0.1))


@every_cell
def test_a_file_has_the_sizes(tmp_path: Path, cell: str) -> None:
    lm = text_model("word", cell=cell, D=D, layers=2, sizes=BLOCKS[cell].sizes)
    save_model(tmp_path / "model.safetensors", lm)
    again = read_model(tmp_path / "model.safetensors").model
    assert isinstance(lm.model, RecurrentLM)
    assert again.sizes == lm.model.sizes == BLOCKS[cell].sizes
    for name, weight in lm.model.weights.items():
        assert_array_equal(again.weights[name], weight)


@every_cell
@pytest.mark.parametrize("workers", [1, 3])
def test_reading_in_parts_is_reading_whole_with_any_number_of_threads(cell: str, workers: int) -> None:
    model, ids = model_of(cell), np.random.default_rng(0).integers(0, V, (2, T))
    whole, after = model.target_log_probs(ids, model.start(2))
    with use_workers(workers):
        first, state = model.target_log_probs(ids[:, :13], model.start(2))
        second, end = model.target_log_probs(ids[:, 13:], RecurrentState.from_arrays(state.to_arrays()))
    assert_allclose(np.concatenate([first, second], 1), whole, rtol=1e-9)
    assert tuple(end.layer(0)) == BLOCKS[cell].states
    for name, state_of_name in end.arrays.items():
        assert_allclose(state_of_name, after.arrays[name], rtol=1e-9, atol=1e-9)


@every_cell
def test_long_texts_are_read_in_parts(cell: str, monkeypatch: pytest.MonkeyPatch) -> None:
    model, ids = model_of(cell), np.random.default_rng(0).integers(0, V, (2, T))
    whole, after = model.target_log_probs(ids, model.start(2))
    hs = model.hidden(ids, model.start(2))
    monkeypatch.setattr(recurrent, "NUMBERS_AT_ONCE", 1)
    monkeypatch.setattr(recurrent, "LEAST_ROWS", 7)
    in_parts, end = model.target_log_probs(ids, model.start(2))
    assert_allclose(in_parts, whole, rtol=1e-9)
    assert_allclose(model.hidden(ids, model.start(2)), hs, rtol=1e-9, atol=1e-12)
    for name, state in end.arrays.items():
        assert_allclose(state, after.arrays[name], rtol=1e-9, atol=1e-12)


@every_cell
def test_reading_nothing_keeps_the_state(cell: str) -> None:
    model, ids = model_of(cell), np.random.default_rng(0).integers(0, V, (2, 3))
    state = model.feed(ids, model.start(2))
    found, after = model.target_log_probs(ids[:, :0], state)
    assert found.shape == (2, 0)
    assert after == state


@every_cell
def test_training_with_threads_gives_the_same_gradients(cell: str) -> None:
    xs, ts = np.random.default_rng(0).integers(0, V, (2, 2, T))
    found = []
    for workers in (1, 3):
        model = model_of(cell)
        with use_workers(workers):
            for _ in range(2):
                loss = model.forward(xs, ts)
                model.backward()
        found.append([loss, *model.grads])
    for ours, theirs in zip(*found, strict=True):
        assert_allclose(ours, theirs, rtol=1e-7, atol=1e-10)


@every_cell
def test_the_state_of_a_sequence_can_be_reset_alone(cell: str) -> None:
    model, ids = model_of(cell), np.random.default_rng(0).integers(0, V, (2, 5))
    model.forward(ids, ids)
    model.reset_state(np.array([1]))
    state = model.carried_state()
    assert state is not None
    for arrays in state.arrays.values():
        assert all(array[0].any() and not array[1].any() for array in arrays)


@every_cell
def test_its_parts_can_be_traced_but_not_exported(tmp_path: Path, cell: str) -> None:
    lm = text_model("word", cell=cell, D=D, layers=2)
    found = trace(lm, "tom was watching tv")
    assert found.choices == BLOCKS[cell].inside
    assert found.values(BLOCKS[cell].inside[-1], 0).shape == (4, D)
    with pytest.raises(ModelFileError, match=f"`cell='{cell}'` cannot be written as an ONNX file"):
        lm.export(tmp_path / "model.onnx")


@every_cell
def test_the_usual_head_is_the_largest_divisor_up_to_64(cell: str) -> None:
    for width, head in ((64, 64), (192, 64), (100, 50), (7, 7)):
        plan = CELLS[cell].plan(width, width, 2, 1)
        sizes = CELLS[cell].sizes_of({name: weight.shape for name, weight in plan.items()})
        assert sizes.get("head", head) == head
