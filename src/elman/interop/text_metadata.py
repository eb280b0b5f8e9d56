"""The vocabulary and the kind of token as strings by name: what goes along in the files of other programs."""

import json
from collections.abc import Mapping
from typing import Any, Literal, NamedTuple

from elman.errors import ElmanError, ModelFileError
from elman.models.text_model import TextModel
from elman.text.tokenizers import Tokenizer, make_tokenizer
from elman.text.vocabulary import Vocabulary


class Text(NamedTuple):
    """What gives ids a meaning, and how a text begins (see `TextModel`)."""

    tokenizer: Tokenizer
    vocabulary: Vocabulary
    start: Literal["eos", "empty"] = "eos"


def to_metadata(text_model: TextModel) -> dict[str, str]:
    """Return a model's text side: tokens (a JSON list; the id is the position), level, lower, unk, eos, start.

    unk and eos are tokens, empty where there is none. Subwords have their tokenizer.json besides, as tokenizer_json.
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
    """Return what `to_metadata` described.

    Raises:
        ModelFileError: it is incomplete; names the file ``where``.
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
