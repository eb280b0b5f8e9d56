"""Measure how much of a generated text is copied."""

import contextlib
from collections.abc import Iterator
from pathlib import Path

from elman.evaluation.novelty_report import NoveltyReport, novelty_report
from elman.text.corpus import Corpus
from elman.text.sources import Text, encoded, temporary_folder, text_name
from elman.text_model import Model, TextModel, as_model
from elman.training.origin import training_text


def novelty(
    model: Model, text: str, novelty_text: Text | None = None, *, encoding: str = "utf-8"
) -> NoveltyReport:
    """Report how much of a generated text is copied from the model's training text.

    The report has the longest part that appears verbatim in the training text, the line where it begins there, and the
    fractions of n-grams that are new.

    Args:
        model: a model or its path; its vocabulary splits the text into tokens.
        text: the generated text itself.
        novelty_text: another text to compare with: a file, a folder, a named corpus, a stream or lines.
        encoding: of ``novelty_text``.

    Raises:
        TextError: the training text is not known, cannot be read, or has changed; give ``novelty_text``.
    """
    text_model = as_model(model)
    with compared_text(model, text_model, novelty_text, encoding) as (name, corpus):
        return novelty_report(text_model, text_model.encode(text)[1].tolist(), name, corpus)


@contextlib.contextmanager
def compared_text(
    model: Model, text_model: TextModel, novelty_text: Text | None, encoding: str
) -> Iterator[tuple[str, Corpus]]:
    """Yield the name and ids of a text, or of the model's training text where it is None.

    ``model`` is what ``text_model`` was loaded from, or itself.
    """
    if novelty_text is not None:
        with encoded(novelty_text, text_model.tokenizer, text_model.vocabulary, "train", encoding) as corpus:
            yield text_name(novelty_text), corpus
    else:
        with temporary_folder() as folder:
            run = None if isinstance(model, TextModel) else Path(model)
            corpus = training_text(run, text_model, folder)
            yield str(text_model.info.get("corpus", corpus.sources[0])), corpus
