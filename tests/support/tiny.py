"""Models and texts so small that tests with them are fast."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from elman.models.recurrent import RecurrentLM
from elman.text.tokenizers import make_tokenizer
from elman.text.vocabulary import Vocabulary
from elman.text_model import TextModel

SENTENCE = "you say goodbye and i say hello .\n"
STORY = "".join(
    f"{who} was {what} in {where} . {other} came into {where} and said hi to {who} .\n"
    for who, what, where, other in (
        ("tom", "watching tv", "his room", "mary"),
        ("mary", "reading", "the garden", "tom"),
        ("ann", "asleep", "the kitchen", "bob"),
        ("bob", "singing", "his room", "ann"),
    )
)


KOREAN = "톰은 방에 있었다 .\n한글로 책을 읽는다 .\n"


def ids_of_length(n: int, V: int = 9, seed: int = 0) -> NDArray[np.int64]:
    """Ids that are neither constant nor periodic, every one of [0, V) among them where n allows."""
    return np.random.default_rng(seed).permutation(np.arange(n) % V)


def blocks_of(V: int, N: int, T: int, count: int, seed: int = 0) -> list[Any]:
    """``count`` blocks of ids (N, T)."""
    return list(np.random.default_rng(seed).integers(0, V, (count, N, T)))


def small_lm(V: int = 9, D: int = 4, H: int = 5, seed: int = 1, **options: Any) -> RecurrentLM:
    """A float64 model whose weights are large enough for every part of it to matter."""
    options = {"dtype": np.float64, "weight_scale": 0.5, **options}
    model = RecurrentLM(V, D, H, rng=np.random.default_rng(seed), **options)
    for name, weight in model.weights.items():
        if weight.ndim == 1:
            weight += 0.1 * np.random.default_rng(len(name)).standard_normal(weight.shape)
    return model


def text_model(level: str = "word", text: str | None = None, **options: Any) -> TextModel:
    """A small recurrent model of a text's own vocabulary; by default of the story, of jamo also of some Korean."""
    tokenizer = make_tokenizer(level)
    text = STORY + KOREAN * (level == "jamo") if text is None else text
    counts = dict.fromkeys(tokenizer.tokens(text, end=level == "word" or "\n" in text), 1)
    vocabulary = Vocabulary.of_bytes() if level == "byte" else Vocabulary.build(counts, eos=tokenizer.eos)
    return TextModel(small_lm(len(vocabulary), **options), tokenizer, vocabulary, {"corpus": "a story"})
