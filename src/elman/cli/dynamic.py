"""The options that let a model's weights go on learning from the text that it reads."""

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace
from typing import Any, Literal

import click

from elman.errors import ConfigError, ElmanError
from elman.models.base import LanguageModel
from elman.models.dynamic import DynamicModel
from elman.models.learner import BLOCKS, learns, mean_squares
from elman.models.members import any_fits, wrap_members
from elman.models.text_model import TextModel
from elman.text import datasets
from elman.text.corpus import encode_corpus
from elman.threads import suited_threads

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
    return suited_threads(0) if dynamic else nullcontext()


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
