"""`elman train`: train a model on a corpus, and save it in a run folder."""

import contextlib
import logging
import os
import signal
import sys
from collections.abc import Iterator
from pathlib import Path
from types import FrameType
from typing import Any

import click

from elman.cli.inputs import STANDARD_INPUT, text_argument
from elman.cli.options import config_options
from elman.errors import ConfigError
from elman.language import translate
from elman.training.interrupts import TrainingInterrupted
from elman.training.process_group import TIMEOUT
from elman.training.ranks import RANK
from elman.training.recipes import recipe_names, recipe_text
from elman.training.runs import train


def _list_recipes(ctx: click.Context, param: click.Parameter, value: bool) -> None:
    if value:
        for name in recipe_names():
            click.echo(f"# {name}\n{recipe_text(name)}")
        ctx.exit()


@click.command("train", no_args_is_help=True)
@click.argument("corpus", required=False)
@click.option(
    "--column",
    metavar="NAME",
    help="CORPUS is a table (CSV, TSV or JSON Lines), and its column NAME holds the lines; likewise --valid",
)
@click.option(
    "-o",
    "--output",
    type=click.Path(path_type=Path),
    metavar="RUN",
    help="the run folder to create  [default: a new one in runs/, named after CORPUS]",
)
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
@click.option(
    "--init-from",
    type=click.Path(path_type=Path),
    metavar="MODEL",
    help="start from the weights of this model (a run folder or a model file), which also sets tokens and sizes",
)
@click.option(
    "--extend-vocab",
    is_flag=True,
    help="add the tokens of CORPUS that the model of --init-from lacks to its vocabulary",
)
@click.option(
    "--resume",
    type=click.Path(path_type=Path),
    metavar="RUN",
    help="resume an interrupted run",
)
@click.option(
    "--corpus",
    "moved",
    metavar="CORPUS",
    help="with --resume: where the corpus has moved to (likewise --valid)",
)
@click.option("--overwrite", is_flag=True, help="replace the run that is in the folder")
@click.option("-q", "--quiet", is_flag=True, help="show warnings and the result only")
@click.option(
    "--choose/--no-choose",
    "choose",
    default=None,
    help="choose the options that are not given to suit the text, the time budget and the speed of this machine  "
    "[default: if there is no recipe and no model size]",
)
@click.option(
    "--processes",
    type=int,
    default=1,
    metavar="NUMBER",
    help="train in so many processes of this machine, each on a part of every minibatch  [default: 1]",
)
@click.option(
    "--rank-timeout",
    type=float,
    default=TIMEOUT,
    metavar="SECONDS",
    help="with several processes: how long one may not answer before it is taken for lost  "
    f"[default: {TIMEOUT:g}]",
)
@config_options
def command(
    corpus: str | None,
    column: str | None,
    output: Path | None,
    valid: str | None,
    allow_overlap: bool,
    recipe: str | None,
    resume: Path | None,
    moved: str | None,
    init_from: Path | None,
    extend_vocab: bool,
    overwrite: bool,
    quiet: bool,
    choose: bool | None,
    processes: int,
    rank_timeout: float,
    **options: Any,
) -> None:
    """Train a language model on CORPUS and save it in a run folder.

    CORPUS is a text file, a folder of text files, a named corpus (see `elman data`), or - for standard
    input. Ctrl-C saves everything; `elman train --resume RUN` continues as if it had not been interrupted.
    For instance: elman train book.txt --recipe char-lstm --epochs 3
    """
    if valid == STANDARD_INPUT:
        raise ConfigError("only the CORPUS can come from standard input; name a file to validate on")
    if resume is not None and output is not None:
        raise ConfigError(f"--resume {resume} names the run folder; leave out --output")
    if moved is not None and (resume is None or corpus is not None):
        raise ConfigError(
            "--corpus is for a run whose corpus has moved: elman train --resume RUN --corpus NEWPLACE"
        )
    corpus = corpus or moved
    rank = int(os.environ.get(RANK, 0))
    if rank:  # the first of several processes reports
        logging.getLogger("elman").setLevel(logging.ERROR)
    elif quiet:
        logging.getLogger("elman").setLevel(logging.WARNING)
    with _terminated_like_interrupted():
        try:
            run = train(
                None if corpus is None else text_argument(corpus),
                output if resume is None else resume,
                column=column,
                recipe=recipe,
                valid=valid,
                options={name: value for name, value in options.items() if value is not None},
                resume=resume is not None,
                init_from=init_from,
                extend_vocab=extend_vocab,
                overwrite=overwrite,
                allow_overlap=allow_overlap,
                choose=choose,
                processes=processes,
                rank_timeout=rank_timeout,
                progress=not quiet,
            )
        except TrainingInterrupted as stop:
            if processes == 1 and rank == 0:
                with contextlib.suppress(OSError):  # the terminal is closed
                    message = (
                        f"stopped and saved after iteration {stop.iteration}; continue with:\n"
                        f"  elman train --resume {stop.folder}"
                    )
                    click.echo(translate(message), err=True)
            # to torchrun, which starts again what has failed, it is a success
            sys.exit(0 if RANK in os.environ else 130)
    if rank == 0:
        click.echo(f"{run.folder}: {translate(run.summary())}")


@contextlib.contextmanager
def _terminated_like_interrupted() -> Iterator[None]:
    """Within the block, SIGTERM and SIGHUP do what Ctrl-C does, which works even where a shell lets jobs ignore that.

    SIGHUP, which says that the terminal is closed, stays ignored where it is (`nohup`).
    """

    def interrupt(number: int, frame: FrameType | None) -> None:
        signal.raise_signal(signal.SIGINT)

    names = ("SIGTERM", "SIGHUP", "SIGBREAK")  # SIGBREAK is Ctrl-Break, which only Windows has
    numbers = [getattr(signal, name) for name in names if hasattr(signal, name)]
    ignored = [
        number for number in numbers if number.name == "SIGHUP" and signal.getsignal(number) is signal.SIG_IGN
    ]
    handlers: dict[int, Any] = {number: interrupt for number in numbers if number not in ignored}
    handlers[signal.SIGINT] = signal.default_int_handler
    earlier = {number: signal.signal(number, handler) for number, handler in handlers.items()}
    try:
        yield
    finally:
        for number, handler in earlier.items():
            signal.signal(number, handler)
