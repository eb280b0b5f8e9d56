"""Test which sentence of each minimal pair models prefer."""

import os
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Literal

from elman.errors import ConfigError
from elman.evaluation.minimal_pairs import Normalisation, Pair, read_pairs, score_pairs, table_pairs
from elman.evaluation.pairs_table import PairsResult
from elman.evaluation.spelling import AUTO, Case, Punctuation, checked_spelling
from elman.evaluation.unknown_tokens import warn_of_unknown
from elman.text.reading import BOM
from elman.text.sources import PLAIN, Text, read_lines, text_name
from elman.text.tokenizers import ByteTokenizer, Tokenizer
from elman.text_model import Models, as_model, by_name


def pairs(
    models: Models,
    files: Text | Sequence[Text] | Iterable[tuple[str, str]],
    by: str | None = None,
    case: Literal["auto"] | Case = AUTO,
    punctuation: Literal["auto"] | Punctuation = AUTO,
    normalize: Normalisation = "none",
    *,
    column: tuple[str, str] | None = None,
    encoding: str = "utf-8",
) -> PairsResult:
    """Test which sentence of each minimal pair models prefer.

    A pair is right if P(right sentence) > P(wrong sentence), each with its end of line. A tie is wrong. Unknown words
    are scored as `<unk>`, or have probability 0 if the vocabulary has none. Of several models, the best is compared
    with each other one in ``differences`` of the result: McNemar's exact test, and the interval of the difference.

    Args:
        models: one or several models or paths, or a mapping from names to them.
        files: a file of pairs or several, as read by `read_pairs` (BLiMP's JSON Lines, or two columns); or pairs in
            memory: (right sentence, wrong sentence).
        by: the JSON field that names the set of a pair; by default ``UID``.
        case: "lower" or "upper" convert sentences, "asis" leaves them; "auto" follows the words of the vocabulary.
        punctuation: "split" separates punctuation from words that are not in the vocabulary, "asis" does not; "auto"
            splits if no word of the vocabulary has punctuation.
        normalize: "none" compares ln P of whole sentences, "token" ln P per token.
        column: the files are CSV, TSV or JSON Lines files, or tables such as pandas DataFrames, and these two columns
            hold the right and the wrong sentences.
        encoding: of the files.

    Raises:
        ConfigError: an argument is not one of its values.
        TextError: a file cannot be read, or a line is not a pair.
    """
    if normalize not in ("none", "token"):
        raise ConfigError(f"`normalize` must be one of none, token; got {normalize!r}")
    loaded = {name: as_model(model) for name, model in by_name(models).items()}
    spellings = {name: checked_spelling(model, case, punctuation) for name, model in loaded.items()}
    as_bytes = all(model.unit == "byte" for model in loaded.values())
    wanted = _pairs_of(files, by, encoding, column, ByteTokenizer() if as_bytes else PLAIN)
    scores = {name: list(score_pairs(loaded[name], wanted, spellings[name], normalize)) for name in loaded}
    for name, own in scores.items():
        sides = [side for score in own for side in (score.good, score.bad)]
        warn_of_unknown(loaded[name], sum(side.unknown for side in sides), sum(side.tokens for side in sides))
    return PairsResult(scores, spellings, normalize)


def _pairs_of(
    files: Any, by: str | None, encoding: str, column: tuple[str, str] | None, tokenizer: Tokenizer
) -> list[Pair]:
    """Return the pairs of a file, of several, or in memory."""
    is_table = isinstance(files, Mapping) or hasattr(files, "columns")
    if isinstance(files, (str, os.PathLike)) or hasattr(files, "read") or is_table:
        given: list[Any] = [files]
    else:
        given = list(files)
    found: list[Pair] = []
    for number, each in enumerate(given, 1):
        if isinstance(each, tuple):
            good, bad = each
            found.append(Pair(good, bad, "pairs", number))
        elif column is not None:
            found += table_pairs(each, column, by, encoding)
        else:
            lines = (
                line.removeprefix(BOM).removesuffix("\r")
                for line in read_lines(each, encoding, tokenizer=tokenizer)
            )
            found += read_pairs(lines, text_name(each), by)
    return found
