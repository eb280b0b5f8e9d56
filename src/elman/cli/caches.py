"""The options that let a model adapt to the text it reads, by a cache."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import click

from elman.errors import ConfigError
from elman.models.base import LanguageModel
from elman.models.cache import CachedModel
from elman.models.members import wrap_members
from elman.models.neural_cache import NeuralCache, has_hidden_states
from elman.models.text_model import TextModel

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
