"""Minimal pairs as they come in files: BLiMP's JSON Lines, or two columns.

Minimal pairs: how often a model gives the right sentence of two the higher probability.
"""

import json
import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from statistics import NormalDist
from typing import Any, Literal

import numpy as np

from elman.errors import TextError
from elman.evaluation.line_scores import LineScore, score_lines
from elman.evaluation.spelling import Spelling
from elman.models.tokenized import TokenizedModel

JSON_SUFFIXES = (".jsonl", ".ndjson", ".json")
GOOD, BAD = "sentence_good", "sentence_bad"
SETS = ("UID", "phenomenon")  # the fields that name a pair's set, the first that is there
HEADERS = ((GOOD, BAD), ("good", "bad"))


@dataclass(frozen=True)
class Pair:
    """Two sentences that differ in little, of which the first is right; ``set`` names what they belong to."""

    good: str
    bad: str
    set: str
    line: int = 0


def read_pairs(lines: Iterable[str], name: str, by: str | None = None) -> Iterator[Pair]:
    """Yield the pairs in the lines of a file called ``name``; blank lines are passed over.

    A name ending in .jsonl, .ndjson or .json, or a first line that begins with a brace, tells of JSON Lines: objects
    with ``sentence_good`` and ``sentence_bad`` as in BLiMP (A. Warstadt and others, 2020). Else each line is a right
    sentence, a tab and a wrong one; a first line ``good<TAB>bad``, or with BLiMP's names, is a header. The set of a
    pair is what its field ``by`` says; without ``by``, its ``UID`` or ``phenomenon``, or else the file's name.

    Raises:
        TextError: a line is no pair, or has no field ``by``; there is no pair at all.
    """
    stem = Path(name).stem or name
    numbered = ((number, line) for number, line in enumerate(lines, 1) if line.strip())
    first = next(numbered, None)
    as_json = name.lower().endswith(JSON_SUFFIXES) or (
        first is not None and first[1].lstrip().startswith("{")
    )
    if first is not None and not as_json and tuple(map(str.strip, first[1].split("\t"))) in HEADERS:
        first = next(numbered, None)
    if first is None:
        raise TextError(f"{name} holds no pair of sentences")
    for number, line in chain([first], numbered):
        where = f"{name}: line {number}"
        good, bad, of_set = _from_json(line, where, by) if as_json else _from_columns(line, where, by)
        yield Pair(_checked(good, where), _checked(bad, where), of_set or stem, number)


def _from_json(line: str, where: str, by: str | None) -> tuple[Any, Any, str | None]:
    try:
        given = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise TextError(f"{where} is no JSON ({error}); one object a line is expected") from error
    if not isinstance(given, dict):
        raise TextError(f'{where} is no JSON object; write {{"{GOOD}": "...", "{BAD}": "..."}}')
    wanted = (GOOD, BAD, by) if by is not None else (GOOD, BAD)
    for field in wanted:
        if field not in given:
            raise TextError(f"{where} has no field {field!r}; it has {', '.join(given) or 'none'}")
    named = given[by] if by is not None else next((given[field] for field in SETS if field in given), None)
    return given[GOOD], given[BAD], None if named is None else str(named)


def _from_columns(line: str, where: str, by: str | None) -> tuple[str, str, None]:
    if by is not None:
        raise TextError(
            f"{where} is not JSON, and has no field {by!r}; leave --by out: a file is one set then"
        )
    cells = line.split("\t")
    if len(cells) != 2:
        columns = "1 column" if len(cells) == 1 else f"{len(cells)} columns"
        raise TextError(f"{where} has {columns}; a right sentence, a tab and a wrong one are expected")
    return cells[0], cells[1], None


def _checked(sentence: Any, where: str) -> str:
    """Return a sentence; raise TextError for what is none, or more than one line."""
    if not isinstance(sentence, str) or not sentence.strip():
        raise TextError(f"{where}: a sentence is expected, got {sentence!r}")
    if sentence.splitlines() != [sentence]:
        raise TextError(f"{where}: a sentence must stand on one line, got {sentence!r}")
    try:
        sentence.encode()
    except UnicodeEncodeError as error:
        raise TextError(f"{where}: {sentence!r} holds half a character (a lone surrogate)") from error
    return sentence


Normalisation = Literal["none", "token"]
ROUNDING = 1e-9  # of a log probability: what the order of a sum in float64 may change
FLOAT32 = 1e-4  # the same of float32 products, whose order differs from batch to batch


@dataclass(frozen=True)
class PairScore:
    """The scores of both sentences, and their difference in nats (a token, where so normalised): above 0 is right.

    The difference is exactly 0, a tie, where both are the same to the model: equally probable up to rounding, the
    same ids, or both impossible.
    """

    pair: Pair
    good: LineScore
    bad: LineScore
    difference: float

    @property
    def right(self) -> bool:
        """Whether the right sentence is the more probable one; a tie is not right."""
        return self.difference > 0

    @property
    def unknown(self) -> bool:
        """Whether either sentence holds a token that the vocabulary lacks."""
        return self.good.unknown + self.bad.unknown > 0


def score_pairs(
    text_model: TokenizedModel,
    pairs: Sequence[Pair],
    spelling: Spelling | None = None,
    normalize: Normalisation = "none",
) -> Iterator[PairScore]:
    """Yield the score of every pair: of whole sentences, each read afresh, with the end of the line.

    ``normalize="token"`` divides ln P by the number of tokens, the end counted. The pairs that are yielded hold the
    sentences as the model read them, in this ``spelling``.
    """
    spelling = Spelling() if spelling is None else spelling
    vocabulary = text_model.vocabulary
    spelled = [
        Pair(spelling.apply(pair.good, vocabulary), spelling.apply(pair.bad, vocabulary), pair.set, pair.line)
        for pair in pairs
    ]
    scores = score_lines(text_model, chain.from_iterable((pair.good, pair.bad) for pair in spelled))
    for pair, good, bad in zip(spelled, scores, scores, strict=True):
        yield PairScore(pair, good, bad, _difference(text_model, pair, good, bad, normalize))


def _difference(
    text_model: TokenizedModel, pair: Pair, good: LineScore, bad: LineScore, normalize: Normalisation
) -> float:
    first, second = (
        score.ln_prob / max(1, score.tokens) if normalize == "token" else score.ln_prob
        for score in (good, bad)
    )
    if math.isclose(first, second, rel_tol=ROUNDING):
        return 0.0
    if math.isclose(first, second, rel_tol=FLOAT32):
        ids, other_ids = (text_model.encode_line(sentence)[1] for sentence in (pair.good, pair.bad))
        if np.array_equal(ids, other_ids):
            return 0.0
    return first - second


@dataclass(frozen=True)
class Accuracy:
    """How many pairs of a set are right; ``ties`` count as wrong. ``unknown`` pairs hold an unknown token."""

    set: str
    pairs: int
    right: int
    ties: int
    unknown: int
    right_known: int

    @property
    def accuracy(self) -> float:
        """The share of all pairs that are right."""
        return self.right / self.pairs

    @property
    def accuracy_known(self) -> float:
        """The share among the pairs without an unknown token; nan where there are none."""
        known = self.pairs - self.unknown
        return self.right_known / known if known else math.nan

    @property
    def interval(self) -> tuple[float, float]:
        """The 95 % interval of the accuracy: `wilson_interval`."""
        return wilson_interval(self.right, self.pairs)

    @property
    def interval_known(self) -> tuple[float, float]:
        """The 95 % interval of `accuracy_known`."""
        return wilson_interval(self.right_known, self.pairs - self.unknown)


def accuracies(scores: Iterable[PairScore]) -> list[Accuracy]:
    """Return the accuracy of every set, in the order in which they first occur."""
    of_sets: dict[str, list[PairScore]] = {}
    for score in scores:
        of_sets.setdefault(score.pair.set, []).append(score)
    return [_accuracy(name, members) for name, members in of_sets.items()]


def _accuracy(name: str, scores: Sequence[PairScore]) -> Accuracy:
    return Accuracy(
        name,
        len(scores),
        right=sum(score.right for score in scores),
        ties=sum(score.difference == 0 for score in scores),
        unknown=sum(score.unknown for score in scores),
        right_known=sum(score.right and not score.unknown for score in scores),
    )


def over_all(sets: Sequence[Accuracy], name: str = "all") -> Accuracy:
    """Return the accuracy over the pairs of all sets, each pair counted once."""
    counts = [(each.pairs, each.right, each.ties, each.unknown, each.right_known) for each in sets]
    return Accuracy(name, *(sum(column) for column in zip(*counts, strict=True)))


def wilson_interval(right: int, n: int, confidence: float = 0.95) -> tuple[float, float]:
    """Return the score interval of a share right / n of independent trials (E. B. Wilson, 1927); (0, 1) for n = 0."""
    if n == 0:
        return 0.0, 1.0
    z = NormalDist().inv_cdf((1 + confidence) / 2)
    share = right / n
    centre = (share + z * z / (2 * n)) / (1 + z * z / n)
    half = z / (1 + z * z / n) * math.sqrt(share * (1 - share) / n + z * z / (4 * n * n))
    return max(0.0, centre - half), min(1.0, centre + half)
