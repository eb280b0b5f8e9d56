"""The text of a lesson: lines of the rooms world whose name is 17 to 24 words before the answer, or 28 in the test."""

from collections.abc import Collection
from dataclasses import dataclass
from functools import cache

import numpy as np
from numpy.typing import NDArray

from elman.models.base import Ids
from elman.text.rooms import QUESTIONS, World
from elman.text.tokenizers import EOS
from elman.text.vocabulary import Vocabulary

SPANS = ((17, 20), (21, 24), (25, 28))  # words from the name to the answer; results are given for each span
TRAINED_SPANS = 2  # the last one is farther than in any line to learn from
TRAINING_LINES, TEST_LINES = 800, 120
SEED = 1


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
    question = QUESTIONS[language]
    words = question.split()
    rng = np.random.default_rng(SEED)
    least, most = SPANS[0][0], SPANS[TRAINED_SPANS - 1][1]
    train = _draw_lines(world, TRAINING_LINES, (least, most), rng, question)
    test = _draw_lines(world, TEST_LINES, (least, SPANS[-1][1]), rng, question, without=train)
    return LessonText(
        vocabulary,
        _encode(train, vocabulary),
        _encode(test, vocabulary),
        vocabulary.encode([EOS, *words])[None],  # (1, T)
        words[0],
    )


def _draw_lines(
    world: World,
    number: int,
    distances: tuple[int, int],
    rng: np.random.Generator,
    question: str,
    without: Collection[str] = (),
) -> dict[str, int]:
    """Draw so many different lines with these distances (least, most), none of which answers the question.

    Return each line with its distance.
    """
    found: dict[str, int] = {}
    words = world.text(1, rng).split()
    ending = len(words) - int(world.distance(words).max())  # words from the answer on: the same in all lines
    while len(found) < number:
        line = world.text(1, rng).rstrip("\n")
        distance = len(line.split()) - ending
        new = line not in without and not line.startswith(question)
        if new and distances[0] <= distance <= distances[1]:
            found[line] = distance
    return found


def _encode(lines: dict[str, int], vocabulary: Vocabulary) -> Lines:
    tokens = [[EOS, *line.split(), EOS] for line in lines]
    lengths = np.array([len(each) for each in tokens])  # (n,)
    ids = np.full((len(tokens), lengths.max()), vocabulary.id(EOS))  # (n, W)
    for row, line in enumerate(tokens):
        ids[row, : len(line)] = vocabulary.encode(line)
    distances = np.array(list(lines.values()))  # (n,)
    return Lines(ids, lengths, distances + 1, distances)  # the name is in column 1
