"""Surprisals of many sentences as a table with a row per word or token: streamed, in memory, as TSV, and coloured."""

import html
import logging
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, Literal, TypeAlias

from elman.errors import ConfigError
from elman.evaluation.colours import surprisal_colours
from elman.evaluation.sentences import Sentences
from elman.evaluation.spelling import AUTO, Case, Punctuation, checked_spelling
from elman.evaluation.surprisal import TokenReader, TokenScore, WordScore, word_scores
from elman.evaluation.unknown_tokens import warn_of_unknown
from elman.files import open_output
from elman.models.tokenized import TokenizedModel
from elman.results import SHOWN, Table, show
from elman.workers import limited_threads

logger = logging.getLogger(__name__)
NUMBERS = ("surprisal_bits", "entropy_bits", "rank", "probability", "unknown", "start", "end")
COLUMNS = {"word": ("sentence", "position", "word", *NUMBERS), "token": ("sentence", "token", *NUMBERS)}
FORMATS = {
    "surprisal_bits": ".6f",
    "entropy_bits": ".6f",
    "probability": ".6g",
    "unknown": "d",
}  # in a TSV file
Context = Literal["sentence", "document"]
Per = Literal["word", "token"]
Score: TypeAlias = WordScore | TokenScore


class SurprisalStream(Iterator[Score]):
    """The scores of sentences, computed as they are asked for: memory does not grow with the text.

    Args:
        text_model: the model.
        sentences: see `read_sentences`.
        context: what a word is predicted from: its own sentence, or also all sentences before it ("document").
        per: whether there is a score for each word or for each token.
        bos, eos: see `elman.TextModel`; in a document, ``bos`` concerns its beginning.
        case, punctuation: how sentences are spelled before the model reads them, as in `elman.pairs`. The default
            "auto" follows the vocabulary of a model of words, and leaves sentences as they are for other models.

    ``columns`` are the names of the columns of `row_dict`. ``spelling`` is logged where it may change a sentence;
    sentences of probability 0, and many unknown words, are logged at the end.

    Raises:
        ConfigError: an argument is not one of the choices, or a column of the sentences has the name of a column here.
    """

    def __init__(
        self,
        text_model: TokenizedModel,
        sentences: Sentences,
        context: Context = "sentence",
        per: Per = "word",
        bos: bool = True,
        eos: bool = True,
        case: Literal["auto"] | Case = AUTO,
        punctuation: Literal["auto"] | Punctuation = AUTO,
    ) -> None:
        for name, value, choices in (
            ("context", context, ("sentence", "document")),
            ("per", per, tuple(COLUMNS)),
        ):
            if value not in choices:
                raise ConfigError(f"`{name}` must be {' or '.join(map(repr, choices))}, got {value!r}")
        self.columns = (*COLUMNS[per], *sentences.columns)
        check_kept(self.columns, sentences.columns)
        self._text_model, self._eos = text_model, eos
        if case == AUTO and text_model.tokenizer.level != "word":
            case = "asis"
        self.spelling = checked_spelling(text_model, case, punctuation)
        if self.spelling.changes:
            logger.info(f"spelling: {self.spelling}")
        self._start = None if bos else text_model.null_context
        self._reader = self._new_reader() if context == "document" else None
        self._scores = self._read(sentences, per)

    def __next__(self) -> Score:
        return next(self._scores)

    def _new_reader(self) -> TokenReader:
        state = None if self._start is None else self._start()
        return TokenReader(self._text_model, state, self.spelling)

    def _read(self, sentences: Sentences, per: Per) -> Iterator[Score]:
        zero = unknown = total = 0
        unit = "word" if per == "word" else self._text_model.unit
        vocabulary = self._text_model.vocabulary
        for sentence in sentences:
            reader = self._reader or self._new_reader()
            read = partial(word_scores, self._text_model, reader=reader) if per == "word" else reader.read
            possible = True
            for score in read(sentence.text, eos=self._eos):
                possible &= math.isfinite(score.surprisal_bits)
                if score.start < score.end:
                    total += 1
                    unknown += score.unknown and sentence.text[score.start : score.end] != vocabulary.unk
                yield replace(score, sentence=sentence.number, kept=sentence.kept)
            zero += not possible
        warn_of_zero_probability(zero)
        warn_of_unknown(self._text_model, unknown, total, unit)


def check_kept(columns: Sequence[str], kept: Sequence[str]) -> None:
    """Raise ConfigError where a kept column, one of ``columns``, has the name of another one."""
    for column in kept:
        if columns.count(column) > 1:
            raise ConfigError(f"the result has a column {column!r} of its own; rename that of the table")


def row_dict(score: Score) -> dict[str, Any]:
    """Return the columns of a score: those of `COLUMNS`, then those that its sentence keeps."""
    per = "word" if isinstance(score, WordScore) else "token"
    return {name: getattr(score, name) for name in COLUMNS[per]} | dict(score.kept)


def tsv_line(values: Sequence[str] | dict[str, Any]) -> str:
    r"""Return names, or a row by its columns, as a line of TSV; tabs and newlines in kept columns become spaces."""
    if not isinstance(values, dict):
        return "\t".join(values) + "\n"
    cells = (f"{value:{FORMATS[name]}}" if name in FORMATS else str(value) for name, value in values.items())
    return "\t".join(cell.translate({9: " ", 10: " ", 13: " "}) for cell in cells) + "\n"


class SurprisalTable(Table[Score]):
    """The `WordScore` of every word, or the `TokenScore` of every token, of some sentences.

    In a notebook it shows the sentences, with every word in the colour of its surprisal.
    """

    def __init__(self, rows: Sequence[Score], columns: Sequence[str], sentences: Mapping[int, str]) -> None:
        super().__init__(rows)
        self.columns, self._sentences = tuple(columns), dict(sentences)

    @property
    def sentences(self) -> tuple[str, ...]:
        """The sentences that were read."""
        return tuple(self._sentences.values())

    def row_dict(self, row: Score) -> dict[str, Any]:
        """Return the columns of a row with their values."""
        return row_dict(row)

    def to_dict(self) -> dict[str, list[Any]]:
        """Return the columns: a list of values for each name."""
        return super().to_dict() or {name: [] for name in self.columns}

    def write(self, path: str | Path) -> None:
        """Write the table as TSV, like `elman surprisal -o`. Raises RunError where the file cannot be written."""
        with open_output(path) as file:
            file.write(tsv_line(self.columns))
            file.writelines(tsv_line(self.row_dict(row)) for row in self.rows)

    def _repr_html_(self) -> str:
        parts: dict[int, list[Score]] = {}
        for row in self.rows:
            parts.setdefault(row.sentence, []).append(row)
        shown = list(self._sentences.items())[:SHOWN]
        lines = [_coloured(text, parts.get(number, [])) for number, text in shown]
        more = len(self._sentences) - len(shown)
        rest = f"<p>{len(self._sentences):,} sentences, the first {SHOWN} are shown</p>" if more else ""
        return f'{STYLE}<div class="elman-surprisal">{"".join(lines)}</div>{rest}'


def surprisal_table(
    text_model: TokenizedModel,
    sentences: Sentences,
    context: Context = "sentence",
    per: Per = "word",
    bos: bool = True,
    eos: bool = True,
    case: Literal["auto"] | Case = AUTO,
    punctuation: Literal["auto"] | Punctuation = AUTO,
) -> SurprisalTable:
    """Return the scores of all sentences: see `SurprisalStream`."""
    held = list(sentences)
    again = Sentences([held], sentences.columns)
    stream = SurprisalStream(text_model, again, context, per, bos, eos, case, punctuation)
    with limited_threads(0):  # once, not once a token
        rows = tuple(stream)
    return SurprisalTable(rows, stream.columns, {number: text for number, text, _ in held})


STYLE = """<style>
.elman-surprisal p { margin: 0.2em 0; line-height: 1.7; white-space: pre-wrap; }
.elman-surprisal span { background: var(--light); color: var(--light-ink); border-radius: 2px; padding: 0 1px; }
@media (prefers-color-scheme: dark) {
  .elman-surprisal span { background: var(--dark); color: var(--dark-ink); }
}
</style>"""
END = "⏎"


def _coloured(text: str, scores: Sequence[Score]) -> str:
    """Return a sentence as an HTML paragraph, each word or token in its colour, with its numbers as a tooltip."""
    parts, place = [], 0
    for score in scores:
        parts.append(html.escape(text[place : score.start]))
        shown = html.escape(text[max(place, score.start) : score.end]) or (
            END if score.end == len(text) else ""
        )
        light, light_ink = surprisal_colours(score.surprisal_bits, "light")
        dark, dark_ink = surprisal_colours(score.surprisal_bits, "dark")
        style = f"--light:{light};--light-ink:{light_ink};--dark:{dark};--dark-ink:{dark_ink}"
        tip = f"{show(score.surprisal_bits)} bits, rank {score.rank:,}, P {score.probability:.3g}"
        parts.append(f'<span style="{style}" title="{tip}">{shown}</span>')
        place = max(place, score.end)
    return f"<p>{''.join(parts)}{html.escape(text[place:])}</p>"


def warn_of_zero_probability(lines: int) -> None:
    """Log a warning about lines with unknown tokens under a model without <unk>, if there are any."""
    if lines:
        logger.warning(
            f"lines with tokens that are not in the vocabulary, which has no <unk>: {lines:,}; their probability is 0; "
            "`train(min_count=2)` or `train(max_vocab=N)` gives unknown words a probability"
        )
