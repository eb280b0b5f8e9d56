"""What a generated text copies from another text, as a report for people: `NoveltyReport`."""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from elman.evaluation.novelty import novelty
from elman.files import release_pages
from elman.models.tokenized import TokenizedModel
from elman.results import format_table, html_table
from elman.text.corpus import Corpus

LONGEST_NGRAM = {"word": 6, "subword": 8, "char": 10, "jamo": 10, "byte": 10}
CHUNK = 1 << 20  # tokens in which ends of lines are counted at a time


@dataclass(frozen=True, repr=False)
class NoveltyReport:
    """The longest part of a text that is copied from another one, and the fractions of n-grams that are new.

    ``unit`` is what the ``tokens`` are; ``longest_line`` the line of the other text in which the copy begins, None if
    there is no copy or the text has no lines; ``new_share[n]`` the fraction of the n-grams that are not in it.
    """

    unit: str
    tokens: int
    compared_with: str
    compared_tokens: int
    longest_tokens: int
    longest_characters: int
    longest_text: str
    longest_line: int | None
    new_share: dict[int, float]

    def to_dict(self) -> dict[str, Any]:
        """Return the values by name."""
        return asdict(self)

    def text_rows(self) -> list[tuple[str, str]]:
        """Return the report as text: names and values."""
        rows = [("compared with", f"{self.compared_with}, {self.compared_tokens:,} {self.unit}s")]
        if self.longest_tokens:
            characters = f", {self.longest_characters:,} characters" if self.unit != "character" else ""
            rows += [
                ("longest copy", f"{self.longest_tokens:,} {self.unit}s{characters}"),
                ("its text", json.dumps(self.longest_text, ensure_ascii=False)),
            ]
            if self.longest_line is not None:
                rows.append(("its place", f"line {self.longest_line:,}"))
        else:
            rows.append(("longest copy", "none"))
        for n, fraction in self.new_share.items():
            count = self.tokens - n + 1
            rows.append((f"new {n}-grams", f"{fraction:7.2%}  {round(fraction * count):,} of {count:,}"))
        return rows

    def __repr__(self) -> str:
        return format_table(self.text_rows(), left=2)

    def _repr_html_(self) -> str:
        return html_table(self.text_rows(), left=2, head=False)


def novelty_report(
    text_model: TokenizedModel, ids: Sequence[int], name: str, corpus: Corpus
) -> NoveltyReport:
    """Report what ids of a model's vocabulary copy from a text called ``name``; an id below 0 is an unknown token."""
    generated = np.array(ids, np.int64)
    generated[generated < 0] = len(text_model.vocabulary)  # an id that the other text does not have
    found = novelty(generated, corpus.ids, max_n=LONGEST_NGRAM[text_model.tokenizer.level])
    copied = list(ids[found.begin : found.begin + found.longest])
    text = text_model.tokenizer.join(text_model.vocabulary.decode(copied))
    return NoveltyReport(
        text_model.unit,
        len(ids),
        name,
        corpus.tokens,
        found.longest,
        len(text),
        text,
        _line_number(corpus, found.position) if found.longest else None,
        found.new_share,
    )


def _line_number(corpus: Corpus, position: int) -> int | None:
    """Return the number (from 1) of the line that a token is in; None where the ids hold no ends of lines."""
    eos = corpus.vocabulary.eos_id
    if eos is None:
        return 1 if corpus.lines == 1 else None
    line = 1
    for k in range(0, position, CHUNK):
        line += int(np.count_nonzero(corpus.ids[k : min(k + CHUNK, position)] == eos))
        release_pages(corpus.ids)
    return line
