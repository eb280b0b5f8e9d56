r"""The format tokenizer.json, through the library ``tokenizers``: lines to pieces, and pieces to bytes.

Every text must have pieces and come back from them as it was. So a tokenizer is taken if it is byte-level (each
byte is written as a character: A. Radford et al., 2019), or has a piece ``<0xEA>`` for every byte ("byte
fallback"), and if it reads a few hard texts back.
"""

import json
import re
from collections.abc import Iterator, Sequence
from typing import Any

from elman.errors import ConfigError, MissingExtra
from elman.text.decoders import EOS

BLANK = "\u2581"  # what stands for a blank where tokens are not byte-level
BYTE_PIECE = re.compile(r"<0x([0-9A-F]{2})>")
HARD = (
    " Two  blanks\tand a tab\u00a0",
    "옛날  옛적에 뷁 ",
    "é\u0301 ก\u0e33 ﬁ ㎏",
    "👨‍👩‍👧 \ue123\U00012000",
    "<s> </s><unk>",
)


def library() -> Any:
    """Return the library. Raises MissingExtra where it is not installed."""
    try:
        import tokenizers
    except ImportError as error:
        raise MissingExtra("tokenizers", "subword") from error
    return tokenizers


def byte_characters() -> dict[str, int]:
    """Return the characters that byte-level tokenizers write the 256 bytes with, and the bytes.

    Bytes that are visible characters of Latin-1 are written as these; the others, in order, from U+0100 on.
    """
    visible = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    hidden = sorted(set(range(256)).difference(visible))
    return {chr(b): b for b in visible} | {chr(0x100 + k): b for k, b in enumerate(hidden)}


def with_end_of_line(text: str, where: str) -> str:
    """Return a tokenizer.json that has the token ``<eos>``: as it is in the vocabulary, or else after it.

    Raises:
        ConfigError: it is no tokenizer.json.
    """
    tokenizer = _parsed(text, where)
    tokenizer.add_special_tokens([library().AddedToken(EOS, normalized=False, special=True)])
    return str(tokenizer.to_str())


class Pieces:
    """A tokenizer.json at work; ``where`` names it in errors.

    ``leads`` tells that each line is read with a blank before it, which is no part of the text.

    Raises:
        ConfigError: it is no tokenizer.json, or not every text comes back from it as it was.
        MissingExtra: the library is not installed.
    """

    def __init__(self, text: str, where: str = "the tokenizer") -> None:
        library()
        data = json.loads(str(_parsed(text, where).to_str()))
        parts = [*_parts(data, "normalizer", "normalizers"), *_parts(data, "pre_tokenizer", "pretokenizers")]
        self._byte_level = any(part["type"] == "ByteLevel" for part in parts)
        self.leads = sum(map(_stop_leading, parts)) > 0
        data |= {"truncation": None, "padding": None, "post_processor": None}
        data["model"] |= {"dropout": None} if "dropout" in data["model"] else {}
        self._library = _parsed(json.dumps(data), where)
        self._library.encode_special_tokens = True  # `<eos>` in a text is no end of a line
        added = {part["content"] for part in data["added_tokens"]}
        ids = self._library.get_vocab(with_added_tokens=True)
        self.tokens = sorted(ids, key=ids.__getitem__)
        self._by_id = {id_: token for token, id_ in ids.items()}
        self._bytes = {
            token: token.encode() if token in added else self._spelled(token) for token in self.tokens
        }
        self._check(data, where)

    def cut(self, lines: Sequence[str]) -> Iterator[list[str]]:
        """Yield the pieces of each line; it must hold no newline."""
        led = [f" {line}" if self.leads and line else line for line in lines]
        for encoding in self._library.encode_batch_fast(led, add_special_tokens=False):
            yield [self._by_id[id_] for id_ in encoding.ids]

    def bytes_of(self, token: str) -> bytes:
        """Return the bytes of text that a piece stands for."""
        return self._bytes[token]

    def _spelled(self, token: str) -> bytes:
        if self._byte_level:
            return bytes(BYTES[character] for character in token if character in BYTES)
        byte = BYTE_PIECE.fullmatch(token)
        return bytes([int(byte[1], 16)]) if byte else token.replace(BLANK, " ").encode()

    def _check(self, data: dict[str, Any], where: str) -> None:
        if not self._byte_level and not data["model"].get("byte_fallback"):
            raise ConfigError(
                f"{where} has no pieces for texts unlike those that it was made from: it is neither byte-level nor "
                "has byte fallback; take another, or leave --tokenizer out to train one"
            )
        single = BYTES if self._byte_level else [f"<0x{byte:02X}>" for byte in range(256)]
        if missing := [token for token in single if token not in self._bytes]:
            raise ConfigError(
                f"{where} lacks the pieces of {len(missing)} of the 256 bytes, such as {missing[0]!r}"
            )
        if EOS in next(self.cut([EOS])):
            raise ConfigError(f"{where} takes {EOS} in a text for the end of a line; take another")
        for text, pieces in zip(HARD, self.cut(HARD), strict=True):
            back = b"".join(map(self.bytes_of, pieces)).decode("utf-8", "replace")
            if back.removeprefix(" " if self.leads else "") != text:
                raise ConfigError(
                    f"{where} changes texts: {text!r} is {back!r} to it, so that a model would be of another text; "
                    "take another, without a normaliser"
                )


BYTES = byte_characters()


def _parsed(text: str, where: str) -> Any:
    try:
        return library().Tokenizer.from_str(text)
    except MissingExtra:
        raise
    except Exception as error:  # the library raises no narrower one
        raise ConfigError(f"{where} is no tokenizer.json that can be read: {error}") from error


def _parts(data: dict[str, Any], name: str, several: str) -> list[dict[str, Any]]:
    """Return the steps of a tokenizer's normaliser, or of its division into words."""
    part = data[name]
    if part is None:
        return []
    return list(part[several]) if part["type"] == "Sequence" else [part]


def _stop_leading(part: dict[str, Any]) -> bool:
    """Keep a step from putting a blank before a text, which it may leave out where one is there; tell if it would."""
    if part.get("add_prefix_space"):
        part["add_prefix_space"] = False
        return True
    if part.get("prepend_scheme", "never") != "never":
        part["prepend_scheme"] = "never"
        return True
    if part["type"] == "Prepend":
        part["prepend"], led = "", part["prepend"]
        return bool(led in (" ", BLANK))
    return False
