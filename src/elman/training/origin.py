"""The training text of a model: what the model file records of it, and how to read it again."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from elman.errors import DatasetError, TextError
from elman.formats.run_files import CONFIG_NAME, run_file
from elman.text import datasets
from elman.text.corpus import Corpus, encode_corpus
from elman.text_model import TextModel
from elman.training.config import AUTO, Config
from elman.training.corpora import NO_VALIDATION, RunCorpora, load_corpora
from elman.training.run_folder import read_stored

ADVICE = "give a text to compare with: `novelty_text=TEXT`"
UTF_8 = Config().encoding


def origin_of(corpora: RunCorpora, config: Config) -> dict[str, Any]:
    """Return a model's record of its training text: name, checksum and, where not the defaults, how it was read.

    ``max_tokens`` is recorded where the training text is only the first so many tokens, ``valid_sha256`` where there is
    a validation text apart from it.
    """
    origin: dict[str, Any] = {"corpus": corpora.name, "corpus_sha256": corpora.train.sha256}
    if config.encoding != UTF_8:
        origin["encoding"] = config.encoding
    if config.errors != "strict":
        origin["errors"] = config.errors
    if config.max_tokens or corpora.held_out:
        origin["max_tokens"] = corpora.train.tokens
    if corpora.valid is not None and not corpora.held_out:
        origin["valid_sha256"] = corpora.valid.sha256
    return origin


def training_text(run: Path | None, text_model: TextModel, scratch: Path) -> Corpus:
    """Return the training text of the model in ``run``, as its ids; a mixture's members must share it.

    In a run folder the ids from training are reused; otherwise, and for a model in memory (``run`` is None), ids are
    cached in ``scratch``.

    Raises:
        TextError: the text is not known, cannot be read, or has changed.
    """
    name = "the model" if run is None else str(run)
    origin = _one_origin(text_model.info, name)
    folder = run if run is None or run.is_dir() else run.parent
    try:
        corpus = None
        if folder is not None and run_file(folder, CONFIG_NAME).is_file():
            corpus = _of_run(folder, text_model)
        if (
            corpus is None or corpus.vocabulary != text_model.vocabulary
        ):  # the model file was copied from another folder
            corpus = encode_corpus(
                datasets.resolve(origin["corpus"]),
                text_model.tokenizer,
                cache=scratch,
                vocabulary=text_model.vocabulary,
                encoding=origin.get("encoding", UTF_8),
                max_tokens=origin.get("max_tokens"),
                errors=origin.get("errors", "strict"),
            )
    except (TextError, DatasetError) as error:
        raise TextError(
            f"the training text of {name} cannot be read: {error}; restore it, or {ADVICE}"
        ) from error
    if corpus.sha256 != origin["corpus_sha256"]:
        raise TextError(
            f"the training text of {name}, {' and '.join(map(str, corpus.sources[:2]))}, has changed since "
            f"(its SHA-256 begins with {corpus.sha256[:8]}, not {origin['corpus_sha256'][:8]}); restore it, or {ADVICE}"
        )
    return corpus


def _of_run(folder: Path, text_model: TextModel) -> Corpus:
    path = run_file(folder, CONFIG_NAME)
    stored = read_stored(path)
    config = Config.of(stored["options"], str(path))
    valid = AUTO if stored["valid"] == AUTO else NO_VALIDATION  # held-out text was not trained on
    tokenizer = text_model.tokenizer if text_model.tokenizer.level == config.level else None
    return load_corpora(stored["corpus"], valid, config, folder, tokenizer=tokenizer).train


def _one_origin(info: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    """Return the record of the training text; raise TextError where there is none, or several that differ."""
    origins = {}
    for origin in _origins(info):
        if "corpus_sha256" not in origin:
            raise TextError(f"{name} does not record its training text; {ADVICE}")
        origins[origin["corpus_sha256"], origin.get("max_tokens")] = origin
    first, *others = origins.values()
    if others:
        raise TextError(
            f"the models in {name} have different training texts ({first['corpus']} and {others[0]['corpus']}); "
            f"{ADVICE}"
        )
    return first


def _origins(info: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    """Yield the info of a model, or of each member of a mixture (recursively)."""
    if "members" not in info:
        yield info
    for member in info.get("members", {}).values():
        yield from _origins(member)
