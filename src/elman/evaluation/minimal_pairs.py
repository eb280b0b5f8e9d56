"""Minimal pairs: how often a model assigns the acceptable one of two sentences the higher probability.

Pairs are read from BLiMP's JSON Lines or from two tab-separated columns.
"""

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import chain
from pathlib import Path
from statistics import NormalDist
from typing import Any, Literal

import numpy as np

from elman.errors import ConfigError, TextError
from elman.evaluation.line_scores import LineScore, score_lines
from elman.evaluation.sentences import read_sentences
from elman.evaluation.spelling import Spelling
from elman.models.tokenized import TokenizedModel
from elman.parsing import parse_json
from elman.text.sources import Text, text_name

JSON_SUFFIXES = (".jsonl", ".ndjson", ".json")
GOOD, BAD = "sentence_good", "sentence_bad"
SETS = ("UID", "phenomenon")  # the fields that may name a pair's set; the first that exists counts
HEADERS = ((GOOD, BAD), ("good", "bad"))
Normalisation = Literal["none", "token"]
ROUNDING = 1e-9  # relative rounding error of a log probability, from the order of a float64 sum
FLOAT32 = 1e-4  # the same for float32 products, whose order differs from batch to batch


@dataclass(frozen=True)
class Pair:
    """Two sentences that differ minimally, of which ``good`` is the acceptable one; ``set`` names their group."""

    good: str
    bad: str
    set: str
    line: int = 0


def read_pairs(lines: Iterable[str], name: str, by: str | None = None) -> Iterator[Pair]:
    """Yield the pairs in the lines of a file called ``name``; empty lines are skipped.

    If the name ends in .jsonl, .ndjson or .json, or the first line begins with a brace, the lines are JSON objects
    with ``sentence_good`` and ``sentence_bad`` as in BLiMP (A. Warstadt and others, 2020). Otherwise each line is an
    acceptable sentence, a tab and an unacceptable one; a first line ``good<TAB>bad``, or with BLiMP's names, is a
    header. A pair's set is its field ``by`` or, without ``by``, its ``UID`` or ``phenomenon``, or else the file's name.

    Raises:
        TextError: a line is not a pair or has no field ``by``, or there is no pair at all.
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


def table_pairs(text: Text | Any, columns: tuple[str, str], by: str | None, encoding: str) -> Iterator[Pair]:
    """Yield the pairs in two columns of a table, the acceptable sentences first; see `read_sentences`.

    A pair's set is its column ``by`` or, without ``by``, its ``UID`` or ``phenomenon``, or else the file's name.

    Raises:
        TextError: the file cannot be read, or a sentence is empty or has several lines.
        ConfigError: the table lacks a column.
    """
    good, bad = columns
    name = "the table" if isinstance(text, Mapping) or hasattr(text, "columns") else text_name(text)
    sentences = read_sentences(text, good, encoding)
    for column in (bad, *([] if by is None else [by])):
        if column not in sentences.columns:
            shown = ", ".join(map(repr, (good, *sentences.columns)))
            raise ConfigError(f"{name} has no column {column!r} besides {good!r}; its columns: {shown}")
    field = by or next((each for each in SETS if each in sentences.columns), None)
    for number, sentence, kept in sentences:
        where = f"{name}: row {number}"
        of_set = Path(name).stem if field is None else str(kept[field])
        yield Pair(_checked(sentence, where), _checked(kept[bad], where), of_set, number)


def _from_json(line: str, where: str, by: str | None) -> tuple[Any, Any, str | None]:
    given = parse_json(line, where, TextError, "write one object per line")
    if not isinstance(given, dict):
        raise TextError(f'{where} is not a JSON object; write {{"{GOOD}": "...", "{BAD}": "..."}}')
    required = (GOOD, BAD, by) if by is not None else (GOOD, BAD)
    for field in required:
        if field not in given:
            raise TextError(f"{where} has no field {field!r}; it has {', '.join(given) or 'none'}")
    named = given[by] if by is not None else next((given[field] for field in SETS if field in given), None)
    return given[GOOD], given[BAD], None if named is None else str(named)


def _from_columns(line: str, where: str, by: str | None) -> tuple[str, str, None]:
    if by is not None:
        raise TextError(f"{where} is not JSON, so it has no field {by!r}; omit `by`, and the file is one set")
    cells = line.split("\t")
    if len(cells) != 2:
        columns = "1 column" if len(cells) == 1 else f"{len(cells)} columns"
        raise TextError(f"{where} has {columns}; write the right sentence, a tab and the wrong one")
    return cells[0], cells[1], None


def _checked(sentence: Any, where: str) -> str:
    """Return the sentence. Raises TextError unless it is a string of one non-empty line."""
    if not isinstance(sentence, str) or not sentence.strip():
        raise TextError(f"{where}: a sentence must be a non-empty string, got {sentence!r}")
    if sentence.splitlines() != [sentence]:
        raise TextError(f"{where}: a sentence must be on one line, got {sentence!r}")
    try:
        sentence.encode("utf-8", "surrogateescape")  # which bytes that are not UTF-8 may be
    except UnicodeEncodeError as error:
        raise TextError(f"{where}: {sentence!r} contains half a character (a lone surrogate)") from error
    return sentence


@dataclass(frozen=True)
class PairScore:
    """The scores of both sentences and their difference in nats, or nats per token: positive if the pair is right.

    The difference is exactly 0, a tie, if the model cannot tell the sentences apart: equally probable up to rounding,
    the same ids, or both impossible.
    """

    pair: Pair
    good: LineScore
    bad: LineScore
    difference: float

    @property
    def right(self) -> bool:
        """Whether the acceptable sentence is the more probable one; false for a tie."""
        return self.difference > 0

    @property
    def unknown(self) -> bool:
        """Whether either sentence contains a token that the vocabulary lacks."""
        return self.good.unknown + self.bad.unknown > 0


def score_pairs(
    text_model: TokenizedModel,
    pairs: Sequence[Pair],
    spelling: Spelling | None = None,
    normalize: Normalisation = "none",
) -> Iterator[PairScore]:
    """Yield the score of every pair; each sentence is scored alone, including the end of the line.

    ``normalize="token"`` divides ln P by the number of tokens, including the end. The yielded pairs contain the
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
    """How many pairs of a set are right; ``ties`` count as wrong. ``unknown`` pairs contain an unknown token.

    ``model`` is the name of the model.
    """

    set: str
    pairs: int
    right: int
    ties: int
    unknown: int
    right_known: int
    model: str = ""

    @property
    def accuracy(self) -> float:
        """The fraction of all pairs that are right."""
        return self.right / self.pairs

    @property
    def accuracy_known(self) -> float:
        """The same fraction among the pairs without an unknown token; nan if there are none."""
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


def accuracies(scores: Iterable[PairScore], model: str = "") -> list[Accuracy]:
    """Return the accuracy of every set, in order of first appearance, of a model of this name."""
    of_sets: dict[str, list[PairScore]] = {}
    for score in scores:
        of_sets.setdefault(score.pair.set, []).append(score)
    return [replace(_accuracy(name, members), model=model) for name, members in of_sets.items()]


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
    """Return the accuracy over the pairs of all sets, every pair weighted equally."""
    counts = [(each.pairs, each.right, each.ties, each.unknown, each.right_known) for each in sets]
    pairs, right, ties, unknown, right_known = (sum(column) for column in zip(*counts, strict=True))
    return Accuracy(name, pairs, right, ties, unknown, right_known, sets[0].model)


def wilson_interval(right: int, n: int, confidence: float = 0.95) -> tuple[float, float]:
    """Return Wilson's score interval (1927) of a proportion right / n of independent trials; (0, 1) for n = 0."""
    if n == 0:
        return 0.0, 1.0
    z = NormalDist().inv_cdf((1 + confidence) / 2)
    p = right / n
    centre = (p + z * z / (2 * n)) / (1 + z * z / n)
    half = z / (1 + z * z / n) * math.sqrt(p * (1 - p) / n + z * z / (4 * n * n))
    return max(0.0, centre - half), min(1.0, centre + half)
