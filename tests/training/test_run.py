"""A run: begun, interrupted, gone on with, replaced."""

import json
import math
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.testing import assert_array_equal

from elman.errors import ConfigError, ModelFileError, RunError, TextError, TrainingDiverged
from elman.models.file import load, read_arrays, write_arrays
from elman.training.metrics import read_metrics
from elman.training.optimizers import OPTIMIZERS
from elman.training.progress import BlockDone, EpochDone
from elman.training.run import TrainingRun
from tiny import SENTENCE, STORY, new_run, small_config

FILES = ["config.toml", "last.safetensors", "metrics.jsonl", "model.safetensors"]


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def in_parts(run: TrainingRun, stops: set[int]) -> TrainingRun:
    """Train to the end, but stop after these iterations and go on from the folder alone."""

    def watch(event: Any) -> None:
        if isinstance(event, BlockDone) and event.iteration in stops:
            run.stop()

    run.train(watch)
    while not run.finished:
        run = TrainingRun.resume(run.folder)
        run.train(watch)
    return run


def without_seconds(folder: Path) -> list[dict[str, Any]]:
    return [
        {name: value for name, value in line.items() if name != "seconds"} for line in read_metrics(folder)
    ]


# A whole run


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


def test_the_first_line_of_the_metrics_says_what_the_run_is_about(tmp_path: Path) -> None:
    run = new_run(tmp_path / "run")
    first = read_metrics(run.folder)[0]
    assert first == {"kind": "start", **json.loads(json.dumps(run.describe()))}
    assert first["tokens"] == len(STORY.replace("\n", " . ").split())
    assert first["unit"] == "word"
    assert first["parameters"] == sum(p.size for p in run.trainer.model.params)
    assert first["options"] == run.config.to_dict()


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


# Going on


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


@pytest.mark.parametrize(
    "options", COMBINATIONS, ids=lambda o: f"{o['optimizer']}-{o['cell']}-{o.get('level', 'word')}"
)
def test_going_on_gives_the_numbers_of_a_run_that_never_stopped(
    tmp_path: Path, options: dict[str, Any]
) -> None:
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


def test_what_came_after_the_checkpoint_is_forgotten(tmp_path: Path) -> None:
    """A crash: metrics and the best model are ahead of the last checkpoint."""
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


def test_more_epochs_can_be_asked_for(tmp_path: Path) -> None:
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
    with pytest.raises(ConfigError, match=f"was begun with {name} = {was!r} and cannot go on with {value!r}"):
        TrainingRun.resume(run.folder, {name: value})
    assert contents(run.folder) == before


def test_an_option_that_agrees_may_be_repeated(tmp_path: Path) -> None:
    run = new_run(tmp_path / "run")
    assert TrainingRun.resume(run.folder, {"hidden": 6, "epochs": 4}).config.epochs == 4


def test_a_change_out_of_range_is_refused(tmp_path: Path) -> None:
    run = new_run(tmp_path / "run")
    with pytest.raises(ConfigError, match="epochs"):
        TrainingRun.resume(run.folder, {"epochs": 0})


def test_a_changed_corpus_is_noticed(tmp_path: Path) -> None:
    run = new_run(tmp_path / "run")
    corpus = tmp_path / "corpus.txt"
    corpus.write_text(STORY.replace("tom", "tim"), encoding="utf-8")
    with pytest.raises(RunError, match=r"corpus.txt' has changed since .* was begun; restore it"):
        TrainingRun.resume(run.folder)
    corpus.write_text(STORY, encoding="utf-8")
    assert TrainingRun.resume(run.folder).trainer.progress.iteration == 0


def test_a_corpus_that_is_gone_is_named(tmp_path: Path) -> None:
    run = new_run(tmp_path / "run")
    (tmp_path / "corpus.txt").unlink()
    with pytest.raises(TextError, match=r"corpus.txt"):
        TrainingRun.resume(run.folder)


# Damage


@pytest.mark.parametrize("missing", ["config.toml", "last.safetensors", "everything"])
def test_a_folder_without_a_run_cannot_be_resumed(tmp_path: Path, missing: str) -> None:
    run = new_run(tmp_path / "run")
    if missing == "everything":
        shutil.rmtree(run.folder)
    else:
        (run.folder / missing).unlink()
    with pytest.raises(RunError, match=r"holds no run to resume: config.toml or last.safetensors is missing"):
        TrainingRun.resume(run.folder)


@pytest.mark.parametrize(
    ("content", "error", "message"),
    [
        (b"corpus = ", ConfigError, "config.toml is not valid TOML"),
        (b"", RunError, "config.toml lacks corpus and valid and options"),
        (b'corpus = "a"\nvalid = 3\n[options]\n', RunError, "config.toml lacks valid"),
        (b'corpus = "a"\nvalid = ""\n[options]\nhiden = 1\n', ConfigError, "config.toml: .*hiden"),
        (b"\xff\xfe", RunError, "config.toml cannot be read: .*utf-8"),
    ],
)
def test_damaged_options_are_named(
    tmp_path: Path, content: bytes, error: type[Exception], message: str
) -> None:
    run = new_run(tmp_path / "run")
    (run.folder / "config.toml").write_bytes(content)
    with pytest.raises(error, match=message):
        TrainingRun.resume(run.folder)


def test_a_damaged_checkpoint_is_named(tmp_path: Path) -> None:
    run = new_run(tmp_path / "run", optimizer="adam", iterations=3)
    run.train()
    last = run.folder / "last.safetensors"
    whole = last.read_bytes()
    for length in (0, 100, len(whole) - 1):
        last.write_bytes(whole[:length])
        with pytest.raises(ModelFileError, match=r"last.safetensors is truncated"):
            TrainingRun.resume(run.folder)
    last.write_bytes(whole)
    arrays, about = read_arrays(last)
    write_arrays(last, {k: a for k, a in arrays.items() if k != "optimizer.m.1"}, about)
    with pytest.raises(ModelFileError, match=r"last.safetensors: .*incomplete .*optimizer.m.1"):
        TrainingRun.resume(run.folder)
    for part in ("vocabulary", "info"):
        write_arrays(last, arrays, {k: v for k, v in about.items() if k != part})
        with pytest.raises(ModelFileError, match=f"last.safetensors: .*{part}"):
            TrainingRun.resume(run.folder)
    for part in about["training"]:
        training = {k: v for k, v in about["training"].items() if k != part}
        write_arrays(last, arrays, {**about, "training": training})
        with pytest.raises(ModelFileError, match=r"last.safetensors: its description is incomplete"):
            TrainingRun.resume(run.folder)


def test_a_model_in_place_of_the_checkpoint_is_refused(tmp_path: Path) -> None:
    run = new_run(tmp_path / "run")
    run.train()
    shutil.copy(run.folder / "model.safetensors", run.folder / "last.safetensors")
    with pytest.raises(ModelFileError, match="is a model, but not a checkpoint"):
        TrainingRun.resume(run.folder)


def test_after_a_divergence_the_last_good_checkpoint_stays(tmp_path: Path) -> None:
    run = new_run(tmp_path / "run", optimizer="sgd", clip_norm=0, epochs=50)

    def poison(event: Any) -> None:
        if isinstance(event, BlockDone) and event.epoch == 2:
            run.trainer.model.params[1][0, 0] = math.nan
            run.save()

    before = contents(run.folder)
    with pytest.raises(TrainingDiverged):
        run.train(poison)
    again = TrainingRun.resume(run.folder)
    assert again.trainer.progress.epoch == 1
    assert all(np.isfinite(p).all() for p in again.trainer.model.params)
    assert contents(run.folder)["config.toml"] == before["config.toml"]


# Replacing


def test_a_run_is_not_replaced_unasked(tmp_path: Path) -> None:
    run = new_run(tmp_path / "run")
    run.train()
    before = contents(run.folder)
    with pytest.raises(
        RunError, match=r"holds a run already \(.*model.safetensors.*\); go on with it by --resume"
    ):
        new_run(run.folder)
    assert contents(run.folder) == before


@pytest.mark.parametrize("name", FILES)
def test_one_file_of_a_run_is_a_run(tmp_path: Path, name: str) -> None:
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / name).write_bytes(b"precious")
    with pytest.raises(RunError, match=f"holds a run already \\({name}\\)"):
        new_run(tmp_path / "run")


def overwrite(folder: Path, corpus: str, **options: Any) -> TrainingRun:
    return TrainingRun.create(folder, corpus, small_config(**options), overwrite=True)


def test_a_run_is_replaced_when_asked_and_what_is_not_its_own_stays(tmp_path: Path) -> None:
    run = new_run(tmp_path / "run")
    run.train()
    (run.folder / "notes.txt").write_text("mine")
    new = overwrite(run.folder, str(tmp_path / "corpus.txt"), hidden=9)
    assert names(run.folder) == sorted({*FILES, "notes.txt"} - {"model.safetensors"})
    assert new.trainer.model.hidden_size == 9
    assert [line["kind"] for line in read_metrics(run.folder)] == ["start"]
    assert TrainingRun.resume(run.folder).config.hidden == 9


@pytest.mark.parametrize(
    ("corpus", "options", "error"),
    [
        ("gone.txt", {}, TextError),
        ("empty.txt", {}, TextError),
        ("short.txt", {}, TextError),
        ("corpus.txt", {"tie_weights": True}, ConfigError),
        ("corpus.txt", {"wrap": "restart"}, ConfigError),
        ("corpus.txt", {"batch_size": 500}, TextError),
    ],
    ids=["missing", "empty", "too short", "no model", "no lanes", "too many lanes"],
)
@pytest.mark.parametrize("replacing", [True, False])
def test_what_fails_to_begin_leaves_everything_as_it_was(
    tmp_path: Path, corpus: str, options: dict[str, Any], error: type[Exception], replacing: bool
) -> None:
    (tmp_path / "empty.txt").touch()
    (tmp_path / "short.txt").write_text("a b c\n")
    old = new_run(tmp_path / "run")
    folder = old.folder if replacing else tmp_path / "new"
    if replacing:
        old.train()
    before = contents(old.folder)
    with pytest.raises(error):
        overwrite(folder, str(tmp_path / corpus), **options)
    assert contents(old.folder) == before
    assert not (tmp_path / "new").exists() or names(tmp_path / "new") == []


@pytest.mark.parametrize("place", ["file", "file/run"])
def test_a_folder_that_cannot_be_made_is_named(tmp_path: Path, place: str) -> None:
    (tmp_path / "file").write_text("not a folder")
    (tmp_path / "corpus.txt").write_text(STORY)
    with pytest.raises(RunError, match="cannot write the run folder"):
        overwrite(tmp_path / place, str(tmp_path / "corpus.txt"))
