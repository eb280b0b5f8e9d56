"""The text that a model learnt from: what a model file says of it, and how it is found again."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from elman.errors import DatasetError, TextError
from elman.text import datasets
from elman.text.corpus import Corpus, encode_corpus
from elman.text_model import TextModel
from elman.training.config import AUTO, Config
from elman.training.corpora import NO_VALIDATION, RunCorpora, load_corpora
from elman.training.run_folder import CONFIG_NAME, read_stored

ADVICE = "name a text to compare with: --novelty-text TEXT"
UTF_8 = Config().encoding


def origin_of(corpora: RunCorpora, config: Config) -> dict[str, Any]:
    """Return what a model's info says of its training text: name, checksum and, if unusual, how it was read.

    ``max_tokens`` stands there where only so many tokens from the beginning on were learnt.
    """
    origin: dict[str, Any] = {"corpus": corpora.name, "corpus_sha256": corpora.train.sha256}
    if config.encoding != UTF_8:
        origin["encoding"] = config.encoding
    if config.max_tokens or corpora.held_out:
        origin["max_tokens"] = corpora.train.tokens
    return origin


def training_text(run: Path, text_model: TextModel, scratch: Path) -> Corpus:
    """Return the text that the model in ``run`` learnt from, in its ids; of a mixture, the text of all its members.

    In a run folder the ids that the training made are used again; others are kept in ``scratch``.

    Raises:
        TextError: the text is not known, cannot be read, or is not what it was.
    """
    origin = _one_origin(text_model.info, run)
    folder = run if run.is_dir() else run.parent
    try:
        corpus = _of_run(folder, text_model) if (folder / CONFIG_NAME).is_file() else None
        if corpus is None or corpus.vocabulary != text_model.vocabulary:  # the file is from another folder
            corpus = encode_corpus(
                datasets.resolve(origin["corpus"]),
                text_model.tokenizer,
                cache=scratch,
                vocabulary=text_model.vocabulary,
                encoding=origin.get("encoding", UTF_8),
                max_tokens=origin.get("max_tokens"),
            )
    except (TextError, DatasetError) as error:
        raise TextError(
            f"the text that {run} learnt from cannot be read: {error}; restore it, or {ADVICE}"
        ) from error
    if corpus.sha256 != origin["corpus_sha256"]:
        raise TextError(
            f"the text that {run} learnt from, {' and '.join(map(str, corpus.sources[:2]))}, has changed since "
            f"(its SHA-256 begins with {corpus.sha256[:8]}, not {origin['corpus_sha256'][:8]}); restore it, or {ADVICE}"
        )
    return corpus


def _of_run(folder: Path, text_model: TextModel) -> Corpus:
    path = folder / CONFIG_NAME
    stored = read_stored(path)
    config = Config.of(stored["options"], str(path))
    valid = AUTO if stored["valid"] == AUTO else NO_VALIDATION  # what is held out was not learnt
    tokenizer = text_model.tokenizer if text_model.tokenizer.level == config.level else None
    return load_corpora(stored["corpus"], valid, config, folder, tokenizer=tokenizer).train


def _one_origin(info: Mapping[str, Any], run: Path) -> Mapping[str, Any]:
    """Return what ``info`` says of the text; raise TextError where it is silent, or speaks of several texts."""
    origins = {}
    for origin in _origins(info):
        if "corpus_sha256" not in origin:
            raise TextError(f"{run} does not say which text it learnt from; {ADVICE}")
        origins[origin["corpus_sha256"], origin.get("max_tokens")] = origin
    first, *others = origins.values()
    if others:
        raise TextError(
            f"the models in {run} learnt from different texts ({first['corpus']} and {others[0]['corpus']}); "
            f"{ADVICE}"
        )
    return first


def _origins(info: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    """Yield the info of a model, or that of every member of a mixture, of mixtures too."""
    if "members" not in info:
        yield info
    for member in info.get("members", {}).values():
        yield from _origins(member)
