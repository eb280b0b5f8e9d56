"""Vocabularies and tokenizers in files of other formats.

- metadata of exported models: vocabulary and tokenizer as a dict of strings (`to_metadata`, `from_metadata`)
- vocabulary files of other programs: one token per line or a JSON list; the id is the position (`read_text`)
- tokenizer.json: the tokenizer of a subword model, which `elman train --tokenizer` can read (`write_tokenizer`)
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal, NamedTuple

from elman.errors import ElmanError, ModelFileError, VocabularyError
from elman.files import atomic_write
from elman.models.tokenized import TokenizedModel
from elman.text.tokenizers import SubwordTokenizer, Tokenizer, make_tokenizer
from elman.text.vocabulary import Vocabulary


class Text(NamedTuple):
    """The meaning of a model's ids and the beginning of its texts (see `TokenizedModel`)."""

    tokenizer: Tokenizer
    vocabulary: Vocabulary
    start: Literal["eos", "empty"] = "eos"


def to_metadata(text_model: TokenizedModel) -> dict[str, str]:
    """Return a model's tokenizer and vocabulary as strings by name.

    The names are tokens (a JSON list; the id is the position), level, lower, unk, eos and start; for subwords also
    tokenizer_json. unk and eos are tokens, empty if there is none.
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
    definition = getattr(tokenizer, "json", "")
    return metadata | ({"tokenizer_json": definition} if definition else {})


def from_metadata(metadata: Mapping[str, str], where: object) -> Text:
    """Return the tokenizer and vocabulary that `to_metadata` described.

    Raises:
        ModelFileError: the metadata is incomplete or invalid; names the file ``where``.
    """
    try:
        tokens = {"tokens": json.loads(metadata["tokens"])}
        ends: dict[str, Any] = {name: metadata[name] or None for name in ("unk", "eos")}
        tokenizer = make_tokenizer(
            metadata["level"], json.loads(metadata["lower"]), metadata.get("tokenizer_json", "")
        )
        start: Literal["eos", "empty"] = "empty" if metadata["start"] == "empty" else "eos"
        return Text(tokenizer, Vocabulary.from_json(tokens | ends), start)
    except (KeyError, ValueError, ElmanError) as error:
        raise ModelFileError(f"{where}: its vocabulary cannot be read ({error})") from error


def read_tokens(path: Path) -> list[str]:
    """Return the tokens of a text file (UTF-8) with one token per line, or of a .json file with a list.

    Raises:
        VocabularyError: the file is missing or malformed; names the line.
    """
    try:
        text = path.read_bytes().decode("utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise VocabularyError(f"the vocabulary {path} cannot be read: {error}") from error
    if path.suffix == ".json":
        try:
            tokens = json.loads(text)
        except ValueError as error:
            raise VocabularyError(f"the vocabulary {path} is not valid JSON: {error}") from error
        if not isinstance(tokens, list) or not all(isinstance(token, str) for token in tokens):
            raise VocabularyError(f"the vocabulary {path} must be a JSON list of strings")
        return tokens
    lines = [line.removesuffix("\r") for line in text.removesuffix("\n").split("\n")]
    if "" in lines:
        raise VocabularyError(
            f"the vocabulary {path}, line {lines.index('') + 1}: an empty line is not a token; if a newline is a "
            'token, write a JSON list: vocab.json with ["a", "\\n"]'
        )
    return lines


def read_text(
    path: Path | None,
    level: str = "word",
    lower: bool = False,
    unk: str | None = None,
    eos: str | None = None,
) -> Text:
    """Return the tokenizer of a level with the vocabulary of a file (None: the 256 bytes).

    Args:
        path: the file, see `read_tokens`.
        level, lower: see `make_tokenizer`.
        unk: the file's token for unknown words, if it is not ``<unk>``.
        eos: the file's token for the end of a line, if it is not elman's (``<eos>`` for words, else the newline).

    Raises:
        VocabularyError: the file cannot be read, or ``unk`` or ``eos`` is not in it.
        ConfigError: the level is unknown.
    """
    tokenizer = make_tokenizer(level, lower)
    if path is None:
        return Text(tokenizer, Vocabulary.of_bytes())
    tokens = read_tokens(path)
    if level == "word":
        for k, token in enumerate(tokens):
            if token.split() != [token]:
                raise VocabularyError(
                    f"the vocabulary {path}: {token!r}, with id {k}, is not a word: it is empty or contains whitespace"
                )
    if eos is not None:
        if eos not in tokens:
            raise VocabularyError(f"the vocabulary {path} has no {eos!r} to end lines with")
        tokens[tokens.index(eos)] = str(tokenizer.eos)
    return Text(tokenizer, Vocabulary(tokens, unk, tokenizer.eos))


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
