"""The texts that are recorded where none are given: sentences that the models know, and what a model writes."""

from collections.abc import Sequence

import numpy as np

from elman.generation import Sampler, generate
from elman.models.text_model import TextModel

SENTENCES = (
    "Tom was watching TV in his room . Mary came into the room . Mary said hi to Tom .",
    "tom was watching tv in his room . mary came into the room . mary said hi to tom .",
    "톰 은 방 에서 TV 를 보고 있었다 . 메리 가 방 에 들어왔다 . 메리 는 톰 에게 인사했다 .",
    "the keys to the cabinet are on the table",
    "you say goodbye",
)
PAIRS = (
    ("you say goodbye", "you say good die"),
    ("the keys to the cabinet are on the table", "the keys to the cabinet is on the table"),
    ("she said that she would come", "she said that would she come"),
)
SAMPLES = 2
TEMPERATURE = 0.8
SWAPPED = 12  # tokens of a text, two neighbours of which are exchanged


def choose_texts(text_model: TextModel, tokens: int, seed: int) -> list[str]:
    """Return what the model writes, with a seed, and the first sentence of which it knows every token."""
    texts = [write(text_model, tokens, seed + k) for k in range(SAMPLES)]
    texts += [sentence for sentence in SENTENCES if knows(text_model, sentence)][:1]
    return list(dict.fromkeys(text for text in texts if text.strip()))


def choose_pair(text_model: TextModel, text: str) -> tuple[str, str]:
    """Return two sentences to compare: one and the same with two neighbours exchanged, where no example is known."""
    for pair in PAIRS:
        if all(knows(text_model, each) for each in pair):
            return pair
    pieces = text.splitlines()[0].split(" ")[:SWAPPED]
    at = max(0, len(pieces) // 2 - 1)
    other = [*pieces[:at], *reversed(pieces[at : at + 2]), *pieces[at + 2 :]]
    return " ".join(pieces), " ".join(other)


def knows(text_model: TextModel, text: str) -> bool:
    """Tell whether the vocabulary has every token of a text."""
    return text in text_model


def write(text_model: TextModel, length: int, seed: int) -> str:
    """Return so many tokens drawn from the beginning of a text on, blanks around them left out."""
    unknown = text_model.vocabulary.unknown_id
    sampler = Sampler(TEMPERATURE, exclude=() if unknown is None or unknown < 0 else (unknown,))
    drawn = generate(
        text_model.model, text_model.begin_sentence(), sampler, np.random.default_rng(seed), length
    )
    return text_model.tokenizer.join(text_model.vocabulary.decode(list(drawn))).strip()


def cut(text_model: TextModel, text: str, tokens: int) -> str:
    """Return the beginning of a text, of so many tokens of this model at most."""
    from elman.text.offsets import token_offsets

    offsets: Sequence[Sequence[int]] = token_offsets(text_model.tokenizer, text).tolist()
    return text if len(offsets) <= tokens else text[: offsets[tokens - 1][1]]
