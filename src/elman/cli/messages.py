"""Messages of the library at the command line: what it logs, and its errors in terms of options.

The library speaks of arguments in Python's way, in backquotes: `` `allow_overlap=True` ``. A command shows those that
are options of its own in the shell's way: ``--allow-overlap``.
"""

import logging
import re
import sys

import click

ARGUMENT = re.compile(r"`(\w+)(?:=([^`]*))?`")


def in_options(message: str, command: click.Command | None) -> str:
    """Return a message with the arguments that are options of ``command`` written as on the command line.

    >>> train = click.Command("train", params=[click.Option(["--min-count"]), click.Option(["--lower/--no-lower"])])
    >>> in_options("add `min_count=2` or `lower=True`; `x` stays", train)
    'add --min-count 2 or --lower; `x` stays'
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
        if value is None or value == "True":
            return option if parameter.is_flag or value is None else f"{option} {parameter.metavar}"
        if value == "False":
            return max(parameter.secondary_opts, key=len, default=f"no {option}")
        return " ".join([option, value.strip("'\"")])

    return ARGUMENT.sub(written, message)


class LogHandler(logging.Handler):
    """Prints what the library logs on standard error: information as it is, a warning as `elman: ...`."""

    def __init__(self, command: click.Command | None) -> None:
        super().__init__()
        self._command = command

    def emit(self, record: logging.LogRecord) -> None:
        """Print a record, above the progress bars that there may be."""
        prefix = "elman: " if record.levelno >= logging.WARNING else ""
        text = prefix + in_options(record.getMessage(), self._command)
        bars = sys.modules.get("tqdm")
        if bars is None or sys.stderr is None:
            click.echo(text, err=True)
        else:
            bars.tqdm.write(text, file=sys.stderr)
