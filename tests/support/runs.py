"""Short runs, and what tests check in their folders."""

from pathlib import Path
from typing import Any

from numpy.testing import assert_array_equal

from elman.formats.metrics_log import read_metrics
from elman.formats.model_file import read_arrays
from elman.training.config import Config
from elman.training.progress import BlockDone
from elman.training.run import TrainingRun
from support.tiny import STORY

FILES = ["config.toml", "last.safetensors", "metrics.jsonl", "model.safetensors"]


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def in_parts(run: TrainingRun, stops: set[int]) -> TrainingRun:
    """Train to the end, but stop after these iterations and resume from the folder alone."""

    def watch(event: Any) -> None:
        if isinstance(event, BlockDone) and event.iteration in stops:
            run.stop()

    run.train(watch)
    while not run.finished:
        run = TrainingRun.resume(run.folder)
        run.train(watch)
    return run


def without_seconds(folder: Path) -> list[dict[str, Any]]:
    """Return the metrics without what the clock decides: how long things took, and when a sample was drawn."""
    return [
        {name: value for name, value in line.items() if name != "seconds"}
        for line in read_metrics(folder)
        if line["kind"] != "sample"
    ]


def assert_same_end(run: TrainingRun, other: TrainingRun) -> None:
    """Both runs have the same last checkpoint, array by array, and the same metrics but for the seconds."""
    ours, theirs = (read_arrays(each.folder / "last.safetensors")[0] for each in (run, other))
    assert ours.keys() == theirs.keys()
    for name in ours:
        assert_array_equal(ours[name], theirs[name], err_msg=name)
    assert without_seconds(run.folder) == without_seconds(other.folder)


def small_config(**options: Any) -> Config:
    """Options of a very short training."""
    small = {"wordvec": 5, "hidden": 6, "batch_size": 2, "time_size": 4, "epochs": 3, "report_every": 5}
    if options.get("model") == "cbow":
        del small["hidden"]  # it has no hidden layer
    return Config.of({**small, "checkpoint_every": 1e9, "weight_scale": 0.3, **options}, "this test")


def new_run(folder: Path, text: str = STORY, valid: str | None = None, **options: Any) -> TrainingRun:
    """A run in a folder, on a text in a file next to it."""
    corpus = folder.parent / "corpus.txt"
    if not corpus.exists():
        corpus.write_text(text, encoding="utf-8")
    return TrainingRun.create(folder, str(corpus), small_config(**options), valid=valid)
