"""A run of an n-gram model: counted in one pass, so that it is complete when it returns."""

import math
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from elman.evaluation.perplexity import evaluate
from elman.formats.metrics_log import Metrics
from elman.formats.model_file import MODEL_NAME, save_model
from elman.formats.run_files import METRICS_NAME
from elman.formats.versions import versions
from elman.models.ngram.model import NgramModel
from elman.models.ngram.smoothing import Smoothing, kneser_ney, witten_bell
from elman.text_model import TextModel
from elman.training.advice import warn_about
from elman.training.config import Config
from elman.training.corpora import Progress, RunCorpora, absolute_source, check_valid, load_corpora
from elman.training.model_options import check_options
from elman.training.origin import origin_of
from elman.training.run_folder import new_run_folder

SMOOTHINGS: dict[str, Smoothing] = {"kneser-ney": kneser_ney, "witten-bell": witten_bell}


@dataclass(frozen=True)
class NgramRun:
    """The result of a run: its model, and the perplexity of the validation text, where there is one."""

    folder: Path
    corpora: RunCorpora
    text_model: TextModel
    ngrams: tuple[int, ...]  # the number of distinct n-grams, for n = 1, ..., order
    valid_perplexity: float | None
    seconds: float  # of counting and smoothing


def train_ngram(
    folder: str | Path,
    corpus: str | Path,
    config: Config,
    *,
    valid: str | Path | None = None,
    allow_overlap: bool = False,
    overwrite: bool = False,
    on_encoding: Progress | None = None,
) -> NgramRun:
    """Count the n-grams of a corpus and write their model to ``folder``, with its options and its metrics.

    Where the vocabulary has an end-of-line token, a line is a sentence: no context reaches over its end.
    The arguments are those of `TrainingRun.create`.

    Raises:
        RunError: the folder already holds a run and ``overwrite`` is not set, or cannot be written.
        ElmanError: the corpus cannot be read, or options do not go together.
    """
    folder, corpus = Path(folder), str(corpus)
    valid = None if valid is None else str(valid)
    check_options(config)
    stored = {
        "corpus": absolute_source(corpus),
        "valid": absolute_source(valid) if valid else "",
        "versions": versions(),
        "options": config.to_dict(),
    }
    with new_run_folder(folder, stored, overwrite) as staged:
        corpora = load_corpora(corpus, valid, config, folder, on_encoding)
        corpora = check_valid(corpora, valid, config, allow_overlap)
        began = time.monotonic()
        text_model = _counted(corpora, config)
        seconds = time.monotonic() - began
        perplexity = _valid_perplexity(text_model, corpora)
        warn_about(corpora, config, valid)
        model: Any = text_model.model
        ngrams = tuple(len(level.keys) for level in model.levels)
        run = NgramRun(folder, corpora, text_model, ngrams, perplexity, seconds)
        _write_metrics(run, config, staged)
        save_model(staged / MODEL_NAME, text_model)
    return run


def _counted(corpora: RunCorpora, config: Config) -> TextModel:
    train = corpora.train
    vocabulary = train.vocabulary
    model = NgramModel.train(
        train.ids, len(vocabulary), config.order, SMOOTHINGS[config.smoothing], vocabulary.eos_id
    )
    info = {**origin_of(corpora, config), "order": config.order, "smoothing": config.smoothing}
    return TextModel(model, corpora.tokenizer, vocabulary, info)


def _valid_perplexity(text_model: TextModel, corpora: RunCorpora) -> float | None:
    if corpora.valid is None:
        return None
    vocabulary = text_model.vocabulary
    return evaluate(
        text_model.model, corpora.valid.ids, eos=text_model.start_id, unk=vocabulary.unk_id
    ).perplexity


def _write_metrics(run: NgramRun, config: Config, folder: Path) -> None:
    metrics = Metrics(folder / METRICS_NAME)
    perplexity = run.valid_perplexity
    metrics.write(
        "start",
        corpus=run.corpora.name,
        tokens=run.corpora.train.tokens,
        vocab_size=len(run.corpora.train.vocabulary),
        unit=run.text_model.unit,
        references=run.corpora.references,
        options=config.to_dict(),
        versions=versions(),
    )
    metrics.write(
        "counted",
        ngrams=list(run.ngrams),
        valid_perplexity=perplexity if perplexity is not None and math.isfinite(perplexity) else None,
        seconds=run.seconds,
    )
    metrics.sync()
