"""Score the candidates of an n-best list with a language model: ln P of each, in large batches.

The candidates of one utterance share the states of their common prefixes. Utterances are scored independently
(`lm_scores`), or each after the best candidates of the same speaker's earlier ones (`carried_lm_scores`).
"""

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from elman.errors import VocabularyError
from elman.evaluation.spelling import Case, case_of, in_case
from elman.models.base import Ids, LanguageModel, begin
from elman.models.tokenized import reading_threads
from elman.rescoring.nbest import Utterance
from elman.rescoring.tuning import Floats
from elman.rescoring.unknown_words import LEXICON_FRACTION, Lexicon, Recurring, Spelling
from elman.text_model import TextModel
from elman.workers import Task, run_tasks, worker_count

Unknown = Literal["spelled", "plain"]
Choose = Callable[[int, Sequence[NDArray[np.float64]]], int]
BATCH = 512  # candidates per batch, rounded up to whole utterances


@dataclass(frozen=True)
class Encoded:
    """The candidates of one utterance as ids, including the ends of lines; ``unknown`` (K,) counts unknown tokens.

    Tokens without an id are left out of ``ids``; ``impossible`` (K,) marks the candidates that have any.
    """

    ids: tuple[Ids, ...]
    unknown: NDArray[np.int64]
    impossible: NDArray[np.bool_]


@dataclass
class StepCounts:
    """The ``steps`` that a model computed, out of the ``tokens`` that reading every candidate separately would need."""

    steps: int = 0
    tokens: int = 0

    def __add__(self, other: "StepCounts") -> "StepCounts":
        return StepCounts(self.steps + other.steps, self.tokens + other.tokens)

    @property
    def saved(self) -> float:
        """The fraction of steps that common prefixes saved."""
        return 1 - self.steps / self.tokens if self.tokens else 0.0


def encode(text_model: TextModel, texts: Sequence[str]) -> Encoded:
    """Return the candidates of an utterance as ids. Raises VocabularyError if the model has no end-of-line token."""
    if text_model.vocabulary.eos_id is None:
        raise VocabularyError(
            "the model has no token for the end of a line, so shorter sentences would always seem more probable; "
            "train it on a text with one sentence per line"
        )
    found = [text_model.encode_line(text)[1] for text in texts]
    unknown = [int((ids == text_model.vocabulary.unknown_id).sum()) for ids in found]
    return Encoded(
        tuple(ids[ids >= 0] for ids in found),
        np.array(unknown),
        np.array([ids.min(initial=0) < 0 for ids in found]),
    )


def lm_scores(
    text_model: TextModel, utterances: Sequence[Encoded]
) -> tuple[list[NDArray[np.float64]], StepCounts]:
    """Return ln P (K,) of every utterance's candidates, each utterance read from the beginning of a line.

    Candidates with tokens that a closed vocabulary lacks have -inf. Utterances of similar length are batched.
    """
    scores: list[NDArray[np.float64]] = [np.empty(0)] * len(utterances)
    start = begin(text_model.model, text_model.start_id)
    batches = list(_batches(utterances))
    counts = [StepCounts() for _ in batches]

    def read(batch: list[int], count: StepCounts) -> None:
        state = start.select([0] * len(batch))
        found, _ = read_tree(text_model.model, [utterances[k] for k in batch], state, count)
        for k, ln_probs in zip(batch, found, strict=True):
            scores[k] = ln_probs

    with reading_threads(BATCH, text_model.model):
        run_tasks([Task(partial(read, *each)) for each in zip(batches, counts, strict=True)])
    return scores, sum(counts, StepCounts())


def _batches(utterances: Sequence[Encoded]) -> Iterator[list[int]]:
    """Yield the indices of the utterances of each batch, the longest first."""
    longest = np.array([max(map(len, each.ids)) for each in utterances])
    batch: list[int] = []
    candidates = 0
    for index in np.argsort(-longest, kind="stable").tolist():
        batch.append(index)
        candidates += len(utterances[index].ids)
        if candidates >= BATCH:
            yield batch
            batch, candidates = [], 0
    if batch:
        yield batch


def read_tree(
    model: LanguageModel, utterances: Sequence[Encoded], state: Any, counts: StepCounts, keep: bool = False
) -> tuple[list[NDArray[np.float64]], Any]:
    """Return ln P of the candidates of N utterances, each utterance read from its sequence of ``state``.

    The candidates of an utterance form a prefix tree. All trees are read in one batch, level by level, with one
    sequence per node. With ``keep``, also return the state after each candidate, one sequence each. The steps are
    added to ``counts``.
    """
    texts = [ids for each in utterances for ids in each.ids]
    lengths = np.array([len(ids) for ids in texts])  # (C,)
    tokens = np.zeros((len(texts), int(lengths.max(initial=0))), np.int64)  # (C, longest)
    tokens[np.arange(tokens.shape[1]) < lengths[:, None]] = np.concatenate(texts)
    sizes = [len(each.ids) for each in utterances]
    node = np.repeat(np.arange(len(utterances)), sizes)  # (C,): the node of each candidate on this level
    totals = np.zeros(len(utterances))  # ln P of every node
    scores = np.zeros(len(texts))
    ended, states = [], []
    for t in range(tokens.shape[1]):
        (alive,) = np.nonzero(lengths > t)
        branches, node[alive] = np.unique(
            node[alive] * model.vocab_size + tokens[alive, t], return_inverse=True
        )
        parents, words = np.divmod(branches, model.vocab_size)
        log_probs, state = model.target_log_probs(words[:, None], state.select(parents))
        totals = totals[parents] + log_probs[:, 0]
        (ends,) = np.nonzero(lengths == t + 1)
        scores[ends] = totals[node[ends]]
        if keep and len(ends):
            ended.append(ends)
            states.append(state.select(node[ends]))
        counts.steps += len(branches)
    counts.tokens += int(lengths.sum())
    scores[np.concatenate([each.impossible for each in utterances])] = -np.inf
    after = states[0].join(*states[1:]).select(np.argsort(np.concatenate(ended))) if keep else None
    return np.split(scores, np.cumsum(sizes)[:-1]), after


def carried_lm_scores(
    models: Sequence[tuple[TextModel, Sequence[Encoded]]], speakers: Sequence[Sequence[int]], choose: Choose
) -> StepCounts:
    """Score every utterance after the best candidates of the same speaker's earlier ones; return the step counts.

    ``speakers`` lists the indices of each speaker's utterances in their order, the speaker with the most utterances
    first; each thread reads its share of the speakers in one batch. ``choose(index, ln_probs)`` is called with ln P
    (K,) of an utterance's candidates by each model, and returns the candidate from which the models continue.
    """
    with reading_threads(BATCH, *(model.model for model, _ in models)):
        shares = [speakers[k :: worker_count()] for k in range(min(worker_count(), len(speakers)))]
        counts = [StepCounts() for _ in shares]
        each_share = zip(shares, counts, strict=True)
        run_tasks([Task(partial(_read_speakers, models, choose, *each)) for each in each_share])
    return sum(counts, StepCounts())


def _read_speakers(
    models: Sequence[tuple[TextModel, Sequence[Encoded]]],
    choose: Choose,
    speakers: Sequence[Sequence[int]],
    counts: StepCounts,
) -> None:
    """Read the utterances of some speakers, one of each at a time; the steps are added to ``counts``."""
    states = [begin(model.model, model.start_id, len(speakers)) for model, _ in models]
    for turn in range(len(speakers[0])):
        indices = [own[turn] for own in speakers if turn < len(own)]
        found, ends = [], []
        for (model, encoded), state in zip(models, states, strict=True):
            sequences = state.select(range(len(indices)))
            scores, after = read_tree(
                model.model, [encoded[index] for index in indices], sequences, counts, keep=True
            )
            found.append(scores)
            ends.append(after)
        best = [
            choose(index, ln_probs) for index, ln_probs in zip(indices, zip(*found, strict=True), strict=True)
        ]
        firsts = np.cumsum([0, *map(len, found[0][:-1])])
        states = [after.select(firsts + best) for after in ends]


class Reader:
    """An n-best list as one model reads it: the candidates as ids, ``encoded``, and the scores of unknown words.

    ``case`` is the case of the text that the model reads; None is that of its vocabulary. With a lexicon, an unknown
    word is one of the lexicon's with probability `LEXICON_FRACTION`, and otherwise any string.

    Raises:
        VocabularyError: the model has no end-of-line token.
    """

    def __init__(
        self,
        text_model: TextModel,
        utterances: Sequence[Utterance],
        case: Case | None,
        unknown: Unknown,
        lexicon: Lexicon | None = None,
    ) -> None:
        self.text_model = text_model
        self.case = found = case or case_of(text_model.vocabulary)
        texts = [[in_case(c.text, found) for c in u.candidates] for u in utterances]
        self.encoded: list[Encoded] = [encode(text_model, each) for each in texts]
        spells = unknown == "spelled" and text_model.unit == "word"
        spells = spells and text_model.vocabulary.unk_id is not None
        self._unknown = [[self._unknown_words(t) if spells else [] for t in each] for each in texts]
        words = {w for each in self._unknown for text in each for w in text}
        self._nlls = Spelling(text_model.vocabulary).nll_nats(words) if words else {}
        if words and lexicon is not None:
            known = lexicon.unknown_to(text_model.vocabulary, found)
            self._nlls = {w: _nll_of_either(nll, known.get(w, 0.0)) for w, nll in self._nlls.items()}

    def _unknown_words(self, text: str) -> list[str]:
        vocabulary = self.text_model.vocabulary
        return [w for w in self.text_model.tokenizer.tokens(text) if w not in vocabulary]

    def spelled(self, index: int, before: Recurring | None = None) -> Floats:
        """Return ln P(words | unknown) (K,) of the unknown words in each candidate of an utterance; 0 if unscored.

        ``before`` counts the unknown words that the speaker has already said.
        """
        seen = before or Recurring(0.0)
        return np.array(
            [sum(seen.ln_prob(w, self._nlls[w]) for w in words) for words in self._unknown[index]], np.float64
        )

    def unknown_words(self, index: int, candidate: int) -> Sequence[str]:
        """Return the unknown words of a candidate; none if their spelling is not scored."""
        return self._unknown[index][candidate]


def _nll_of_either(spelling_nll: float, prob: float) -> float:
    """Return -ln P of a word by the mixture of its spelling (``spelling_nll`` nats) and the lexicon (``prob``)."""
    spelled = math.log1p(-LEXICON_FRACTION) - spelling_nll
    return -(np.logaddexp(spelled, math.log(LEXICON_FRACTION * prob)) if prob else spelled)
