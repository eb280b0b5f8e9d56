"""The catalogue of messages in Korean, ``locale/ko/elman.po``, and how a message is found in it.

A message is recognised by a template, whose fields are numbered: ``there is no file {0}``. A field may itself be a
message, such as the reason why a file cannot be read. ``docs/make_catalogue.py`` keeps the list of messages.
"""

import json
import re
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path

CATALOGUE = Path(__file__).parent / "locale" / "ko" / "elman.po"
ENTRY = re.compile(r'^msgid (".*")\nmsgstr (".*")$', re.MULTILINE)
FIELD = re.compile(r"\{(\d+)\}")
COUNTED = re.compile(
    r" (tokens|words|characters|bytes|subwords|threads|sentences|columns|lines|utterances)\b"
)
PLACE = re.compile(r", line \d+$")  # the end of a place in a file, which says where another message applies
NUMBER = r"(\d[\d,.]*(?: and \d[\d,.]*)*)"  # what stands before words that are counted
SUFFIX = r"((?:[;,(]| [(*]| and ).*?|)"  # what a field may hold that directly follows another one
PUNCTUATION = re.compile(r"([\s;,:(]*)(.*?)([\s)]*)", re.DOTALL)
# words that messages have in fields
UNITS = {"token", "word", "character", "jamo", "byte", "subword", "char"}
UNITS |= {f"{unit}s" for unit in UNITS}


@cache
def korean() -> "Translator":
    """Return the translator into Korean."""
    return Translator(read_catalogue(CATALOGUE.read_text(encoding="utf-8")))


def read_catalogue(text: str) -> dict[str, str]:
    """Return the messages of a catalogue with their translations, without its heading, whose message is empty."""
    entries = ((json.loads(message), json.loads(translation)) for message, translation in ENTRY.findall(text))
    return {message: translation for message, translation in entries if message}


class Translator:
    """Translates messages by templates such as ``there is no file {0}``."""

    def __init__(self, catalogue: Mapping[str, str]) -> None:
        self.catalogue = dict(catalogue)
        templates = [
            message
            for message, translation in catalogue.items()
            if FIELD.search(message) and translation != message
        ]
        # the template that says most comes first: several may match, such as "{0}: {1}"
        self._templates = sorted(templates, key=lambda message: (-len(FIELD.sub("", message)), len(message)))
        self._pieces = {message: FIELD.split(message)[::2] for message in templates}
        self._patterns: dict[str, re.Pattern[str]] = {}

    def translate(self, message: str) -> str:
        """Return a message in the other language; where no template fits, its lines and parts are tried."""
        if message in self.catalogue:
            return self.catalogue[message]
        place, colon, problem = message.partition(": ")
        if colon and PLACE.search(place) and (found := self.translate(problem)) != problem:
            return f"{self.translate(place)}: {found}"
        for template in self._templates:
            if all(piece in message for piece in self._pieces[template]):
                match = self._pattern(template).fullmatch(message)
                if match is not None:
                    return self._filled(template, match.groups())
        if colon and "; " not in place and (found := self.translate(problem)) != problem:
            return f"{place}: {found}"
        for separator in ("\n", "; "):
            if separator in message:
                return separator.join(map(self.translate, message.split(separator)))
        before, core, after = PUNCTUATION.fullmatch(message).groups()  # type: ignore[union-attr]
        return message if core == message else before + self._field(core) + after

    def _filled(self, template: str, fields: Sequence[str]) -> str:
        """Return the translation of a template with its fields; what has a line of its own is text of a model."""
        translated = [
            field if before.endswith("\n") else self._field(field)
            for before, field in zip(self._pieces[template], fields, strict=False)
        ]
        return FIELD.sub(lambda number: translated[int(number[1])], self.catalogue[template])

    def _field(self, text: str) -> str:
        """Translate a field where it is a message; a name that a user gave is mostly one word."""
        return self.translate(text) if (" " in text and "\n" not in text) or text in UNITS else text

    def _pattern(self, template: str) -> re.Pattern[str]:
        """Return the pattern of a template: its fields, which are numbered in order, hold any text."""
        if template not in self._patterns:
            before, *others = self._pieces[template]
            pattern = re.escape(before)
            for k, after in enumerate(others):
                follows = k > 0 and not others[k - 1]
                counted = COUNTED.match(after) or before.endswith("line ")
                kind = SUFFIX if follows else NUMBER if counted else "(.*?)"
                pattern += kind + re.escape(after)
                before = after
            self._patterns[template] = re.compile(pattern, re.DOTALL)
        return self._patterns[template]
