"""RWKV's world vocabulary: pieces of bytes, of which a text takes the longest at every place, from left to right.

The file ``rwkv_vocab_v20230424.txt`` has a line for each piece: its id, the piece as a Python literal of text or bytes,
and its number of bytes. Id 0, which is not in the file, ends a text. Pieces are written here as strings in which every
character stands for the byte of that number.
"""

import ast
import importlib.util
import re
from collections.abc import Iterable
from pathlib import Path

from elman.errors import VocabularyError

END_OF_TEXT = "<|endoftext|>"
NAME = re.compile(r"<\|endoftext\|>|<unused \d+>")  # of an id without a piece
FILE = "rwkv_vocab_v20230424.txt"
PACKAGE = "rwkv"  # comes with the file
_LINE = re.compile(r"(\d+) (b?'.*'|b?\".*\") (\d+)", re.DOTALL)
_PADDED_TO = 64  # the embeddings of published models have some more rows, up to a multiple


def installed_vocabulary() -> Path | None:
    """Return the vocabulary file in the installed package `rwkv`, if there is one; the package is not imported."""
    spec = importlib.util.find_spec(PACKAGE)
    for folder in (spec.submodule_search_locations or ()) if spec else ():
        if (Path(folder) / FILE).is_file():
            return Path(folder) / FILE
    return None


def is_world_vocabulary(path: Path) -> bool:
    """Return whether a file begins as a world vocabulary does."""
    try:
        with path.open(encoding="utf-8") as file:
            return _LINE.fullmatch(file.readline(1000).rstrip("\n")) is not None
    except (OSError, UnicodeDecodeError):
        return False


def read_world_vocabulary(path: Path, size: int) -> list[str]:
    """Return the pieces by id, for a model with word vectors for ``size`` tokens: ids without a piece have a name.

    Raises:
        VocabularyError: the file cannot be read, a line is not in the format, or the ids do not fit the size.
    """
    try:
        lines = path.read_text(encoding="utf-8").split("\n")
    except (OSError, UnicodeDecodeError) as error:
        raise VocabularyError(f"the vocabulary {path} cannot be read: {error}") from error
    pieces = {0: END_OF_TEXT}
    for number, line in enumerate(lines, 1):
        if line:
            id_, piece = _piece(line, f"the vocabulary {path}, line {number}")
            pieces[id_] = piece
    most = max(pieces) + 1
    if not most <= size <= -(-most // _PADDED_TO) * _PADDED_TO:
        raise VocabularyError(
            f"the vocabulary {path} has ids up to {most - 1}, but the model has word vectors for {size} tokens; they "
            "do not belong together"
        )
    return [pieces.get(k, f"<unused {k}>") for k in range(size)]


def _piece(line: str, where: str) -> tuple[int, str]:
    found = _LINE.fullmatch(line)
    try:
        literal = ast.literal_eval(found[2]) if found else None
    except (ValueError, SyntaxError):
        literal = None
    if not found or literal is None:
        raise VocabularyError(
            f"{where}: it must be an id, a piece in quotes and its number of bytes, got {line[:60]!r}"
        )
    piece = literal.encode() if isinstance(literal, str) else literal
    if len(piece) != int(found[3]):
        raise VocabularyError(f"{where}: the piece has {len(piece)} bytes, but {found[3]} are stated")
    return int(found[1]), piece.decode("latin-1")


class LongestMatch:
    """Cuts bytes, as characters of their numbers, into the longest pieces from left to right."""

    def __init__(self, pieces: Iterable[str]) -> None:
        self._pieces = frozenset(pieces)
        lengths: dict[str, set[int]] = {}
        for piece in self._pieces:
            lengths.setdefault(piece[:2], set()).add(len(piece))
        self._lengths = {start: sorted(found, reverse=True) for start, found in lengths.items()}
        self.inside = frozenset(  # what follows a newline within a piece
            piece[k + 1] for piece in self._pieces for k in range(len(piece) - 1) if piece[k] == "\n"
        )

    def cut(self, text: str) -> list[str]:
        """Return the pieces of a text. All single bytes must be pieces."""
        found, at, pieces, lengths = [], 0, self._pieces, self._lengths
        while at < len(text):
            for length in lengths.get(text[at : at + 2], ()):
                piece = text[at : at + length]
                if piece in pieces and len(piece) == length:
                    break
            else:
                piece = text[at]
            found.append(piece)
            at += len(piece)
        return found
