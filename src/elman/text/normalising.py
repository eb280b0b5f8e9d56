"""Write texts as they are spoken: `normalise`, whose rules are in `elman.text.spoken`."""

import contextlib
import logging
import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, Literal

from elman.errors import ConfigError, TextError
from elman.files import open_output
from elman.results import Table
from elman.text.reading import Errors
from elman.text.sources import Text, read_lines, text_name
from elman.text.spoken import LAYOUTS, spoken_lines

HELD_OUT = 0.05  # fraction of the sentences of each text
log = logging.getLogger(__name__)


@dataclass(frozen=True)
class NormalisedText:
    """How many sentences of a text were written, and how many of them were held out for validation."""

    text: str
    sentences: int
    held_out: int


class Normalised(Table[NormalisedText]):
    """The counts of `normalise`, and the sentences: ``lines``, empty where they were written to a file."""

    def __init__(self, rows: list[NormalisedText], lines: list[str]) -> None:
        super().__init__(rows)
        self.lines = lines


def normalise(
    *files: Text,
    output: str | Path | None = None,
    valid_output: str | Path | None = None,
    style: Literal["speech"] = "speech",
    layout: Literal["paragraphs", "lines"] = "paragraphs",
    encoding: str = "utf-8",
    errors: Errors = "strict",
) -> Normalised:
    """Return texts as they are spoken, one sentence per line, for models that rescore speech recognition.

    Args:
        files: each is a path, a binary stream, or an iterable of lines.
        output: the file to write; without it, the sentences are kept as ``lines`` of the result.
        valid_output: a second file, for the last 5 % of the sentences of each text.
        style: "speech", as in LibriSpeech: capital letters, no punctuation, and numbers as words.
        layout: what sentences are cut from: "paragraphs", the text between empty lines, or "lines".
        encoding: of files and streams.
        errors: what happens to a line that is not in the encoding: see `elman.TextModel.evaluate`.

    >>> normalise(["Mr. Brown paid $5.", "", "He left."]).lines
    ['MISTER BROWN PAID FIVE DOLLARS', 'HE LEFT']

    Raises:
        ConfigError: the arguments contradict one another.
        TextError: a text cannot be read, or contains no sentence; no file is written.
        RunError: a file cannot be written.
    """
    if not files:
        raise ConfigError("name one or more `files` to normalise")
    for source in files:
        if isinstance(source, (list, tuple)) and source and all(map(os.path.isfile, source)):
            raise ConfigError(
                f"{source[0]} is a file, not a line; give each of the `files` as an argument of its own"
            )
    if style != "speech" or layout not in LAYOUTS:
        raise ConfigError(
            f"choose `style='speech'` and `layout` from {', '.join(LAYOUTS)}, got {style!r}, {layout!r}"
        )
    if valid_output is not None and output is None:
        raise ConfigError("`valid_output` needs `output`, the file for the other sentences")
    if valid_output is not None and Path(valid_output).absolute() == Path(str(output)).absolute():
        raise ConfigError("`valid_output` must be a different file from `output`")
    rows, lines = list[NormalisedText](), list[str]()
    with contextlib.ExitStack() as stack:
        valid = None if valid_output is None else stack.enter_context(open_output(valid_output))
        text = None if output is None else stack.enter_context(open_output(output))
        for source in files:
            sentences = spoken_lines(read_lines(source, encoding, errors), layout)
            if text is None:
                whole = list(sentences)
                lines += whole
                written, held_out = len(whole), 0
            else:
                written, held_out = _write(sentences, text, valid)
            if not written + held_out:
                raise TextError(f"{text_name(source)} contains no sentence")
            rows.append(NormalisedText(text_name(source), written + held_out, held_out))
    for row in rows:
        about = f", {row.held_out:,} of them held out" if valid_output is not None else ""
        log.info("%s: %s sentences%s", row.text, f"{row.sentences:,}", about)
    return Normalised(rows, lines)


def _write(lines: Iterable[str], text: IO[Any], valid: IO[Any] | None) -> tuple[int, int]:
    """Write lines to ``text``, and the last of them to ``valid``; return how many went to each."""
    if valid is None:
        written = 0
        for line in lines:
            text.write(f"{line}\n")
            written += 1
        return written, 0
    whole = list(lines)
    cut = len(whole) - int(len(whole) * HELD_OUT)
    text.writelines(f"{line}\n" for line in whole[:cut])
    valid.writelines(f"{line}\n" for line in whole[cut:])
    return cut, len(whole) - cut
