"""ln P of every candidate of many utterances; those of one utterance share the states of their common beginnings.

Reading on from utterance to utterance of a speaker: the past is the best candidate of each before.

One language model, and the candidates of an n-best list as it reads them.
"""

import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from elman.arrays import is_torch
from elman.errors import VocabularyError
from elman.evaluation.spelling import Case, case_of, in_case
from elman.models.base import Ids, LanguageModel, begin
from elman.models.mixture import Mixture
from elman.rescoring.nbest import Utterance
from elman.rescoring.tuning import Floats
from elman.rescoring.unknown_words import LEXICON_FRACTION as SHARE
from elman.rescoring.unknown_words import Lexicon, Recurring, Spelling
from elman.text_model import TextModel
from elman.workers import limited_threads

BATCH = 512  # candidates read side by side, those of whole utterances


@dataclass(frozen=True)
class Encoded:
    """The candidates of one utterance as ids, the ends of their lines last; ``unknown`` (K,) counts unknown words.

    Words without an id are left out of ``ids``; ``impossible`` (K,) tells where that is so.
    """

    ids: tuple[Ids, ...]
    unknown: NDArray[np.int64]
    impossible: NDArray[np.bool_]


@dataclass
class Work:
    """What was read: ``steps`` of the model, of the ``tokens`` that reading every candidate whole would take."""

    steps: int = 0
    tokens: int = 0

    def add(self, other: "Work") -> None:
        """Count another's too."""
        self.steps += other.steps
        self.tokens += other.tokens

    @property
    def saved(self) -> float:
        """The share of steps that common beginnings saved."""
        return 1 - self.steps / self.tokens if self.tokens else 0.0


def encode(text_model: TextModel, texts: Sequence[str]) -> Encoded:
    """Return the candidates of an utterance as ids; raises VocabularyError for a model that knows no end of a line."""
    if text_model.vocabulary.eos_id is None:
        raise VocabularyError(
            "the model has no token for the end of a line, so a short sentence would seem likelier than a long "
            "one; train it on a text with one sentence a line"
        )
    found = [text_model.encode_line(text)[1] for text in texts]
    unknown = [int((ids == text_model.vocabulary.unknown_id).sum()) for ids in found]
    return Encoded(
        tuple(ids[ids >= 0] for ids in found),
        np.array(unknown),
        np.array([ids.min(initial=0) < 0 for ids in found]),
    )


def lm_scores(text_model: TextModel, utterances: Sequence[Encoded]) -> tuple[list[NDArray[np.float64]], Work]:
    """Return ln P (K,) of every utterance's candidates, each utterance read from the beginning of a line.

    -inf for what a closed vocabulary cannot say. Utterances of like length are read together.
    """
    scores: list[NDArray[np.float64]] = [np.empty(0)] * len(utterances)
    start = begin(text_model.model, text_model.start_id)
    work = Work()
    with threads_for(text_model.model):
        for batch in _batches(utterances):
            state = start.select([0] * len(batch))
            found, _ = read_tree(text_model.model, [utterances[k] for k in batch], state, work)
            for k, ln_probs in zip(batch, found, strict=True):
                scores[k] = ln_probs
    return scores, work


def _batches(utterances: Sequence[Encoded]) -> Iterator[list[int]]:
    """Yield the places of utterances to be read side by side, the longest first."""
    longest = np.array([max(map(len, each.ids)) for each in utterances])
    batch: list[int] = []
    held = 0
    for place in np.argsort(-longest, kind="stable").tolist():
        batch.append(place)
        held += len(utterances[place].ids)
        if held >= BATCH:
            yield batch
            batch, held = [], 0
    if batch:
        yield batch


def read_tree(
    model: LanguageModel, utterances: Sequence[Encoded], state: Any, work: Work, keep: bool = False
) -> tuple[list[NDArray[np.float64]], Any]:
    """Return ln P of the candidates of N utterances, each utterance read from its sequence of ``state``.

    The candidates of an utterance are a tree, in which those that begin alike share nodes. All trees are read side by
    side, a level at a time: a sequence is a node. With ``keep``, return also the state after each candidate,
    one sequence each.
    """
    texts = [ids for each in utterances for ids in each.ids]
    lengths = np.array([len(ids) for ids in texts])  # (C,)
    tokens = np.zeros((len(texts), int(lengths.max(initial=0))), np.int64)  # (C, longest)
    tokens[np.arange(tokens.shape[1]) < lengths[:, None]] = np.concatenate(texts)
    counts = [len(each.ids) for each in utterances]
    node = np.repeat(np.arange(len(utterances)), counts)  # (C,): where each candidate is, on this level
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
        work.steps += len(branches)
    work.tokens += int(lengths.sum())
    scores[np.concatenate([each.impossible for each in utterances])] = -np.inf
    after = states[0].join(*states[1:]).select(np.argsort(np.concatenate(ended))) if keep else None
    return np.split(scores, np.cumsum(counts)[:-1]), after


def threads_for(model: LanguageModel) -> AbstractContextManager[None]:
    """Return a context with as many threads as the largest product of a level deserves."""
    return limited_threads(BATCH * _largest_weight(model))


def _largest_weight(model: LanguageModel) -> int:
    """Return the size of the largest matrix, of a mixture's members too; 0 where a model shares work by itself."""
    if isinstance(model, Mixture):
        return max(map(_largest_weight, model.models))
    weights = getattr(model, "params", [])
    return 0 if not weights or is_torch(weights[0]) else max(int(weight.size) for weight in weights)


Choose = Callable[[int, Sequence[NDArray[np.float64]]], int]


def read_on(
    models: Sequence[tuple[TextModel, Sequence[Encoded]]], speakers: Sequence[Sequence[int]], choose: Choose
) -> Work:
    """Let models read every utterance after the best candidates of the same speaker before; return what was read.

    ``speakers`` holds the places of each one's utterances in their order, the busiest speaker first.
    ``choose(place, ln_probs)`` is given ln P (K,) of an utterance's candidates by each of the models, and tells which
    of them is read on from. All speakers are read side by side.
    """
    work = Work()
    states = [begin(model.model, model.start_id, len(speakers)) for model, _ in models]
    with ExitStack() as stack:
        for model, _ in models:
            stack.enter_context(threads_for(model.model))
        for turn in range(max(map(len, speakers), default=0)):
            places = [places[turn] for places in speakers if turn < len(places)]
            found, ends = [], []
            for (model, encoded), state in zip(models, states, strict=True):
                sequences = state.select(range(len(places)))
                scores, after = read_tree(
                    model.model, [encoded[place] for place in places], sequences, work, keep=True
                )
                found.append(scores)
                ends.append(after)
            best = [
                choose(place, ln_probs)
                for place, ln_probs in zip(places, zip(*found, strict=True), strict=True)
            ]
            firsts = np.cumsum([0, *map(len, found[0][:-1])])
            states = [after.select(firsts + best) for after in ends]
    return work


Unknown = Literal["spelled", "plain"]


class Reader:
    """The candidates in the case and the ids of a model, ``encoded``, and how probable their unknown words are.

    ``case`` None is that of the model's vocabulary. An unknown word is one of the lexicon's, with a probability of
    `lexicon.SHARE`, or else any string.

    Raises:
        VocabularyError: the model knows no end of a line.
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

    def spelled(self, place: int, before: Recurring | None = None) -> Floats:
        """Return ln P (K,) of the unknown words of an utterance's candidates, among all unknown words.

        ``before`` knows the unknown words that the speaker said before.
        """
        seen = before or Recurring(0.0)
        return np.array(
            [sum(seen.ln_prob(w, self._nlls[w]) for w in words) for words in self._unknown[place]], np.float64
        )

    def unknown_words(self, place: int, candidate: int) -> Sequence[str]:
        """Return the unknown words of a candidate, where their spelling counts."""
        return self._unknown[place][candidate]


def _nll_of_either(spelling_nll: float, prob: float) -> float:
    """Return -ln P of a word whose spelling has ``spelling_nll`` nats, and which has ``prob`` in the lexicon."""
    spelled = math.log1p(-SHARE) - spelling_nll
    return -(np.logaddexp(spelled, math.log(SHARE * prob)) if prob else spelled)
