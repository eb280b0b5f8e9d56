"""A run that several ranks train together: its files, its end, and what is refused. The ranks are threads."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from numpy.testing import assert_allclose

from elman.errors import ConfigError, FailedElsewhere, RunError
from elman.formats.model_file import read_arrays
from elman.training.launch import carry_out, new_run, resumed_run
from elman.training.ranks import Ranks
from elman.training.run import TrainingRun
from elman.training.shared_run import is_own_run, shared_run, started_again
from support.ranks import on_ranks
from support.runs import FILES, assert_same_end, names, without_seconds
from support.runs import new_run as run_alone
from support.tiny import STORY

OPTIONS: dict[str, Any] = {
    **{
        "cell": "lstm",
        "dropout": 0.3,
        "wordvec": 5,
        "hidden": 6,
        "batch_size": 4,
        "time_size": 4,
        "lr": 0.02,
    },
    **{"epochs": 4, "report_every": 5, "checkpoint_every": 1e9, "weight_scale": 0.3, "fresh_lines": True},
}


@pytest.fixture
def corpus(tmp_path: Path) -> Path:
    path = tmp_path / "corpus.txt"
    path.write_text(STORY * 2, encoding="utf-8")
    return path


def begin(corpus: Path, folder: Path, **options: Any) -> Callable[[], Any]:
    how: dict[str, Any] = {"column": None, "recipe": None, "valid": str(corpus), "init_from": None}
    how |= {
        "extend_vocab": False,
        "allow_overlap": True,
        "overwrite": False,
        "choose": False,
        "progress": False,
    }
    return lambda: new_run(str(corpus), folder, OPTIONS | options, **how)


def resume(folder: Path, **changes: Any) -> Callable[[], Any]:
    return lambda: resumed_run(folder, changes, None, None, False)


def train(size: int, folder: Path, begun: Callable[[], Any], stop_at: int = 0) -> None:
    """Train a run on ranks; each is asked to stop by rank ``size - 1`` after an iteration."""

    def work(ranks: Ranks) -> None:
        with shared_run(ranks, folder, begun) as run:
            if ranks.first and stop_at:
                carry_out(run, False, lambda event: getattr(event, "iteration", 0) < stop_at, True)
            else:
                carry_out(run, False, None, True)

    on_ranks(size, work)


def assert_close_end(ours: Path, theirs: Path, rtol: float = 1e-3) -> None:
    arrays, expected = (read_arrays(each / "last.safetensors")[0] for each in (ours, theirs))
    assert arrays.keys() == expected.keys()
    for name in expected:
        assert_allclose(arrays[name], expected[name], rtol=rtol, atol=1e-5, err_msg=name)
    for line, other in zip(without_seconds(ours), without_seconds(theirs), strict=True):
        assert line.keys() == other.keys()
        if line["kind"] == "epoch":
            assert line["valid_perplexity"] == pytest.approx(other["valid_perplexity"], rel=1e-4)


@pytest.fixture
def alone(corpus: Path, tmp_path: Path) -> Path:
    with begin(corpus, tmp_path / "alone")() as (folder, run):
        carry_out(run, False, None, False)
    return Path(folder)


def test_a_shared_run_ends_like_a_run_of_one_process(corpus: Path, tmp_path: Path, alone: Path) -> None:
    train(3, tmp_path / "run", begin(corpus, tmp_path / "run"))
    assert names(tmp_path / "run") == FILES
    assert_close_end(tmp_path / "run", alone)


def test_it_resumes_with_other_numbers_of_ranks(corpus: Path, tmp_path: Path, alone: Path) -> None:
    folder = tmp_path / "run"
    train(2, folder, begin(corpus, folder), stop_at=7)
    train(3, folder, resume(folder), stop_at=13)
    with resume(folder)() as (_, run):
        assert run.trainer.progress.iteration == 13
        carry_out(run, False, None, True)
    assert_close_end(folder, alone)


def test_with_the_same_number_of_ranks_it_resumes_bit_for_bit(corpus: Path, tmp_path: Path) -> None:
    whole, parts = tmp_path / "whole", tmp_path / "parts"
    train(3, whole, begin(corpus, whole))
    train(3, parts, begin(corpus, parts), stop_at=5)
    train(3, parts, resume(parts), stop_at=11)
    train(3, parts, resume(parts))
    assert_same_end(TrainingRun.read(parts), TrainingRun.read(whole))


@pytest.mark.parametrize(
    "options", [{"model": "nplm", "cell": "rnn"}, {"softmax": "sampled", "candidates": 5}, {"accumulate": 2}]
)
def test_other_models_resume_too(corpus: Path, tmp_path: Path, options: dict[str, Any]) -> None:
    whole, parts = tmp_path / "whole", tmp_path / "parts"
    with begin(corpus, whole, **options)() as (_, run):
        carry_out(run, False, None, False)
    train(2, parts, begin(corpus, parts, **options), stop_at=5)
    train(3, parts, resume(parts))
    assert_close_end(parts, whole)


def test_checkpoints_in_the_course_of_training_are_those_of_all_ranks(corpus: Path, tmp_path: Path) -> None:
    folder = tmp_path / "run"

    def work(ranks: Ranks) -> None:
        with shared_run(ranks, folder, begin(corpus, folder, checkpoint_every=1e-9)) as run:
            carry_out(run, False, None, False)

    on_ranks(2, work)
    assert names(folder) == FILES


def test_a_failure_of_rank_0_ends_all(corpus: Path, tmp_path: Path) -> None:
    failures: list[Exception] = []

    def work(ranks: Ranks) -> None:
        try:
            with shared_run(ranks, tmp_path / "run", begin(tmp_path / "missing.txt", tmp_path / "run")):
                raise AssertionError("not reached")
        except Exception as error:
            failures.append(error)

    on_ranks(3, work)
    assert sorted(type(each).__name__ for each in failures) == [
        "FailedElsewhere",
        "FailedElsewhere",
        "TextError",
    ]
    assert not (tmp_path / "run").exists()


def test_a_folder_that_one_rank_does_not_see(corpus: Path, tmp_path: Path) -> None:
    failures: dict[int, str] = {}

    def work(ranks: Ranks) -> None:
        folder = tmp_path / ("elsewhere" if ranks.rank == 1 else "run")
        try:
            with shared_run(ranks, folder, begin(corpus, tmp_path / "run")):
                raise AssertionError("not reached")
        except RunError as error:
            failures[ranks.rank] = str(error)

    on_ranks(2, work)
    assert failures[1] == (
        f"rank 1 of 2: {tmp_path / 'elsewhere'} holds no run to resume: config.toml or last.safetensors is missing; "
        f"all ranks must see the same folder ({tmp_path / 'elsewhere'})"
    )


@pytest.mark.parametrize("name", ["elman", "vocabulary", "weights"])
def test_ranks_that_differ_are_refused(
    corpus: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    digest = TrainingRun.digest
    others: list[TrainingRun] = []
    read = TrainingRun.read.__func__  # type: ignore[attr-defined]

    def reading(cls: Any, *arguments: Any) -> TrainingRun:
        others.append(read(cls, *arguments))
        return others[-1]

    monkeypatch.setattr(TrainingRun, "read", classmethod(reading))
    monkeypatch.setattr(
        TrainingRun, "digest", lambda run: digest(run) | ({name: "another"} if run in others else {})
    )
    failures: list[Exception] = []

    def work(ranks: Ranks) -> None:
        try:
            with shared_run(ranks, tmp_path / "run", begin(corpus, tmp_path / "run")):
                raise AssertionError("not reached")
        except RunError as error:
            failures.append(error)

    on_ranks(2, work)
    (message,) = [str(each) for each in failures if not isinstance(each, FailedElsewhere)]
    assert message.startswith(f'rank 1 has another {name} than rank 0: "another" instead of ')
    assert message.endswith("; all ranks must have the same elman, and see the same files")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"model": "ngram"}, "n-gram models are counted in one pass over the text"),
        ({"batch_size": 2}, "a minibatch of 2 sequences cannot be divided among 3 processes"),
        ({"batch_size": 1, "wrap": "restart"}, "a minibatch of 1 sequences cannot be divided"),
    ],
)
def test_what_several_processes_cannot_train(
    corpus: Path, tmp_path: Path, options: dict[str, Any], message: str
) -> None:
    how: dict[str, Any] = {"column": None, "recipe": None, "valid": None, "init_from": None, "choose": False}
    how |= {"extend_vocab": False, "allow_overlap": True, "overwrite": False, "progress": False}
    with (
        pytest.raises(ConfigError, match=message),
        new_run(str(corpus), tmp_path / "run", options, processes=3, **how),
    ):
        raise AssertionError("not reached")
    assert not (tmp_path / "run").exists()


def test_a_full_disk_on_rank_0_ends_all(
    corpus: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    failures: list[Exception] = []

    def full(*arguments: Any, **named: Any) -> None:
        raise RunError("cannot write: no space left on device")

    def work(ranks: Ranks) -> None:
        with shared_run(ranks, tmp_path / "run", begin(corpus, tmp_path / "run", iterations=2)) as run:
            monkeypatch.setattr("elman.training.run.save_checkpoint", full)
            try:
                carry_out(run, False, None, False)
            except RunError as error:
                failures.append(error)

    on_ranks(2, work)
    ours, theirs = sorted(failures, key=lambda each: isinstance(each, FailedElsewhere))
    assert "the weights of iteration 2 are lost, those of iteration 0 are in" in str(ours)
    assert isinstance(theirs, FailedElsewhere)


def test_ranks_that_are_started_again_know_their_run(corpus: Path, tmp_path: Path) -> None:
    memory: dict[str, str] = {}

    class Job(Ranks):
        def recall(self, name: str) -> str | None:
            return memory.get(name)

        def remember(self, name: str, value: str) -> None:
            memory[name] = value

    folder = tmp_path / "run"
    ranks = Job()
    run_alone(folder)
    assert not is_own_run(ranks, folder)  # of an earlier job, as it was there before
    assert not is_own_run(ranks, folder)  # started again, before the job has made its own
    with begin(corpus, tmp_path / "other")():
        pass
    (tmp_path / "other" / "config.toml").replace(folder / "config.toml")
    assert is_own_run(ranks, folder)
    memory.clear()
    assert not started_again(ranks)
    assert started_again(ranks)
