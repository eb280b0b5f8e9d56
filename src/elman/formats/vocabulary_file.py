"""Vocabularies and tokenizers in files of other formats.

- metadata of exported models: vocabulary and tokenizer as a dict of strings (`to_metadata`, `from_metadata`)
- vocabulary files of other programs: one token per line, maybe with its count or id, or JSON (`read_text`)
- tokenizer.json: the tokenizer of a subword model, which `elman train --tokenizer` can read (`write_tokenizer`)
"""

import json
import logging
import string
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, NamedTuple

from elman.errors import ConfigError, ElmanError, MissingExtra, ModelFileError, VocabularyError
from elman.files import atomic_write
from elman.models.tokenized import TokenizedModel
from elman.parsing import parse_json, parsing
from elman.text.tokenizers import (
    EOS,
    SubwordTokenizer,
    Tokenizer,
    WordTokenizer,
    has_other_whitespace,
    make_tokenizer,
)
from elman.text.vocabulary import UNK, Vocabulary

logger = logging.getLogger(__name__)
UNKNOWNS, ENDS, START = ("<UNK>",), ("</s>", "</S>", "<EOS>"), "<s>"  # by other programs
_DIGITS = 19  # a number has fewer


class Text(NamedTuple):
    """The meaning of a model's ids and the beginning of its texts (see `TokenizedModel`)."""

    tokenizer: Tokenizer
    vocabulary: Vocabulary
    start: Literal["eos", "empty"] = "eos"


def to_metadata(text_model: TokenizedModel) -> dict[str, str]:
    """Return a model's tokenizer and vocabulary as strings by name.

    The names are tokens (a JSON list; the id is the position), level, lower, unk, eos and start; for subwords also
    tokenizer_json, and for words split at ASCII whitespace only, whitespace. unk and eos are tokens, empty if
    there is none.
    """
    tokenizer, vocabulary = text_model.tokenizer, text_model.vocabulary
    metadata = {
        "tokens": json.dumps(vocabulary.tokens, ensure_ascii=False),
        "level": tokenizer.level,
        "lower": json.dumps(tokenizer.lower),
        "unk": vocabulary.unk or "",
        "eos": vocabulary.eos or "",
        "start": text_model.start,
    }
    if isinstance(tokenizer, WordTokenizer) and tokenizer.whitespace != "unicode":
        metadata["whitespace"] = tokenizer.whitespace
    definition = getattr(tokenizer, "json", "")
    return metadata | ({"tokenizer_json": definition} if definition else {})


def from_metadata(metadata: Mapping[str, str], where: object) -> Text:
    """Return the tokenizer and vocabulary that `to_metadata` described.

    Raises:
        ModelFileError: the metadata is incomplete or invalid; names the file ``where``.
    """
    try:
        with parsing(where, ModelFileError, "has a vocabulary that cannot be read"):
            tokens = {"tokens": json.loads(metadata["tokens"])}
            ends: dict[str, Any] = {name: metadata[name] or None for name in ("unk", "eos")}
            whitespace: Any = metadata.get("whitespace", "unicode")
            tokenizer = make_tokenizer(
                metadata["level"],
                json.loads(metadata["lower"]),
                metadata.get("tokenizer_json", ""),
                whitespace,
            )
            start: Literal["eos", "empty"] = "empty" if metadata["start"] == "empty" else "eos"
            return Text(tokenizer, Vocabulary.from_json(tokens | ends), start)
    except MissingExtra:
        raise
    except ElmanError as error:
        raise ModelFileError(f"{where}: its vocabulary cannot be read ({error})") from error


def read_tokens(path: Path, encoding: str = "utf-8") -> list[str]:
    """Return the tokens of a vocabulary file, in order of their ids.

    Either JSON, by its suffix .json: a list of tokens, or an object ``{"token": id}`` with the ids 0 to n - 1; or text
    with one token per line, or one token and a number. If these numbers are 0 to n - 1, they are the ids, else counts.

    Raises:
        VocabularyError: the file is missing or malformed; names the line.
        ConfigError: the encoding is unknown.
    """
    where = f"the vocabulary {path}"
    try:
        text = path.read_bytes().decode("utf-8-sig" if encoding == "utf-8" else encoding)
    except LookupError as error:
        raise ConfigError(f"unknown `encoding` {encoding!r}; try utf-8, utf-16, latin-1, cp949") from error
    except (OSError, ValueError) as error:
        raise VocabularyError(f"{where} cannot be read: {error}") from error
    if path.suffix == ".json":
        return _json_tokens(parse_json(text, where, VocabularyError), where)
    lines = [line.removesuffix("\r") for line in text.removesuffix("\n").split("\n")]
    if "" in lines:
        raise VocabularyError(
            f"{where}, line {lines.index('') + 1}: an empty line is not a token; if a newline is a "
            'token, write a JSON list: vocab.json with ["a", "\\n"]'
        )
    pairs = [pair for line in lines if (pair := _token_and_number(line)) is not None]
    if len(pairs) < len(lines):
        return lines
    if {number for _, number in pairs} == set(range(len(pairs))):
        pairs.sort(key=lambda pair: pair[1])
    return [token for token, _ in pairs]


def _token_and_number(line: str) -> tuple[str, int] | None:
    """Return the token and the number of a line such as ``the 1204``; None if it is another."""
    rest = line.rstrip(string.digits)
    digits = line[len(rest) :]
    token = rest.rstrip(" \t") or rest[:1]  # the token may be a space
    return (token, int(digits)) if 0 < len(digits) < _DIGITS and len(token) < len(rest) else None


def _json_tokens(found: Any, where: str) -> list[str]:
    if isinstance(found, dict):
        ids = list(found.values())
        if any(type(id_) is not int for id_ in ids) or sorted(ids) != list(range(len(ids))):
            raise VocabularyError(
                f"{where} is a JSON object, whose values must be the ids 0 to {len(ids) - 1}, each once"
            )
        return sorted(found, key=found.__getitem__)
    if not isinstance(found, list) or not all(isinstance(token, str) for token in found):
        raise VocabularyError(
            f"{where} must be a JSON list of strings, or an object of strings and their ids"
        )
    return found


def read_text(
    path: Path | None,
    level: str = "word",
    lower: bool = False,
    unk: str | None = None,
    eos: str | None = None,
    encoding: str = "utf-8",
) -> Text:
    """Return the tokenizer of a level with the vocabulary of a file (None: the 256 bytes).

    If words contain whitespace that is not ASCII's, such as U+00A0, texts are split at ASCII whitespace only.

    Args:
        path: the file, see `read_tokens`.
        level, lower: see `make_tokenizer`.
        unk: the file's token for unknown words; by default ``<unk>``, else ``<UNK>``.
        eos: the file's token for the end of a line; by default elman's (``<eos>`` for words, else the newline), else
            for words ``</s>``, ``</S>`` or ``<EOS>``, with a warning.
        encoding: of the file.

    Raises:
        VocabularyError: the file cannot be read, or ``unk`` or ``eos`` is not in it.
        ConfigError: the level or the encoding is unknown.
    """
    tokenizer = make_tokenizer(level, lower)
    if path is None:
        return Text(tokenizer, Vocabulary.of_bytes())
    tokens = read_tokens(path, encoding)
    if level == "word":
        for k, token in enumerate(tokens):
            if WordTokenizer(whitespace="ascii").split(token) != [token]:
                raise VocabularyError(
                    f"the vocabulary {path}: {token[:40]!r}, with id {k}, is not a word: it is empty or contains "
                    "whitespace"
                )
        if any(map(has_other_whitespace, tokens)):
            tokenizer = make_tokenizer(level, lower, whitespace="ascii")
        unk, eos = _recognised(tokens, unk, eos, path)
    if eos is not None:
        if eos not in tokens:
            raise VocabularyError(f"the vocabulary {path} has no {eos!r} to end lines with")
        tokens[tokens.index(eos)] = str(tokenizer.eos)
    return Text(tokenizer, Vocabulary(tokens, unk, tokenizer.eos))


def _recognised(
    tokens: Sequence[str], unk: str | None, eos: str | None, path: Path
) -> tuple[str | None, str | None]:
    """Return the tokens for unknown words and ends of lines, if not given by their usual names; log a warning."""
    known = set(tokens)
    if unk is None and UNK not in known:
        unk = next((token for token in UNKNOWNS if token in known), None)
    if eos is None and EOS not in known:
        eos = next((token for token in ENDS if token in known), None)
        if eos is None:
            logger.warning(
                f"the vocabulary {path} has no {EOS} or {ENDS[0]}: the ends of lines are not scored; name the token "
                "for them with `eos`"
            )
        else:
            more = f"; {START} is never read: a text begins after the end of a line" if START in known else ""
            logger.warning(
                f"{eos} of the vocabulary {path} is taken as the end of a line; name another with `eos`{more}"
            )
    return unk, eos


def write_tokenizer(path: str | Path, text_model: TokenizedModel) -> None:
    """Write the tokenizer.json of a subword model to ``path``; its ids are the model's.

    Raises:
        ModelFileError: the model's tokens are not subwords, the folder cannot be written, or the disk is full.
    """
    tokenizer = text_model.tokenizer
    if not isinstance(tokenizer, SubwordTokenizer):
        raise ModelFileError(
            f"only subword models have a tokenizer.json, and this is a model of {text_model.unit}s; see "
            "`train(level='subword')`"
        )
    try:
        with atomic_write(Path(path), "w", encoding="utf-8") as file:
            file.write(tokenizer.json)
    except OSError as error:
        raise ModelFileError(
            f"cannot write {path}: {error.strerror or error}; nothing was changed"
        ) from error
