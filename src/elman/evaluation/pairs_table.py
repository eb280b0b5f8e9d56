"""The accuracy of models on minimal pairs as a table, and the scores of all pairs as another."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

from elman.evaluation.minimal_pairs import Accuracy, Normalisation, PairScore, accuracies, over_all
from elman.evaluation.pairs_difference import AccuracyDifference, accuracy_difference
from elman.evaluation.spelling import Spelling
from elman.results import Table, format_table

COLUMNS = ["set", "pairs", "right", "accuracy", "95 % interval", "ties", "unknown", "accuracy without"]

DIFFERENCE_COLUMNS = [
    "best",
    "other",
    "difference",
    "95 % interval",
    "only best right",
    "only other right",
    "p",
]


class PairScores(Table[tuple[str, PairScore]]):
    """The scores of all pairs, with the sentences as the models read them; each row is (model, `PairScore`)."""

    def row_dict(self, row: tuple[str, PairScore]) -> dict[str, Any]:
        """Return the columns of a pair."""
        model, score = row
        return {
            "model": model,
            "set": score.pair.set,
            "line": score.pair.line,
            "good_ln_prob": score.good.ln_prob,
            "bad_ln_prob": score.bad.ln_prob,
            "difference": score.difference,
            "right": score.right,
            "unknown": score.good.unknown + score.bad.unknown,
            "good": score.pair.good,
            "bad": score.pair.bad,
        }


class PairsResult(Table[Accuracy]):
    """The accuracy on each set of pairs, and over all sets if there are several; ``pairs`` are the scores of all.

    ``spellings`` says how each model read the sentences. Of several models, ``differences`` compares the most accurate
    one over all pairs (of equally accurate ones the first) with each other model.
    """

    def __init__(
        self,
        scores: Mapping[str, Sequence[PairScore]],
        spellings: Mapping[str, Spelling],
        normalize: Normalisation,
    ) -> None:
        self.sets = {name: accuracies(own, name) for name, own in scores.items()}
        rows: list[Accuracy] = []
        for sets in self.sets.values():
            rows += [*sets, over_all(sets)] if len(sets) > 1 else sets
        super().__init__(rows)
        self.pairs = PairScores([(name, score) for name, own in scores.items() for score in own])
        self.differences = _differences(scores)
        self.spellings, self.normalize = dict(spellings), normalize
        self.left = 1 + self._several

    @property
    def _several(self) -> bool:
        return len(self.sets) > 1

    def row_dict(self, row: Accuracy) -> dict[str, Any]:
        """Return the columns of a set."""
        (low, high), (known_low, known_high) = row.interval, row.interval_known
        return {
            "model": row.model,
            "set": row.set,
            "pairs": row.pairs,
            "right": row.right,
            "accuracy": row.accuracy,
            "low": low,
            "high": high,
            "ties": row.ties,
            "unknown": row.unknown,
            "accuracy_known": row.accuracy_known,
            "low_known": known_low,
            "high_known": known_high,
        }

    def text_rows(self) -> list[list[str]]:
        """Return the table as text, with the models if there are several."""
        rows = [COLUMNS, *map(_text_row, self)]
        if not self._several:
            return rows
        return [
            [model, *row] for model, row in zip(["model", *(row.model for row in self)], rows, strict=True)
        ]

    def notes(self) -> str:
        """Show the differences between models, and define a right pair and the spelling of the sentences."""
        definitions = format_table(self.definitions(), left=2)
        if not self.differences:
            return definitions
        return f"{format_table(self.difference_rows(), left=2)}\n\n{definitions}"

    def difference_rows(self) -> list[list[str]]:
        """Return the differences as text: the names of the columns, then a row for each."""
        return [DIFFERENCE_COLUMNS, *map(_difference_row, self.differences)]

    def definitions(self) -> list[tuple[str, str]]:
        """Return what a right pair is, and what defines the other numbers: names and texts."""
        measure = "ln P of the sentence and its end" + (", per token" if self.normalize == "token" else "")
        words = {name: str(own) for name, own in self.spellings.items()}
        spelled = (
            list(words.values())[:1]
            if len(set(words.values())) == 1
            else [f"{name}: {text}" for name, text in words.items()]
        )
        rows = [
            ("right", f"the right sentence has the higher {measure}; ties are wrong"),
            *(("spelling", text) for text in spelled),
            ("interval", "Wilson's score interval; pairs are taken to be independent"),
            ("unknown", "pairs with a word that is not in the vocabulary; then the accuracy without them"),
        ]
        if self.differences:
            rows.append(
                (
                    "difference",
                    "in points, over all pairs; interval: Newcombe's; p: McNemar's exact test",
                )
            )
        return rows


def _differences(scores: Mapping[str, Sequence[PairScore]]) -> list[AccuracyDifference]:
    """Compare the model that has the most pairs right with each other one."""
    right = {name: [score.right for score in own] for name, own in scores.items()}
    best = max(right, key=lambda name: sum(right[name]))
    return [
        accuracy_difference(right[best], others, best, name) for name, others in right.items() if name != best
    ]


def _difference_row(found: AccuracyDifference) -> list[str]:
    return [
        found.model,
        found.other,
        f"{100 * found.difference:.1f}",
        f"{100 * found.low:.1f} to {100 * found.high:.1f}",
        f"{found.only:,}",
        f"{found.other_only:,}",
        f"{found.p:.4f}" if found.p >= 1e-4 else f"{found.p:.1e}",
    ]


def _text_row(found: Accuracy) -> list[str]:
    low, high = found.interval
    return [
        found.set,
        f"{found.pairs:,}",
        f"{found.right:,}",
        f"{found.accuracy:.1%}",
        f"{100 * low:.1f} to {100 * high:.1f}",
        f"{found.ties:,}",
        f"{found.unknown:,}",
        "-" if math.isnan(found.accuracy_known) else f"{found.accuracy_known:.1%}",
    ]
