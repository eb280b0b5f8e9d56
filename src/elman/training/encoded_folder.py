"""The folder of an encoded corpus: its ids in one memory-mapped file, and what they mean.

====================== ==========================================================================================
``corpus.ids``         the ids, a raw array, as the cache of encoded texts keeps them
``corpus.json``        its `EncodedText`: sizes, checksums, vocabulary, and the options with which it was encoded
``corpus.plan.json``   only while it is being made: the `Plan`, with the parts of the text
``parts/``             only while it is being made: the results of the parts that are finished
====================== ==========================================================================================

Every file is written to a temporary name and renamed, and every JSON file has a checksum in its first line.
"""

import contextlib
import hashlib
import os
import shutil
import zlib
from collections.abc import Iterable, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from elman.errors import ConfigError, TextError, VocabularyError
from elman.files import release_pages, remove_orphans, writing
from elman.text.corpus import (
    Corpus,
    Record,
    Stamp,
    checksum_of,
    read_checked,
    write_checked,
)
from elman.text.folders import ENCODED, ENCODING, IDS, is_encoded
from elman.text.reading import CHUNK
from elman.text.registry import is_named
from elman.text.stream import Ids
from elman.text.tokenizers import Tokenizer, make_tokenizer
from elman.text.vocabulary import Vocabulary

PARTS = "parts"
OF_THE_TEXT = (  # the options of `train` that an encoded corpus brings with it
    "level",
    "subwords",
    "vocab_size",
    "tokenizer",
    "lower",
    "encoding",
    "errors",
    "vocab_order",
    "max_vocab",
    "min_count",
    "open_vocabulary",
)


class EncodedText(msgspec.Struct):
    """What the ids mean: ``record.sha256`` is that of the text's files, ``sha256`` that of the ids' file."""

    record: Record
    sha256: str
    options: dict[str, Any]
    column: str | None
    tokenizer_json: str


class Plan(msgspec.Struct):
    """What is being encoded, and how: work is resumed only where this is the same."""

    stamps: list[Stamp]
    options: dict[str, Any]
    column: str | None
    unicode: str  # the version of Python's tables
    part_bytes: int


class EncodedFolder:
    """The files of an encoded corpus in a folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.ids, self._about, self._plan = folder / IDS, folder / ENCODED, folder / ENCODING
        self.parts = folder / PARTS
        self.tokenizer = self.parts / "tokenizer.json"  # of subwords, so that they are learnt once

    def about(self) -> EncodedText:
        """Return what the ids mean. Raises TextError where the folder is damaged, or not one of these."""
        try:
            return read_checked(self._about, EncodedText)
        except (OSError, ValueError, msgspec.MsgspecError) as error:
            raise TextError(
                f"{self._about} is damaged or of another version of elman; encode the text again"
            ) from error

    def plan(self) -> Plan | None:
        """Return what is being encoded in the folder; None if nothing is."""
        try:
            return read_checked(self._plan, Plan)
        except (OSError, ValueError, msgspec.MsgspecError):
            return None

    def holds_results(self) -> bool:
        """Return whether an encoded corpus is there, or a part of one that it would be a pity to lose."""
        return is_encoded(self.folder) or any(self.parts.glob("[0-9]*")) or self.tokenizer.is_file()

    def begin(self, plan: Plan) -> None:
        """Write the plan, and forget the results of any other one."""
        self.clear()
        self.parts.mkdir(parents=True, exist_ok=True)
        write_checked(self._plan, plan)

    def clear(self) -> None:
        """Remove all that is ours."""
        for path in (self._about, self._plan):
            path.unlink(missing_ok=True)
        with contextlib.suppress(OSError):  # on Windows, while it is mapped; it is replaced later
            self.ids.unlink()
        shutil.rmtree(self.parts, ignore_errors=True)

    def holds_nothing_else(self) -> bool:
        """Return whether all in the folder is ours or hidden."""
        own = {IDS, ENCODED, ENCODING, PARTS}
        names = [path.name for path in self.folder.iterdir()] if self.folder.is_dir() else []
        return all(name in own or name.startswith((".", "text-")) for name in names)

    def join(self, parts: Iterable[tuple[Path, int]]) -> tuple[int, str]:
        """Write the ids of all parts, files with their CRC-32, as one file; return its CRC-32 and SHA-256.

        Raises:
            TextError: a part is damaged, or the disk is full.
        """
        whole, digest = 0, hashlib.sha256()
        with writing(self.ids) as joined:
            for path, expected in parts:
                checksum = 0
                with path.open("rb") as file:
                    while chunk := file.read(CHUNK):
                        checksum, whole = zlib.crc32(chunk, checksum), zlib.crc32(chunk, whole)
                        digest.update(chunk)
                        joined.write(chunk)
                if checksum != expected:
                    path.unlink()  # what is missing is encoded again
                    raise TextError(f"{path} is damaged; run it again, which encodes this part again")
        return whole, digest.hexdigest()

    def finish(self, text: EncodedText) -> None:
        """Write what the ids mean, which makes the folder complete, and remove the parts."""
        write_checked(self._about, text)
        self._plan.unlink(missing_ok=True)
        shutil.rmtree(self.parts, ignore_errors=True)
        remove_orphans(self.folder)


def read_encoded(folder: Path) -> tuple[Corpus, Tokenizer]:
    """Return an encoded corpus, its ids memory-mapped, and its tokenizer.

    ``sources`` of the corpus is the file of its ids, and ``sha256`` that of this file: the text need not be there.

    Raises:
        TextError: the folder is damaged.
    """
    found = EncodedFolder(folder)
    about = found.about()
    record = about.record
    try:
        ids: Ids = np.memmap(found.ids, record.dtype, mode="r")
        vocabulary = Vocabulary.from_json(record.vocabulary)
    except (OSError, ValueError, VocabularyError) as error:
        raise TextError(f"{found.ids} cannot be read ({error}); encode the text again") from error
    if len(ids) != record.size.tokens or checksum_of(ids) != record.checksum:
        raise TextError(f"{found.ids} is damaged: its checksum is wrong; encode the text again")
    options = about.options
    tokenizer = make_tokenizer(options["level"], options["lower"], about.tokenizer_json)
    corpus = Corpus(ids, vocabulary, **asdict(record.size), sha256=about.sha256, sources=(found.ids,))
    return corpus, tokenizer


def is_encoded_corpus(corpus: str) -> bool:
    """Return whether a corpus argument is the folder of an encoded corpus; named corpora take precedence."""
    return not is_named(corpus) and is_encoded(Path(corpus))


def encoded_options(corpus: Any) -> dict[str, Any] | None:
    """Return the options with which a corpus argument was encoded; None if it is not the folder of one."""
    if not isinstance(corpus, (str, os.PathLike)) or not is_encoded_corpus(os.fspath(corpus)):
        return None
    return EncodedFolder(Path(corpus)).about().options


def check_options_of(folder: Any, encoded: Mapping[str, Any], given: Mapping[str, Any]) -> None:
    """Raise ConfigError for a given option that is another one in an encoded corpus."""
    for name, value in given.items():
        if name in encoded and value != encoded[name]:
            raise ConfigError(
                f"`{name}={value!r}` does not fit {folder}, which was encoded with `{name}={encoded[name]!r}`; "
                "leave it out, or encode the text again"
            )


def part_of(corpus: Corpus, first: int, last: int) -> Corpus:
    """Return the tokens ``first`` to ``last`` - 1 of an encoded corpus.

    Its tokens, unknown ones and lines are counted; characters, bytes and words are not known from ids, and 0.
    """
    ids = corpus.ids[first:last]
    unknown = lines = 0
    for start in range(0, len(ids), CHUNK):
        chunk = ids[start : start + CHUNK]
        unknown += int(np.count_nonzero(chunk == corpus.vocabulary.unknown_id))
        if corpus.vocabulary.eos_id is not None:
            lines += int(np.count_nonzero(chunk == corpus.vocabulary.eos_id))
    release_pages(corpus.ids)
    return Corpus(ids, corpus.vocabulary, len(ids), unknown, 0, 0, lines, 0, corpus.sha256, corpus.sources)
