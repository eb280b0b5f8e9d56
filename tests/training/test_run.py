"""A run from beginning to end, and the files in its folder."""

import json
from pathlib import Path
from typing import Any

import pytest
from numpy.testing import assert_array_equal

from elman.formats.metrics_log import read_metrics
from elman.text_model import load
from elman.training.progress import BlockDone, EpochDone
from elman.training.run import TrainingRun
from support.runs import FILES, names, new_run
from support.tiny import STORY
from support.windows import Windows


def test_a_run_leaves_its_options_its_models_and_its_metrics(tmp_path: Path) -> None:
    run = new_run(tmp_path / "run")
    assert names(run.folder) == [name for name in FILES if name != "model.safetensors"]
    run.train()
    assert names(run.folder) == FILES
    assert run.finished
    kinds = [line["kind"] for line in read_metrics(run.folder)]
    assert kinds[0] == "start"
    assert kinds.count("epoch") == 3
    assert kinds.count("interval") == run.trainer.progress.iteration // 5


def test_the_metrics_hold_the_gradients_norm_and_a_sample(tmp_path: Path) -> None:
    run, norms = new_run(tmp_path / "run"), []

    def watch(event: Any) -> None:
        if isinstance(event, BlockDone):
            norms.append(event.grad_norm)

    run.train(watch)
    lines = read_metrics(run.folder)
    first = next(line for line in lines if line["kind"] == "interval")
    assert first["grad_norm"] == sum(norms[:5]) / 5
    assert first["lr"] == run.config.lr
    sample = [line for line in lines if line["kind"] == "sample"][-1]
    assert sample["text"] == run.sample(run.config.sample_length)
    assert sample["iteration"] == run.trainer.progress.iteration


def test_the_first_line_of_the_metrics_says_what_the_run_is_about(tmp_path: Path) -> None:
    run = new_run(tmp_path / "run")
    first = read_metrics(run.folder)[0]
    assert first == {"kind": "start", **json.loads(json.dumps(run.describe()))}
    assert first["tokens"] == len(STORY.replace("\n", " . ").split())
    assert first["unit"] == "word"
    assert first["parameters"] == sum(p.size for p in run.trainer.model.params)
    assert first["options"] == run.config.to_dict()


def test_the_memory_is_that_of_all_arrays_of_the_weights_shapes(tmp_path: Path) -> None:
    run = new_run(tmp_path / "run", optimizer="adam")
    run.train()
    model, optimizer = run.trainer.model, run.trainer.optimizer
    arrays = [*model.params, *model.grads, *(array for kept in optimizer.state.values() for array in kept)]
    assert run.memory_needed() == sum(array.nbytes for array in arrays)


def test_the_best_model_is_kept_and_not_the_last(tmp_path: Path) -> None:
    (tmp_path / "valid.txt").write_text("tom said hi to mary .\n" * 3, encoding="utf-8")
    run = new_run(tmp_path / "run", valid=str(tmp_path / "valid.txt"), epochs=12, optimizer="adam", lr=0.05)
    found: dict[float, Any] = {}

    def keep(event: Any) -> None:
        if isinstance(event, EpochDone):
            assert event.valid_perplexity is not None
            found[event.valid_perplexity] = [p.copy() for p in run.trainer.model.params]

    run.train(keep)
    best = min(found)
    assert best != list(found)[-1]  # it over-fits: otherwise this test would show nothing
    model: Any = load(run.folder)
    for ours, theirs in zip(model.model.params, found[best], strict=True):
        assert_array_equal(ours, theirs)
    assert model.info["best"]["perplexity"] == best == run.trainer.progress.best_perplexity
    assert load(run.folder / "last.safetensors").info["best"] == model.info["best"]


def test_a_sample_is_a_function_of_seed_and_iteration_and_disturbs_nothing(tmp_path: Path) -> None:
    sampling, quiet = (new_run(tmp_path / name, dropout=0.2) for name in ("a", "b"))
    samples: list[str] = []

    def sample(event: Any) -> None:
        if isinstance(event, BlockDone):
            samples.append(sampling.sample(8))
            assert sampling.sample(8) == samples[-1]

    first = sampling.sample(8)
    assert first == quiet.sample(8)
    sampling.train(sample)
    quiet.train()
    assert len(first.split()) >= 7  # a newline may be among the eight tokens
    assert len(set(samples)) > 1
    for ours, theirs in zip(sampling.trainer.model.params, quiet.trainer.model.params, strict=True):
        assert_array_equal(ours, theirs)


def test_the_seed_makes_the_run(tmp_path: Path) -> None:
    runs = [new_run(tmp_path / name, seed=seed) for name, seed in (("a", 1), ("b", 1), ("c", 2))]
    for run in runs:
        run.train()
    a, b, c = ((run.folder / "model.safetensors").read_bytes() for run in runs)
    assert a == b != c


def test_a_text_begins_as_the_model_was_trained_to_begin(tmp_path: Path) -> None:
    circle, restart = (new_run(tmp_path / wrap, batch_size=1, wrap=wrap) for wrap in ("circle", "restart"))
    for run in (circle, restart):
        run.train()
    end_of_line = circle.text_model.vocabulary.eos_id
    assert end_of_line is not None
    for name in ("model.safetensors", "last.safetensors"):
        assert load(circle.folder / name).start_id == end_of_line
        assert load(restart.folder / name).start_id is None
    assert TrainingRun.resume(restart.folder).text_model.start_id is None


def test_a_run_on_windows_whose_corpus_changes_while_its_ids_are_mapped(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    windows = Windows(monkeypatch)
    run = new_run(tmp_path / "run", iterations=7)
    (ids,) = (tmp_path / ".elman-cache").glob("*.ids")
    windows.mapped = {ids}
    run.train()
    resumed = TrainingRun.resume(run.folder, {"iterations": 0})
    resumed.train()
    (tmp_path / "corpus.txt").write_text(STORY * 2, encoding="utf-8")
    other = new_run(tmp_path / "other")
    assert other.corpora.train.tokens == 2 * run.corpora.train.tokens
    assert_array_equal(other.corpora.train.ids[: len(run.corpora.train.ids)], run.corpora.train.ids)
    assert load(resumed.folder).info["best"]["epoch"] >= 1
