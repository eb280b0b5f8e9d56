"""Encode a corpus of any size once, in several processes, for any number of trainings."""

import contextlib
import os
import unicodedata
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import msgspec

from elman.errors import ConfigError, RunError
from elman.evaluation.sentences import read_sentences
from elman.files import writing
from elman.formats.run_lock import locked
from elman.text import datasets
from elman.text.corpus import Corpus, stamps_of
from elman.text.folders import is_encoded, texts_in
from elman.text.sources import Text, is_binary, source_files
from elman.text.subword_training import train_subwords
from elman.text.tokenizers import LineCharacters, SubwordTokenizer
from elman.training.config import Config
from elman.training.encoded_folder import OF_THE_TEXT, EncodedFolder, Plan, encoded_options, read_encoded
from elman.training.launch import given_options
from elman.training.model_options import check_options, learns_tokenizer, tokenizer_for
from elman.training.parallel_encoding import encode_parts
from elman.training.progress_display import encoding_bar
from elman.training.text_parts import PART, TextReader

UTF_8 = Config().encoding


def encode(
    corpus: Text | Any,
    output: str | os.PathLike[str],
    *,
    column: str | None = None,
    processes: int = 1,
    overwrite: bool = False,
    options: Mapping[str, Any] | None = None,
    progress: bool = False,
    **more_options: Any,
) -> Corpus:
    """Encode a corpus as ids in a folder that `elman.train` takes in place of the text.

    The vocabulary and the ids are those that training on the text would have made. Memory does not grow with the text;
    the folder needs up to twice the size of the ids while it is written. If it is interrupted, the same call continues
    with the parts that are missing; if nothing is missing, it returns what is there.

    >>> import elman, tempfile
    >>> folder = tempfile.mkdtemp()
    >>> elman.encode(["you say hello", "i say goodbye"], f"{folder}/ids")
    Corpus(corpus.ids: 8 tokens, 0 unknown, vocabulary 6)

    Args:
        corpus: the path of a file or a folder, the name of a corpus, a binary stream, or lines. Files may be
            compressed. Streams and lines are copied to the folder while they are encoded.
        output: the folder; it is made if it does not exist.
        column: the files are tables (Parquet, JSON Lines, CSV or TSV), and this column holds the text, a line in each
            row. So for a table such as a pandas DataFrame, and for an iterable of rows or of pyarrow's batches.
        processes: how many processes read the text. Files in UTF-8, JSON Lines and Parquet are cut into parts; one that
            is compressed or in another encoding is read by a single process.
        overwrite: replace an encoded corpus of other text or options.
        options: the options of `elman.train` that say what a token is: ``level``, ``lower``, ``encoding``,
            ``errors``, ``vocab_order``, ``max_vocab``, ``min_count``, ``open_vocabulary``, ``subwords``, ``vocab_size``
            and ``tokenizer``.
        progress: show a progress bar, in a terminal or a notebook.
        **more_options: options by name: ``level="char"``. They override ``options``.

    Returns:
        The corpus, its ids memory-mapped. Its ``sources`` is the file of the ids, and ``sha256`` that of this file.

    Raises:
        TextError: a text cannot be read, is empty, or changes while it is read; or the disk is full.
        ConfigError: an option is unknown, out of range, or does not go with another one; or there is no such column.
        RunError: the folder holds something else, is being written by another process, or a process was ended.
        MissingExtra: a library is not installed: pyarrow for Parquet, tokenizers for subwords.
    """
    given = given_options(options, more_options, ())
    for name in given:
        if name not in OF_THE_TEXT:
            raise ConfigError(f"`{name}` says nothing about the text; give it to `elman.train()`")
    if processes < 1:
        raise ConfigError(f"`processes` must be ≥ 1, got {processes}")
    config = Config.of({**Config().to_dict(), **given}, "options")
    check_options(config)
    found = EncodedFolder(Path(output))
    if encoded_options(corpus) is not None:
        raise ConfigError(f"{corpus} is encoded already; train on it, or name the text itself")
    if not found.holds_nothing_else():
        raise RunError(f"{output} holds other files; choose a new folder")
    with (
        locked(found.folder),
        _files(corpus, column, config, found.folder) as (files, column_of_files, encoding),
    ):
        config = msgspec.structs.replace(config, encoding=encoding)
        described = {name: getattr(config, name) for name in OF_THE_TEXT}
        plan = Plan(stamps_of(files), described, column_of_files, unicodedata.unidata_version, PART)
        if not _is_complete(found, plan, overwrite):
            reader = TextReader(config.level, config.lower, config.encoding, config.errors, column_of_files)
            if config.level == "subword":
                reader = _with_subwords(reader, files, config, found)
            encode_parts(reader, files, found, described, processes, encoding_bar(progress))
    return read_encoded(found.folder)[0]


@contextlib.contextmanager
def _files(
    corpus: Text | Any, column: str | None, config: Config, folder: Path
) -> Iterator[tuple[list[Path], str | None, str]]:
    """Yield the files to encode, the column of them that holds the text, and their encoding.

    What is no path is copied to a file, which is removed if the block succeeds.
    """
    if isinstance(corpus, (str, os.PathLike)):
        path = Path(corpus)
        if column is not None and not datasets.is_named(os.fspath(corpus)) and path.is_dir():
            yield texts_in(path, tables=True), column, config.encoding
        else:
            yield datasets.resolve(corpus), column, config.encoding
        return
    lines = corpus
    encoding = config.encoding if column is None and is_binary(corpus) else UTF_8  # the copy of lines is ours
    if column is not None:
        sentences = read_sentences(corpus, column, config.encoding, config.errors, keep=False)
        lines = (sentence.text for sentence in sentences)
    with source_files(lines, "train", folder) as (path,):
        yield [path], None, encoding
    path.unlink()


def _is_complete(found: EncodedFolder, plan: Plan, overwrite: bool) -> bool:
    """Return whether the folder holds what is planned; if not, leave it with this plan and what is done of it.

    Raises:
        RunError: it holds another corpus, and ``overwrite`` is not set.
    """
    if is_encoded(found.folder):
        about = found.about()
        there = Plan(about.record.stamps, about.options, about.column, plan.unicode, plan.part_bytes)
        if there == plan:
            return True
    elif found.plan() == plan:
        return False
    if found.holds_results() and not overwrite:
        raise RunError(
            f"{found.folder} holds another corpus, or the same one encoded with other options; replace it with "
            "`overwrite=True`, or choose another folder"
        )
    found.begin(plan)
    return False


def _with_subwords(
    reader: TextReader, files: Sequence[Path], config: Config, found: EncodedFolder
) -> TextReader:
    """Return a reader with a tokenizer of subwords: the given one, or one that is learnt from the text."""
    if not learns_tokenizer(config):
        tokenizer = tokenizer_for(config)
        assert isinstance(tokenizer, SubwordTokenizer)
        return replace(reader, json=tokenizer.json)
    if not found.tokenizer.is_file():
        units = LineCharacters(config.lower)
        blocks = (block for part in reader.parts(files) for block in reader.blocks(part, units))
        json = train_subwords(blocks, config.subwords, config.vocab_size)
        with writing(found.tokenizer) as file:
            file.write(json.encode())
    return replace(reader, json=found.tokenizer.read_text("utf-8"))
