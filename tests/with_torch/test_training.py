"""Training on torch tensors: the numbers of NumPy, the same files, and a run that changes over."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from elman.backend import Backend
from elman.cli import main
from elman.errors import ConfigError
from elman.evaluation.perplexity import evaluate
from elman.formats.model_file import read_arrays
from elman.models.recurrent import RecurrentLM
from elman.text_model import load
from elman.training.progress import BlockDone
from elman.training.run import TrainingRun
from support.runs import in_parts, new_run
from support.tiny import SENTENCE, small_lm

torch = pytest.importorskip("torch")
torch.set_num_threads(1)
pytestmark = pytest.mark.torch

OPTIONS: list[dict[str, Any]] = [
    {"cell": "rnn", "optimizer": "sgd", "lr": 0.5, "reduction": "sum", "clip_value": 0.1},
    {"cell": "lstm", "optimizer": "adam", "layers": 2, "dropout": 0.3},
    {"cell": "gru", "optimizer": "adagrad", "dropout": 0.3, "wordvec": 6, "tie_weights": True},
    {"cell": "gru", "optimizer": "momentum", "wordvec": 0, "level": "char"},
    {"cell": "lstm", "optimizer": "rmsprop", "lr": 0.005, "softmax": "adaptive", "cutoffs": "5,10"},
    {"model": "cbow", "window": 3, "dropout": 0.3, "wordvec": 6, "tie_weights": True},
    {"cell": "rnn", "averaging": "tail", "averaging_share": 1.0, "weight_decay": 2.0},
    {"model": "nplm", "window": 3, "optimizer": "adagrad", "dropout": 0.3},
]


def train(folder: Path, **options: Any) -> tuple[TrainingRun, list[float]]:
    losses: list[float] = []
    run = new_run(folder, iterations=20, epochs=100, **options)
    run.train(lambda event: losses.append(event.loss_nats) if isinstance(event, BlockDone) else None)
    return run, losses


@pytest.mark.parametrize("options", OPTIONS, ids=lambda o: "-".join(map(str, o.values())))
def test_the_first_blocks_have_the_losses_of_numpy(tmp_path: Path, options: dict[str, Any]) -> None:
    (tmp_path / "valid.txt").write_text(SENTENCE + "tom was in the garden .\n", encoding="utf-8")
    valid = str(tmp_path / "valid.txt")
    theirs, expected = train(tmp_path / "numpy", valid=valid, **options)
    ours, losses = train(tmp_path / "torch", valid=valid, backend="torch", **options)
    assert all(isinstance(p, torch.Tensor) for p in ours.trainer.model.params)
    assert len(losses) == 20
    assert_allclose(losses, expected, rtol=1e-5)
    assert ours.sample(10) == theirs.sample(10)
    best = [run.text_model.info["best"]["perplexity"] for run in (ours, theirs)]
    assert best[0] == pytest.approx(best[1], rel=1e-5)


def test_weights_and_masks_are_drawn_by_numpy() -> None:
    model, other = (
        RecurrentLM(9, 4, 5, "gru", 2, 0.5, rng=np.random.default_rng(0), backend=Backend(library))
        for library in ("numpy", "torch")
    )
    ids = np.random.default_rng(0).integers(0, 9, (2, 3))
    for m in (model, other):
        m.forward(ids, ids)
    for name, weight in model.weights.items():
        assert_array_equal(weight, other.weights[name].numpy())
    for layer, same in zip(model.layers, other.layers, strict=True):
        if hasattr(layer, "ratio"):
            assert_array_equal(layer._mask, same._mask.numpy())


def test_files_do_not_say_what_computed_them(tmp_path: Path) -> None:
    run, _ = train(tmp_path / "torch", backend="torch", dropout=0.3, optimizer="adam")
    other, _ = train(tmp_path / "numpy", dropout=0.3, optimizer="adam")
    for name in ("model.safetensors", "last.safetensors"):
        arrays, about = read_arrays(run.folder / name)
        expected, same = read_arrays(other.folder / name)
        assert arrays.keys() == expected.keys()
        assert about["model"] == same["model"]
        for key, array in arrays.items():
            assert array.dtype == expected[key].dtype
            assert_allclose(array, expected[key], rtol=1e-3, atol=1e-5)
    ids = run.corpora.train.ids
    by_numpy, by_torch = (load(run.folder, backend).model for backend in (Backend(), Backend("torch")))
    assert type(by_numpy.weights["0.b"]) is np.ndarray
    assert evaluate(by_torch, ids).perplexity == pytest.approx(evaluate(by_numpy, ids).perplexity, rel=1e-6)


@pytest.mark.parametrize("changes", [{"backend": "numpy"}, {"precision": "bf16"}, {}], ids=str)
def test_a_run_goes_on_with_any_backend(tmp_path: Path, changes: dict[str, Any]) -> None:
    options = {"dropout": 0.3, "cell": "lstm", "optimizer": "adam", "epochs": 4, "backend": "torch"}
    whole = new_run(tmp_path / "whole", **options)
    whole.train()
    run = new_run(tmp_path / "parts", **options)
    run.train(lambda event: run.stop() if isinstance(event, BlockDone) and event.iteration == 9 else None)
    again = TrainingRun.resume(run.folder, changes)
    again.train()
    assert again.finished
    assert again.trainer.model.backend.library == changes.get("backend", "torch")
    tolerance = 0.02 if "precision" in changes else 1e-5
    for name, weight in whole.trainer.model.weights.items():
        assert_allclose(np.asarray(again.trainer.model.weights[name]), weight, rtol=tolerance, atol=tolerance)


def test_going_on_gives_the_numbers_of_a_run_that_never_stopped(tmp_path: Path) -> None:
    options = {"dropout": 0.3, "cell": "gru", "optimizer": "adam", "backend": "torch"}
    whole = new_run(tmp_path / "whole", **options)
    whole.train()
    parts = in_parts(new_run(tmp_path / "parts", **options), {1, 5, 10})
    for name, weight in whole.trainer.model.weights.items():
        assert torch.equal(parts.trainer.model.weights[name], weight)


def test_states_of_tensors_are_values_like_others() -> None:
    model = RecurrentLM(9, 4, 5, "lstm", rng=np.random.default_rng(0), backend=Backend("torch"))
    state = model.feed(np.array([[1, 2], [3, 4]]), model.start(2))
    first, second = state.select([0]), state.select(np.array([1]))
    assert first.join(second) == state
    assert hash(first.join(second)) == hash(state)
    assert state.select([1, 0]).select([1, 0]) == state


def test_weights_that_are_tensors_are_used_as_they_are() -> None:
    weights = {name: torch.tensor(weight) for name, weight in small_lm().weights.items()}
    model = RecurrentLM(9, 4, 5, weights=weights)
    assert model.backend == Backend("torch")
    assert all(model.weights[name].data_ptr() == weight.data_ptr() for name, weight in weights.items())


def test_a_read_only_array_is_copied_without_a_warning() -> None:
    array = np.zeros(3, np.float32)
    shared = Backend("torch").place(array)
    array[0] = 1
    assert shared[0] == 1
    array.flags.writeable = False
    assert Backend("torch").place(array)[0] == 1


def test_eval_computes_with_either(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run, _ = train(tmp_path / "run")
    text = str(tmp_path / "corpus.txt")
    for more in ([], ["--backend", "torch"]):
        main(["eval", str(run.folder), text, *more])
    lines = capsys.readouterr().out.splitlines()
    assert lines[: len(lines) // 2] == lines[len(lines) // 2 :]


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU here")
def test_a_gpu_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="torch finds no usable GPU for device 'cuda'"):
        new_run(tmp_path / "run", backend="torch", device="cuda")
    assert not (tmp_path / "run").exists()


def test_a_device_that_torch_does_not_know_is_refused() -> None:
    with pytest.raises(ConfigError, match="torch has no device 'abacus' on this machine"):
        Backend("torch", device="abacus")
