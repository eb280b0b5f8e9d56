"""`elman pairs`: accuracy on minimal pairs, a right and a wrong sentence each."""

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click

from elman.cli.inputs import text_argument
from elman.evaluation.minimal_pairs import Accuracy, PairScore, accuracies, over_all, read_pairs, score_pairs
from elman.evaluation.spelling import CASES, PUNCTUATIONS, Spelling, spelling_for
from elman.files import open_output
from elman.results import format_table, to_json
from elman.text.sources import read_lines, text_name
from elman.text_model import load

AUTO = "auto"


@click.command("pairs", no_args_is_help=True)
@click.argument("run", type=click.Path(path_type=Path))
@click.argument("files", nargs=-1, required=True, metavar="FILE...")
@click.option("--by", metavar="FIELD", help="the JSON field that names the set of a pair  [default: UID]")
@click.option(
    "--case",
    type=click.Choice([AUTO, *CASES]),
    default=AUTO,
    show_default=True,
    help="lower or upper: convert sentences; asis: leave them; auto: follow the words of the vocabulary",
)
@click.option(
    "--punctuation",
    type=click.Choice([AUTO, *PUNCTUATIONS]),
    default=AUTO,
    show_default=True,
    help="split: separate punctuation, n't and 's from words that are not in the vocabulary; auto: if no word of the "
    "vocabulary has punctuation",
)
@click.option(
    "--normalize",
    type=click.Choice(["none", "token"]),
    default="none",
    show_default=True,
    help="compare ln P of whole sentences, or ln P per token",
)
@click.option(
    "--per-pair",
    type=click.Path(dir_okay=False, path_type=Path),
    help="write all pairs and their scores to a TSV file",
)
@click.option("--json", "as_json", is_flag=True, help="print JSON")
@click.option("--encoding", default="utf-8", show_default=True, help="the files' encoding")
def command(
    run: Path,
    files: tuple[str, ...],
    by: str | None,
    case: Any,
    punctuation: Any,
    normalize: Any,
    per_pair: Path | None,
    as_json: bool,
    encoding: str,
) -> None:
    """Test whether the model in RUN prefers the right sentence of each minimal pair in FILEs.

    A FILE (- is standard input) holds one JSON object per line, with sentence_good and sentence_bad as in BLiMP, or
    two columns: the right sentence, a tab, the wrong sentence.

    A pair is right if P(right sentence) > P(wrong sentence), each with its end of line. A tie is wrong. Unknown
    words are scored as `<unk>`, or have probability 0 if the vocabulary has none; the last columns count the pairs
    with unknown words, and give the accuracy without them.
    """
    text_model = load(run)
    spelling = spelling_for(
        text_model, None if case == AUTO else case, None if punctuation == AUTO else punctuation
    )
    texts = map(text_argument, files)
    pairs = [pair for text in texts for pair in read_pairs(read_lines(text, encoding), text_name(text), by)]
    scores = list(score_pairs(text_model, pairs, spelling, normalize))
    sets = accuracies(scores)
    if per_pair is not None:
        write_pairs(per_pair, scores)
    if as_json:
        click.echo(_json(sets, spelling, normalize))
    else:
        click.echo(f"{table(sets)}\n\n{definition(spelling, normalize)}")


COLUMNS = ("set", "pairs", "right", "accuracy", "95 % interval", "ties", "unknown", "accuracy without")


def table(sets: Sequence[Accuracy]) -> str:
    """Return the accuracy of each set, and over all if there are several, as a table for people."""
    shown = [*sets, over_all(sets)] if len(sets) > 1 else sets
    return format_table([COLUMNS, *map(_row, shown)])


def _row(found: Accuracy) -> tuple[str, ...]:
    low, high = found.interval
    counts = (f"{count:,}" for count in (found.pairs, found.right))
    known = "-" if math.isnan(found.accuracy_known) else f"{found.accuracy_known:.1%}"
    interval = f"{100 * low:.1f} to {100 * high:.1f}"
    return (
        found.set,
        *counts,
        f"{found.accuracy:.1%}",
        interval,
        f"{found.ties:,}",
        f"{found.unknown:,}",
        known,
    )


CASE_WORDS = {"lower": "lower case", "upper": "upper case", "asis": "case as it is"}
PUNCTUATION_WORDS = {"split": "punctuation separated from words", "asis": "punctuation as it is"}


def definition(spelling: Spelling, normalize: str) -> str:
    """Return a table for people that defines a right pair and the spelling of the sentences."""
    measure = "ln P of the sentence and its end" + (", per token" if normalize == "token" else "")
    rows = [
        ("right", f"the right sentence has the higher {measure}; ties are wrong"),
        ("spelling", f"{CASE_WORDS[spelling.case]}; {PUNCTUATION_WORDS[spelling.punctuation]}"),
        ("interval", "Wilson's score interval; pairs are taken to be independent"),
        ("unknown", "pairs with a word that is not in the vocabulary; then the accuracy without them"),
    ]
    return format_table(rows, left=2)


def _json(sets: Sequence[Accuracy], spelling: Spelling, normalize: str) -> str:
    return to_json(
        {
            "all": _numbers(over_all(sets)),
            "sets": [{"set": found.set, **_numbers(found)} for found in sets],
            "case": spelling.case,
            "punctuation": spelling.punctuation,
            "normalize": normalize,
            "ties_count_as": "wrong",
        }
    )


def _numbers(found: Accuracy) -> dict[str, Any]:
    return {
        "pairs": found.pairs,
        "right": found.right,
        "accuracy": found.accuracy,
        "interval_95": list(found.interval),
        "ties": found.ties,
        "unknown_pairs": found.unknown,
        "accuracy_without_unknown": found.accuracy_known,
        "interval_95_without_unknown": list(found.interval_known),
    }


CELL = str.maketrans("\t\r\n", "   ")
PAIR_COLUMNS = ("set", "line", "good_ln_prob", "bad_ln_prob", "difference", "right", "unknown", "good", "bad")


def write_pairs(path: Path, scores: Sequence[PairScore]) -> None:
    """Write both scores of every pair as TSV, with the sentences as the model read them."""
    with open_output(path) as file:
        file.write("\t".join(PAIR_COLUMNS) + "\n")
        for score in scores:
            numbers = (score.good.ln_prob, score.bad.ln_prob, score.difference)
            marks = (int(score.right), score.good.unknown + score.bad.unknown)
            pair = score.pair
            cells = (pair.set, pair.line, *(f"{n:.4f}" for n in numbers), *marks, pair.good, pair.bad)
            file.write("\t".join(str(cell).translate(CELL) for cell in cells) + "\n")
