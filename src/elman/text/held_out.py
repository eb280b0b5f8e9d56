"""Hold out the end of a text as validation data."""

import hashlib
import json
from collections.abc import Iterable, Sequence
from pathlib import Path

import msgspec
import numpy as np
from numpy.typing import NDArray

from elman.errors import TextError
from elman.files import release_pages, writing
from elman.text.corpus import Corpus, Stamp, adds_newlines, stamps_of
from elman.text.stream import Piece, read_pieces
from elman.text.tokenizers import EOS, OF_CHARACTERS, Tokenizer
from elman.text.vocabulary import code_points

FRACTION = 0.05  # of the tokens
LINES = 10  # are held out at least, unless they are more than this fraction of the tokens:
MOST = 0.2
MOST_ENDS = 1 << 16  # line ends remembered; each time there are more, every other one is dropped
IDS_AT_ONCE = 1 << 20


class Cut(msgspec.Struct, frozen=True):
    """The split of a text of ``tokens`` tokens: the first ``learnt`` are trained on, the others are held out."""

    tokens: int
    learnt: int


class _Record(msgspec.Struct):
    stamps: list[Stamp]
    cut: Cut


def hold_out(
    sources: Sequence[Path],
    tokenizer: Tokenizer,
    *,
    cache: Path | None,
    encoding: str = "utf-8",
    max_tokens: int | None = None,
    errors: str = "strict",
) -> Cut:
    """Return where to cut the files' text, or its first ``max_tokens``, so that the last 5 % are held out.

    The cut is at the end of a line, so somewhat more than 5 % may be held out; if that would hold out more than
    half of the text, it is within a line. At least ten lines are held out, unless these are more than a fifth of the
    text. Memory does not grow with the text. ``cache`` is a folder that keeps the cut for the same settings and
    files, unchanged in size and modification time.

    Raises:
        TextError: the text has fewer than two tokens, or a file cannot be read.
    """
    stamps = stamps_of(sources)
    kept = None
    if cache is not None:
        settings = [[path for path, *_ in stamps], tokenizer.level, tokenizer.lower, encoding, max_tokens]
        settings += [errors] if errors != "strict" else []
        settings += ["ended"] if tokenizer.level in OF_CHARACTERS and len(sources) > 1 else []
        settings += [digest] if (digest := getattr(tokenizer, "digest", None)) else []
        kept = cache / f"{hashlib.sha256(json.dumps(settings).encode()).hexdigest()[:24]}.cut.json"
        if (cut := _load(kept, stamps)) is not None:
            return cut
    end = adds_newlines(tokenizer, len(sources), None)
    pieces = read_pieces(sources, tokenizer, encoding, max_tokens, lambda count: None, errors=errors, end=end)
    cut = _cut(*_count(pieces))
    if cut.learnt == 0:
        raise TextError(
            f"{sources[0]} is too short to hold out a part of it: it has {cut.tokens} tokens; give more text, or "
            "a validation text with `valid`"
        )
    if kept is not None:
        with writing(kept) as file:
            file.write(msgspec.json.encode(_Record(stamps, cut)))
    return cut


def hold_out_ids(corpus: Corpus) -> Cut:
    """Return where to cut an encoded text, by the rule of `hold_out`. Raises TextError if it has but one token."""
    tokens, ends = 0, np.empty(0, np.int64)
    for start in range(0, len(corpus.ids), IDS_AT_ONCE):
        chunk = corpus.ids[start : start + IDS_AT_ONCE]
        if corpus.vocabulary.eos_id is not None:
            ends = _thinned(np.append(ends, start + 1 + np.flatnonzero(chunk == corpus.vocabulary.eos_id)))
        tokens += len(chunk)
    release_pages(corpus.ids)
    cut = _cut(tokens, ends)
    if cut.learnt == 0:
        raise TextError(f"{corpus.sources[0]} is too short to hold out a part of it: it has {tokens} tokens")
    return cut


def _load(path: Path, stamps: list[Stamp]) -> Cut | None:
    try:
        record = msgspec.json.decode(path.read_bytes(), type=_Record)
    except (OSError, msgspec.MsgspecError):
        return None
    return record.cut if record.stamps == stamps else None


def _count(pieces: Iterable[Piece]) -> tuple[int, NDArray[np.int64]]:
    """Return the number of tokens, and the positions after line ends (in a long text only some of these)."""
    tokens, ends = 0, np.empty(0, np.int64)
    for piece in pieces:
        ends = np.append(ends, tokens + 1 + _newlines(piece))
        tokens += len(piece.tokens)
        ends = _thinned(ends)
    return tokens, ends


def _thinned(ends: NDArray[np.int64]) -> NDArray[np.int64]:
    while len(ends) > MOST_ENDS:
        ends = ends[::2]
    return ends


def _newlines(piece: Piece) -> NDArray[np.int64]:
    if isinstance(piece.tokens, str):
        return np.flatnonzero(code_points(piece.tokens) == ord("\n"))
    return np.array([k for k, token in enumerate(piece.tokens) if token == EOS], np.int64)


def _cut(tokens: int, ends: NDArray[np.int64]) -> Cut:
    latest = max(0, tokens - max(1, int(tokens * FRACTION)))
    starts = np.append(0, ends[ends < tokens])  # of lines
    if len(starts) >= LINES and tokens - starts[-LINES] <= MOST * tokens:
        latest = min(latest, int(starts[-LINES]))
    whole_lines = int(ends[ends <= latest].max(initial=0))
    return Cut(tokens, whole_lines if 2 * whole_lines >= tokens else latest)
