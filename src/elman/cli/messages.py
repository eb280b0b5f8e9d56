"""Messages of the library at the command line: what it logs, and its errors in terms of options.

The library speaks of arguments in Python's way, in backquotes: `` `allow_overlap=True` ``. A command shows those that
are options of its own, or of `elman train`, in the shell's way: ``--allow-overlap``. An argument of a method,
`` `dynamic(lr=0.1)` ``, may be an option of the command that does the same, ``--dynamic-lr 0.1``; a function,
`` `elman.evaluate()` ``, is the command ``elman eval``.
"""

import ast
import logging
import re
import shlex
import sys
from typing import Any

import click

from elman.cli.output import for_stream
from elman.language import translate
from elman.training.config import Config

ARGUMENT = re.compile(r"`(\w+)(?:=([^`]*))?`")
CALL = re.compile(r"`(?:elman\.)?(\w+)\((?:(\w+)(?:=([^`()]*))?)?\)`")
COMMAND_OF = {  # functions that messages name
    "train": "train",
    "evaluate": "eval",
    "corpora": "data",
    "import_model": "import",
}
TRAINING = {*Config.__struct_fields__}


def in_options(message: str, command: click.Command | None) -> str:
    """Return a message with the arguments that are options of ``command`` written as on the command line.

    >>> train = click.Command("train", params=[click.Option(["--min-count"]), click.Option(["--lower/--no-lower"])])
    >>> in_options("add `min_count=2` or `lower=True`; `x` stays", train)
    'add --min-count 2 or --lower; `x` stays'
    >>> in_options("see `train(level='char')`; `elman.corpora()` lists them", None)
    'see `elman train --level char`; `elman data` lists them'
    """
    parameters = {} if command is None else _parameters(command)

    def argument(match: re.Match[str]) -> str:
        name, value = match.groups()
        parameter = parameters.get(name)
        if isinstance(parameter, click.Argument):
            return parameter.human_readable_name if value is None else _in_shell(value)
        if parameter is None and name not in TRAINING:
            return match[0]
        return _as_option(name, value, parameter)

    def call(match: re.Match[str]) -> str:
        function, name, value = match.groups()
        if parameter := parameters.get(f"{function}_{name}"):
            return _as_option(str(parameter.name), value, parameter)
        if function not in COMMAND_OF:
            return match[0]
        options = [] if name is None else [_as_option(name, value, None)]
        return f"`{' '.join(['elman', COMMAND_OF[function], *options])}`"

    return ARGUMENT.sub(argument, CALL.sub(call, message))


def _parameters(command: click.Command) -> dict[str, click.Parameter]:
    """Return a command's parameters by the names of their options and, first of all, by their own."""
    named = {option.lstrip("-").replace("-", "_"): each for each in command.params for option in each.opts}
    return named | {str(each.name): each for each in command.params}


def _as_option(name: str, value: str | None, parameter: Any) -> str:
    """Return an argument as an option; ``parameter`` is None for an option of another command."""
    option = f"--{name.replace('_', '-')}" if parameter is None else max(parameter.opts, key=len)
    if value == "False":
        opposite = [f"--no-{option[2:]}"] if parameter is None else parameter.secondary_opts
        return str(max(opposite, key=len, default=f"no {option}"))
    takes_value = parameter is not None and not parameter.is_flag
    if value == "..." or (value == "True" and takes_value):
        value = (parameter.metavar if takes_value else None) or "..."
    return option if value in (None, "True") else f"{option} {_in_shell(value)}"


def _in_shell(value: str) -> str:
    """Return a Python value as one writes it in a shell: a text without quotes, a dictionary as ``key=value``."""
    try:
        found = ast.literal_eval(value)
    except (SyntaxError, ValueError):
        return value  # a word such as SIZE
    if isinstance(found, dict):
        return " ".join(f"{key}={'...' if each is ... else each}" for key, each in found.items())
    return shlex.quote(found) if isinstance(found, str) else value


class LogHandler(logging.Handler):
    """Prints what the library logs on standard error: information as it is, a warning as `elman: ...`."""

    def __init__(self, command: click.Command | None) -> None:
        super().__init__()
        self._command = command

    def emit(self, record: logging.LogRecord) -> None:
        """Print a record, above the progress bars that there may be."""
        prefix = "elman: " if record.levelno >= logging.WARNING else ""
        text = for_stream(prefix + in_options(translate(record.getMessage()), self._command), sys.stderr)
        bars = sys.modules.get("tqdm")
        if bars is None or sys.stderr is None:
            click.echo(text, err=True)
        else:
            bars.tqdm.write(text, file=sys.stderr)
