"""Runs for users: `train` makes one in a folder, `open_run` opens one, and a `Run` is a handle of that folder."""

import inspect
import math
import os
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

from elman.errors import ConfigError, MissingExtra, RunError
from elman.formats.metrics_log import read_metrics
from elman.formats.model_file import LAST_NAME, MODEL_NAME, model_file
from elman.formats.run_files import CONFIG_NAME, METRICS_NAME, run_file
from elman.models.parameters import CELLS
from elman.plots import plot_runs, save, svg
from elman.results import as_row, html_text
from elman.text.sources import Text
from elman.text_model import TextModel, load
from elman.training.history import Best, History
from elman.training.launch import Callback, carry_out, given_options, new_run, resumed_run
from elman.training.process_group import TIMEOUT, started_ranks
from elman.training.processes import check_processes, train_in_processes
from elman.training.progress import EpochDone, IntervalDone, SampleDrawn, events_in
from elman.training.progress_display import log_choice
from elman.training.ranks import RANK, WORLD_SIZE
from elman.training.run_folder import read_stored
from elman.training.shared_run import Begun, is_own_run, shared_run, started_again


class Run:
    """A run in its folder, made by `elman.train` or opened by `elman.open_run`.

    All is read from the folder when it is used, so that a run can be watched while another process trains it.
    ``folder`` is its path.
    """

    def __init__(self, folder: str | os.PathLike[str]) -> None:
        self.folder = Path(folder)
        self._loaded: tuple[int, TextModel] | None = None
        self._read: tuple[tuple[int, int], list[dict[str, Any]]] | None = None

    @property
    def model(self) -> TextModel:
        """The best model so far or, before the first epoch is over, the last one; read when it is first used."""
        path = model_file(self.folder)
        written = path.stat().st_mtime_ns if path.exists() else 0
        if self._loaded is None or self._loaded[0] != written:
            self._loaded = written, load(path)
        return self._loaded[1]

    @property
    def options(self) -> dict[str, Any]:
        """All options of the training, defaults included."""
        return dict(self._stored["options"])

    @property
    def corpus(self) -> str:
        """The training text: a path, or the name of a corpus."""
        return str(self._stored["corpus"])

    @property
    def valid(self) -> str | None:
        """The validation text as it was given; None if none was."""
        return self._stored["valid"] or None

    @property
    def history(self) -> History:
        """The epochs with their perplexities; empty for n-grams, which are counted once."""
        lines = self._metrics
        return History(events_in(lines, EpochDone), events_in(lines, IntervalDone), self._start["unit"])

    @property
    def samples(self) -> tuple[SampleDrawn, ...]:
        """Texts that the model wrote in the course of its training."""
        return tuple(events_in(self._metrics, SampleDrawn))

    @property
    def best(self) -> Best | None:
        """The best perplexity; None where no epoch has had a finite one, or n-grams have no validation text."""
        unit = self._start["unit"]
        if (counted := self._counted) is not None:
            valid = counted["valid_perplexity"]
            return None if valid is None else Best(float(valid), unit, "validation", None)
        for epoch in reversed(self.history):
            on_valid = epoch.valid_perplexity is not None
            perplexity = epoch.perplexity if epoch.valid_perplexity is None else epoch.valid_perplexity
            if epoch.improved and math.isfinite(perplexity) and run_file(self.folder, MODEL_NAME).is_file():
                return Best(perplexity, unit, "validation" if on_valid else "training", epoch.epoch)
        return None

    def resume(
        self,
        *,
        corpus: str | os.PathLike[str] | None = None,
        valid: str | os.PathLike[str] | None = None,
        progress: bool = False,
        callback: Callback | None = None,
        **changes: Any,
    ) -> "Run":
        """Continue the training from its last checkpoint, with new limits such as ``epochs=20``; return this run.

        It ends as if it had not been interrupted. ``corpus`` and ``valid`` name texts that have moved. The arguments,
        and the errors, are those of `elman.train`.
        """
        train(corpus, self.folder, valid=valid, resume=True, progress=progress, callback=callback, **changes)
        return self

    def plot(self, path: str | os.PathLike[str] | None = None) -> Any:
        """Draw the learning curve with matplotlib and return the figure; save it if a path is given.

        Raises:
            MissingExtra: matplotlib is not installed.
            RunError: there is no point to draw yet, or the picture cannot be written.
        """
        figure = plot_runs([self.folder])
        if path is not None:
            save(figure, Path(path))
        return figure

    def summary(self) -> str:
        """Return the result in one line: the best perplexity and the time of training."""
        unit, best = self._start["unit"], self.best
        if (counted := self._counted) is not None:
            measured = "" if best is None else f"validation perplexity {best.perplexity:.4f} per {unit}, "
            ngrams = counted["ngrams"]
            return (
                f"{measured}{sum(ngrams):,} n-grams of up to {len(ngrams)} {unit}s, "
                f"{counted['seconds']:.1f} s of counting"
            )
        if best is None:
            found = "no epoch had a finite perplexity" if len(self.history) else "no epoch is over yet"
            return f"{found}; {LAST_NAME} holds the last model"
        seconds = max(float(line.get("seconds", 0.0)) for line in self._metrics)
        return (
            f"best {best.text} perplexity {best.perplexity:.4f} per {unit} (epoch {best.epoch}), "
            f"{seconds:.1f} s of training"
        )

    def to_dict(self) -> dict[str, Any]:
        """Return what the run is and has reached as plain data."""
        start, best = self._start, self.best
        return {
            "folder": str(self.folder),
            "corpus": self.corpus,
            "valid": self.valid,
            "tokens": start["tokens"],
            "vocab_size": start["vocab_size"],
            "unit": start["unit"],
            "parameters": start.get("parameters"),
            "epochs": len(self.history),
            "best": None if best is None else as_row(best),
            "options": self.options,
        }

    def __repr__(self) -> str:
        start, epochs = self._start, len(self.history)
        parameters = f", {start['parameters']:,} parameters" if "parameters" in start else ""
        reached = "" if self._counted is not None else f", {epochs} epoch{'' if epochs == 1 else 's'}"
        return (
            f"Run {self.folder}\n"
            f"  model   {_sizes(self.options)}{parameters}\n"
            f"  text    {start['corpus']}: {start['tokens']:,} tokens ({start['unit']}s), "
            f"vocabulary {start['vocab_size']:,}\n"
            f"  result  {self.summary()}{reached}"
        )

    def _repr_html_(self) -> str:
        """Return the learning curve or, without matplotlib, the history, and the lines of the repr."""
        try:
            picture = svg(self.plot())
        except (MissingExtra, RunError):  # n-grams, and the first moments of a run, have no curve
            picture = self.history._repr_html_() if len(self.history) else ""
        return f"{picture}{html_text(repr(self))}"

    @property
    def _stored(self) -> dict[str, Any]:
        return read_stored(run_file(self.folder, CONFIG_NAME))

    @property
    def _metrics(self) -> list[dict[str, Any]]:
        path = run_file(self.folder, METRICS_NAME)
        status = path.stat() if path.is_file() else None
        stamp = (0, 0) if status is None else (status.st_mtime_ns, status.st_size)
        if self._read is None or self._read[0] != stamp:
            self._read = stamp, read_metrics(self.folder)
        return self._read[1]

    @property
    def _start(self) -> dict[str, Any]:
        first = next((line for line in self._metrics if line["kind"] == "start"), None)
        if first is None:
            raise RunError(f"{self.folder}/metrics.jsonl does not say how the run started; it is damaged")
        return first

    @property
    def _counted(self) -> dict[str, Any] | None:
        """The line of the metrics that only the run of an n-gram model has."""
        return next((line for line in self._metrics if line["kind"] == "counted"), None)


def _sizes(options: Mapping[str, Any]) -> str:
    """Return the kind and the sizes of a model in words."""
    match options["model"]:
        case "ngram":
            return f"{options['order']}-gram, {options['smoothing']}"
        case "cbow":
            return f"cbow of {options['window']} words, word vectors of {options['wordvec']}"
        case "nplm":
            return f"nplm of {options['window']} words, {options['wordvec']}→{options['hidden']}"
    width = CELLS[options["cell"]].hidden_size(options["wordvec"], options["hidden"])
    return f"{options['cell']} {options['layers']}×{width}, word vectors of {options['wordvec']}"


def open_run(folder: str | os.PathLike[str]) -> Run:
    """Return the run in a folder. Nothing is loaded before it is used, and the corpus is not read.

    Raises:
        RunError: the folder holds no run.
    """
    if not run_file(Path(folder), CONFIG_NAME).is_file():
        raise RunError(f"{os.fspath(folder)} holds no run: {CONFIG_NAME} is missing")
    return Run(folder)


def train(
    corpus: Text | Any | None = None,
    output: str | os.PathLike[str] | None = None,
    *,
    column: str | None = None,
    recipe: str | os.PathLike[str] | None = None,
    valid: Text | Any | None = None,
    options: Mapping[str, Any] | None = None,
    init_from: str | os.PathLike[str] | TextModel | None = None,
    extend_vocab: bool = False,
    resume: bool = False,
    overwrite: bool = False,
    allow_overlap: bool = False,
    choose: bool | None = None,
    processes: int = 1,
    rank_timeout: float = TIMEOUT,
    progress: bool = False,
    callback: Callback | None = None,
    **more_options: Any,
) -> Run:
    """Train a language model on a text, and save it in a run folder.

    What happens is logged by `logging`, below the logger ``elman``. Ctrl-C, or the stop button of a notebook, ends
    training after the current block, saves everything and raises KeyboardInterrupt; ``open_run(folder).resume()``
    continues. A second one ends at once. If a training fails before its first checkpoint, no folder is left that it
    made.

    Args:
        corpus: the path of a file or folder, the name of a corpus, a binary stream, or lines. Streams and lines are
            copied to the run folder. With ``resume``, where the corpus has moved to.
        output: the run folder; by default a new one in ``runs/``, named after the corpus.
        column: the corpus is a CSV, TSV or JSON Lines file, or a table such as a pandas DataFrame, and this column
            holds its lines, which are copied to the run folder; so is a validation text that is given as a table.
        recipe: a named set of options, or the path of a TOML file.
        valid: the validation text, given like the corpus, or "none", or "auto": the validation part of a named corpus,
            else the last 5 % of the corpus. By default that of a named corpus, if it has one; where options are
            chosen, else the last 5 %.
        options: options of the training, as in `Config`: ``{"hidden": 200}``. They override the recipe.
        init_from: a model, its file or its run folder to start from: architecture, tokenizer, vocabulary and weights
            are taken over.
        extend_vocab: with ``init_from``, add the tokens of the corpus that the model lacks to its vocabulary.
        resume: continue the run in ``output`` from its last checkpoint; the options are new limits.
        overwrite: replace the run that is in ``output``.
        allow_overlap: allow a validation text that is mostly contained in the training text.
        choose: choose the options that are not given to suit the text, the time budget and the speed of this machine.
            By default, if there is no recipe, no model size and no ``init_from``.
        processes: train in so many processes of this machine, each on a part of every minibatch: the same result as
            one, up to rounding. (Under torchrun, leave it out: there are processes already; `output` must be given.)
        rank_timeout: with several processes, the seconds without an answer after which one is taken for lost.
        progress: show a progress bar, in a terminal or a notebook.
        callback: called with every event: `BlockDone`, `IntervalDone`, `EpochDone`, `Overfitting`, `SampleDrawn`.
            Training stops after the block, with everything saved, if it returns False. (Counting n-grams has none.)
        **more_options: options by name: ``hidden=200``. They override ``options``.

    Raises:
        ConfigError: an option is unknown, out of range, or does not go with another one.
        RunError: the folder already holds a run, cannot be written, or holds none that can be resumed.
        TextError: a text cannot be read, is too short, or the validation text is part of the training text.
        TrainingDiverged: the loss exploded; the last good checkpoint stays.
    """
    given = given_options(options, more_options, ARGUMENTS)
    how: dict[str, Any] = {
        "column": column,
        "recipe": None if recipe is None else os.fspath(recipe),
        "valid": valid,
        "init_from": init_from,
        "extend_vocab": extend_vocab,
        "allow_overlap": allow_overlap,
        "overwrite": overwrite,
        "choose": choose,
        "progress": progress,
    }
    if processes != 1:
        check_processes(processes, callback)
    if resume:
        if output is None:
            raise ConfigError("name the folder of the run to continue: `output`")
        begin: Callable[..., Begun] = partial(resumed_run, Path(output), given, corpus, **how)
    else:
        if corpus is None:
            raise ConfigError(
                "name a `corpus`: a file, a folder, a named corpus (see `elman.corpora()`), or lines"
            )
        begin = partial(new_run, corpus, output, given, **how)
    if processes != 1:
        with begin(processes=processes) as (folder, worker):
            if worker is not None:
                log_choice(worker)
            del worker  # its memory
        train_in_processes(folder, processes, rank_timeout, progress)
        return Run(folder)
    if WORLD_SIZE in os.environ and RANK in os.environ:
        return _train_as_rank(begin, output, rank_timeout, progress, callback, resume)
    with begin() as (folder, worker):
        if worker is not None:
            carry_out(worker, progress, callback, resumed=resume)
    return Run(folder)


def _train_as_rank(
    begin: Callable[..., Begun],
    output: str | os.PathLike[str] | None,
    timeout: float,
    progress: bool,
    callback: Callback | None,
    resume: bool,
) -> Run:
    """Be one of the processes that torchrun has started; started again, continue the run that they made."""
    if output is None:
        raise ConfigError("name the run folder, which all processes must share: `output`")
    folder, ranks = Path(output), started_ranks(timeout)
    more: dict[str, Any] = {"processes": ranks.size, "beat": ranks.beat}

    def begin_once() -> Begun:
        if resume:
            return begin(may_be_finished=started_again(ranks), **more)
        if is_own_run(ranks, folder):
            return resumed_run(folder, {}, None, None, progress, may_be_finished=True, **more)
        return begin(**more)

    try:
        with shared_run(ranks, folder, begin_once) as worker:
            carry_out(worker, progress, callback, resumed=True)
            ranks.together(lambda: None)  # no rank leaves while another still works
    finally:
        ranks.leave()
    return Run(folder)


ARGUMENTS = {
    name for name, each in inspect.signature(train).parameters.items() if each.kind is not each.VAR_KEYWORD
}
