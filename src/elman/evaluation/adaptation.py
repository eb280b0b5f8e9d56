"""Text models that adapt to what they read: with a cache, with dynamic evaluation, or with both.

In a mixture each member that can adapt does so for itself.
"""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Literal, TypeVar

import numpy as np

from elman.errors import ConfigError, ElmanError
from elman.models.adaptive.cache import CachedModel, NeuralCache, has_hidden_states
from elman.models.adaptive.dynamic import DynamicModel
from elman.models.adaptive.learner import BLOCKS, learns, mean_squares
from elman.models.base import Ids, LanguageModel
from elman.models.mixture import any_fits, wrap_members
from elman.models.tokenized import TokenizedModel
from elman.text.sources import Text, encoded

CACHE_WEIGHT, THETA = 0.1, 0.3
DYNAMIC_BLOCK = 20
DYNAMIC_LR = {"scaled": 0.003, "plain": 0.3}
DYNAMIC_DECAY = {"scaled": 0.01, "plain": 0.0}
DYNAMIC_CLIP_NORM = {"scaled": None, "plain": 1.0}
Step = Literal["scaled", "plain"]
M = TypeVar("M", bound=TokenizedModel)


def adapted(
    text_model: M,
    encoding: str = "utf-8",
    *,
    dynamic: bool = False,
    dynamic_lr: float | None = None,
    dynamic_decay: float | None = None,
    dynamic_block: int | None = None,
    dynamic_step: Step | None = None,
    dynamic_text: Text | None = None,
    cache: int | None = None,
    neural_cache: int | None = None,
    theta: float | None = None,
    cache_weight: float | None = None,
) -> M:
    """Return the text model with dynamic evaluation, if ``dynamic``, and with the cache described, if any.

    Raises:
        ConfigError: the arguments contradict one another or do not fit the model.
    """
    given = {
        "lr": dynamic_lr,
        "decay": dynamic_decay,
        "block": dynamic_block,
        "step": dynamic_step,
        "text": dynamic_text,
    }
    chosen: dict[str, Any] = {name: value for name, value in given.items() if value is not None}
    if dynamic:
        text_model = with_dynamic(text_model, encoding=encoding, **chosen)
    elif chosen:
        name = next(iter(chosen))
        raise ConfigError(f"`dynamic_{name}` applies only to dynamic evaluation; add `dynamic=True`")
    return with_cache(text_model, cache, neural_cache, theta, cache_weight)


def as_read(members: Mapping[str, M], encoding: str = "utf-8", **adaptation: Any) -> dict[str, LanguageModel]:
    """Return the members of a mixture as they read a text: each `adapted` as far as it can be.

    Raises:
        ConfigError: the arguments contradict one another, or fit no member.
    """
    dynamic = {name: value for name, value in adaptation.items() if name.startswith("dynamic")}
    caches = {name: value for name, value in adaptation.items() if name not in dynamic}
    trainable = [name for name in members if any_fits(members[name].model, learns)]
    with_states = [name for name in members if any_fits(members[name].model, has_hidden_states)]
    found = {}
    for name, member in members.items():
        if name in trainable or not trainable:
            member = adapted(member, encoding, **dynamic)
        if name in with_states or not with_states:
            member = adapted(member, **caches)
        found[name] = member.model
    return found


def with_cache(
    text_model: M,
    cache: int | None = None,
    neural_cache: int | None = None,
    theta: float | None = None,
    cache_weight: float | None = None,
) -> M:
    """Return the text model with a cache of ``cache`` words or a neural cache of ``neural_cache`` words.

    In a mixture, each recurrent member gets its own neural cache; the other kind of cache is added to the whole model.

    Raises:
        ConfigError: the arguments contradict one another or do not fit the model.
    """
    if cache is not None and neural_cache is not None:
        raise ConfigError("`cache` and `neural_cache` cannot be used together; leave one out")
    if neural_cache is None and theta is not None:
        raise ConfigError("`theta` applies only to a neural cache; add `neural_cache=SIZE`")
    weight = CACHE_WEIGHT if cache_weight is None else cache_weight
    if neural_cache is not None:
        size, sharpness = neural_cache, THETA if theta is None else theta

        def wrap(model: LanguageModel) -> LanguageModel:
            return NeuralCache(model, size, sharpness, weight)

        return replace(text_model, model=wrap_members(text_model.model, wrap, has_hidden_states))
    if cache is not None:
        return replace(text_model, model=CachedModel(text_model.model, cache, weight))
    if cache_weight is not None:
        raise ConfigError("`cache_weight` applies only to a cache; add `cache=SIZE` or `neural_cache=SIZE`")
    return text_model


def with_dynamic(
    text_model: M,
    *,
    lr: float | None = None,
    decay: float | None = None,
    block: int = DYNAMIC_BLOCK,
    step: Step = "scaled",
    text: Text | None = None,
    encoding: str = "utf-8",
) -> M:
    """Return the text model with dynamic evaluation: see `elman.TextModel.dynamic`.

    Raises:
        ConfigError: the arguments contradict one another or do not fit the model.
        TextError: ``text`` cannot be read.
    """
    if step not in DYNAMIC_LR:
        raise ConfigError(f"`dynamic(step)` must be one of {', '.join(DYNAMIC_LR)}, got {step!r}")
    if step == "plain" and text is not None:
        raise ConfigError("`dynamic(text)` applies only to `dynamic(step='scaled')`; leave one out")
    ids = None
    fits = block > 0 and any_fits(text_model.model, learns)  # otherwise DynamicModel raises
    if step == "scaled" and fits:
        ids = _training_ids(text_model, text, encoding, block)

    def wrap(model: LanguageModel) -> LanguageModel:
        squares = None if ids is None else mean_squares(model, ids, block)
        return DynamicModel(
            model,
            DYNAMIC_LR[step] if lr is None else lr,
            DYNAMIC_DECAY[step] if decay is None else decay,
            block,
            squares,
            DYNAMIC_CLIP_NORM[step],
        )

    return replace(text_model, model=wrap_members(text_model.model, wrap, learns))


def _training_ids(text_model: TokenizedModel, text: Text | None, encoding: str, block: int) -> Ids:
    """Return the first ids of ``text``, or of the model's training text where it is None."""
    corpus = text_model.info.get("corpus")
    if text is None and corpus is None:
        raise ConfigError("the model does not name its training text; name a text with `dynamic(text=TEXT)`")
    source: Text = str(corpus) if text is None else text
    try:
        tokenizer, vocabulary, most = text_model.tokenizer, text_model.vocabulary, block * BLOCKS + 1
        with encoded(source, tokenizer, vocabulary, "train", encoding, max_tokens=most) as corpus:
            return np.array(corpus.ids)
    except ElmanError as error:
        if text is not None:
            raise
        raise ConfigError(
            f"the model's training text cannot be found ({error}); name a text with `dynamic(text=TEXT)`, "
            "or use `dynamic(step='plain')`"
        ) from error
