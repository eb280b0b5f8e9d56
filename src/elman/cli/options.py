"""Shared options: training options from `Config`, caches and dynamic evaluation.

The options of `elman train`, made from the fields of `Config`: one place says what each means.

The options that let a model adapt to the text it reads, by a cache.

The options that let a model's weights go on learning from the text that it reads.
"""

import re
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace
from typing import Any, Literal, get_args, get_origin

import click

from elman.errors import ConfigError, ElmanError
from elman.models.adaptive.cache import CachedModel, NeuralCache, has_hidden_states
from elman.models.adaptive.dynamic import DynamicModel
from elman.models.adaptive.learner import BLOCKS, learns, mean_squares
from elman.models.base import LanguageModel
from elman.models.mixture import any_fits, wrap_members
from elman.text import datasets
from elman.text.corpus import encode_corpus
from elman.text_model import TextModel
from elman.training.config import Config, check, kinds
from elman.workers import limited_threads

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


WEIGHT, THETA = 0.1, 0.3


def cache_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add --cache, --neural-cache, --theta and --cache-weight; one that is not given is None."""
    return click.option(
        "--cache",
        type=int,
        metavar="SIZE",
        help="mix in each word's share of the last SIZE words read",
    )(neural_cache_options(command))


def neural_cache_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add --neural-cache, --theta and --cache-weight; one that is not given is None."""
    for option in reversed(
        [
            click.option(
                "--neural-cache",
                type=int,
                metavar="SIZE",
                help="mix in the last SIZE words; those that followed a hidden state like the present one "
                "weigh more",
            ),
            click.option(
                "--theta",
                type=float,
                help=f"how much more: weights are exp(theta·h·h')  [default: {THETA}]",
            ),
            click.option(
                "--cache-weight", type=float, help=f"the cache's share of the mixture  [default: {WEIGHT}]"
            ),
        ]
    ):
        command = option(command)
    return command


def with_cache(
    text_model: TextModel,
    cache: int | None,
    neural_cache: int | None,
    theta: float | None,
    cache_weight: float | None,
) -> TextModel:
    """Return the text model with the cache that the options ask for; raises ConfigError where they do not fit.

    Of a mixture, each recurrent member gets a neural cache of its own; the other cache is the whole model's.
    """
    if cache is not None and neural_cache is not None:
        raise ConfigError("--cache and --neural-cache are two kinds of cache; take one of them")
    if neural_cache is None and theta is not None:
        raise ConfigError("--theta belongs to a neural cache; add --neural-cache SIZE")
    weight = WEIGHT if cache_weight is None else cache_weight
    if neural_cache is not None:
        size, sharpness = neural_cache, THETA if theta is None else theta

        def wrap(model: LanguageModel) -> LanguageModel:
            return NeuralCache(model, size, sharpness, weight)

        return replace(text_model, model=wrap_members(text_model.model, wrap, has_hidden_states))
    if cache is not None:
        return replace(text_model, model=CachedModel(text_model.model, cache, weight))
    if cache_weight is not None:
        raise ConfigError("--cache-weight needs a cache; add --cache SIZE or --neural-cache SIZE")
    return text_model


BLOCK = 20
LR = {"scaled": 0.003, "plain": 0.3}
DECAY = {"scaled": 0.01, "plain": 0.0}
CLIP_NORM = {"scaled": None, "plain": 1.0}
Step = Literal["scaled", "plain"]


def dynamic_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add --dynamic and the options that belong to it; one that is not given is None, --dynamic False."""
    for option in reversed(
        [
            click.option(
                "--dynamic",
                is_flag=True,
                help="let the weights learn from each block of the text once it has been predicted; the saved "
                "model stays as it is",
            ),
            click.option(
                "--dynamic-lr",
                type=float,
                help=f"the learning rate  [default: {LR['scaled']}; plain: {LR['plain']}]",
            ),
            click.option(
                "--dynamic-decay",
                type=float,
                help="how far each step also goes back to the weights as trained  "
                f"[default: {DECAY['scaled']}; plain: {DECAY['plain']:g}]",
            ),
            click.option("--dynamic-block", type=int, help=f"tokens a step  [default: {BLOCK}]"),
            click.option(
                "--dynamic-step",
                type=click.Choice(["scaled", "plain"]),
                help="scaled: gradients over the root of their mean squares; plain: gradients, clipped to norm "
                f"{CLIP_NORM['plain']:g}  [default: scaled]",
            ),
            click.option(
                "--dynamic-text",
                metavar="TEXT",
                help="a text to take the mean squares from  [default: what the model was trained on]",
            ),
        ]
    ):
        command = option(command)
    return command


def with_dynamic(
    text_model: TextModel,
    encoding: str,
    dynamic: bool,
    dynamic_lr: float | None,
    dynamic_decay: float | None,
    dynamic_block: int | None,
    dynamic_step: Step | None,
    dynamic_text: str | None,
) -> TextModel:
    """Return the text model with dynamic evaluation, where the options ask for it.

    Raises:
        ConfigError: the options do not fit one another or the model.
    """
    given = {
        "--dynamic-lr": dynamic_lr,
        "--dynamic-decay": dynamic_decay,
        "--dynamic-block": dynamic_block,
        "--dynamic-step": dynamic_step,
        "--dynamic-text": dynamic_text,
    }
    if not dynamic:
        for name, value in given.items():
            if value is not None:
                raise ConfigError(f"{name} belongs to dynamic evaluation; add --dynamic")
        return text_model
    step: Step = dynamic_step or "scaled"
    if step == "plain" and dynamic_text is not None:
        raise ConfigError("--dynamic-text belongs to the scaled step; leave out --dynamic-step plain")
    block = BLOCK if dynamic_block is None else dynamic_block
    lr = LR[step] if dynamic_lr is None else dynamic_lr
    decay = DECAY[step] if dynamic_decay is None else dynamic_decay
    ids = None
    fits = block > 0 and any_fits(text_model.model, learns)  # what does not is refused by the wrapper
    if step == "scaled" and fits:
        ids = _training_ids(text_model, dynamic_text, encoding, block)

    def wrap(model: LanguageModel) -> LanguageModel:
        squares = None if ids is None else mean_squares(model, ids, block)
        return DynamicModel(model, lr, decay, block, squares, CLIP_NORM[step])

    with threads_for(dynamic):
        return replace(text_model, model=wrap_members(text_model.model, wrap, learns))


def threads_for(dynamic: bool, **_: Any) -> AbstractContextManager[None]:
    """Return the context in which to read: with one thread where one small block is read after the other."""
    return limited_threads(0) if dynamic else nullcontext()


def _training_ids(text_model: TextModel, text: str | None, encoding: str, block: int) -> Any:
    """Return the first ids of a text, or of the one that the model was trained on."""
    source = text_model.info.get("corpus") if text is None else text
    if source is None:
        raise ConfigError("the model does not say what it was trained on; name a text by --dynamic-text TEXT")
    try:
        sources = datasets.resolve(str(source), "train")
    except ElmanError as error:
        if text is not None:
            raise
        raise ConfigError(
            f"the text that the model was trained on is not here ({error}); name one by --dynamic-text TEXT, "
            "or take --dynamic-step plain"
        ) from error
    return encode_corpus(
        sources,
        text_model.tokenizer,
        cache=None,
        vocabulary=text_model.vocabulary,
        encoding=encoding,
        max_tokens=block * BLOCKS + 1,
    ).ids
