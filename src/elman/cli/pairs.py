"""`elman pairs`: accuracy on minimal pairs, a right and a wrong sentence each."""

from pathlib import Path
from typing import Any

import click

from elman.api.pairs import pairs
from elman.cli.inputs import text_argument
from elman.cli.options import spelling_options
from elman.cli.output import prose_table, table
from elman.errors import ConfigError
from elman.evaluation.minimal_pairs import Accuracy, over_all
from elman.evaluation.pairs_table import PairScores, PairsResult
from elman.files import open_output
from elman.results import as_row, to_json
from elman.text.tokenizers import raw_bytes
from elman.text_model import is_model


@click.command("pairs", no_args_is_help=True)
@click.argument("models", metavar="RUN", type=click.Path(path_type=Path))
@click.argument("files", nargs=-1, required=True, metavar="[RUN]... FILE...")
@click.option(
    "--column",
    nargs=2,
    metavar="GOOD BAD",
    help="the FILEs are tables (CSV, TSV or JSON Lines), and these two columns hold the right and the wrong sentences",
)
@click.option("--by", metavar="FIELD", help="the JSON field that names the set of a pair  [default: UID]")
@spelling_options
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
    models: Path,
    files: tuple[str, ...],
    column: tuple[str, str] | None,
    by: str | None,
    case: Any,
    punctuation: Any,
    normalize: Any,
    per_pair: Path | None,
    as_json: bool,
    encoding: str,
) -> None:
    """Test whether the models in RUNs prefer the right sentence of each minimal pair in FILEs.

    A FILE (- is standard input) holds one JSON object per line, with sentence_good and sentence_bad as in BLiMP, or
    two columns: the right sentence, a tab, the wrong sentence.

    A pair is right if P(right sentence) > P(wrong sentence), each with its end of line. A tie is wrong. Unknown
    words are scored as `<unk>`, or have probability 0 if the vocabulary has none; the last columns count the pairs
    with unknown words, and give the accuracy without them.

    With several RUNs (folders or model files, before the FILEs), the best model is compared with each other one over
    all pairs: McNemar's exact test, and the 95 % interval of the difference.
    """
    runs, files = _runs_and_files(models, files)
    found = pairs(
        runs,
        [text_argument(file) for file in files],
        column=column,
        by=by,
        case=case,
        punctuation=punctuation,
        normalize=normalize,
        encoding=encoding,
    )
    if per_pair is not None:
        write_pairs(per_pair, found.pairs)
    click.echo(_json(found) if as_json else _tables(found))


def _tables(found: PairsResult) -> str:
    """Return the accuracies, the differences between models if there are several, and what defines them."""
    differences = [table(found.difference_rows(), left=2)] if found.differences else []
    return "\n\n".join([table(found.text_rows(), found.left), *differences, prose_table(found.definitions())])


def _runs_and_files(first: Path, others: tuple[str, ...]) -> tuple[list[Path], tuple[str, ...]]:
    """Return the models, which come first, and the files of pairs; a folder or the file of a model is a model."""
    count = next((k for k, name in enumerate(others) if not is_model(name)), len(others))
    runs, files = [first, *map(Path, others[:count])], others[count:]
    if not files:
        raise ConfigError(f"name a FILE of pairs after {' '.join(map(str, runs))}, or - for standard input")
    if late := next((name for name in files if is_model(name)), None):
        raise ConfigError(f"{late} is a model, but comes after the FILE {files[0]}; name all RUNs first")
    return runs, files


def _json(found: PairsResult) -> str:
    models = {name: _model(found, name) for name in found.sets}
    rules = {"normalize": found.normalize, "ties_count_as": "wrong"}
    if len(models) == 1:
        return to_json(next(iter(models.values())) | rules)
    listed = [{"model": name, **about} for name, about in models.items()]
    return to_json({"models": listed, "differences": list(map(as_row, found.differences)), **rules})


def _model(found: PairsResult, name: str) -> dict[str, Any]:
    sets, spelling = found.sets[name], found.spellings[name]
    return {
        "all": _numbers(over_all(sets)),
        "sets": [{"set": each.set, **_numbers(each)} for each in sets],
        "case": spelling.case,
        "punctuation": spelling.punctuation,
    }


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


def write_pairs(path: Path, scores: PairScores) -> None:
    """Write both scores of every pair as TSV, and the sentences as the model read them (its name, if several)."""
    several = len({model for model, _ in scores}) > 1
    columns = ("model", *PAIR_COLUMNS) if several else PAIR_COLUMNS
    with open_output(path) as file:
        file.write("\t".join(columns) + "\n")
        for row in map(scores.row_dict, scores):
            cells = (_cell(row[name]) for name in columns)
            file.write(raw_bytes("\t".join(cells)).decode("utf-8", "backslashreplace") + "\n")


def _cell(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:.4f}"
    return str(int(value) if isinstance(value, bool) else value).translate(CELL)
