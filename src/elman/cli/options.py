"""The options of `elman train`, made from the fields of `Config`: one place says what each means."""

import re
from collections.abc import Callable
from typing import Any, Literal, get_args, get_origin, get_type_hints

import click
from msgspec import Meta

from elman.training.config import Config

_UNITS = {"": 1, "s": 1, "m": 60, "h": 3600, "d": 86400}


class Duration(click.ParamType[float]):
    """A time such as 90, 90s, 10m or 2h, as seconds."""

    name = "time"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """Return the seconds."""
        match = re.fullmatch(r"(\d+(?:\.\d+)?)\s*([smhd]?)", str(value).strip())
        if match is None:
            self.fail(f"{value!r} is no time; write 90s, 10m or 2h", param, ctx)
        return float(match[1]) * _UNITS[match[2]]


def config_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add one option for every field of Config; an option that is not given is None."""
    hints = get_type_hints(Config, include_extras=True)
    for name in reversed(Config.__struct_fields__):
        if name == "about":
            continue
        kind, *extras = get_args(hints[name])
        (meta,) = (extra for extra in extras if isinstance(extra, Meta))
        default = getattr(Config(), name)
        command = _option(name, kind, str(meta.description), default)(command)
    return command


def _option(name: str, kind: Any, description: str, default: Any) -> Callable[[Any], Any]:
    flag = f"--{name.replace('_', '-')}"
    if kind is bool:
        return click.option(f"{flag}/--no-{flag[2:]}", name, default=None, help=f"{description}")
    if name == "time_budget":
        choice: Any = Duration()
    elif get_origin(kind) is Literal:
        choice = click.Choice(get_args(kind))
    else:
        choice = kind
    shown = description if default in (0, 0.0) else f"{description}  [default: {default}]"
    return click.option(flag, name, type=choice, default=None, help=shown)
