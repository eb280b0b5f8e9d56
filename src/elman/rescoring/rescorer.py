"""Rescore n-best lists: the scores of all candidates by one or several language models, and the new ranking.

The speaker of an utterance is the part of its name before a separator.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from elman.evaluation.spelling import Case
from elman.rescoring.lm_scores import Reader, StepCounts, Unknown, carried_lm_scores, lm_scores
from elman.rescoring.nbest import Utterance
from elman.rescoring.tuning import IMPOSSIBLE, Floats, Table, Weights
from elman.rescoring.unknown_words import Lexicon, Recurring
from elman.text_model import TextModel

SEPARATOR = "-"


@dataclass
class Rescorer:
    """Scores the candidates of an n-best list with one or several models of any kind.

    Args:
        text_model: the language model.
        utterances: the n-best list.
        case: the case of the text that the models read; None: that of each model's vocabulary.
        unknown: the probability of a word outside a vocabulary: that of `<unk>` ("plain"), or that times the
            probability of its spelling ("spelled"), which lets word models with `<unk>` distinguish a rare word from a
            meaningless one.
        others: further models, possibly with other tokens and vocabularies. ln P is then the mean over all models (a
            log-linear combination with equal weights: D. Klakow, Log-linear interpolation of language models, ICSLP
            1998).
        lexicon: existing words, which are more probable than their spelling alone suggests.
        work: counts the steps of all models.

    Raises:
        VocabularyError: a model has no end-of-line token.
    """

    text_model: TextModel
    utterances: Sequence[Utterance]
    case: Case | None = None
    unknown: Unknown = "spelled"
    others: Sequence[TextModel] = ()
    lexicon: Lexicon | None = None
    work: StepCounts = field(default_factory=StepCounts)

    def __post_init__(self) -> None:
        models = (self.text_model, *self.others)
        self.readers = [
            Reader(model, self.utterances, self.case, self.unknown, self.lexicon) for model in models
        ]
        self.case = self.readers[0].case

    def table(self) -> Table:
        """Return the scores of all candidates, every utterance read from the beginning of a line."""
        found = []
        for reader in self.readers:
            scores, counts = lm_scores(reader.text_model, reader.encoded)
            self.work += counts
            found.append([ln_probs + reader.spelled(index) for index, ln_probs in enumerate(scores)])
        return Table.of(self.utterances, [_mean(each) for each in zip(*found, strict=True)])

    def carried_table(self, weights: Weights, separator: str = SEPARATOR) -> Table:
        """Return the scores, every utterance read after the best candidates of its speaker's earlier utterances.

        The best candidates are those by ``weights``. Unknown words that the speaker has already said become more
        probable.
        """
        names = [utterance.name for utterance in self.utterances]
        before = {speaker_of(name, separator): [Recurring() for _ in self.readers] for name in names}
        means: list[Floats] = [np.empty(0)] * len(names)

        def choose(index: int, ln_probs: Sequence[NDArray[np.float64]]) -> int:
            known = before[speaker_of(names[index], separator)]
            members = zip(self.readers, ln_probs, known, strict=True)
            means[index] = _mean([found + reader.spelled(index, seen) for reader, found, seen in members])
            best = int(Table.of([self.utterances[index]], [means[index]]).best(weights)[0])
            for reader, seen in zip(self.readers, known, strict=True):
                seen.add(reader.unknown_words(index, best))
            return best

        models = [(reader.text_model, reader.encoded) for reader in self.readers]
        self.work += carried_lm_scores(models, by_speaker(names, separator), choose)
        return Table.of(self.utterances, means)

    def unknown_words(self) -> list[int]:
        """Return, for each model, how many tokens of the first candidates it does not know."""
        return [sum(int(each.unknown[0]) for each in reader.encoded) for reader in self.readers]

    def words(self) -> int:
        """Return the number of words in the first candidates."""
        return sum(len(u.candidates[0].text.split()) for u in self.utterances)


def _mean(ln_probs: Sequence[Floats]) -> Floats:
    """Return the mean (K,) of the models' ln P of an utterance's candidates."""
    mean: Floats = sum(ln_probs[1:], ln_probs[0]) / len(ln_probs)
    return mean


def reranked(utterances: Sequence[Utterance], table: Table, totals: Floats) -> list[Utterance]:
    """Return the utterances with their candidates re-ranked by ``totals`` (U, K), and their ``lm`` filled in."""
    found = []
    for u, total, lm in zip(utterances, totals, table.lm, strict=True):
        order = np.argsort(-total[: len(u.candidates)], kind="stable").tolist()
        ranked = [replace(u.candidates[k], rank=r, lm=_ln_prob(lm[k])) for r, k in enumerate(order, 1)]
        found.append(Utterance(u.name, tuple(ranked)))
    return found


def _ln_prob(lm: float) -> float:
    return -math.inf if lm <= IMPOSSIBLE else float(lm)


def speaker_of(utterance: str, separator: str = SEPARATOR) -> str:
    """Return the part of an utterance's name before the first separator, or the whole name if it has none."""
    return utterance.split(separator, 1)[0] if separator else utterance


def by_speaker(names: Sequence[str], separator: str = SEPARATOR) -> list[list[int]]:
    """Return the indices of each speaker's utterances, ordered by name; the speaker with the most comes first."""
    speakers: dict[str, list[int]] = {}
    for index in sorted(range(len(names)), key=names.__getitem__):
        speakers.setdefault(speaker_of(names[index], separator), []).append(index)
    return sorted(speakers.values(), key=len, reverse=True)


def first_half(names: Sequence[str], separator: str = SEPARATOR) -> NDArray[np.bool_]:
    """Split utterances into halves that share no speaker; return whether each one (U,) is in the first half.

    Speakers, in order of appearance, are assigned to the first half until it has half of the utterances. If there is
    only one speaker, the utterances are split in the middle.
    """
    speakers = [speaker_of(name, separator) for name in names]
    if len(set(speakers)) == 1:
        return np.arange(len(names)) < len(names) // 2
    counts = dict.fromkeys(speakers, 0)
    for speaker in speakers:
        counts[speaker] += 1
    chosen: set[str] = set()
    taken = 0
    for speaker, count in counts.items():
        if abs(2 * (taken + count) - len(names)) <= abs(2 * taken - len(names)):
            chosen.add(speaker)
            taken += count
        else:
            break
    chosen = chosen or {speakers[0]}
    return np.array([speaker in chosen for speaker in speakers])
