"""What `elman rescore` tells and writes: word error rates, and the candidates it chose."""

from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

import click

from elman.cli.json_lines import to_json
from elman.errors import RunError
from elman.files import atomic_write
from elman.rescoring.held_out import Measured, Result
from elman.rescoring.kaldi import write_kaldi
from elman.rescoring.nbest import Utterance
from elman.rescoring.rescorer import reranked
from elman.rescoring.weights import Floats, Table

COLUMNS = (
    "part",
    "tuned on",
    "lambda",
    "beta",
    "utterances",
    "words",
    "first",
    "oracle",
    "rescored",
    "gain",
    "95 %",
)


def report(measured: Measured, as_json: bool, show_final: bool) -> None:
    """Print the results, a line each, and with ``show_final`` the weights for utterances to come."""
    if as_json:
        for result in measured.results:
            click.echo(to_json(_as_dict(result)))
        return
    click.echo("\t".join(COLUMNS))
    for result in measured.results:
        click.echo("\t".join(_cells(result)))
    if show_final:
        click.echo(f"tuned on all: --lambda {measured.final.lm:.4g} --beta {measured.final.words:.4g}")


def _cells(result: Result) -> Iterator[str]:
    yield from (result.part, result.tuned_on)
    yield from (
        ("", "") if result.weights is None else (f"{result.weights.lm:.4g}", f"{result.weights.words:.4g}")
    )
    yield from (f"{result.utterances:,}", f"{result.words:,}")
    yield from (f"{result.rate(errors):.2%}" for errors in (result.first, result.oracle, result.rescored))
    low, high = result.interval
    yield from (f"{result.gain:.2%}", f"{low:.2%} to {high:.2%}")


def _as_dict(result: Result) -> dict[str, Any]:
    rates = {f"{name}_wer": result.rate(getattr(result, name)) for name in ("first", "oracle", "rescored")}
    values = asdict(result)
    weights, (low, high) = values.pop("weights") or {}, values.pop("interval")
    own = {"lambda": weights.get("lm"), "beta": weights.get("words")}
    return {**values, **own, **rates, "gain": result.gain, "gain_low": low, "gain_high": high}


def write_candidates(
    output: Path | None, write: str, utterances: list[Utterance], table: Table, totals: Floats
) -> None:
    """Write the candidates to a file, or the lines to standard output."""
    ranked = reranked(utterances, table, totals)
    if write == "kaldi" and output is not None:
        write_kaldi(output, ranked)
        return
    lines = _all(ranked, totals) if write == "all" else (f"{u.name}\t{u.candidates[0].text}" for u in ranked)
    if output is None:
        for line in lines:
            click.echo(line)
        return
    try:
        with atomic_write(output, "w", encoding="utf-8") as file:
            file.writelines(f"{line}\n" for line in lines)
    except OSError as error:
        raise RunError(f"cannot write {output}: {error.strerror or error}") from error


def _all(ranked: list[Utterance], totals: Floats) -> Iterator[str]:
    """Yield a table of all candidates; its `score` is the total, so that it can be read as an n-best list again."""
    yield "\t".join(("utterance", "rank", "score", "recogniser", "lm", "text"))
    for utterance, total in zip(ranked, totals, strict=True):
        best_first = sorted(total[: len(utterance.candidates)].tolist(), reverse=True)
        for each, score in zip(utterance.candidates, best_first, strict=True):
            yield f"{utterance.name}\t{each.rank}\t{score:.4f}\t{each.score:.4f}\t{each.lm:.4f}\t{each.text}"
