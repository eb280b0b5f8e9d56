"""ln P of every candidate of many utterances; those of one utterance share the states of their common beginnings."""

from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from elman.arrays import is_torch
from elman.errors import VocabularyError
from elman.models.base import Ids, LanguageModel, begin
from elman.models.mixture import Mixture
from elman.models.text_model import TextModel
from elman.threads import suited_threads

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
    """Return ln P of the candidates of N utterances, each utterance read from its lane of ``state``.

    The candidates of an utterance are a tree, in which those that begin alike share nodes. All trees are read side by
    side, a level at a time: a lane is a node. With ``keep``, return also the state after each candidate, one lane each.
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
    return suited_threads(BATCH * _largest_weight(model))


def _largest_weight(model: LanguageModel) -> int:
    """Return the size of the largest matrix, of a mixture's members too; 0 where a model shares work by itself."""
    if isinstance(model, Mixture):
        return max(map(_largest_weight, model.models))
    weights = getattr(model, "params", [])
    return 0 if not weights or is_torch(weights[0]) else max(int(weight.size) for weight in weights)
