"""Options that several commands share: training options made from `Config`, caches, dynamic evaluation."""

import re
from collections.abc import Callable
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

CACHE_WEIGHT, THETA = 0.1, 0.3
DYNAMIC_BLOCK = 20
DYNAMIC_LR = {"scaled": 0.003, "plain": 0.3}
DYNAMIC_DECAY = {"scaled": 0.01, "plain": 0.0}
DYNAMIC_CLIP_NORM = {"scaled": None, "plain": 1.0}
Step = Literal["scaled", "plain"]
_SECONDS = {"": 1, "s": 1, "m": 60, "h": 3600, "d": 86400}
_METAVARS = {int: "INTEGER", float: "NUMBER", str: "TEXT"}


def config_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add one option for each field of Config; an option that is not given is None."""
    names = [name for name in Config.__struct_fields__ if name != "about"]
    return _add_options(command, *map(_config_option, names))


def _add_options(command: Callable[..., Any], *options: Callable[[Any], Any]) -> Callable[..., Any]:
    """Add options to a command, in the order in which its help lists them."""
    for option in reversed(options):
        command = option(command)
    return command


def _config_option(name: str) -> Callable[[Any], Any]:
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
    return click.option(flag, name, metavar=metavar, callback=_parse_value, default=None, help=text)


def _parse_value(ctx: click.Context, param: click.Parameter, value: str | None) -> Any:
    """Convert an option's text to the type of its field in Config."""
    name = str(param.name)
    if value is None:
        return None
    if name == "time_budget":
        return _parse_seconds(value)
    try:
        return check(name, value, strict=False)
    except ConfigError as error:
        raise click.BadParameter(str(error)) from error


def _parse_seconds(text: str) -> float:
    """Convert a time such as 90, 90s, 10m or 2h to seconds."""
    match = re.fullmatch(r"(\d+(?:\.\d+)?)\s*([smhd]?)", text.strip())
    if match is None:
        raise click.BadParameter(f"{text!r} is not a time; write 90s, 10m or 2h")
    return float(match[1]) * _SECONDS[match[2]]


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


def with_cache(
    text_model: TextModel,
    cache: int | None,
    neural_cache: int | None,
    theta: float | None,
    cache_weight: float | None,
) -> TextModel:
    """Return the text model with the cache that the options describe.

    In a mixture, each recurrent member gets its own neural cache; the other kind of cache is added to the whole model.

    Raises:
        ConfigError: the options contradict one another or do not fit the model.
    """
    if cache is not None and neural_cache is not None:
        raise ConfigError("--cache and --neural-cache cannot be used together; leave one out")
    if neural_cache is None and theta is not None:
        raise ConfigError("--theta applies only to a neural cache; add --neural-cache SIZE")
    weight = CACHE_WEIGHT if cache_weight is None else cache_weight
    if neural_cache is not None:
        size, sharpness = neural_cache, THETA if theta is None else theta

        def wrap(model: LanguageModel) -> LanguageModel:
            return NeuralCache(model, size, sharpness, weight)

        return replace(text_model, model=wrap_members(text_model.model, wrap, has_hidden_states))
    if cache is not None:
        return replace(text_model, model=CachedModel(text_model.model, cache, weight))
    if cache_weight is not None:
        raise ConfigError("--cache-weight applies only to a cache; add --cache SIZE or --neural-cache SIZE")
    return text_model


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
    """Return the text model with dynamic evaluation, if --dynamic is given.

    Raises:
        ConfigError: the options contradict one another or do not fit the model.
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
                raise ConfigError(f"{name} applies only to dynamic evaluation; add --dynamic")
        return text_model
    step: Step = dynamic_step or "scaled"
    if step == "plain" and dynamic_text is not None:
        raise ConfigError("--dynamic-text applies only to --dynamic-step scaled; leave one out")
    block = DYNAMIC_BLOCK if dynamic_block is None else dynamic_block
    lr = DYNAMIC_LR[step] if dynamic_lr is None else dynamic_lr
    decay = DYNAMIC_DECAY[step] if dynamic_decay is None else dynamic_decay
    ids = None
    fits = block > 0 and any_fits(text_model.model, learns)  # otherwise DynamicModel raises
    if step == "scaled" and fits:
        ids = _training_ids(text_model, dynamic_text, encoding, block)

    def wrap(model: LanguageModel) -> LanguageModel:
        squares = None if ids is None else mean_squares(model, ids, block)
        return DynamicModel(model, lr, decay, block, squares, DYNAMIC_CLIP_NORM[step])

    return replace(text_model, model=wrap_members(text_model.model, wrap, learns))


def _training_ids(text_model: TextModel, text: str | None, encoding: str, block: int) -> Any:
    """Return the first ids of ``text``, or of the model's training text where it is None."""
    source = text_model.info.get("corpus") if text is None else text
    if source is None:
        raise ConfigError("the model does not name its training text; name a text with --dynamic-text TEXT")
    try:
        sources = datasets.resolve(str(source), "train")
    except ElmanError as error:
        if text is not None:
            raise
        raise ConfigError(
            f"the model's training text cannot be found ({error}); name a text with --dynamic-text TEXT, "
            "or use --dynamic-step plain"
        ) from error
    return encode_corpus(
        sources,
        text_model.tokenizer,
        cache=None,
        vocabulary=text_model.vocabulary,
        encoding=encoding,
        max_tokens=block * BLOCKS + 1,
    ).ids
