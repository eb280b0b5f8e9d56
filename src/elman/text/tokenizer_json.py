r"""Read tokenizer.json files with the library ``tokenizers``: lines to pieces, and pieces to bytes.

Every text must have pieces and be recovered from them exactly. A tokenizer is therefore accepted if it is byte-level
(each byte is written as a character: A. Radford et al., 2019) or has a piece such as ``<0xEA>`` for every byte ("byte
fallback"), and if a few difficult texts survive the round trip.
"""

import json
import re
from collections.abc import Iterator, Sequence
from typing import Any

from elman.errors import ConfigError, MissingExtra
from elman.parsing import parse_json, parsing
from elman.text.decoders import EOS

SPACE = "\u2581"  # replaces a space in tokens that are not byte-level
MOST_IDS = 1 << 24
_INVALID = "is not a valid tokenizer.json"
BYTE_PIECE = re.compile(r"<0x([0-9A-F]{2})>")
ROUND_TRIP_TEXTS = (
    " Two  blanks\tand a tab\u00a0",
    "옛날  옛적에 뷁 ",
    "é\u0301 ก\u0e33 ﬁ ㎏",
    "👨‍👩‍👧 \ue123\U00012000",
    "<s> </s><unk>",
)


def library() -> Any:
    """Return the module ``tokenizers``. Raises MissingExtra if it is not installed."""
    try:
        import tokenizers
    except ImportError as error:
        raise MissingExtra("tokenizers", "subword") from error
    return tokenizers


def byte_characters() -> dict[str, int]:
    """Return the byte for each of the 256 characters with which byte-level tokenizers write bytes.

    Bytes that are visible characters of Latin-1 are written as these characters, the others, in order, as U+0100 on.
    """
    visible = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    hidden = sorted(set(range(256)).difference(visible))
    return {chr(b): b for b in visible} | {chr(0x100 + k): b for k, b in enumerate(hidden)}


def with_end_of_line(text: str, where: str) -> str:
    """Return a tokenizer.json with the token ``<eos>`` added at the end of its vocabulary, unless it has it already.

    Raises:
        ConfigError: ``text`` is not a valid tokenizer.json; the message calls it ``where``.
    """
    tokenizer = _parsed(text, where)
    tokenizer.add_special_tokens([library().AddedToken(EOS, normalized=False, special=True)])
    return str(tokenizer.to_str())


class Pieces:
    """The pieces of a tokenizer.json, given as text; errors call it ``where``.

    ``leads`` says whether it puts a space, which is not part of the text, before each line. ``splits_at_space`` says
    whether no piece has visible characters before a space: it is byte-level, cuts texts by the pattern of GPT-2 (A.
    Radford et al., 2019), and changes nothing else. With ``size`` there are so many pieces, in the order of their ids,
    and those that the tokenizer.json leaves out are called ``<unused k>`` and are empty.

    Raises:
        ConfigError: ``text`` is not a valid tokenizer.json, or some texts cannot be recovered from its pieces.
        MissingExtra: the library ``tokenizers`` is not installed.
    """

    def __init__(self, text: str, where: str = "the tokenizer", size: int = 0) -> None:
        library()
        with parsing(where, ConfigError, _INVALID):
            self._read(text, where, size)

    def _read(self, text: str, where: str, size: int) -> None:
        data = json.loads(str(_parsed(text, where).to_str()))
        parts = [*_parts(data, "normalizer", "normalizers"), *_parts(data, "pre_tokenizer", "pretokenizers")]
        self._byte_level = any(part["type"] == "ByteLevel" for part in parts)
        names = [part["type"] for part in parts]
        self.splits_at_space = names in (["ByteLevel"], ["NFC", "ByteLevel"]) and parts[-1].get(
            "use_regex", True
        )
        self.leads = sum(map(_disable_leading_space, parts)) > 0  # every part is visited
        data |= {"truncation": None, "padding": None, "post_processor": None}
        data["model"] |= {"dropout": None} if "dropout" in data["model"] else {}
        self._library = _parsed(json.dumps(data), where)
        self._library.encode_special_tokens = True  # `<eos>` in a text does not end a line
        added = {part["content"] for part in data["added_tokens"]}
        ids = self._library.get_vocab(with_added_tokens=True)
        self.tokens = _by_id(ids, size, where) if size else sorted(ids, key=ids.__getitem__)
        self._by_id = {id_: token for token, id_ in ids.items()}
        self._bytes = {token: token.encode() if token in added else self._spelled(token) for token in ids}
        self._bytes |= dict.fromkeys(set(self.tokens).difference(ids), b"")
        self._check(data, where)

    def tokenize(self, lines: Sequence[str]) -> Iterator[list[str]]:
        """Yield the pieces of each line; the lines must not contain newlines."""
        led = [f" {line}" if self.leads and line else line for line in lines]
        for encoding in self._library.encode_batch_fast(led, add_special_tokens=False):
            yield [self._by_id[id_] for id_ in encoding.ids]

    def bytes_of(self, token: str) -> bytes:
        """Return the bytes of a piece's text."""
        return self._bytes[token]

    def _spelled(self, token: str) -> bytes:
        if self._byte_level:
            return bytes(BYTES[character] for character in token if character in BYTES)
        byte = BYTE_PIECE.fullmatch(token)
        return bytes([int(byte[1], 16)]) if byte else token.replace(SPACE, " ").encode()

    def _check(self, data: dict[str, Any], where: str) -> None:
        if not self._byte_level and not data["model"].get("byte_fallback"):
            raise ConfigError(
                f"{where} cannot encode every text: it is neither byte-level nor has byte fallback; use another "
                "tokenizer, or omit `tokenizer` to train one"
            )
        single = BYTES if self._byte_level else [f"<0x{byte:02X}>" for byte in range(256)]
        if missing := [token for token in single if token not in self._bytes]:
            raise ConfigError(
                f"{where} lacks the pieces of {len(missing)} of the 256 bytes, such as {missing[0]!r}"
            )
        if EOS in next(self.tokenize([EOS])):
            raise ConfigError(f"{where} reads {EOS} in a text as the end of a line; use another tokenizer")
        for text, pieces in zip(ROUND_TRIP_TEXTS, self.tokenize(ROUND_TRIP_TEXTS), strict=True):
            back = b"".join(map(self.bytes_of, pieces)).decode("utf-8", "replace")
            if back.removeprefix(" " if self.leads else "") != text:
                raise ConfigError(
                    f"{where} changes texts: {text!r} becomes {back!r}, so a model would predict a different text; "
                    "use a tokenizer without a normaliser"
                )


def _by_id(ids: dict[str, int], size: int, where: str) -> list[str]:
    """Return ``size`` pieces in the order of their ids. Raises ConfigError if an id is not below ``size``."""
    last, most = max(ids.items(), key=lambda item: item[1])
    if most >= size:
        raise ConfigError(
            f"{where} has the id {most} ({last!r}), but the model has only {size} word vectors; they do not belong "
            "together"
        )
    tokens = [f"<unused {k}>" for k in range(size)]
    for token, id_ in ids.items():
        tokens[id_] = token
    return tokens


BYTES = byte_characters()
NEWLINE = next(character for character, byte in BYTES.items() if byte == 10)


def _parsed(text: str, where: str) -> Any:
    read = library().Tokenizer.from_str
    _check_ids(parse_json(text, where, ConfigError), where)
    with parsing(where, ConfigError, _INVALID):
        return read(text)


def _check_ids(data: Any, where: str) -> None:
    """Raise ConfigError for an id so large that the library would use up the memory for its tables."""
    data = data if isinstance(data, dict) else {}
    model, added = data.get("model"), data.get("added_tokens")
    vocabulary = model.get("vocab") if isinstance(model, dict) else None
    ids = list(vocabulary.values()) if isinstance(vocabulary, dict) else []
    ids += (
        [token.get("id") for token in added or () if isinstance(token, dict)]
        if isinstance(added, list)
        else []
    )
    if wrong := [id_ for id_ in ids if not (isinstance(id_, int) and 0 <= id_ < MOST_IDS)]:
        raise ConfigError(
            f"{where} has the id {str(wrong[0])[:20]}; ids must be integers from 0 to {MOST_IDS - 1:,}"
        )


def _parts(data: dict[str, Any], name: str, several: str) -> list[dict[str, Any]]:
    """Return the steps of a tokenizer's normaliser or pre-tokenizer, from its fields ``name`` and ``several``."""
    part = data[name]
    if part is None:
        return []
    return list(part[several]) if part["type"] == "Sequence" else [part]


def _disable_leading_space(part: dict[str, Any]) -> bool:
    """Stop a step from putting a space before each text; return whether it would have.

    `Pieces.tokenize` adds that space itself, because the library omits it where a text begins with a space already.
    """
    if part.get("add_prefix_space"):
        part["add_prefix_space"] = False
        return True
    if part.get("prepend_scheme", "never") != "never":
        part["prepend_scheme"] = "never"
        return True
    if part["type"] == "Prepend":
        part["prepend"], led = "", part["prepend"]
        return bool(led in (" ", SPACE))
    return False
