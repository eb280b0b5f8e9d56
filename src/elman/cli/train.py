"""`elman train`: train a model on a corpus, and save it in a run folder."""

import contextlib
import signal
import sys
from collections.abc import Iterator
from pathlib import Path
from types import FrameType
from typing import Any

import click

from elman.cli.inputs import STANDARD_INPUT, text_argument
from elman.cli.messages import in_options
from elman.cli.options import config_options
from elman.cli.progress_display import ProgressDisplay, encoding_bar, overfitting_line
from elman.errors import ConfigError
from elman.formats.model_file import LAST_NAME
from elman.text.sources import saved_text
from elman.training.budget_choice import options_to_keep
from elman.training.corpora import RunCorpora
from elman.training.model_options import check_options
from elman.training.ngram_run import NgramRun, train_ngram
from elman.training.recipes import configure, recipe_names, recipe_options, recipe_text
from elman.training.run import TrainingRun


def _list_recipes(ctx: click.Context, param: click.Parameter, value: bool) -> None:
    if value:
        for name in recipe_names():
            click.echo(f"# {name}\n{recipe_text(name)}")
        ctx.exit()


@click.command("train", no_args_is_help=True)
@click.argument("corpus", required=False)
@click.option("-o", "--output", type=click.Path(path_type=Path), help="the run folder to create")
@click.option(
    "--valid",
    help="validation text: a file, a folder, a named corpus, `none`, or `auto` (hold out the last 5 % of CORPUS)",
)
@click.option(
    "--allow-overlap",
    is_flag=True,
    help="allow a validation text that is mostly contained in the training text",
)
@click.option(
    "--recipe", help="a named set of options, or a TOML file; options on the command line override it"
)
@click.option(
    "--list-recipes",
    is_flag=True,
    is_eager=True,
    expose_value=False,
    callback=_list_recipes,
    help="print the named sets of options",
)
@click.option("--resume", type=click.Path(path_type=Path), metavar="RUN", help="resume an interrupted run")
@click.option("--overwrite", is_flag=True, help="replace the run that is in the folder")
@click.option("-q", "--quiet", is_flag=True, help="do not show the progress bar and samples")
@click.option(
    "--choose/--no-choose",
    "choose",
    default=None,
    help="choose all options that are not given to fit the time budget and the speed of this machine  "
    "[default: if there is a time budget, but no recipe and no model size]",
)
@config_options
def command(
    corpus: str | None,
    output: Path | None,
    valid: str | None,
    allow_overlap: bool,
    recipe: str | None,
    resume: Path | None,
    overwrite: bool,
    quiet: bool,
    choose: bool | None,
    **options: Any,
) -> None:
    """Train a language model on CORPUS and save it in the run folder RUN (-o).

    CORPUS is a text file, a folder of text files, a named corpus (see `elman data`), or - for standard
    input. Ctrl-C saves everything; `elman train --resume RUN` continues as if it had not been interrupted.
    For instance: elman train book.txt -o book --recipe char-lstm --epochs 3
    """
    given = {name: value for name, value in options.items() if value is not None}
    if resume is not None:
        if corpus or output or recipe or valid or overwrite or allow_overlap:
            raise ConfigError(
                "--resume takes the corpus, the recipe and the folder from the run; leave the other options out"
            )
        run = TrainingRun.resume(resume, given, encoding_bar(quiet))
    else:
        if corpus is None:
            raise ConfigError("name a CORPUS: a file, a folder, a named corpus (see `elman data`), or -")
        if output is None:
            raise ConfigError("name the run folder to create: -o RUN")
        if valid == STANDARD_INPUT:
            raise ConfigError("only the CORPUS can come from standard input; name a file to validate on")
        config = configure(recipe, given)
        check_options(config)
        named = {*given, *recipe_options(recipe)}
        held = options_to_keep(config, named, False if recipe and choose is None else choose)
        how: Any = {"valid": valid, "allow_overlap": allow_overlap, "overwrite": overwrite}
        with _remove_empty_folder(output), saved_text(text_argument(corpus), output) as text:
            if config.model == "ngram":
                _report_ngrams(train_ngram(output, text, config, **how, on_encoding=encoding_bar(quiet)))
                return
            run = TrainingRun.create(output, text, config, **how, held=held, on_encoding=encoding_bar(quiet))
    if run.finished:
        raise ConfigError(
            f"{run.folder} is finished: {run.trainer.progress.epoch} epochs, {run.trainer.progress.iteration} "
            "iterations; raise --epochs or --iterations to continue"
        )
    _announce(run, resumed=resume is not None)
    for line in run.choice.lines() if run.choice is not None else ():
        click.echo(in_options(line, None), err=True)
    finished = _train(run, quiet)
    _report(run, finished)


@contextlib.contextmanager
def _remove_empty_folder(folder: Path) -> Iterator[None]:
    """Remove a new run folder that is still empty when the block fails."""
    existed = folder.exists()
    try:
        yield
    except BaseException:
        if not existed:
            with contextlib.suppress(OSError):
                folder.rmdir()
        raise


def _train(run: TrainingRun, quiet: bool) -> bool:
    """Train and show the progress; return False if Ctrl-C ended it. A second Ctrl-C ends it without saving."""
    interrupted = False

    def on_signal(number: int, frame: FrameType | None) -> None:
        nonlocal interrupted
        if interrupted:
            raise KeyboardInterrupt
        interrupted = True
        run.stop()

    names = ("SIGINT", "SIGTERM", "SIGBREAK")  # SIGBREAK is Ctrl-Break, which only Windows has
    numbers = [getattr(signal, name) for name in names if hasattr(signal, name)]
    with ProgressDisplay(run, quiet) as display:
        earlier = {number: signal.signal(number, on_signal) for number in numbers}
        try:
            run.train(display)
        finally:
            for number, handler in earlier.items():
                signal.signal(number, handler)
    return not interrupted


def _report_ngrams(run: NgramRun) -> None:
    train, unit, valid = run.corpora.train, run.text_model.unit, run.valid_perplexity
    about = f"{train.tokens:,} tokens ({unit}s), vocabulary {len(train.vocabulary):,}"
    click.echo(f"{run.corpora.name}: {about}", err=True)
    _announce_validation(run.corpora)
    measured = "" if valid is None else f"validation perplexity {valid:.4f} per {unit}, "
    click.echo(
        f"{run.folder}: {measured}{sum(run.ngrams):,} n-grams of up to {len(run.ngrams)} {unit}s, "
        f"{run.seconds:.1f} s of counting"
    )


def _announce_validation(corpora: RunCorpora) -> None:
    if corpora.held_out and corpora.valid is not None:
        click.echo(f"  held out for validation: the {corpora.valid.tokens:,} tokens after these", err=True)
    if corpora.warning:
        click.echo(f"  warning: {corpora.warning}", err=True)
    for name, perplexity in corpora.references.items():
        click.echo(f"  {name} perplexity on the validation text: {perplexity:.4f}", err=True)


def _announce(run: TrainingRun, resumed: bool) -> None:
    about, progress = run.describe(), run.trainer.progress
    click.echo(
        f"{about['corpus']}: {about['tokens']:,} tokens ({about['unit']}s), vocabulary {about['vocab_size']:,}, "
        f"{about['parameters']:,} parameters",
        err=True,
    )
    _announce_validation(run.corpora)
    if resumed:
        click.echo(f"resuming after iteration {progress.iteration} (epoch {progress.epoch + 1})", err=True)


def _report(run: TrainingRun, finished: bool) -> None:
    best = run.text_model.info.get("best")
    if not finished:
        click.echo(
            f"stopped and saved after iteration {run.trainer.progress.iteration}; continue with:\n"
            f"  elman train --resume {run.folder}",
            err=True,
        )
        sys.exit(130)
    if best is None:
        click.echo(f"{run.folder}: no epoch had a finite perplexity; {LAST_NAME} holds the last model")
        return
    if run.overfitting.found is not None:
        click.echo(overfitting_line(run.overfitting.found), err=True)
    which = "validation" if run.corpora.valid is not None else "training"
    click.echo(
        f"{run.folder}: best {which} perplexity {best['perplexity']:.4f} per {run.text_model.unit} "
        f"(epoch {best['epoch']}), {run.trainer.progress.seconds:.1f} s of training"
    )
