"""Resuming a run: the same numbers, or a clear error."""

import os
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.testing import assert_array_equal

from elman.errors import ConfigError, RunError, TextError
from elman.formats.model_file import read_arrays
from elman.text_model import load
from elman.training.optimizers import OPTIMIZERS
from elman.training.progress import EpochDone
from elman.training.run import TrainingRun
from elman.training.run_folder import read_stored, write_stored
from support.full_disk import files_of_at_most
from support.runs import FILES, contents, in_parts, names, new_run, small_config, without_seconds
from support.tiny import SENTENCE, STORY

COMBINATIONS: list[dict[str, Any]] = [
    {"optimizer": name, "lr": lr, **kind}
    for (name, lr), kind in zip(
        [("sgd", 0.5), ("momentum", 0.1), ("adagrad", 0.1), ("rmsprop", 0.01), ("adam", 0.01)] * 2,
        [
            {"cell": "rnn", "schedule": "plateau", "dropout": 0.3},
            {"cell": "lstm", "schedule": "cosine", "dropout": 0.3, "layers": 2},
            {
                "cell": "rnn",
                "level": "char",
                "wordvec": 0,
                "batch_size": 1,
                "wrap": "restart",
                "reduction": "sum",
            },
            {"cell": "gru", "schedule": "cosine", "level": "char", "dropout": 0.3},
            {"cell": "lstm", "schedule": "plateau", "wordvec": 6, "tie_weights": True, "dropout": 0.3},
            {"cell": "gru", "schedule": "cosine", "level": "char", "wordvec": 0},
            {"cell": "rnn", "schedule": "plateau", "level": "byte"},
            {"cell": "lstm", "schedule": "cosine", "level": "char", "dropout": 0.3, "clip_value": 0.1},
            {"cell": "rnn", "schedule": "plateau", "layers": 2, "max_vocab": 12, "dropout": 0.3},
            {"cell": "gru", "schedule": "cosine", "dropout": 0.3, "lower": True, "max_tokens": 50},
        ],
        strict=True,
    )
]
RESIDUAL: dict[str, Any] = {
    "block": "residual",
    "cell": "lstm",
    "mlp": 6,
    "layers": 2,
    "dropout": 0.3,
    "averaging": "tail",
}
WINDOWS: list[dict[str, Any]] = [
    {"model": "cbow", "window": 3, "schedule": "cosine", "dropout": 0.3},
    {"model": "nplm", "window": 7, "schedule": "plateau", "level": "char", "lr": 0.01},
    {"model": "nplm", "window": 1, "wordvec": 6, "tie_weights": True, "batch_size": 1, "wrap": "restart"},
]
LINEAR: list[dict[str, Any]] = [
    {"cell": "mingru", "softmax": "sampled", "candidates": 5, "layers": 2},
    {"cell": "minlstm", "wordvec": 6, "tie_weights": True, "layers": 2, "dropout": 0.3},
    {"cell": "fpool", "level": "char", "wordvec": 0},
    {"cell": "qrnn", "layers": 2, "dropout": 0.3},
    {"cell": "sru", "layers": 2, "softmax": "adaptive", "cutoffs": "6,12"},
    {"cell": "rglru", "layers": 2, "batch_size": 1, "wrap": "restart"},
    {"cell": "rwkv4", "batch_size": 4, "tie_weights": True, "wordvec": 8, "hidden": 100},
    {"cell": "rwkv7", "wordvec": 8, "hidden": 100, "layers": 2, "dropout": 0.3},
    {"cell": "mamba", "batch_size": 4, "tie_weights": True, "wordvec": 6},
    {"cell": "mamba2", "layers": 2, "dropout": 0.3, "wordvec": 6},
]


@pytest.mark.parametrize(
    "options",
    [*COMBINATIONS, *WINDOWS, *LINEAR, RESIDUAL],
    ids=lambda o: f"{o.get('optimizer', 'adam')}-{o.get('cell') or o['model']}-{o.get('level', 'word')}",
)
def test_a_resumed_run_equals_one_that_never_stopped(tmp_path: Path, options: dict[str, Any]) -> None:
    (tmp_path / "valid.txt").write_text(SENTENCE + "tom was in the garden .\n", encoding="utf-8")
    valid = str(tmp_path / "valid.txt")
    whole = new_run(tmp_path / "whole", valid=valid, **options)
    whole.train()
    blocks = whole.trainer.progress.iteration // 3
    parts = in_parts(
        new_run(tmp_path / "parts", valid=valid, **options),
        {1, blocks - 1, blocks, blocks + 2, 3 * blocks - 1},
    )
    assert parts.trainer.ppl_list == whole.trainer.ppl_list
    for name, weight in whole.trainer.model.weights.items():
        assert np.array_equal(parts.trainer.model.weights[name], weight), name
    ours, theirs = (read_arrays(run.folder / "last.safetensors")[0] for run in (parts, whole))
    assert ours.keys() == theirs.keys()
    for name in ours:
        assert np.array_equal(ours[name], theirs[name]), name
    assert without_seconds(parts.folder) == without_seconds(whole.folder)
    assert contents(parts.folder)["model.safetensors"] == contents(whole.folder)["model.safetensors"]


def test_every_optimizer_is_among_them() -> None:
    assert {options["optimizer"] for options in COMBINATIONS} == set(OPTIMIZERS)


def test_what_came_after_the_checkpoint_is_forgotten(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A crash: metrics and the best model are ahead of the last checkpoint."""
    monkeypatch.setattr("elman.training.run.EPOCH_WORTH_SAVING", 0)
    whole, crashed = new_run(tmp_path / "whole"), new_run(tmp_path / "crashed")
    whole.train()

    def crash(event: Any) -> None:
        if isinstance(event, EpochDone) and event.epoch == 2:
            raise RuntimeError("the power is gone")

    with pytest.raises(RuntimeError, match="the power is gone"):
        crashed.train(crash)
    crashed.metrics.write("interval", iteration=999)
    (crashed.folder / ".last.safetensors.abc.part").write_bytes(b"half a fi")
    again = TrainingRun.resume(crashed.folder)
    assert again.trainer.progress.epoch == 1
    assert names(crashed.folder) == FILES
    again.train()
    assert without_seconds(crashed.folder) == without_seconds(whole.folder)
    assert contents(crashed.folder)["model.safetensors"] == contents(whole.folder)["model.safetensors"]


def test_a_resumed_run_still_knows_its_best_model(tmp_path: Path) -> None:
    run = in_parts(new_run(tmp_path / "run"), {20})
    assert run.text_model.info["best"] == load(run.folder).info["best"]
    again = TrainingRun.resume(run.folder)
    assert again.text_model.info == run.text_model.info


def test_a_resumed_run_can_have_more_epochs(tmp_path: Path) -> None:
    longer, run = new_run(tmp_path / "longer", epochs=5), new_run(tmp_path / "run")
    longer.train()
    run.train()
    assert TrainingRun.resume(run.folder).finished
    again = TrainingRun.resume(run.folder, {"epochs": 5})
    assert not again.finished
    again.train()
    for ours, theirs in zip(again.trainer.model.params, longer.trainer.model.params, strict=True):
        assert_array_equal(ours, theirs)
    assert TrainingRun.resume(run.folder).config.epochs == 5  # it is written down


@pytest.mark.parametrize(
    ("options", "more"),
    [
        ({"iterations": 9}, {"iterations": 12}),
        ({"patience": 1, "lr": 1e-30, "epochs": 50}, {"patience": 2}),
        ({"time_budget": 1e-9}, {"time_budget": 1e-8}),
    ],
    ids=["iterations", "patience", "time budget"],
)
def test_a_run_at_its_limit_is_finished_until_the_limit_is_raised(
    tmp_path: Path, options: dict[str, Any], more: dict[str, Any]
) -> None:
    run = new_run(tmp_path / "run", **options)
    assert not run.finished
    run.train()
    assert run.finished
    again = TrainingRun.resume(run.folder)
    assert again.finished
    done = again.trainer.progress.iteration
    again.train()
    assert again.trainer.progress.iteration == done
    if "time_budget" not in more:
        further = TrainingRun.resume(run.folder, more)
        further.train()
        assert further.trainer.progress.iteration > done


@pytest.mark.parametrize(
    ("name", "value"), [("hidden", 7), ("lr", 0.5), ("optimizer", "sgd"), ("seed", 1), ("level", "char")]
)
def test_what_would_make_it_another_training_cannot_be_changed(tmp_path: Path, name: str, value: Any) -> None:
    run = new_run(tmp_path / "run")
    before = contents(run.folder)
    was = run.config.to_dict()[name]
    with pytest.raises(
        ConfigError, match=f"was started with {name} = {was!r} and cannot continue with {value!r}"
    ):
        TrainingRun.resume(run.folder, {name: value})
    assert contents(run.folder) == before


def test_an_option_that_agrees_may_be_repeated(tmp_path: Path) -> None:
    run = new_run(tmp_path / "run")
    assert TrainingRun.resume(run.folder, {"hidden": 6, "epochs": 4}).config.epochs == 4


def test_a_change_out_of_range_is_refused(tmp_path: Path) -> None:
    run = new_run(tmp_path / "run")
    with pytest.raises(ConfigError, match="epochs"):
        TrainingRun.resume(run.folder, {"epochs": 0})


def test_a_run_can_be_resumed_from_any_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "corpus.txt").write_text(STORY, encoding="utf-8")
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path)
    run = TrainingRun.create(
        Path("run"), "corpus.txt", small_config(), valid="corpus.txt", allow_overlap=True
    )
    assert run.text_model.info["corpus"] == "corpus.txt"
    monkeypatch.chdir(tmp_path / "elsewhere")
    again = TrainingRun.resume(Path("..") / "run")
    assert again.corpora.valid is not None
    assert again.text_model.info == run.text_model.info


@pytest.mark.parametrize("corpus", ["hello", "rooms"])
def test_a_named_corpus_keeps_its_name(tmp_path: Path, corpus: str) -> None:
    TrainingRun.create(tmp_path / "run", corpus, small_config(), valid="none")
    again = TrainingRun.resume(tmp_path / "run")
    assert again.corpora.name == corpus
    assert again.corpora.valid is None


def test_a_changed_corpus_is_noticed(tmp_path: Path) -> None:
    run = new_run(tmp_path / "run")
    corpus = tmp_path / "corpus.txt"
    corpus.write_text(STORY.replace("tom", "tim"), encoding="utf-8")
    with pytest.raises(RunError, match=r"corpus.txt' has changed since .* was started; restore it"):
        TrainingRun.resume(run.folder)
    corpus.write_text(STORY, encoding="utf-8")
    assert TrainingRun.resume(run.folder).trainer.progress.iteration == 0


@pytest.mark.parametrize("name", ["corpus.txt", "valid.txt"])
def test_a_text_changed_under_the_same_size_and_time_is_noticed(tmp_path: Path, name: str) -> None:
    (tmp_path / "valid.txt").write_text(SENTENCE, encoding="utf-8")
    run = new_run(tmp_path / "run", valid=str(tmp_path / "valid.txt"))
    path = tmp_path / name
    before, whole = path.stat(), path.read_bytes()
    path.write_bytes(whole.replace(b"e", b"a"))
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    with pytest.raises(RunError, match=rf"{name}' has changed since .* was started; restore it"):
        TrainingRun.resume(run.folder)
    path.write_bytes(whole)
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert TrainingRun.resume(run.folder).trainer.progress.iteration == 0


@pytest.mark.parametrize("valid", ["none", "auto", "other.txt"])
def test_another_validation_in_the_options_is_refused(tmp_path: Path, valid: str) -> None:
    for name in ("valid.txt", "other.txt"):
        (tmp_path / name).write_text(f"{name[0]} {SENTENCE}", encoding="utf-8")
    run = new_run(tmp_path / "run", valid=str(tmp_path / "valid.txt"))
    path = run.folder / "config.toml"
    now = str(tmp_path / valid) if "." in valid else valid
    whole = path.read_text("utf-8")
    path.write_text(whole.replace(str(tmp_path / "valid.txt"), now), encoding="utf-8")
    with pytest.raises(
        RunError, match=r"other.txt' has changed since|started with a validation text of its own, and"
    ):
        TrainingRun.resume(run.folder)


EDITED: dict[str, Any] = {
    "lr": 0.5,
    "seed": 9,
    "dropout": 0.25,
    "optimizer": "sgd",
    "batch_size": 3,
    "clip_norm": 7.0,
    "schedule": "cosine",
    "encoding": "latin-1",
    "min_count": 2,
    "report_every": 6,
}


@pytest.mark.parametrize(("name", "value"), EDITED.items())
def test_an_edited_option_is_refused(tmp_path: Path, name: str, value: Any) -> None:
    run = new_run(tmp_path / "run")
    path = run.folder / "config.toml"
    stored = read_stored(path)
    was = stored["options"][name]
    stored["options"][name] = value
    write_stored(path, stored)
    message = f"says {name} = {value!r}, but the checkpoint next to it has {was!r}; restore that value"
    with pytest.raises(ConfigError, match=re.escape(message)):
        TrainingRun.resume(run.folder)


def test_a_limit_may_be_edited(tmp_path: Path) -> None:
    run = new_run(tmp_path / "run")
    stored = read_stored(run.folder / "config.toml")
    stored["options"]["epochs"] = 7
    write_stored(run.folder / "config.toml", stored)
    assert TrainingRun.resume(run.folder).config.epochs == 7


def test_resuming_reads_the_ids_that_the_start_has_encoded(tmp_path: Path) -> None:
    (tmp_path / "valid.txt").write_text(SENTENCE, encoding="utf-8")
    run = new_run(tmp_path / "run", valid=str(tmp_path / "valid.txt"), min_count=2)
    kept = {path: path.stat().st_mtime_ns for path in (tmp_path / ".elman-cache").iterdir()}
    with files_of_at_most(0):  # a full disk
        TrainingRun.resume(run.folder)
    assert {path: path.stat().st_mtime_ns for path in (tmp_path / ".elman-cache").iterdir()} == kept


def test_a_corpus_that_is_gone_is_named(tmp_path: Path) -> None:
    run = new_run(tmp_path / "run")
    (tmp_path / "corpus.txt").unlink()
    with pytest.raises(TextError, match=r"corpus.txt"):
        TrainingRun.resume(run.folder)
