"""Texts that show what a model has learnt, in words that it knows: one to begin with, and pairs to compare."""

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np

from elman.generation import Sampler, generate
from elman.text.offsets import token_offsets
from elman.text_model import TextModel

# in each, a name decides a word far behind it: the one greeted
GREETINGS = (
    (
        "Tom was watching TV in his room . Mary came into the room . The dog barked at Ann . Mary said hi to Tom .",
        "Tom",
        "Ann",
    ),
    (
        "tom was watching tv in his room . mary came into the room . the dog barked at ann . mary said hi to tom .",
        "tom",
        "ann",
    ),
    (
        "톰 은 자기 방 에서 TV 를 보고 있었다 . 메리 가 방 에 들어왔다 . 개 가 앤 을 보고 짖었다 . "
        "메리 가 톰 에게 인사했다 .",
        "톰",
        "앤",
    ),
)
PAIRS = {
    "misheard": ("you say goodbye", "you say good die"),
    "agreement": ("the keys to the cabinet are on the table", "the keys to the cabinet is on the table"),
    "order": ("she said that she would come", "she said that would she come"),
}
TEMPERATURE = 0.8
PAIR_TOKENS = 40  # of what the model writes for a pair
PAIR_WORDS = 12  # of a text, two neighbours of which are swapped
ALIKE = 0.5  # of the tokens of two vocabularies, the least part that comparable models share


class Opening(NamedTuple):
    """A text to begin with, and the token that a model can only know from far back."""

    text: str
    position: int


class Pair(NamedTuple):
    """Two texts to compare, and in what they differ: the name greeted, a key of `PAIRS`, or two words swapped."""

    kind: str
    texts: tuple[str, str]


def knows(text_model: TextModel, text: str) -> bool:
    """Return whether a model of words has every word of a text in its vocabulary."""
    return text_model.unit == "word" and text in text_model


def opening(text_model: TextModel) -> Opening | None:
    """Return a text in which a name decides who is greeted, if the model knows the words of one."""
    for text, name, _ in GREETINGS:
        if knows(text_model, text):
            offsets = token_offsets(text_model.tokenizer, text)
            return Opening(text, int(np.searchsorted(offsets[:, 0], text.rindex(name))))
    return None


def pairs(text_model: TextModel, seed: int = 0) -> list[Pair]:
    """Return texts to compare: those that the model knows and, made from one that it writes, one with swapped words."""
    found = [
        Pair("name", (text, other.join(text.rsplit(name, 1))))
        for text, name, other in GREETINGS
        if knows(text_model, text)
    ]
    found += [
        Pair(kind, texts)
        for kind, texts in PAIRS.items()
        if all(text in text_model and text_model.unit in ("word", "character", "jamo") for text in texts)
    ]
    swapped = swapped_pair(write(text_model, PAIR_TOKENS, seed))
    return [*found, *([swapped] if swapped.texts[0] != swapped.texts[1] else [])]


def swapped_pair(text: str) -> Pair:
    """Return the first sentence of a text, up to `PAIR_WORDS` words, and the same with two neighbours swapped."""
    words = text.strip().partition("\n")[0].split(" ")[:PAIR_WORDS]
    end = next((k for k, word in enumerate(words, 1) if k > 2 and word.endswith((".", "!", "?"))), len(words))
    words = words[:end]
    at = max(0, len(words) // 2 - 1)
    swapped = [*words[:at], *reversed(words[at : at + 2]), *words[at + 2 :]]
    return Pair("swapped", (" ".join(words), " ".join(swapped)))


def write(text_model: TextModel, length: int, seed: int) -> str:
    """Return a text of so many tokens that the model writes, without whitespace around it."""
    unknown = text_model.vocabulary.unknown_id
    sampler = Sampler(TEMPERATURE, exclude=() if unknown < 0 else (unknown,))
    drawn = generate(
        text_model.model, text_model.begin_sentence(), sampler, np.random.default_rng(seed), length
    )
    return text_model.tokenizer.join(text_model.vocabulary.decode(list(drawn))).strip()


def comparable(models: Mapping[str, TextModel]) -> dict[str, list[str]]:
    """Return, for each model, the names of the others that read the same texts.

    These are models of the same unit whose vocabularies share at least half of the tokens of both together.
    """
    tokens = {name: set(model.vocabulary.tokens) for name, model in models.items()}

    def alike(one: str, other: str) -> bool:
        shared = len(tokens[one] & tokens[other])
        return models[one].unit == models[other].unit and shared >= ALIKE * len(tokens[one] | tokens[other])

    return {one: [other for other in models if other != one and alike(one, other)] for one in models}
