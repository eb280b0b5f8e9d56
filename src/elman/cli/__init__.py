"""The command line: a verb, files, few options. One file a command; each is loaded when it is called."""

import importlib
import os
import sys
from typing import Any

import click

from elman import __version__
from elman.errors import ElmanError

COMMANDS = {  # name: (module, one line of help)
    "demo": ("demo", "Watch a recurrent language model learn, in about a minute."),
    "train": ("train", "Train a language model on a text."),
    "eval": ("evaluate", "Measure a model's perplexity on a text."),
    "score": ("score", "Give every line of a text its probability."),
    "generate": ("generate", "Write text with a model."),
    "plot": ("plot", "Draw the learning curves of runs."),
    "check-gradients": ("check_gradients", "Prove backward passes by numeric differences."),
    "data": ("data", "List the named corpora, or fetch one."),
}


class LazyGroup(click.Group):
    """A group that imports a command only to run it or to print its help."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the names in the order of a newcomer's needs."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import and return a command; None where there is no such name."""
        if cmd_name not in COMMANDS:
            return None
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
    try:
        return group.main(args=args, prog_name="elman", standalone_mode=False)
    except click.exceptions.Exit as stop:
        sys.exit(stop.exit_code)
    except click.ClickException as error:
        error.show()
        sys.exit(error.exit_code)
    except (click.Abort, KeyboardInterrupt):
        click.echo("elman: interrupted", err=True)
        sys.exit(130)
    except ElmanError as error:
        click.echo(f"elman: {error}", err=True)
        sys.exit(1)
    except BrokenPipeError:  # the reader of our output has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(141)
    except MemoryError:
        click.echo("elman: out of memory; try a smaller --hidden, --batch-size or --max-vocab", err=True)
        sys.exit(1)
