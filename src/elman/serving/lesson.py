"""A lesson: an RNN and a gated network learn to remember a name, a few batches at a time, while somebody watches.

Both read the same lines of the rooms world, in the same order, with the same settings. A 3-gram model counts them, for
comparison. Three of four batches count the answers only, the fourth counts all words: a network that is trained on all
words alone needs many more, because an answer is one word in twenty-five. A line is cut into blocks of T words, between
which the state is carried and the gradient is not: truncated backpropagation through time.
"""

import secrets
from collections import OrderedDict
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from elman.generation import Sampler, generate
from elman.models.base import LanguageModel
from elman.models.ngram.model import NgramModel
from elman.models.recurrent import RecurrentLM
from elman.serving.lesson_gradients import AnswerGradients
from elman.serving.lesson_lines import SPANS, LessonText, lesson_text
from elman.training.optimizers import Adam
from elman.training.step import TrainingStep
from elman.workers import limited_threads

BATCH_SIZE = 32
WORDVEC_SIZE = 32
ALL_WORDS_EVERY = 4  # batches
MAX_GRAD = 1.0
ORDER = 3  # of the n-gram model
TOP = 3  # most probable answers to the question
SAMPLE_WORDS = 40


@dataclass(frozen=True)
class LessonSettings:
    """What the visitor chooses. ``cell`` is that of the network beside the RNN; ``time_size`` is T."""

    language: str = "en"
    cell: str = "gru"
    hidden: int = 64
    time_size: int = 30
    lr: float = 0.02
    seed: int = 1


class Lesson:
    """Two networks in training. The same settings and numbers of batches give the same results."""

    def __init__(self, settings: LessonSettings) -> None:
        self.settings, self.batches = settings, 0
        self._text = lesson_text(settings.language)
        self._rng = np.random.default_rng(settings.seed)
        self._targets, self._answers_only = _targets(self._text)
        V = len(self._text.vocabulary)
        self._networks = [
            RecurrentLM(
                V,
                WORDVEC_SIZE,
                settings.hidden,
                cell,
                rng=np.random.default_rng([settings.seed, number]),
                embedding_scale=0.5,
            )
            for number, cell in enumerate(("rnn", settings.cell))
        ]
        self._steps = [TrainingStep(each, Adam(lr=settings.lr), MAX_GRAD) for each in self._networks]
        trigrams = NgramModel.train(self._text.train.stream(), V, ORDER)
        self._trigrams = self._examine("3-gram", trigrams)
        right = self._text.vocabulary.id(self._text.right)
        self._gradients = AnswerGradients(self._networks, self._text.question, right)
        with limited_threads(0):
            self._gradients.record(0)

    def train(self, batches: int) -> None:
        """Train both networks on so many batches of lines, with an update after each block of T words."""
        with limited_threads(0):
            for _ in range(batches):
                self.batches += 1
                rows = self._rng.integers(len(self._targets), size=BATCH_SIZE)  # (N,)
                counted = self._targets if self.batches % ALL_WORDS_EVERY == 0 else self._answers_only
                for network, step in zip(self._networks, self._steps, strict=True):
                    network.reset_state()
                    self._update(step, self._text.train.ids[rows, :-1], counted[rows])
                self._gradients.record(self.batches)

    def _update(self, step: TrainingStep, xs: NDArray[Any], ts: NDArray[Any]) -> None:
        """Train on whole lines xs -> ts (N, W), in blocks of T words."""
        T = self.settings.time_size
        for k in range(0, xs.shape[1], T):
            block = ts[:, k : k + T]  # (N, T)
            if (block >= 0).any():
                step(xs[:, k : k + T], block)
            else:
                # nothing is counted here, but the state has to get to the answer
                step.model.forward(xs[:, k : k + T], np.zeros_like(block))

    def report(self) -> dict[str, Any]:
        """Return what the 3-gram model, the RNN and the other network know now, and the gradients, as JSON."""
        names = ("rnn", self.settings.cell)
        with limited_threads(0):
            networks = [self._examine(*each) for each in zip(names, self._networks, strict=True)]
            gradients = self._gradients.report(self.batches)
        return {
            "batches": self.batches,
            "right_name": self._text.right,
            "spans": SPANS,
            "models": [self._trigrams, *networks],
            "gradients": gradients,
        }

    def _examine(self, name: str, model: LanguageModel) -> dict[str, Any]:
        """Return P(right name) over the test lines and by distance, the answer to the question, and a sample."""
        text = self._text
        test, vocabulary = text.test, text.vocabulary
        ln_probs, _ = model.target_log_probs(test.ids, model.start(len(test.ids)), test.is_answer)
        right = np.exp(ln_probs[test.is_answer])  # (n,), in the order of the lines
        in_span = [(least <= test.distances) & (test.distances <= most) for least, most in SPANS]
        answer = np.exp(model.next_log_probs(model.feed(text.question, model.start()))[0])  # (V,)
        best = np.argsort(-answer, kind="stable")[:TOP].tolist()
        return {
            "name": name,
            "right": float(right.mean()),
            "by_distance": [float(right[each].mean()) for each in in_span],
            "answer": [{"token": vocabulary.token(k), "probability": float(answer[k])} for k in best],
            "right_answer": float(answer[vocabulary.id(text.right)]),
            "sample": self._write(model),
        }

    def _write(self, model: LanguageModel) -> str:
        """Return a line that a model writes, always with the same random numbers."""
        vocabulary, words = self._text.vocabulary, []
        end = vocabulary.eos_id
        state = model.feed(np.full((1, 1), end), model.start())
        rng = np.random.default_rng(self.settings.seed)
        for id_ in generate(model, state, Sampler(), rng, SAMPLE_WORDS):
            if id_ == end:
                break
            words.append(vocabulary.token(id_))
        return " ".join(words)


def _targets(text: LessonText) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return the targets (n, W - 1) of the training lines: all words, and the answers only; -1 is not counted."""
    lines = text.train
    targets = np.where(lines.is_padding, -1, lines.ids)[:, 1:]
    return targets, np.where(lines.is_answer[:, 1:], targets, -1)


class Lessons:
    """The lessons that a server keeps, by identifier: so many at most. The one used longest ago gives way to a new one.

    Only one thread may use it.
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self._kept: OrderedDict[str, Lesson] = OrderedDict()

    def add(self, lesson: Lesson) -> str:
        """Keep a lesson; return its identifier, which cannot be guessed."""
        while len(self._kept) >= self._most:
            self._kept.popitem(last=False)
        identifier = secrets.token_hex(16)
        self._kept[identifier] = lesson
        return identifier

    def find(self, identifier: str) -> Lesson | None:
        """Return a lesson, or None if it is not kept (any more)."""
        if identifier in self._kept:
            self._kept.move_to_end(identifier)
        return self._kept.get(identifier)
