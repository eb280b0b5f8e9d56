"""A text that a command is given, as ids of the model's."""

import contextlib
import tempfile
from collections.abc import Iterator
from pathlib import Path

from elman.cli import standard_input
from elman.models.text_model import TextModel
from elman.text import datasets
from elman.text.corpus import Corpus, encode_corpus


@contextlib.contextmanager
def encoded(text_model: TextModel, text: str, split: str, encoding: str) -> Iterator[Corpus]:
    """Yield a text as ids in a temporary file, so that the memory does not grow with its length."""
    with contextlib.ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        if text == standard_input.NAME:
            sources = [stack.enter_context(standard_input.spooled(folder))]
        else:
            sources = datasets.resolve(text, split)
        yield encode_corpus(
            sources, text_model.tokenizer, cache=folder, vocabulary=text_model.vocabulary, encoding=encoding
        )
