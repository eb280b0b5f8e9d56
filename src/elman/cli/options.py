"""The options of `elman train`, made from the fields of `Config`: one place says what each means."""

import re
from collections.abc import Callable
from typing import Any, Literal, get_args, get_origin

import click

from elman.errors import ConfigError
from elman.training.config import Config, check, kinds

_UNITS = {"": 1, "s": 1, "m": 60, "h": 3600, "d": 86400}
_METAVARS = {int: "INTEGER", float: "NUMBER", str: "TEXT"}


def config_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add one option for every field of Config; an option that is not given is None."""
    for name in reversed(Config.__struct_fields__):
        if name != "about":
            command = _option(name)(command)
    return command


def _option(name: str) -> Callable[[Any], Any]:
    kind, meta = get_args(kinds()[name])
    default = getattr(Config(), name)
    flag = f"--{name.replace('_', '-')}"
    if kind is bool:
        text = f"{meta.description}  [default: {'yes' if default else 'no'}]"
        return click.option(f"{flag}/--no-{flag[2:]}", name, default=None, help=text)
    text = f"{meta.description}  [default: {default}]"
    if get_origin(kind) is Literal:
        return click.option(flag, name, type=click.Choice(get_args(kind)), default=None, help=text)
    metavar = "TIME" if name == "time_budget" else _METAVARS[kind]
    return click.option(flag, name, metavar=metavar, callback=_checked, default=None, help=text)


def _checked(ctx: click.Context, param: click.Parameter, value: str | None) -> Any:
    """Return an option's value, as the field of Config takes it."""
    name = str(param.name)
    if value is None:
        return None
    if name == "time_budget":
        return _seconds(value)
    try:
        return check(name, value, strict=False)
    except ConfigError as error:
        raise click.BadParameter(str(error)) from error


def _seconds(text: str) -> float:
    """Return the seconds of a time such as 90, 90s, 10m or 2h."""
    match = re.fullmatch(r"(\d+(?:\.\d+)?)\s*([smhd]?)", text.strip())
    if match is None:
        raise click.BadParameter(f"{text!r} is no time; write 90s, 10m or 2h")
    return float(match[1]) * _UNITS[match[2]]
