"""The command line: a verb, files, few options. One file a command; each is loaded when it is called."""

import contextlib
import importlib
import io
import os
import sys
from typing import Any, NoReturn

import click

from elman import __version__
from elman.errors import ElmanError

COMMANDS = {  # name: (module, one line of help)
    "demo": ("demo", "Watch a recurrent language model learn, in about a minute."),
    "train": ("train", "Train a language model on a text."),
    "eval": ("evaluate", "Measure a model's perplexity on a text."),
    "score": ("score", "Give every line of a text its probability."),
    "surprisal": ("surprisal", "Give every word of a text its surprisal."),
    "pairs": ("pairs", "Test which sentence of each minimal pair a model prefers."),
    "compare": ("compare", "Compare several models on one text."),
    "generate": ("generate", "Write text with a model."),
    "mix": ("mix", "Mix several models into one, with the weights that suit a text."),
    "rescore": ("rescore", "Choose among a speech recogniser's candidates with a model."),
    "normalise": ("normalise", "Write text as it is spoken, for models that rescore speech."),
    "serve": ("serve", "Serve models over HTTP, as the OpenAI API does."),
    "replay": ("replay", "Keep a run as one HTML page that opens without a server."),
    "export": ("export", "Write a model, or its tokenizer, for other programs (ARPA, PyTorch, ONNX)."),
    "import": ("import_model", "Keep a model of another program (ARPA, PyTorch) as one of elman's."),
    "plot": ("plot", "Draw the learning curves of runs."),
    "check-gradients": ("check_gradients", "Prove backward passes by numeric differences."),
    "bench": ("bench", "Measure how fast elman is on this machine."),
    "data": ("data", "List the named corpora, or fetch one."),
}


class LazyGroup(click.Group):
    """A group that imports a command only to run it or to print its help."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the names in the order of a newcomer's needs."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command:
        """Import and return a command; an unknown name is an error that offers those like it."""
        if cmd_name not in COMMANDS:
            from difflib import get_close_matches

            close = get_close_matches(cmd_name, COMMANDS, 1)
            hint = f"did you mean {close[0]}?" if close else f"choose from {', '.join(COMMANDS)}"
            ctx.fail(f"there is no command {cmd_name!r}; {hint}")
        module = importlib.import_module(f"elman.cli.{COMMANDS[cmd_name][0]}")
        command: click.Command = module.command
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """List the commands from the table here, without importing them."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, text) for name, (_, text) in COMMANDS.items()])


@click.group(
    cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100}
)
@click.version_option(__version__, prog_name="elman")
def group() -> None:
    """Recurrent neural network language models: train, evaluate, score, generate, plot.

    Results go to standard output, progress to standard error. A run is a folder; `-` is a pipe.
    """


def main(args: list[str] | None = None) -> Any:
    """Run a command. What a user can cause ends in one line on standard error and exit code 1."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper) and stream.errors == "strict":
            stream.reconfigure(errors="replace")  # a terminal that has no such character shows a ?
    try:
        return group.main(args=args, prog_name="elman", standalone_mode=False)
    except click.exceptions.Exit as stop:
        sys.exit(stop.exit_code)
    except click.exceptions.NoArgsIsHelpError as error:
        error.show()
        sys.exit(error.exit_code)
    except click.UsageError as error:
        command = error.ctx.command_path if error.ctx else "elman"
        _fail(f"{error.format_message().rstrip('.')}; for what it takes, type: {command} --help")
    except (click.Abort, KeyboardInterrupt):
        click.echo("elman: interrupted", err=True)
        sys.exit(130)
    except ElmanError as error:
        _fail(str(error))
    except MemoryError:
        _fail("out of memory; try a smaller --hidden, --batch-size or --max-vocab")
    except OSError as error:
        _fail(f"{error.filename or 'the output'}: {(error.strerror or str(error)).lower()}")


def _fail(message: str) -> NoReturn:
    """Print one line on standard error and exit with 1."""
    with contextlib.suppress(OSError):
        click.echo(f"elman: {' '.join(message.splitlines())}", err=True)
    try:
        if sys.stdout is not None:
            sys.stdout.flush()
    except OSError:  # a full disk: what is still buffered would fail once more when Python ends
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    sys.exit(1)
