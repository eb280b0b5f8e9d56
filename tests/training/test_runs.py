"""`elman.train`, `elman.open_run` and `elman.Run`: training from Python."""

import errno
import io
import logging
import os
import signal
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pandas
import pytest

import elman
from elman.errors import ConfigError, RunError, TextError
from elman.formats.metrics_log import read_metrics
from elman.formats.run_lock import locked
from elman.formats.versions import versions
from elman.training.interrupts import TrainingInterrupted
from elman.training.run import TrainingRun
from elman.training.run_folder import read_stored
from support.processes import interruptible
from support.runs import contents, names, new_run
from support.tiny import STORY

LINES = STORY.splitlines()
SMALL: dict[str, Any] = {"hidden": 6, "wordvec": 5, "batch_size": 2, "time_size": 4, "epochs": 2}
OTHER = ["ann was in the garden and said hi .", "tom came into the kitchen ."]


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The test's own folder, with the text my.txt, as the working directory."""
    monkeypatch.chdir(tmp_path)
    Path("my.txt").write_text(STORY, encoding="utf-8")
    return tmp_path


@pytest.mark.parametrize(
    "corpus",
    [
        lambda: "my.txt",
        lambda: Path("my.txt"),
        lambda: LINES,
        lambda: (line for line in LINES),
        lambda: pandas.Series(LINES),
        lambda: io.BytesIO(STORY.encode()),
    ],
    ids=["str", "Path", "list", "generator", "Series", "stream"],
)
def test_a_text_in_any_form_gives_the_same_run(corpus: Callable[[], Any]) -> None:
    run = elman.train(corpus(), "run", options=SMALL)
    perplexity = {"text": "training", "unit": "word", "epoch": 2}
    assert {
        name: value for name, value in run.to_dict()["best"].items() if name != "perplexity"
    } == perplexity
    assert run.best is not None
    assert run.best.perplexity == pytest.approx(23.39, abs=0.01)


def test_options_come_by_name_as_a_dictionary_and_from_a_recipe() -> None:
    Path("mine.toml").write_text("lr = 0.5\nhidden = 9\n", encoding="utf-8")
    run = elman.train(
        "my.txt", "run", recipe=Path("mine.toml"), options={**SMALL, "epochs": 9}, epochs=1, seed=np.int64(3)
    )
    chosen = run.options
    assert [chosen[name] for name in ("lr", "hidden", "epochs", "seed")] == [0.5, 6, 1, 3]
    again = elman.train("my.txt", "again", options=chosen)
    assert again.options == chosen


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"hiden": 3}, "unknown option 'hiden'; did you mean `hidden`?"),
        ({"recipie": "x"}, "unknown option 'recipie'; did you mean `recipe`?"),
        ({"zzz": 3}, "unknown option 'zzz'; see `elman.training.config.Config` for all options"),
        (
            {"options": {"valid": "auto"}},
            "`valid` is an argument, not one of the `options`; give it by itself",
        ),
        ({"hidden": "6"}, "options: hidden must be an integer ≥ 1 and ≤ 1,000,000, got '6'"),
        (
            {"model": "ngram", "hidden": 3},
            "`hidden` applies only to `model='rnn'` or `model='nplm'`, but model is 'ngram'; leave out `hidden=3`",
        ),
        (
            {"encoding": "cp949"},
            "`encoding='cp949'` is for files and binary streams; lines are str and have none: "
            "leave it out, or give all texts as files",
        ),
        ({"resume": True}, "name the folder of the run to continue: `output`"),
        (
            {"resume": True, "output": "run", "overwrite": True},
            "`resume=True` takes all but new limits from the run; leave out `overwrite`",
        ),
        (
            {"resume": True, "output": "run"},
            "a run continues on the texts that it began with; name the file to which one has moved",
        ),
    ],
)
def test_mistakes_in_the_arguments_are_named(arguments: dict[str, Any], message: str, folder: Path) -> None:
    with pytest.raises(ConfigError) as caught:
        elman.train(LINES, **arguments)
    assert str(caught.value) == message
    assert names(folder) == ["my.txt"]


def test_a_missing_corpus_and_a_text_in_its_place_are_named() -> None:
    with pytest.raises(ConfigError, match=r"^name a `corpus`: a file, a folder"):
        elman.train()
    with pytest.raises(
        ConfigError, match=r"\('tom was watching tv '\.\.\.\); give its lines: text.splitlines"
    ):
        elman.train(STORY)


def test_options_that_do_not_go_together_are_refused_by_every_way_to_make_a_run(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="`order` applies only to `model='ngram'`"):
        new_run(tmp_path / "run", order=3)
    assert not (tmp_path / "run").exists()


# The folder


def test_the_default_folder_is_named_after_the_corpus(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "elman")
    Path("books").mkdir()
    Path("books/one.txt").write_text(STORY, encoding="utf-8")
    corpora: list[Any] = ["my.txt", Path("my.txt"), "books", LINES, "hello"]
    made = [elman.train(corpus, options=SMALL).folder for corpus in corpora]
    assert made == [Path("runs", name) for name in ("my", "my-2", "books", "text", "hello")]
    assert [line for line in caplog.messages if line.startswith("run folder: ")][
        1
    ] == f"run folder: {made[1]}"
    assert elman.train("my.txt", overwrite=True, options=SMALL).folder == Path("runs/my")


def test_a_run_is_replaced_only_with_overwrite() -> None:
    elman.train("my.txt", "run", options=SMALL)
    with pytest.raises(RunError, match="continue it with `resume=True`, replace it with `overwrite=True`"):
        elman.train("my.txt", "run", options=SMALL)
    assert elman.train("my.txt", "run", overwrite=True, options=SMALL, hidden=7).options["hidden"] == 7


FAILURES: dict[str, tuple[dict[str, Any], type[BaseException]]] = {
    "no such text": ({"valid": "gone.txt"}, TextError),
    "text too short": ({"time_size": 1000}, TextError),
    "overlap": ({"valid": LINES}, TextError),
    "overlap of n-grams": ({"valid": LINES, "model": "ngram"}, TextError),
}


@pytest.mark.parametrize("output", [None, "a/b/run"])
@pytest.mark.parametrize("failure", FAILURES)
def test_a_failed_training_leaves_nothing(folder: Path, output: str | None, failure: str) -> None:
    arguments, error = FAILURES[failure]
    options = {} if "model" in arguments else SMALL
    with pytest.raises(error):
        elman.train(LINES, output, **{**options, **arguments})
    assert names(folder) == ["my.txt"]


def test_ctrl_c_before_the_first_checkpoint_leaves_nothing(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupt(*arguments: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("elman.training.run.new_model", interrupt)
    with pytest.raises(KeyboardInterrupt):
        elman.train(LINES, valid=OTHER, options=SMALL)
    assert names(folder) == ["my.txt"]


def test_a_failed_training_leaves_what_was_there(folder: Path) -> None:
    elman.train(LINES, "run", valid=OTHER, options=SMALL)
    Path("empty").mkdir()
    before = contents(folder / "run" / "valid"), names(folder / "run")
    for output in ("run", "empty"):
        with pytest.raises(TextError):
            elman.train(LINES * 2, output, valid=LINES, overwrite=True, options=SMALL)
    assert (contents(folder / "run" / "valid"), names(folder / "run")) == before
    assert names(folder / "empty") == []


# Training


def test_events_reach_the_callback_and_false_stops_after_the_block() -> None:
    events: list[Any] = []

    def callback(event: Any) -> bool | None:
        events.append(event)
        return False if isinstance(event, elman.BlockDone) and event.iteration == 12 else None

    run = elman.train(LINES, "run", callback=callback, options=SMALL, report_every=5, sample_every=4)
    assert {type(event) for event in events} == {
        elman.BlockDone,
        elman.IntervalDone,
        elman.EpochDone,
        elman.SampleDrawn,
    }
    assert TrainingRun.resume(run.folder).trainer.progress.iteration == 12
    assert [sample.iteration for sample in run.samples] == [0, 4, 8, 12]
    assert [each.iteration for each in run.history.intervals] == [5, 10]


def test_an_error_of_the_callback_propagates_and_the_run_can_be_resumed() -> None:
    def callback(event: Any) -> None:
        if isinstance(event, elman.EpochDone):
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        elman.train(LINES, "run", callback=callback, options=SMALL)
    run = elman.open_run("run")
    assert len(run.resume().history) == 2


def test_a_stopped_and_resumed_run_equals_one_that_never_stopped(tmp_path: Path) -> None:
    def stop(event: Any) -> bool:
        return not (isinstance(event, elman.BlockDone) and event.iteration == 12)

    whole = elman.train("my.txt", "whole", options=SMALL, dropout=0.2, epochs=3)
    parts = elman.train("my.txt", "parts", options=SMALL, dropout=0.2, epochs=3, callback=stop)
    assert parts.history.to_dict()["epoch"] == [1]
    assert parts.resume() is parts
    for name, weight in whole.model.model.weights.items():
        assert np.array_equal(parts.model.model.weights[name], weight), name
    assert [each.perplexity for each in parts.history] == [each.perplexity for each in whole.history]
    with pytest.raises(
        ConfigError, match="is finished: 3 epochs, 27 iterations; raise `epochs` or `iterations`"
    ):
        parts.resume()
    assert len(parts.resume(epochs=4).history) == 4


def test_an_interrupt_saves_the_run_and_is_raised_again() -> None:
    def interrupt(event: Any) -> None:
        if isinstance(event, elman.BlockDone) and event.iteration == 5:
            signal.raise_signal(signal.SIGINT)

    with interruptible():
        with pytest.raises(KeyboardInterrupt, match="stopped and saved after iteration 5") as caught:
            elman.train("my.txt", "run", callback=interrupt, options=SMALL)
        assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    assert isinstance(caught.value, TrainingInterrupted)
    assert TrainingRun.resume(Path("run")).trainer.progress.iteration == 5


def test_a_second_interrupt_ends_at_once() -> None:
    def interrupt(event: Any) -> None:
        if isinstance(event, elman.BlockDone) and event.iteration == 5:
            signal.raise_signal(signal.SIGINT)
            signal.raise_signal(signal.SIGINT)

    with interruptible(), pytest.raises(KeyboardInterrupt):
        elman.train("my.txt", "run", callback=interrupt, options=SMALL)
    assert TrainingRun.resume(Path("run")).trainer.progress.iteration == 0


def test_what_the_command_prints_is_logged(caplog: pytest.LogCaptureFixture, capfd: Any) -> None:
    caplog.set_level(logging.INFO, "elman")
    elman.train(LINES, "run", options=SMALL, valid=LINES, allow_overlap=True)
    first, warning, *_ = caplog.messages
    assert first.endswith(": 77 tokens (words), vocabulary 24, 360 parameters")
    assert caplog.records[1].levelno == logging.WARNING
    assert "repeats the training text" in warning
    assert [line[:7] for line in caplog.messages if line.startswith("epoch ")] == ["epoch 1", "epoch 2"]
    assert capfd.readouterr() == ("", "")


# The run


def test_a_run_shows_what_it_is_and_has_reached() -> None:
    run = elman.train("my.txt", "run", valid=OTHER, options=SMALL)
    assert repr(run).splitlines()[0] == "Run run"
    for part in (
        "rnn 1×6",
        "360 parameters",
        "my.txt: 77 tokens (words)",
        "best validation perplexity",
        "2 epochs",
    ):
        assert part in repr(run)
    assert run.corpus == str(Path("my.txt").absolute())
    assert run.to_dict()["parameters"] == 360
    assert list(run.history.to_pandas()["epoch"]) == [1, 2]
    assert "perplexities per word" in repr(run.history)
    assert "<svg" in run._repr_html_()
    assert "epochs</pre>" in run._repr_html_()
    assert run.plot("curve.png").axes
    assert Path("curve.png").stat().st_size > 1000


def test_without_matplotlib_a_notebook_shows_the_history(monkeypatch: pytest.MonkeyPatch) -> None:
    run = elman.train("my.txt", "run", options=SMALL)
    monkeypatch.setitem(__import__("sys").modules, "matplotlib.figure", None)
    assert "<svg" not in run._repr_html_()
    assert "<table>" in run._repr_html_()


def test_opening_a_run_does_not_read_its_corpus() -> None:
    made = elman.train("my.txt", "run", options=SMALL)
    Path("my.txt").unlink()
    run = elman.open_run("run")
    assert repr(run) == repr(made)
    assert run.model.score("tom was reading") < 0
    assert run.model is run.model
    with pytest.raises(RunError, match=r"^gone holds no run: config.toml is missing$"):
        elman.open_run("gone")


def test_the_model_is_read_again_when_there_is_a_better_one() -> None:
    run = elman.train("my.txt", "run", options=SMALL)
    first = run.model
    run.resume(epochs=3)
    assert run.model is not first
    assert run.model.info["best"]["epoch"] == 3


def test_a_run_without_a_whole_epoch_has_no_best() -> None:
    run = elman.train("my.txt", "run", options=SMALL, callback=lambda event: False)
    assert run.best is None
    assert "no epoch is over yet; last.safetensors holds the last model" in repr(run)
    assert run.model.score("tom") < 0


def test_ngrams_are_a_run_without_a_history() -> None:
    events: list[Any] = []
    run = elman.train("my.txt", "run", model="ngram", order=3, valid=OTHER, callback=events.append)
    assert events == []
    assert len(run.history) == 0
    assert run.best is not None
    assert run.best.text == "validation"
    assert run.model.order == 3
    assert "n-grams of up to 3 words" in repr(run)
    assert run._repr_html_().startswith("<pre ")
    with pytest.raises(RunError, match="holds an n-gram model, which is complete; start a new run"):
        run.resume()


def test_another_process_that_writes_the_run_is_named() -> None:
    run = elman.train("my.txt", "run", options=SMALL)
    before = contents(run.folder)
    mixed: list[elman.Model] = [elman.load("run"), elman.load("run")]

    def attempts() -> None:
        for attempt in (
            lambda: elman.train("my.txt", "run", options=SMALL, overwrite=True),
            lambda: elman.open_run("run").resume(epochs=3),
            lambda: elman.load("run").save("run", overwrite=True),
            lambda: elman.mix({"a": mixed[0], "b": mixed[1]}, "my.txt", "run", overwrite=True),
        ):
            with pytest.raises(
                RunError, match="run is being written by another thread of this process; wait"
            ):
                attempt()
        assert elman.open_run("run").best is not None  # reading needs no lock

    with locked(run.folder), ThreadPoolExecutor(1) as pool:
        pool.submit(attempts).result()
        assert {name: data for name, data in contents(run.folder).items() if name in before} == before
    assert contents(run.folder) == before


def test_a_run_is_locked_from_its_start_to_its_end() -> None:
    seen: list[bool] = []
    elman.train(
        "my.txt", "run", options=SMALL, callback=lambda event: seen.append(Path("run/.elman-lock").exists())
    )
    assert seen
    assert all(seen)
    assert not Path("run/.elman-lock").exists()


def test_a_run_records_the_versions_that_its_numbers_depend_on(monkeypatch: pytest.MonkeyPatch) -> None:
    run = elman.train("my.txt", "run", options=SMALL)
    recorded = [line["versions"] for line in read_metrics("run") if "versions" in line]
    assert recorded == [read_stored(Path("run/config.toml"))["versions"]] == [versions()]
    assert {"elman", "python", "numpy", "blas", "kernel", "threads"} <= set(recorded[0])
    run.resume(epochs=3)
    monkeypatch.setattr("elman.training.run.versions", lambda model=None: {**versions(), "numpy": "0.1"})
    run.resume(epochs=4)
    recorded = [line["versions"] for line in read_metrics("run") if "versions" in line]
    assert [each["numpy"] for each in recorded] == [np.__version__, "0.1"]
    assert len(elman.open_run("run").history) == 4


def test_a_terminal_that_is_closed_does_not_end_training(monkeypatch: pytest.MonkeyPatch) -> None:
    def closed(self: Any, event: Any) -> None:
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    monkeypatch.setattr("elman.training.launch.ProgressDisplay.__call__", closed)
    assert len(elman.train("my.txt", "run", options=SMALL).history) == 2


def test_copies_of_texts_belong_to_the_run_that_is_replaced() -> None:
    others = [f"ann has {k} hats ." for k in range(30)]
    texts: list[dict[str, Any]] = [
        {"corpus": LINES, "valid": "none"},
        {"corpus": LINES, "valid": OTHER},
        {"corpus": others, "valid": others[:3], "allow_overlap": True},
    ]
    for given in texts:
        run = elman.train(
            given["corpus"],
            "run",
            overwrite=True,
            options=SMALL,
            **{k: v for k, v in given.items() if k != "corpus"},
        )
        kept = {Path(each).resolve() for each in (run.corpus, run.valid or "") if each and each != "none"}
        assert {path.resolve() for path in Path("run").rglob("text-*.txt")} == kept
        assert len(run.resume(epochs=3).history) == 3
