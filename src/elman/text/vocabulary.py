"""The vocabulary: a one-to-one mapping between tokens and ids."""

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from functools import cached_property
from itertools import repeat
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from elman.errors import ConfigError, VocabularyError
from elman.text.hashed_words import HashedWords

UNK = "<unk>"
ORDERS = ("appearance", "frequency")


class Vocabulary:
    """V distinct tokens; the id of a token is its position.

    A vocabulary with an unknown token (``unk``; by default ``<unk>`` if that is among the tokens) is open: every
    token has an id. Without one it is closed, and tokens outside it have none. ``eos`` is the token that ends a
    line. ``unknown_id`` is the id that ``encode`` gives tokens outside the vocabulary: that of ``unk``, or -1.

    Raises:
        VocabularyError: there are no tokens, one is repeated or is not Unicode text, or ``unk`` is not among them.
    """

    def __init__(self, tokens: Sequence[str], unk: str | None = None, eos: str | None = None) -> None:
        self.tokens = tuple(tokens)
        self._ids = {token: i for i, token in enumerate(self.tokens)}
        if not self.tokens:
            raise VocabularyError("a vocabulary needs at least one token")
        _check_unicode(self.tokens)
        if len(self._ids) < len(self.tokens):
            twice = next(token for i, token in enumerate(self.tokens) if self._ids[token] != i)
            raise VocabularyError(f"the token {twice!r} is in the vocabulary more than once")
        if unk is not None and unk not in self._ids:
            raise VocabularyError(f"the unknown token {unk!r} is not in the vocabulary")
        self.unk = UNK if unk is None and UNK in self._ids else unk
        self.eos = eos
        self.unk_id = None if self.unk is None else self._ids[self.unk]
        self.eos_id = None if eos is None else self._ids.get(eos)
        self.unknown_id = -1 if self.unk_id is None else self.unk_id

    @classmethod
    def of_bytes(cls) -> Self:
        """Return the vocabulary of the byte level: the 256 bytes in order."""
        return cls([chr(byte) for byte in range(256)], eos="\n")

    @classmethod
    def build(
        cls,
        counts: Mapping[str, int],
        order: str = "appearance",
        max_size: int | None = None,
        min_count: int = 1,
        unk: str = UNK,
        eos: str | None = None,
        open_vocabulary: bool = False,
    ) -> Self:
        """Choose and order the tokens of a text, given their counts in order of first appearance.

        Tokens that occur fewer than ``min_count`` times are left out; of the others the most frequent are kept, up
        to ``max_size`` tokens including ``unk`` and ``eos``, which are never left out. Equally frequent tokens are
        ordered by first appearance. ``unk`` is in the vocabulary if the text has it, if a token was left out, or with
        ``open_vocabulary``; if the text does not have it, its id is the last one.

        Raises:
            ConfigError: the order is unknown, ``min_count`` is below 1, or ``max_size`` leaves no room for a token.
        """
        if order not in ORDERS:
            raise ConfigError(f"unknown vocabulary order {order!r}; choose {' or '.join(ORDERS)}")
        if min_count < 1:
            raise ConfigError(f"min_count must be at least 1, got {min_count}")
        special = {token for token in (unk, eos) if token is not None and token in counts}
        by_count = sorted(counts, key=lambda token: -counts[token])
        kept = [token for token in by_count if counts[token] >= min_count or token in special]
        opened = open_vocabulary or unk in counts or len(kept) < len(counts)
        if max_size is not None and len(kept) + (opened and unk not in counts) > max_size:
            opened = True
            room = max_size - len(special | {unk})
            if room < 1:
                raise ConfigError(f"max_vocab must be at least {1 + len(special | {unk})}, got {max_size}")
            kept = [token for token in kept if token not in special][:room] + list(special)
        chosen = set(kept)
        tokens = [token for token in (counts if order == "appearance" else by_count) if token in chosen]
        if opened and unk not in counts:
            tokens.append(unk)
        return cls(tokens, unk if opened else None, eos)

    def __len__(self) -> int:
        return len(self.tokens)

    def __contains__(self, token: object) -> bool:
        return token in self._ids

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Vocabulary):
            return NotImplemented
        return (self.tokens, self.unk, self.eos) == (other.tokens, other.unk, other.eos)

    def __hash__(self) -> int:
        return hash((self.tokens, self.unk, self.eos))

    def __repr__(self) -> str:
        return f"Vocabulary({len(self):,} tokens, unk={self.unk!r}, eos={self.eos!r})"

    def id(self, token: str) -> int:
        """Return the id of a token; outside the vocabulary the id of ``unk``, or -1 if there is no ``unk``."""
        return self._ids.get(token, self.unknown_id)

    def token(self, id: int) -> str:
        """Return the token of an id. Raises VocabularyError for an id outside [0, V)."""
        return self.decode([id])[0]

    def encode(self, tokens: Sequence[str]) -> NDArray[np.int32]:
        """Return the ids of T tokens, (T,), as ``id`` gives them."""
        return np.fromiter(map(self._ids.get, tokens, repeat(self.unknown_id)), np.int32, len(tokens))

    def encode_characters(self, text: str) -> NDArray[np.int32]:
        """Return ``encode(list(text))``, computed many times faster."""
        return self._by_code_point.take(code_points(text), mode="clip")

    def encode_words(self, text: str, newline: str, separators: bool) -> NDArray[np.int32]:
        """Return the ids of the words of a text, and that of ``newline`` for each newline: see `HashedWords.find`."""
        return self.hashed_words.find(text, self.id(newline), self.unknown_id, separators)

    @cached_property
    def hashed_words(self) -> HashedWords:
        """The tokens by their bytes."""
        return HashedWords(self.tokens)

    @cached_property
    def _by_code_point(self) -> NDArray[np.int32]:
        codes = {ord(token): i for token, i in self._ids.items() if len(token) == 1}
        table = np.full(
            max(codes, default=0) + 2, self.unknown_id, np.int32
        )  # the last entry: all larger codes
        table[list(codes)] = list(codes.values())
        return table

    def decode(self, ids: Iterable[int] | NDArray[np.integer[Any]]) -> list[str]:
        """Return the tokens of T ids. Raises VocabularyError for an id outside [0, V)."""
        whole = np.asarray(ids if isinstance(ids, np.ndarray) else list(ids), np.int64)
        outside = whole[(whole < 0) | (whole >= len(self))]
        if outside.size:
            raise VocabularyError(f"the id {outside[0]} is outside the vocabulary: 0 to {len(self) - 1}")
        return [self.tokens[i] for i in whole.tolist()]

    def to_json(self) -> dict[str, Any]:
        """Return the vocabulary as plain data."""
        return {"tokens": list(self.tokens), "unk": self.unk, "eos": self.eos}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Self:
        """Return the vocabulary that ``to_json`` returned as data. Raises VocabularyError for any other data."""
        try:
            tokens, unk, eos = data["tokens"], data["unk"], data["eos"]
        except (KeyError, TypeError) as error:
            raise VocabularyError("this is not a vocabulary: it needs tokens, unk and eos") from error
        if not isinstance(tokens, (list, tuple)) or not all(isinstance(token, str) for token in tokens):
            raise VocabularyError("this is not a vocabulary: its tokens must be a list of strings")
        if not all(token is None or isinstance(token, str) for token in (unk, eos)):
            raise VocabularyError("this is not a vocabulary: unk and eos must be strings or null")
        return cls(tokens, unk, eos)

    @cached_property
    def digest(self) -> str:
        """The SHA-256 of the vocabulary, by which caches and models identify it."""
        return hashlib.sha256(json.dumps(self.to_json()).encode()).hexdigest()


def _check_unicode(tokens: Iterable[str]) -> None:
    """Raise VocabularyError for tokens that no text in UTF-8 contains: halves of surrogate pairs, as JSON allows."""
    try:
        "".join(tokens).encode("utf-8")
    except UnicodeEncodeError as error:
        half = ord(error.object[error.start])
        raise VocabularyError(
            f"a token contains the lone surrogate U+{half:04X}, which is not a character"
        ) from error


def code_points(text: str) -> NDArray[np.uint32]:
    """Return the Unicode code points of a text, one number per character."""
    return np.frombuffer(text.encode("utf-32-le", "surrogatepass"), "<u4")
