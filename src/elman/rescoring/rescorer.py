"""Language models put to work on an n-best list: ln P of its candidates, once, as a table of numbers.

Who speaks, by an utterance's name; and halves of a list that share no speaker.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from elman.evaluation.spelling import Case
from elman.rescoring.lm_scores import Reader, Unknown, Work, lm_scores, read_on
from elman.rescoring.nbest import Utterance
from elman.rescoring.tuning import IMPOSSIBLE, Floats, Table, Weights
from elman.rescoring.unknown_words import Lexicon, Recurring
from elman.text_model import TextModel

SEPARATOR = "-"


def speaker_of(utterance: str, separator: str = SEPARATOR) -> str:
    """Return the part of an utterance's name before the first separator: all of it, where there is none."""
    return utterance.split(separator, 1)[0] if separator else utterance


def in_order(names: Sequence[str], separator: str = SEPARATOR) -> list[list[int]]:
    """Return the places of each speaker's utterances, in the order of their names; the busiest speaker first."""
    speakers: dict[str, list[int]] = {}
    for place in sorted(range(len(names)), key=names.__getitem__):
        speakers.setdefault(speaker_of(names[place], separator), []).append(place)
    return sorted(speakers.values(), key=len, reverse=True)


def first_half(names: Sequence[str], separator: str = SEPARATOR) -> NDArray[np.bool_]:
    """Tell of every utterance (U,) whether it is in the first half.

    Speakers, in the order of appearance, are in the first half until it has half of the utterances. One speaker's
    utterances are cut in the middle.
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


@dataclass
class Rescorer:
    """Gives the candidates of an n-best list their numbers, by a model of any kind, or by several.

    ``case`` None is the case of each model's vocabulary. ``unknown`` says what a word that a model does not
    know has: the probability of `<unk>` (plain), or that times the probability of its spelling (spelled), by
    which models of words with `<unk>` can tell a rare word from none; ``lexicon`` names words that exist, which
    are likelier than their spelling. With ``others``, which may have other units and
    vocabularies, ln P is the mean of all models' (a log-linear combination with equal weights: D. Klakow, Log-linear
    interpolation of language models, ICSLP 1998). ``work`` counts what was read in all.

    Raises:
        VocabularyError: a model knows no end of a line.
    """

    text_model: TextModel
    utterances: Sequence[Utterance]
    case: Case | None = None
    unknown: Unknown = "spelled"
    others: Sequence[TextModel] = ()
    lexicon: Lexicon | None = None
    work: Work = field(default_factory=Work)

    def __post_init__(self) -> None:
        models = (self.text_model, *self.others)
        self.readers = [
            Reader(model, self.utterances, self.case, self.unknown, self.lexicon) for model in models
        ]
        self.case = self.readers[0].case

    def table(self) -> Table:
        """Return the numbers of all candidates, every utterance read from the beginning of a line."""
        found = []
        for reader in self.readers:
            scores, work = lm_scores(reader.text_model, reader.encoded)
            self.work.add(work)
            found.append([ln_probs + reader.spelled(place) for place, ln_probs in enumerate(scores)])
        return Table.of(self.utterances, [_mean(each) for each in zip(*found, strict=True)])

    def carried_table(self, weights: Weights, separator: str = SEPARATOR) -> Table:
        """Return the numbers, every utterance read after its speaker's before: their best candidates by ``weights``.

        Unknown words that the speaker has said before are likelier than their spelling makes them.
        """
        names = [utterance.name for utterance in self.utterances]
        before = {speaker_of(name, separator): [Recurring() for _ in self.readers] for name in names}
        means: list[Floats] = [np.empty(0)] * len(names)

        def choose(place: int, ln_probs: Sequence[NDArray[np.float64]]) -> int:
            known = before[speaker_of(names[place], separator)]
            members = zip(self.readers, ln_probs, known, strict=True)
            means[place] = _mean([found + reader.spelled(place, seen) for reader, found, seen in members])
            best = int(Table.of([self.utterances[place]], [means[place]]).best(weights)[0])
            for reader, seen in zip(self.readers, known, strict=True):
                seen.add(reader.unknown_words(place, best))
            return best

        models = [(reader.text_model, reader.encoded) for reader in self.readers]
        self.work.add(read_on(models, in_order(names, separator), choose))
        return Table.of(self.utterances, means)

    def unknown_words(self) -> list[int]:
        """Return how many tokens of the first candidates each model does not know."""
        return [sum(int(each.unknown[0]) for each in reader.encoded) for reader in self.readers]

    def words(self) -> int:
        """Return how many words the first candidates have."""
        return sum(len(u.candidates[0].text.split()) for u in self.utterances)


def _mean(ln_probs: Sequence[Floats]) -> Floats:
    """Return the mean (K,) of the models' ln P of an utterance's candidates."""
    mean: Floats = sum(ln_probs[1:], ln_probs[0]) / len(ln_probs)
    return mean


def reranked(utterances: Sequence[Utterance], table: Table, totals: Floats) -> list[Utterance]:
    """Return the utterances with their candidates in the order of ``totals`` (U, K), ranked anew, and their ``lm``."""
    found = []
    for u, total, lm in zip(utterances, totals, table.lm, strict=True):
        order = np.argsort(-total[: len(u.candidates)], kind="stable").tolist()
        ranked = [replace(u.candidates[k], rank=r, lm=_ln_prob(lm[k])) for r, k in enumerate(order, 1)]
        found.append(Utterance(u.name, tuple(ranked)))
    return found


def _ln_prob(lm: float) -> float:
    return -math.inf if lm <= IMPOSSIBLE else float(lm)
