"""Messages of the library at the command line: what it logs, and its errors in terms of options.

The library speaks of arguments in Python's way, in backquotes: `` `allow_overlap=True` ``. A command shows those that
are options of its own in the shell's way: ``--allow-overlap``. An argument of a method, `` `dynamic(lr=0.1)` ``, may be
an option of the command that does the same, ``--dynamic-lr 0.1``; one of `train` belongs to ``elman train``.
"""

import logging
import re

import click

ARGUMENT = re.compile(r"`(\w+)(?:=([^`]*))?`")
OF_METHOD = re.compile(r"`(\w+)\((\w+)(?:=([^`()]*))?\)`")  # `dynamic(lr=0.1)` is --dynamic-lr 0.1


def in_options(message: str, command: click.Command | None) -> str:
    """Return a message with the arguments that are options of ``command`` written as on the command line.

    >>> train = click.Command("train", params=[click.Option(["--min-count"]), click.Option(["--lower/--no-lower"])])
    >>> in_options("add `min_count=2` or `lower=True`; `x` stays", train)
    'add --min-count 2 or --lower; `x` stays'
    >>> in_options("see `train(min_count=2)`", None)
    'see `elman train --min-count 2`'
    """
    parameters = {} if command is None else {each.name: each for each in command.params}

    def written(match: re.Match[str]) -> str:
        name, value = match.groups()
        parameter = parameters.get(name)
        if parameter is None:
            return match[0]
        if not isinstance(parameter, click.Option):
            return parameter.human_readable_name if value is None else value.strip("'\"")
        option = max(parameter.opts, key=len)
        if value == "False":
            return max(parameter.secondary_opts, key=len, default=f"no {option}")
        return _with_value(option, value)

    def written_of_method(match: re.Match[str]) -> str:
        method, name, value = match.groups()
        option = f"--{name}".replace("_", "-")
        if f"{method}_{name}" in parameters:
            return _with_value(f"--{method}{option[1:]}", value)
        return f"`elman train {_with_value(option, value)}`" if method == "train" else match[0]

    return ARGUMENT.sub(written, OF_METHOD.sub(written_of_method, message))


def _with_value(option: str, value: str | None) -> str:
    """Return an option with its value; a dictionary ``{'a': 'b'}`` is ``a=b``."""
    if value is None or value == "True":
        return option
    if value.startswith("{"):
        value = value.strip("{}").replace(": ", "=")
    return f"{option} {value}".replace("'", "").replace('"', "")


class LogHandler(logging.Handler):
    """Prints what the library logs on standard error: information as it is, a warning as `elman: ...`."""

    def __init__(self, command: click.Command | None) -> None:
        super().__init__()
        self._command = command

    def emit(self, record: logging.LogRecord) -> None:
        """Print a record."""
        prefix = "elman: " if record.levelno >= logging.WARNING else ""
        click.echo(prefix + in_options(record.getMessage(), self._command), err=True)
