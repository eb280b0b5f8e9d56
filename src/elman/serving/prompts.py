"""Prompts: text or ids, as tokens with names and places, and the text that goes on from them."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

from elman.serving.schemas import RequestRefused
from elman.text.offsets import token_offsets
from elman.text.tokenizers import EOS, SubwordTokenizer
from elman.text_model import TextModel

LAST = 16  # tokens after which a text goes on in the same way whatever stood before them


@dataclass(frozen=True)
class Prompt:
    """A prompt: its ids, and its text as it was given; ``from_ids`` tells that ids were given."""

    text_model: TextModel
    ids: list[int]
    text: str
    from_ids: bool = False

    @property
    def to_read(self) -> list[int]:
        """The ids to read after the token that a text begins after; where the prompt itself begins with it, without."""
        return self.ids[1:] if self._begins else self.ids

    @property
    def unscored(self) -> list[int]:
        """What of ``to_read`` is read before the others are scored: the first token, which nothing predicts."""
        return [] if self._begins else self.ids[:1]

    @property
    def _begins(self) -> bool:
        return bool(self.ids) and self.ids[0] == self.text_model.start_id

    @cached_property
    def offsets(self) -> list[int]:
        """Where each token begins in the text."""
        if not self.from_ids:
            offsets: list[int] = token_offsets(self.text_model.tokenizer, self.text)[:, 0].tolist()
            return offsets
        writer, length, places = Writer(self.text_model), 0, []
        for id_ in self.ids:
            places.append(length)
            length += len(writer.push(id_)[1])
        return places

    def writer(self) -> "Writer":
        """Return a writer that goes on from the prompt's end."""
        writer = Writer(self.text_model)
        ends_in_blank = not self.from_ids and self.text[-1:].isspace()
        if self.text_model.tokenizer.level != "word" or not ends_in_blank:
            for id_ in self.ids[-LAST:]:
                writer.push(id_)
        return writer


def prompt_of(text_model: TextModel, given: str | Sequence[int], param: str, most: int) -> Prompt:
    """Return a prompt, of text or of ids.

    Raises RequestRefused for more than ``most`` tokens, and for tokens that the vocabulary lacks.
    """
    if not isinstance(given, str):
        _check_length(len(given), param, most)
        check_ids(text_model, given, param)
        return Prompt(text_model, list(given), text_of(text_model, given), from_ids=True)
    tokens, ids = text_model.encode(given)
    _check_length(len(tokens), param, most)
    unknown = [token for token, id_ in zip(tokens, ids.tolist(), strict=True) if id_ < 0]
    if unknown:
        some = ", ".join(repr(token) for token in list(dict.fromkeys(unknown))[:5])
        raise RequestRefused(
            f"the model's vocabulary is closed and lacks {some}; leave such tokens out, or serve a model that was "
            "trained with --min-count 2 or --max-vocab",
            param,
            "unknown_token",
        )
    return Prompt(text_model, ids.tolist(), given)


def _check_length(length: int, param: str, most: int) -> None:
    if length > most:
        raise RequestRefused(
            f"the prompt has {length:,} tokens, this server reads {most:,} at most; shorten it",
            param,
            "context_length_exceeded",
        )


def check_ids(text_model: TextModel, ids: Sequence[int], param: str) -> None:
    """Raise RequestRefused for what is no id of the vocabulary."""
    size = len(text_model.vocabulary)
    wrong = next((id_ for id_ in ids if not 0 <= id_ < size), None)
    if wrong is not None:
        raise RequestRefused(f"{wrong} is no id of the vocabulary: they are 0 to {size - 1}", param)


def text_of(text_model: TextModel, ids: Sequence[int]) -> str:
    """Return ids as text."""
    return text_model.tokenizer.join(text_model.vocabulary.decode(ids))


class Writer:
    """Turns ids into text one by one, and names them: the name is the text, where a token has a text of its own."""

    def __init__(self, text_model: TextModel) -> None:
        self._text_model = text_model
        self._decoder = text_model.tokenizer.decoder()
        self._between = ""  # what stands between the last word and the next

    def push(self, id_: int) -> tuple[str, str]:
        """Return the name of a token, and the text that it completes."""
        token = self._text_model.vocabulary.tokens[id_]
        name = self.name(id_)
        if self._text_model.tokenizer.level == "word":
            self._between = "" if token == EOS else " "
        return name, self._decoder.push(token)

    def name(self, id_: int) -> str:
        """Return the name of a token that would come next; no other that could has it."""
        tokenizer, token = self._text_model.tokenizer, self._text_model.vocabulary.tokens[id_]
        if token == EOS:
            return "\n"
        if isinstance(tokenizer, SubwordTokenizer):
            return tokenizer.readable(token)
        if tokenizer.level == "byte":
            return token if token.isascii() else f"bytes:\\x{ord(token):02x}"
        return self._between + token if tokenizer.level == "word" else token

    def finish(self) -> str:
        """Return the text that is still held back."""
        return self._decoder.finish()
