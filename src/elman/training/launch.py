"""Start a run, or continue one, and train it to its end: the steps of `elman.train`."""

import contextlib
import difflib
import logging
import os
from collections.abc import Callable, Collection, Iterator, Mapping
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from elman.errors import ConfigError, FailedElsewhere, TrainingDiverged
from elman.evaluation.sentences import read_sentences
from elman.formats.run_files import VALID, writing_run
from elman.models.tokenized import TokenizedModel
from elman.text.sources import Text, is_binary, is_path, saved_text, warn_of_table
from elman.training.config import Config
from elman.training.defaults import Chosen, choose_defaults
from elman.training.encoded_folder import check_options_of, encoded_options
from elman.training.interrupts import Interrupts, TrainingInterrupted
from elman.training.model_options import check_options
from elman.training.ngram_run import train_ngram
from elman.training.output_folder import output_folder
from elman.training.progress import Event
from elman.training.progress_display import (
    ProgressDisplay,
    encoding_bar,
    log_ngrams,
    log_start,
    overfitting_line,
)
from elman.training.ranks import rows_of
from elman.training.recipes import configure, recipe_options
from elman.training.run import TrainingRun

logger = logging.getLogger(__name__)
UTF_8 = Config().encoding
Callback = Callable[[Event], object]


def given_options(
    options: Mapping[str, Any] | None, more: Mapping[str, Any], arguments: Collection[str]
) -> dict[str, Any]:
    """Return the options of a training that a user has given, as plain data; those in ``more`` win.

    Raises:
        ConfigError: there is no option of a name; suggests the nearest one, or the nearest of the other ``arguments``.
    """
    given = {**(options or {}), **more}
    for name in given:
        if name in arguments:
            raise ConfigError(f"`{name}` is an argument, not one of the `options`; give it by itself")
        if name not in Config.__struct_fields__:
            close = difflib.get_close_matches(str(name), [*Config.__struct_fields__, *arguments], 1)
            hint = (
                f"did you mean `{close[0]}`?"
                if close
                else "see `elman.training.config.Config` for all options"
            )
            raise ConfigError(f"unknown option {name!r}; {hint}")
    return {name: _plain(value) for name, value in given.items()}


def _plain(value: Any) -> Any:
    """Return the value of an option, a path or a NumPy number, as the str or number that it stands for."""
    if isinstance(value, os.PathLike):
        return os.fspath(value)
    return value.item() if isinstance(value, np.generic) else value


@contextlib.contextmanager
def new_run(
    corpus: Text | Any,
    output: str | os.PathLike[str] | None,
    given: dict[str, Any],
    *,
    column: str | None,
    recipe: str | None,
    valid: Text | Any | None,
    init_from: str | os.PathLike[str] | TokenizedModel | None,
    extend_vocab: bool,
    allow_overlap: bool,
    overwrite: bool,
    choose: bool | None,
    progress: bool,
    processes: int = 1,
    beat: Callable[[], None] = lambda: None,
) -> Iterator[tuple[Path, TrainingRun | None]]:
    """Make a run and write its folder; yield both, locked. The run of an n-gram model is complete already, and None.

    ``processes`` is how many will train it; ``beat`` is called while the text is encoded.

    Raises:
        ElmanError: see `elman.train`; no folder that was made is left.
    """
    config = configure(recipe, given)
    if (encoded := encoded_options(corpus)) is not None:
        check_options_of(corpus, encoded, {**recipe_options(recipe), **given})
        config, given = msgspec.structs.replace(config, **encoded), given | encoded
    if init_from is None:
        check_options(config)
    texts = corpus, valid
    if column is not None:
        texts = _column(corpus, column, config), _valid_column(valid, column, config)
        config, given = msgspec.structs.replace(config, encoding=UTF_8), given | {"encoding": UTF_8}
    for text in texts:
        _check_text(text, config)
        warn_of_table(text)
    lines, valid = texts
    with output_folder(output, corpus, overwrite) as folder, writing_run(folder):
        with saved_text(lines, folder) as text, _saved_valid(valid, folder) as valid_text:
            chosen = Chosen(config, valid_text, None)
            if init_from is None or choose:
                chosen = choose_defaults(text, config, given, valid=valid_text, recipe=recipe, choose=choose)
            config = chosen.config
            how: dict[str, Any] = {
                "valid": chosen.valid,
                "allow_overlap": allow_overlap or chosen.allow_overlap,
                "overwrite": overwrite,
                "on_encoding": _watched(encoding_bar(progress), beat),
            }
            counted = config.model == "ngram" and init_from is None
            if processes > 1:
                _check_divisible(config, processes, counted)
            ngrams = train_ngram(folder, text, config, **how) if counted else None
            how |= {"init_from": init_from, "extend_vocab": extend_vocab, "given": given}
            how["held"] = chosen.held
            worker = None if ngrams else TrainingRun.create(folder, text, config, **how)
            if worker is not None:
                rows_of(0, processes, worker.config.batch_size)  # a short text may have made it smaller
        for reason in chosen.reasons:
            logger.info("%s", reason)
        if output is None:
            logger.info("run folder: %s", folder)
        if ngrams is not None:
            log_ngrams(ngrams)
        yield folder, worker


def _check_divisible(config: Config, processes: int, counted: bool) -> None:
    """Raise ConfigError for a training that several processes cannot divide."""
    if counted:
        raise ConfigError(
            "n-gram models are counted in one pass over the text, which needs no other processes; leave out `processes`"
        )
    rows_of(0, processes, config.batch_size)


def _watched(bar: Callable[[int, int], None] | None, beat: Callable[[], None]) -> Callable[[int, int], None]:
    def show(done: int, total: int) -> None:
        beat()
        if bar is not None:
            bar(done, total)

    return show


def _column(text: Any, column: str, config: Config) -> Iterator[str]:
    """Yield the lines in a column of a table."""
    sentences = read_sentences(text, column, config.encoding, config.errors, keep=False)
    return (sentence.text for sentence in sentences)


def _valid_column(valid: Any, column: str, config: Config) -> Any:
    """Return the lines in a column of a validation text; what is no table ("auto", a named corpus) as it is."""
    is_name = valid is None or (is_path(valid) and not Path(valid).is_file())
    return valid if is_name else _column(valid, column, config)


def _check_text(text: Text | None, config: Config) -> None:
    """Raise ConfigError for a text that is given in place of its path, and for lines with an encoding."""
    if isinstance(text, str) and "\n" in text:
        raise ConfigError(
            f"a str is the path of a text or the name of a corpus, not the text itself ({text[:20]!r}...); "
            "give its lines: text.splitlines()"
        )
    if text is not None and not is_path(text) and not is_binary(text) and config.encoding != UTF_8:
        raise ConfigError(
            f"`encoding={config.encoding!r}` is for files and binary streams; lines are str and have none: "
            "leave it out, or give all texts as files"
        )


@contextlib.contextmanager
def _saved_valid(valid: Text | None, folder: Path) -> Iterator[str | None]:
    """Yield the path or name of a validation text; a stream or lines are saved in the run."""
    if valid is None:
        yield None
        return
    with saved_text(valid, folder / VALID) as text:
        yield text


@contextlib.contextmanager
def resumed_run(
    folder: Path,
    given: dict[str, Any],
    corpus: Text | None,
    valid: Text | None,
    progress: bool,
    processes: int = 1,
    beat: Callable[[], None] = lambda: None,
    may_be_finished: bool = False,
    **taken_from_the_run: Any,
) -> Iterator[tuple[Path, TrainingRun]]:
    """Yield a folder and the run in it, locked, with new limits.

    ``taken_from_the_run`` are arguments that may not be given; the others are those of `new_run`.

    Raises:
        ConfigError: there is nothing left to do, or something is given that may not change.
        ElmanError: see `TrainingRun.resume`.
    """
    for name, value in taken_from_the_run.items():
        if value is not None and value is not False:
            raise ConfigError(f"`resume=True` takes all but new limits from the run; leave out `{name}`")
    with writing_run(folder) if folder.is_dir() else contextlib.nullcontext():
        watch = _watched(encoding_bar(progress), beat)
        worker = TrainingRun.resume(folder, given, watch, _moved(corpus), _moved(valid))
        rows_of(0, processes, worker.config.batch_size)
        if worker.finished and not may_be_finished:
            done = worker.trainer.progress
            raise ConfigError(
                f"{folder} is finished: {done.epoch} epochs, {done.iteration} iterations; raise `epochs` or "
                "`iterations` to continue"
            )
        yield folder, worker


def _moved(text: Text | None) -> str | None:
    """Return the path to which a text has moved; None if it has not. Raises ConfigError for lines and streams."""
    if text is None or isinstance(text, (str, os.PathLike)):
        return None if text is None else os.fspath(text)
    raise ConfigError("a run continues on the texts that it began with; name the file to which one has moved")


def carry_out(worker: TrainingRun, progress: bool, callback: Callback | None, resumed: bool) -> None:
    """Train until a limit is reached, or the callback returns False.

    Of several ranks the first one reports.

    Raises:
        TrainingInterrupted: Ctrl-C ended it; everything is saved.
        TrainingDiverged: the loss exploded; the last good checkpoint stays.
    """
    ranks = worker.ranks
    if ranks.first:
        log_start(worker, resumed)
    with (
        ProgressDisplay(worker, progress and ranks.first) as display,
        Interrupts(worker.stop) as interrupts,
    ):

        def on_event(event: Event) -> None:
            with contextlib.suppress(
                OSError
            ):  # the terminal is closed: what was trained is to be saved all the same
                display(event)
            answer = None if callback is None else callback(event)
            if isinstance(answer, (bool, np.bool_)) and not answer:
                worker.stop()

        try:
            worker.train(on_event)
        except TrainingDiverged as error:  # on all ranks alike
            if not ranks.first:
                raise FailedElsewhere(str(error)) from error
            raise
        (interrupted,) = ranks.largest(interrupts.seen)
    if interrupted:
        raise TrainingInterrupted(worker.folder, worker.trainer.progress.iteration)
    if worker.overfitting.found is not None:
        logger.warning("%s", overfitting_line(worker.overfitting.found))
