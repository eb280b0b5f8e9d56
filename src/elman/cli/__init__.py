"""The command line `elman`: a group of commands, one file each, imported only when needed."""

import contextlib
import errno
import importlib
import io
import os
import sys
from collections.abc import Iterator
from typing import Any, NoReturn

import click

from elman import __version__
from elman.errors import ElmanError, FailedElsewhere
from elman.language import is_korean, translate

COMMANDS = {  # name: (module, one line of help)
    "demo": ("demo", "Watch a recurrent language model learn, in about a minute."),
    "train": ("train", "Train a language model on a text."),
    "eval": ("evaluate", "Measure a model's perplexity on a text."),
    "score": ("score", "Compute the probability of every line of a text."),
    "surprisal": ("surprisal", "Compute the surprisal of every word of a text."),
    "pairs": ("pairs", "Test which sentence of each minimal pair a model prefers."),
    "compare": ("compare", "Compare several models on one text."),
    "generate": ("generate", "Write text with a model."),
    "mix": ("mix", "Mix several models into one, with weights fitted to a text."),
    "rescore": ("rescore", "Rescore a speech recogniser's candidates with a model."),
    "normalise": ("normalise", "Write text as it is spoken, for models that rescore speech."),
    "serve": ("serve", "Serve models over HTTP, with the OpenAI API."),
    "replay": ("replay", "Save a run as one HTML page that opens without a server."),
    "export": ("export", "Export a model or its tokenizer (ARPA, PyTorch, ONNX, tokenizer.json)."),
    "import": ("import_model", "Import a model from another program (ARPA, PyTorch)."),
    "plot": ("plot", "Draw the learning curves of runs."),
    "check-gradients": ("check_gradients", "Check backward passes against numerical gradients."),
    "bench": ("bench", "Measure how fast elman is on this machine."),
    "encode": ("encode", "Encode a large text in several processes, to train on."),
    "data": ("data", "List the named corpora, or download one."),
}
WINDOWS = sys.platform == "win32"


class HelpContext(click.Context):
    """A click context whose help is in the user's language."""

    def make_formatter(self) -> click.HelpFormatter:
        """Return the formatter of help texts."""
        if not is_korean():
            return super().make_formatter()
        from elman.cli.korean import KoreanFormatter

        return KoreanFormatter(width=self.terminal_width, max_width=self.max_content_width)


class LazyGroup(click.Group):
    """A click group that imports a command only to run it or to print its help."""

    context_class = HelpContext

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the command names, in the order in which a newcomer needs them."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command:
        """Import and return a command; an unknown name is an error that suggests the closest one."""
        if cmd_name not in COMMANDS:
            from difflib import get_close_matches

            close = get_close_matches(cmd_name, COMMANDS, 1)
            hint = f"did you mean {close[0]}?" if close else f"choose from {', '.join(COMMANDS)}"
            ctx.fail(f"there is no command {cmd_name!r}; {hint}")
        module = importlib.import_module(f"elman.cli.{COMMANDS[cmd_name][0]}")
        command: click.Command = module.command
        command.context_class = HelpContext
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """List the commands from COMMANDS, without importing them."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, text) for name, (_, text) in COMMANDS.items()])


@click.group(
    cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100}
)
@click.version_option(__version__, prog_name="elman")
def group() -> None:
    """Recurrent neural network language models: train, evaluate, score, generate, plot.

    Results go to standard output, progress to standard error. A run is a folder; `-` is standard input.
    """


def main(args: list[str] | None = None) -> Any:
    """Run a command. An error that a user can cause is one line on standard error and exit code 1."""
    for stream in (sys.stdout, sys.stderr):
        _set_encoding(stream)
    command = _command_named(sys.argv[1:] if args is None else args)
    try:
        with _logging(command):
            return group.main(args=args, prog_name="elman", standalone_mode=False)
    except click.exceptions.Exit as stop:
        sys.exit(stop.exit_code)
    except click.exceptions.NoArgsIsHelpError as error:
        error.show()
        sys.exit(error.exit_code)
    except click.UsageError as error:
        path = error.ctx.command_path if error.ctx else "elman"
        _fail(translate(f"{error.format_message().rstrip('.')}; for help, type: {path} --help"))
    except (click.Abort, KeyboardInterrupt):
        click.echo(translate("elman: interrupted"), err=True)
        sys.exit(130)
    except ElmanError as error:
        from elman.cli.messages import in_options

        if isinstance(error, FailedElsewhere):  # the process that has failed says why
            sys.exit(1)
        _fail(in_options(translate(str(error)), command))
    except MemoryError:
        _fail(translate("out of memory; try a smaller --hidden, --batch-size or --max-vocab"))
    except OSError as error:
        if WINDOWS and error.errno == errno.EINVAL and error.filename is None:
            _discard_output()  # the reader of our pipe has gone: EPIPE elsewhere, which click handles
            sys.exit(1)
        where, why = error.filename or translate("the output"), (error.strerror or str(error)).lower()
        _fail(f"{where}: {translate(why)}")


def _command_named(args: list[str]) -> click.Command | None:
    """Return the command that the arguments begin with; None where there is none."""
    name = args[0] if args else ""
    return group.get_command(click.Context(group), name) if name in COMMANDS else None


@contextlib.contextmanager
def _logging(command: click.Command | None) -> Iterator[None]:
    """Within the block, print what the library logs; without a command, it logs nothing."""
    if command is None:
        yield
        return
    import logging

    from elman.cli.messages import LogHandler

    logger, handler = logging.getLogger("elman"), LogHandler(command)
    level = logger.level
    logger.addHandler(handler)
    logger.setLevel(logging.INFO)
    try:
        yield
    finally:
        logger.removeHandler(handler)
        logger.setLevel(level)


def _set_encoding(stream: Any) -> None:
    """Make an output stream accept every character.

    On Windows redirected output would have the encoding of the locale, such as cp949, but elman reads UTF-8. A
    terminal that lacks a character shows a question mark.
    """
    if not isinstance(stream, io.TextIOWrapper):
        return
    if WINDOWS and not stream.isatty() and "PYTHONIOENCODING" not in os.environ:
        stream.reconfigure(encoding="utf-8")
    if stream.errors == "strict":
        stream.reconfigure(errors="replace")


def _fail(message: str) -> NoReturn:
    """Print one line on standard error and exit with code 1."""
    from elman.cli.output import for_stream

    with contextlib.suppress(OSError):
        click.echo(for_stream(f"elman: {' '.join(message.splitlines())}", sys.stderr), err=True)
    try:
        if sys.stdout is not None:
            sys.stdout.flush()
    except OSError:
        _discard_output()
    sys.exit(1)


def _discard_output() -> None:
    """Point standard output at the null device: what is still buffered cannot fail again when Python ends."""
    with contextlib.suppress(OSError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
