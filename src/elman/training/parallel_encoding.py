"""Encode a text part by part, in several processes, into the folder of an encoded corpus.

Tokens are counted first, part by part; the counts, added in the order of the parts, give the vocabulary that the whole
text would have given. Then the parts are encoded. Each part leaves its result in a file, so that work that was
interrupted continues with the parts that are missing.
"""

import contextlib
import logging
import multiprocessing
import os
import signal
import threading
import zlib
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass, replace
from functools import lru_cache
from multiprocessing.connection import wait as wait_for
from pathlib import Path
from typing import Any, Literal, NamedTuple

import msgspec

from elman.errors import RunError, TextError
from elman.files import writing
from elman.text.corpus import (
    Dtype,
    Kept,
    Record,
    adds_newlines,
    fixed_vocabulary,
    narrowest,
    read_checked,
    stamps_of,
    write_checked,
)
from elman.text.reading import sha256_of, warn_of_invalid
from elman.text.stream import Size, Tally, as_piece, count_tokens, encode_piece
from elman.text.tokenizers import OF_CHARACTERS
from elman.text.vocabulary import Vocabulary
from elman.training.encoded_folder import EncodedFolder, EncodedText
from elman.training.text_parts import Part, TextReader, whole

Progress = Callable[[int, int], None]
Invalid = tuple[str, int, str, str]  # the arguments of `warn_of_invalid`
BROKEN = (
    "a process of the encoding ended before its work was done (too little memory? a script that calls it without "
    "`if __name__ == '__main__':`?); run it again: what is finished is kept"
)


class Counts(msgspec.Struct):
    """The tokens of a part, in order of first appearance, and how often each occurs."""

    counts: dict[str, int]


class Encoded(msgspec.Struct):
    """The size of a part, the CRC-32 of its ids, and what its ends say about the size of the whole."""

    size: Size
    checksum: int
    begins_within: bool  # a word, if the part before ends within one
    ends_within: bool
    line_is_open: bool
    invalid: list[Invalid]


class Known(msgspec.Struct):
    """The vocabulary to encode with."""

    vocabulary: dict[str, Any]


class Hash(msgspec.Struct):
    """The SHA-256 of the text's files."""

    sha256: str


class Job(NamedTuple):
    """What one process does at a time: count or encode a part, or hash the files."""

    kind: Literal["count", "encode", "hash"]
    number: int = 0
    part: Part = ()


@dataclass(frozen=True)
class Task:
    """What every process needs: how to read, where results go and, to encode, which vocabulary is there."""

    reader: TextReader
    folder: Path
    vocabulary: str = ""  # its digest
    dtype: Dtype = "int32"

    def do(self, job: Job) -> None:
        """Do a job, and write its result to the folder."""
        match job.kind:
            case "count":
                self._count(job.number, job.part)
            case "encode":
                self._encode(job.number, job.part)
            case "hash":
                write_checked(self.hash_path, Hash(sha256_of(segment.path for segment in job.part)))

    def _count(self, number: int, part: Part) -> None:
        tokenizer = self.reader.tokenizer
        pieces = (as_piece(block, tokenizer) for block in self.reader.blocks(part))
        with _InvalidLines():  # they are reported when they are encoded
            counts = count_tokens(pieces, tokenizer.level)
        write_checked(self.counts_path(number), Counts(dict(counts)))

    def _encode(self, number: int, part: Part) -> None:
        vocabulary, level = _vocabulary_in(self.vocabulary_path, self.vocabulary), self.reader.level
        tally, checksum, first, last = Tally(vocabulary, level), 0, "", "\n"
        with _InvalidLines() as invalid, writing(self.ids_path(number)) as file:
            for block in self.reader.blocks(part):
                piece = as_piece(block, self.reader.tokenizer)
                ids = encode_piece(piece, vocabulary, level)
                tally.add(piece.text, ids)
                data = ids.astype(self.dtype).data
                file.write(data)
                checksum = zlib.crc32(data, checksum)
                first, last = first or block, block
        begins, ends = not _as_text(first, level)[:1].isspace(), not _as_text(last, level)[-1:].isspace()
        is_open = not last.endswith("\n")
        found = Encoded(tally.size(), checksum, begins, ends, is_open, invalid.found)
        write_checked(self.record_path(number), found)

    @property
    def vocabulary_path(self) -> Path:
        """The file of the `Known`."""
        return self.folder / "vocabulary.json"

    @property
    def hash_path(self) -> Path:
        """The file of the `Hash`."""
        return self.folder / "sha256.json"

    def is_counted(self, number: int) -> bool:
        """Return whether a part has been counted."""
        return self.counts_path(number).is_file()

    def is_encoded(self, number: int) -> bool:
        """Return whether a part has been encoded."""
        return self.ids_path(number).is_file() and _result(self.record_path(number), Encoded) is not None

    def counts_path(self, number: int) -> Path:
        """Return the file of the counts of a part."""
        return self.folder / f"{number:06}.counts.json"

    def ids_path(self, number: int) -> Path:
        """Return the file of the ids of a part."""
        return self.folder / f"{number:06}.ids"

    def record_path(self, number: int) -> Path:
        """Return the file of the `Encoded` of a part."""
        return self.folder / f"{number:06}.json"


def encode_parts(
    reader: TextReader,
    files: Sequence[Path],
    found: EncodedFolder,
    options: Mapping[str, Any],
    processes: int,
    progress: Progress | None,
) -> None:
    """Encode files, as ``reader`` reads them, into a folder whose plan is written; finished parts are not read again.

    Raises:
        TextError: a file cannot be read, is not in the encoding, or has changed; the text is empty; the disk is full.
        RunError: a process ended before its work was done.
    """
    stamps = stamps_of(files)
    parts = reader.parts(files)
    tokenizer = reader.tokenizer
    known = fixed_vocabulary(tokenizer, None)
    meter = _Meter(progress, parts, 1 if known else 2)
    task = Task(reader, found.parts)
    jobs = [] if _result(task.hash_path, Hash) else [Job("hash", 0, tuple(map(whole, files)))]
    with _executor(min(processes, len(parts))) as executor:
        if known is None:
            end = reader.column is not None or adds_newlines(tokenizer, len(files), None)
            task = Task(replace(reader, end=end), found.parts)
            counting = [Job("count", *each) for each in enumerate(parts) if not task.is_counted(each[0])]
            _carry_out(executor, task, [*jobs, *counting], meter)
            jobs, known = [], _vocabulary(task, files, len(parts), options, tokenizer.eos)
        end = tokenizer.level not in OF_CHARACTERS or known.eos_id is not None
        task = Task(replace(reader, end=end), found.parts, known.digest, narrowest(len(known)))
        write_checked(task.vocabulary_path, Known(known.to_json()))
        encoding = [Job("encode", *each) for each in enumerate(parts) if not task.is_encoded(each[0])]
        _carry_out(executor, task, [*jobs, *encoding], meter)
    records = [read_checked(task.record_path(k), Encoded) for k in range(len(parts))]
    size = _sum(records)
    if stamps_of(files) != stamps:
        found.clear()
        raise TextError(f"{_names(files)} changed while being read; try again")
    if size.tokens == 0:
        raise _is_empty(files)
    _warn(records)
    checksum, ids_sha256 = found.join((task.ids_path(k), each.checksum) for k, each in enumerate(records))
    sha256 = read_checked(task.hash_path, Hash).sha256
    record = Record(stamps, task.dtype, size, sha256, known.to_json(), checksum)
    found.finish(EncodedText(record, ids_sha256, dict(options), reader.column, reader.json))


def _result(path: Path, kind: type[Kept]) -> Kept | None:
    """Return the result in a file; None if there is none, or it is damaged."""
    try:
        return read_checked(path, kind)
    except (OSError, ValueError, msgspec.MsgspecError):
        return None


@lru_cache(maxsize=1)
def _vocabulary_in(path: Path, digest: str) -> Vocabulary:
    """Return the vocabulary in a file, read once; ``digest`` tells those that succeed each other in one place."""
    return Vocabulary.from_json(read_checked(path, Known).vocabulary)


def _vocabulary(
    task: Task, files: Sequence[Path], parts: int, options: Mapping[str, Any], eos: str | None
) -> Vocabulary:
    """Return the vocabulary of the whole text: counts are added in the order of the parts."""
    totals: Counter[str] = Counter()
    for number in range(parts):
        totals.update(read_checked(task.counts_path(number), Counts).counts)
    if not totals:
        raise _is_empty(files)
    return Vocabulary.build(
        totals,
        options["vocab_order"],
        options["max_vocab"] or None,
        options["min_count"],
        eos=eos,
        open_vocabulary=options["open_vocabulary"],
    )


def _sum(records: Sequence[Encoded]) -> Size:
    """Return the size of the whole: a word or a line that two parts share counts once."""
    total, within, is_open = Size(), False, False
    for record in records:
        size = record.size
        if size.tokens == 0:
            continue
        total = Size(
            total.tokens + size.tokens,
            total.unknown + size.unknown,
            total.characters + size.characters,
            total.bytes + size.bytes,
            total.lines + size.lines - is_open,
            total.words + size.words - (within and record.begins_within),
        )
        within, is_open = record.ends_within, record.line_is_open
    return total


def _as_text(block: str, level: str) -> str:
    return block.encode("latin-1").decode("utf-8", "replace") if level == "byte" else block


def _names(files: Sequence[Path]) -> str:
    return " and ".join(map(str, files[:2])) + (" and others" if len(files) > 2 else "")


def _is_empty(files: Sequence[Path]) -> TextError:
    return TextError(f"{_names(files)} {'is' if len(files) == 1 else 'are'} empty")


def _warn(records: Sequence[Encoded]) -> None:
    """Log how many lines of each file are not in the encoding."""
    counts: Counter[tuple[str, str, str]] = Counter()
    for record in records:
        for name, count, encoding, errors in record.invalid:
            counts[name, encoding, errors] += count
    for (name, encoding, errors), count in counts.items():
        warn_of_invalid(name, count, encoding, errors)


class _InvalidLines(logging.Filter):
    """Collects the warnings of lines that are not in the encoding, which are logged once for the whole text."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[Invalid] = []
        self._logger = logging.getLogger(warn_of_invalid.__module__)

    def filter(self, record: logging.LogRecord) -> bool:
        if (invalid := getattr(record, "invalid", None)) is None:
            return True
        self.found.append(invalid)
        return False

    def __enter__(self) -> "_InvalidLines":
        self._logger.addFilter(self)
        return self

    def __exit__(self, *error: object) -> None:
        self._logger.removeFilter(self)


class _Meter:
    """Reports the bytes of the parts that are done, in so many readings."""

    def __init__(self, progress: Progress | None, parts: Sequence[Part], readings: int) -> None:
        self._progress = progress
        self._total = readings * sum(map(_size, parts))
        self._done = 0

    def add(self, part: Part) -> None:
        self._done += _size(part)
        if self._progress is not None:
            self._progress(min(self._done, self._total), self._total)


def _size(part: Part) -> int:
    return sum(segment.size for segment in part)


@contextlib.contextmanager
def _executor(processes: int) -> Iterator[ProcessPoolExecutor | None]:
    """Yield several processes; None for one, which is this one. Raises RunError where one of them is lost."""
    if processes <= 1:
        yield None
        return
    context = multiprocessing.get_context(
        "spawn"
    )  # the same on every system, and safe where there are threads
    with ProcessPoolExecutor(processes, context, _start) as executor:
        try:
            yield executor
        except BrokenProcessPool as error:
            raise RunError(BROKEN) from error
        finally:
            executor.shutdown(cancel_futures=True)


def _carry_out(
    executor: ProcessPoolExecutor | None, task: Task, jobs: Sequence[Job], meter: "_Meter"
) -> None:
    """Do jobs, in this process or in those of ``executor``."""
    if executor is None:
        for job in jobs:
            with _placed(task.reader, job.part):
                task.do(job)
            meter.add(job.part)
        return
    parts = {executor.submit(task.do, job): job.part for job in jobs}
    for done in as_completed(parts):
        with _placed(task.reader, parts[done]):
            done.result()
        meter.add(parts[done])


@contextlib.contextmanager
def _placed(reader: TextReader, part: Part) -> Iterator[None]:
    """Within the block, an error of a part of a file gets its place in the file: the file is read up to it again."""
    try:
        yield
    except TextError:
        for segment in part:
            if segment.last is not None and segment.unit == "bytes":
                for _ in reader.blocks((whole(segment.path),)):
                    pass
        raise


def _start() -> None:
    """Prepare a process: it leaves Ctrl-C to its parent, and ends when that is killed."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    os.environ["TOKENIZERS_PARALLELISM"] = "false"  # a thread for each process is enough
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        wait_for([parent.sentinel])
        os._exit(1)
