"""Vocabulary files of other programs: one token a line, or a JSON list; the id is the position."""

import json
from pathlib import Path

from elman.errors import VocabularyError
from elman.interop.text_metadata import Text
from elman.text.tokenizers import make_tokenizer
from elman.text.vocabulary import Vocabulary


def read_tokens(path: Path) -> list[str]:
    """Return the tokens of a text file (UTF-8), one a line, or of a JSON list named .json.

    Raises:
        VocabularyError: the file is missing, or not such a file: names the line.
    """
    try:
        text = path.read_bytes().decode("utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise VocabularyError(f"the vocabulary {path} cannot be read: {error}") from error
    if path.suffix == ".json":
        try:
            tokens = json.loads(text)
        except ValueError as error:
            raise VocabularyError(f"the vocabulary {path} is no JSON: {error}") from error
        if not isinstance(tokens, list) or not all(isinstance(token, str) for token in tokens):
            raise VocabularyError(f"the vocabulary {path} must be a JSON list of strings")
        return tokens
    lines = [line.removesuffix("\r") for line in text.removesuffix("\n").split("\n")]
    if "" in lines:
        raise VocabularyError(
            f"the vocabulary {path}, line {lines.index('') + 1}: an empty line is no token; a newline as a "
            'token can stand in a JSON list: vocab.json with ["a", "\\n"]'
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
        unk: the file's token for unknown words, where it is not ``<unk>``.
        eos: the file's token for the end of a line, where it is not elman's (``<eos>`` of words, the newline else).

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
                    f"the vocabulary {path}: {token!r}, of id {k}, is no word; blanks end words"
                )
    if eos is not None:
        if eos not in tokens:
            raise VocabularyError(f"the vocabulary {path} has no {eos!r} to end lines with")
        tokens[tokens.index(eos)] = str(tokenizer.eos)
    return Text(tokenizer, Vocabulary(tokens, unk, tokenizer.eos))
