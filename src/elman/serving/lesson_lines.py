"""The text of a lesson: lines of the rooms world whose answer is at most 24 words after the name."""

from dataclasses import dataclass
from functools import cache

import numpy as np
from numpy.typing import NDArray

from elman.models.base import Ids
from elman.text.rooms import QUESTIONS, World
from elman.text.tokenizers import EOS
from elman.text.vocabulary import Vocabulary

FARTHEST = 24  # words from the name to the answer
SPANS = ((13, 16), (17, 20), (21, FARTHEST))  # of distances, for which results are given apart
TRAINING_LINES, TEST_LINES = 1200, 120
SEEDS = {"train": 1, "test": 2}


@dataclass(frozen=True)
class Lines:
    """Lines as ids (n, W): `<eos>`, the words, `<eos>`, and more `<eos>` up to the width W.

    ``lengths`` (n,) counts the ids before that padding, ``answers`` (n,) are the columns of the answers, and
    ``distances`` (n,) says how many words they are from the name.
    """

    ids: Ids
    lengths: NDArray[np.int64]
    answers: NDArray[np.int64]
    distances: NDArray[np.int64]

    @property
    def is_answer(self) -> NDArray[np.bool_]:
        """Where the answers are: (n, W)."""
        found: NDArray[np.bool_] = np.arange(self.ids.shape[1]) == self.answers[:, None]
        return found

    @property
    def is_padding(self) -> NDArray[np.bool_]:
        """Where there is only padding: (n, W)."""
        found: NDArray[np.bool_] = np.arange(self.ids.shape[1]) >= self.lengths[:, None]
        return found

    def stream(self) -> Ids:
        """Return all words, and one `<eos>` after each line, without padding: (T,)."""
        return self.ids[:, 1:][~self.is_padding[:, 1:]]


@dataclass(frozen=True)
class LessonText:
    """What the networks of a lesson read: lines to learn from, other lines to be tested on, and one question."""

    vocabulary: Vocabulary
    train: Lines
    test: Lines
    question: Ids  # (1, T), from `<eos>` to the word before the answer
    right: str  # the name that answers the question


@cache
def lesson_text(language: str) -> LessonText:
    """Return the text of the lessons in a language of the rooms world, always the same."""
    world = World(language)
    vocabulary = Vocabulary(world.vocabulary, eos=EOS)
    words = QUESTIONS[language].split()
    return LessonText(
        vocabulary,
        _draw_lines(world, vocabulary, TRAINING_LINES, SEEDS["train"]),
        _draw_lines(world, vocabulary, TEST_LINES, SEEDS["test"]),
        vocabulary.encode([EOS, *words])[None],  # (1, T)
        words[0],
    )


def _draw_lines(world: World, vocabulary: Vocabulary, number: int, seed: int) -> Lines:
    """Draw so many lines of the world, without those whose answer is too far away."""
    rng = np.random.default_rng(seed)
    tokens: list[list[str]] = []
    distances: list[int] = []
    while len(tokens) < number:
        for line in world.text(n_tokens=1000, rng=rng).splitlines():
            words = line.split()
            distance = int(world.distance(words).max())
            if distance <= FARTHEST:
                tokens.append([EOS, *words, EOS])
                distances.append(distance)
    lengths = np.array([len(each) for each in tokens[:number]])
    ids = np.full((number, lengths.max()), vocabulary.id(EOS))  # (n, W)
    for row, line_tokens in enumerate(tokens[:number]):
        ids[row, : lengths[row]] = vocabulary.encode(line_tokens)
    found = np.array(distances[:number])
    return Lines(ids, lengths, found + 1, found)  # the name is in column 1
