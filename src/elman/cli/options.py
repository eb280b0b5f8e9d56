"""Options that several commands share: training options made from `Config`, caches, dynamic evaluation."""

from collections.abc import Callable
from typing import Any, Literal, get_args, get_origin

import click

from elman.cli.messages import in_options
from elman.errors import ConfigError
from elman.evaluation.adaptation import (
    CACHE_WEIGHT,
    DYNAMIC_BLOCK,
    DYNAMIC_CLIP_NORM,
    DYNAMIC_DECAY,
    DYNAMIC_LR,
    THETA,
)
from elman.evaluation.spelling import AUTO, CASES, PUNCTUATIONS
from elman.text.reading import Errors
from elman.training.config import Config, check, in_seconds, kinds

_METAVARS = {int: "INTEGER", float: "NUMBER", str: "TEXT"}


def config_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add one option for each field of Config; an option that is not given is None."""
    names = [name for name in Config.__struct_fields__ if name != "about"]
    return _add_options(command, *map(_config_option, names))


def some_config_options(*names: str) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Return a decorator that adds the options of some fields of Config; an option that is not given is None."""
    return lambda command: _add_options(command, *map(_config_option, names))


def _add_options(command: Callable[..., Any], *options: Callable[[Any], Any]) -> Callable[..., Any]:
    """Add options to a command, in the order in which its help lists them."""
    for option in reversed(options):
        command = option(command)
    return command


def _config_option(name: str) -> Callable[[Any], Any]:
    kind, meta = get_args(kinds()[name])
    default = getattr(Config(), name)
    flag, meaning = f"--{name.replace('_', '-')}", in_options(meta.description, None)
    if kind is bool:
        text = f"{meaning}  [default: {'yes' if default else 'no'}]"
        return click.option(f"{flag}/--no-{flag[2:]}", name, default=None, help=text)
    text = f"{meaning}  [default: {default}]"
    if get_origin(kind) is Literal:
        return click.option(flag, name, type=click.Choice(get_args(kind)), default=None, help=text)
    metavar = "TIME" if name == "time_budget" else _METAVARS[kind]
    return click.option(flag, name, metavar=metavar, callback=_parse_value, default=None, help=text)


def _parse_value(ctx: click.Context, param: click.Parameter, value: str | None) -> Any:
    """Convert an option's text to the type of its field in Config."""
    name = str(param.name)
    if value is None:
        return None
    try:
        if name == "time_budget":
            return in_seconds(value)
        return check(name, value, strict=False)
    except ConfigError as error:
        raise click.BadParameter(str(error)) from error


def errors_option(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add --errors."""
    return click.option(
        "--errors",
        type=click.Choice(get_args(Errors)),
        default="strict",
        show_default=True,
        help="a line that is not in the encoding: strict: stop; replace: read U+FFFD in place of its bytes; skip: "
        "leave it out",
    )(command)


def spelling_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add --case and --punctuation: how sentences are spelled before a model reads them."""
    return _add_options(
        command,
        click.option(
            "--case",
            type=click.Choice([AUTO, *CASES]),
            default=AUTO,
            show_default=True,
            help="lower or upper: convert sentences; asis: leave them; auto: follow the words of the vocabulary",
        ),
        click.option(
            "--punctuation",
            type=click.Choice([AUTO, *PUNCTUATIONS]),
            default=AUTO,
            show_default=True,
            help="split: separate punctuation, n't and 's from words that are not in the vocabulary; auto: if no word "
            "of the vocabulary has punctuation",
        ),
    )


def cache_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add --cache, --neural-cache, --theta and --cache-weight; an option that is not given is None."""
    return click.option(
        "--cache",
        type=int,
        metavar="SIZE",
        help="mix in the frequencies of words among the last SIZE words read",
    )(neural_cache_options(command))


def neural_cache_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add --neural-cache, --theta and --cache-weight; an option that is not given is None."""
    return _add_options(
        command,
        click.option(
            "--neural-cache",
            type=int,
            metavar="SIZE",
            help="mix in the last SIZE words, weighted by how similar the hidden state before each is to the "
            "current one",
        ),
        click.option(
            "--theta",
            type=float,
            help=f"sharpness of --neural-cache: weights are exp(theta·h·h')  [default: {THETA}]",
        ),
        click.option(
            "--cache-weight",
            type=float,
            help=f"weight of the cache in the mixture, from 0 to 1  [default: {CACHE_WEIGHT}]",
        ),
    )


def dynamic_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add --dynamic and its options; an option that is not given is None, --dynamic False."""
    return _add_options(
        command,
        click.option(
            "--dynamic",
            is_flag=True,
            help="dynamic evaluation: train on each block of the text after predicting it; the saved model does "
            "not change",
        ),
        click.option(
            "--dynamic-lr",
            type=float,
            help=f"learning rate  [default: {DYNAMIC_LR['scaled']}; plain: {DYNAMIC_LR['plain']}]",
        ),
        click.option(
            "--dynamic-decay",
            type=float,
            help="how far each step also moves back to the trained weights  "
            f"[default: {DYNAMIC_DECAY['scaled']}; plain: {DYNAMIC_DECAY['plain']:g}]",
        ),
        click.option("--dynamic-block", type=int, help=f"tokens per step  [default: {DYNAMIC_BLOCK}]"),
        click.option(
            "--dynamic-step",
            type=click.Choice(["scaled", "plain"]),
            help="scaled: gradients divided by the root of their mean squares; plain: gradients, clipped to norm "
            f"{DYNAMIC_CLIP_NORM['plain']:g}  [default: scaled]",
        ),
        click.option(
            "--dynamic-text",
            metavar="TEXT",
            help="text to compute the mean squares on  [default: the model's training text]",
        ),
    )
