"""Encoded corpora on disk, found again by their files and settings."""

import hashlib
import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, Literal, TypeAlias

import msgspec
import numpy as np

from elman.errors import VocabularyError
from elman.text.reading import check_file
from elman.text.storage import writing
from elman.text.stream import Ids, Size
from elman.text.vocabulary import Vocabulary

Stamp: TypeAlias = tuple[str, int, int]  # absolute path, size in bytes, time of change in ns
Dtype: TypeAlias = Literal["uint8", "uint16", "uint32", "int32"]


def stamps_of(sources: Iterable[Path]) -> list[Stamp]:
    """Return what tells whether files are still the same. Raises TextError for one that cannot be read."""
    return [(str(path.absolute()), *check_file(path)) for path in sources]


class Record(msgspec.Struct):
    """What is written beside the ids."""

    stamps: list[Stamp]
    dtype: Dtype
    size: Size
    sha256: str
    vocabulary: dict[str, Any]


class IdCache:
    """The place of one corpus in a cache folder: ``<key>.ids``, the bare array, and ``<key>.json``."""

    def __init__(self, folder: Path, sources: Sequence[Path], settings: Sequence[object]) -> None:
        paths = [str(path.absolute()) for path in sources]
        key = hashlib.sha256(json.dumps([paths, settings]).encode()).hexdigest()[:24]
        self._ids = folder / f"{key}.ids"
        self._record = folder / f"{key}.json"

    def load(self, stamps: list[Stamp]) -> tuple[Ids, Vocabulary, Record] | None:
        """Return the corpus, its ids memory-mapped; None if it is not there or its files have changed."""
        try:
            record = msgspec.json.decode(self._record.read_bytes(), type=Record)
            ids = np.memmap(self._ids, record.dtype, mode="r")
            vocabulary = Vocabulary.from_json(record.vocabulary)
        except (OSError, ValueError, msgspec.MsgspecError, VocabularyError):
            return None
        return (
            (ids, vocabulary, record) if record.stamps == stamps and len(ids) == record.size.tokens else None
        )

    def write_ids(self, parts: Iterable[Ids]) -> None:
        """Write the ids, part by part; an error leaves nothing behind. Raises TextError on a full disk."""
        with writing(self._ids) as file:
            for part in parts:
                file.write(part.data)

    def write_record(self, record: Record) -> Ids:
        """Write the record, which makes the ids valid; return them memory-mapped."""
        with writing(self._record) as file:
            file.write(msgspec.json.encode(record))
        return np.memmap(self._ids, record.dtype, mode="r")
