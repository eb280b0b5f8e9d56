"""`elman rescore`: choose the best of a speech recogniser's candidates with a language model."""

from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

import click
import numpy as np

from elman.cli.inputs import text_argument
from elman.cli.options import cache_options
from elman.errors import ConfigError, RunError
from elman.evaluation.adaptation import adapted
from elman.evaluation.spelling import CASES
from elman.files import check_output_file, open_output
from elman.rescoring.nbest import Utterance, read_kaldi, read_references, read_tsv, write_kaldi
from elman.rescoring.rescorer import SEPARATOR, Rescorer, first_half, reranked, speaker_of
from elman.rescoring.tuning import Floats, Table, Weights
from elman.rescoring.unknown_words import Lexicon, read_lexicon, wordfreq_lexicon
from elman.rescoring.word_errors import Measured, Result, TuningExperiment, error_table
from elman.results import to_json
from elman.text.sources import read_lines, text_name
from elman.text_model import load


@click.command("rescore", no_args_is_help=True)
@click.argument("run", type=click.Path(path_type=Path))
@click.argument("nbest", default="-")
@click.option(
    "--with",
    "others",
    metavar="RUN",
    multiple=True,
    type=click.Path(path_type=Path),
    help="another model, of any unit and vocabulary: ln P is the mean over all models; can be repeated",
)
@click.option("--ref", help="the reference transcripts: a file of lines `UTTERANCE words`")
@click.option(
    "--tune",
    type=click.Choice(["both", "first", "second"]),
    default="both",
    show_default=True,
    help="the half of the utterances to tune λ and β on; the result is measured on the other half",
)
@click.option("--lambda", "lm_weight", type=float, help="λ, a fixed weight of the model")
@click.option("--beta", type=float, help="β, a fixed bonus in nats per word, with --lambda  [default: 0]")
@click.option(
    "--carry",
    is_flag=True,
    help="read each utterance after the best candidates of the speaker's earlier ones",
)
@click.option(
    "--speaker-of",
    "separator",
    metavar="SEPARATOR",
    default=SEPARATOR,
    show_default=True,
    help="the speaker is the part of an utterance's name before this; utterances are ordered by name",
)
@cache_options
@click.option(
    "--case",
    type=click.Choice(CASES),
    help="the case of candidates and references  [default: that of the model's vocabulary]",
)
@click.option(
    "--unknown",
    type=click.Choice(["spelled", "plain"]),
    default="spelled",
    show_default=True,
    help="probability of an unknown word: spelled: P(<unk>) times that of its spelling; plain: P(<unk>)",
)
@click.option(
    "--lexicon",
    metavar="FILE|wordfreq[:LANGUAGE]",
    help="a list of real words: an unknown word in it is more probable than one of similar spelling that is not; a "
    "file of lines `WORD` or `WORD<tab>frequency`, or the list of the library wordfreq (default: English)",
)
@click.option(
    "--resample",
    type=click.Choice(["utterance", "speaker"]),
    default="utterance",
    show_default=True,
    help="what the bootstrap of the confidence interval draws",
)
@click.option("--seed", type=int, default=0, show_default=True, help="seed of the confidence interval")
@click.option("-o", "--output", type=click.Path(path_type=Path), help="the file, or Kaldi folder, to write")
@click.option(
    "--write",
    type=click.Choice(["best", "all", "kaldi"]),
    default="best",
    show_default=True,
    help="best: the best candidates; all: all candidates with their scores; kaldi: all as a Kaldi folder",
)
@click.option("--json", "as_json", is_flag=True, help="print the results as one JSON object per line")
@click.option(
    "--encoding", default="utf-8", show_default=True, help="the encoding of the candidates and references"
)
def command(
    run: Path,
    nbest: str,
    others: tuple[Path, ...],
    ref: str | None,
    tune: Any,
    lm_weight: float | None,
    beta: float | None,
    carry: bool,
    separator: str,
    case: Any,
    unknown: Any,
    lexicon: str | None,
    resample: str,
    seed: int,
    output: Path | None,
    write: str,
    as_json: bool,
    encoding: str,
    **caches: Any,
) -> None:
    """Choose the best candidate of each utterance in NBEST with the model in RUN.

    NBEST is a tab-separated table (utterance, rank, score, text; or utterance, text; or utterance, score, text), a
    Kaldi folder (words_text, ac_cost), or - for standard input. Scores are natural logarithms.

    The total of a candidate is score + λ·ln P(text) + β·words; with --with, ln P is the mean over several models.
    With --ref, λ and β are tuned on one half of the utterances, and word error rates are measured on the other; the
    halves have no speaker in common. Without --ref, give --lambda: the best candidates are written to -o, or to
    standard output, as `UTTERANCE<tab>text`.
    """
    weights = _given_weights(lm_weight, beta, ref)
    _check_output(output, write, ref)
    if not carry and any(value is not None for value in caches.values()):
        raise ConfigError("a cache needs earlier utterances to remember; add --carry")
    if lexicon is not None and unknown == "plain":
        raise ConfigError(
            "--unknown plain treats all unknown words alike, so --lexicon has no effect; leave one out"
        )
    utterances = read_kaldi(Path(nbest), encoding) if Path(nbest).is_dir() else _read_table(nbest, encoding)
    references = {} if ref is None else read_references(read_lines(text_argument(ref), encoding), ref)
    first, *further = (adapted(load(each), **caches) for each in (run, *others))
    known = None if lexicon is None else _lexicon(lexicon, encoding)
    rescorer = Rescorer(first, utterances, case, unknown, further, known)
    if weights is not None and ref is None:
        table = rescorer.carried_table(weights, separator) if carry else rescorer.table()
        _print_summary(rescorer)
        write_candidates(output, write, utterances, table, table.totals(weights))
        return
    errors, words = error_table(utterances, references, rescorer.case or "asis")
    names = [utterance.name for utterance in utterances]
    judge = TuningExperiment(
        rescorer.table() if weights is None or not carry else rescorer.carried_table(weights, separator),
        errors,
        words,
        [speaker_of(name, separator) for name in names] if resample == "speaker" else names,
        np.random.default_rng(seed),
    )
    if weights is not None:
        measured = judge.fixed(weights)
    else:
        judge.carried = (lambda found: rescorer.carried_table(found, separator)) if carry else None
        measured = judge.halves(first_half(names, separator), tune)
    _print_summary(rescorer)
    if left := len(references.keys() - set(names)):
        click.echo(f"references without candidates, ignored: {left:,}", err=True)
    if output is not None:
        write_candidates(output, write, utterances, measured.table, measured.totals)
    print_results(measured, as_json, weights is None and tune == "both")


def _given_weights(lm_weight: float | None, beta: float | None, ref: str | None) -> Weights | None:
    """Return the weights that are given; None where they are to be tuned."""
    if lm_weight is None:
        if beta is not None:
            raise ConfigError("--beta needs --lambda; give both, or neither to tune them on --ref")
        if ref is None:
            raise ConfigError(
                "name the reference transcripts to tune λ and β on: --ref ref.txt; or give --lambda 0.2 --beta 0"
            )
        return None
    weights = Weights(lm_weight, beta or 0.0)
    if not np.isfinite([weights.lm, weights.words]).all():
        raise ConfigError(f"--lambda and --beta must be finite numbers, got {weights.lm} and {weights.words}")
    return weights


def _check_output(output: Path | None, write: str, ref: str | None) -> None:
    """Raise now for an output that could not be written at the end."""
    if output is None:
        if write == "kaldi" or (ref is not None and write != "best"):
            raise ConfigError(f"name the output: -o {'FOLDER' if write == 'kaldi' else 'FILE'}")
        return
    if write == "kaldi" and output.exists():
        raise RunError(f"{output} already exists; name a new folder for Kaldi's files")
    check_output_file(output)


def _read_table(nbest: str, encoding: str) -> list[Utterance]:
    return read_tsv(read_lines(text := text_argument(nbest), encoding), text_name(text))


def _lexicon(given: str, encoding: str) -> Lexicon:
    library, _, language = given.partition(":")
    if library == "wordfreq":
        return wordfreq_lexicon(language or "en")
    return read_lexicon(read_lines(text_argument(given), encoding), given)


def _print_summary(rescorer: Rescorer) -> None:
    """Print what was read, and how many words were unknown, on standard error."""
    work, utterances = rescorer.work, rescorer.utterances
    candidates = sum(len(utterance.candidates) for utterance in utterances)
    click.echo(
        f"{len(utterances):,} utterances, {candidates:,} candidates ({rescorer.case}): {work.steps:,} steps instead "
        f"of {work.tokens:,}, {work.saved:.1%} saved by shared prefixes",
        err=True,
    )
    for reader, unknown in zip(rescorer.readers, rescorer.unknown_words(), strict=True):
        click.echo(
            f"unknown {reader.text_model.unit}s in the first candidates: {unknown:,} (of {rescorer.words():,} words)",
            err=True,
        )


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


def print_results(measured: Measured, as_json: bool, show_final: bool) -> None:
    """Print one line per result; with ``show_final`` also the weights to use for further utterances."""
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
    """Write the candidates in the requested form to a file, or to standard output."""
    ranked = reranked(utterances, table, totals)
    if write == "kaldi" and output is not None:
        write_kaldi(output, ranked)
        return
    lines = (
        _candidate_rows(ranked, totals)
        if write == "all"
        else (f"{u.name}\t{u.candidates[0].text}" for u in ranked)
    )
    if output is None:
        for line in lines:
            click.echo(line)
        return
    with open_output(output) as file:
        file.writelines(f"{line}\n" for line in lines)


def _candidate_rows(ranked: list[Utterance], totals: Floats) -> Iterator[str]:
    """Yield a table of all candidates, whose `score` is the total: it can be read as an n-best list again."""
    yield "\t".join(("utterance", "rank", "score", "recogniser", "lm", "text"))
    for utterance, total in zip(ranked, totals, strict=True):
        best_first = sorted(total[: len(utterance.candidates)].tolist(), reverse=True)
        for each, score in zip(utterance.candidates, best_first, strict=True):
            yield f"{utterance.name}\t{each.rank}\t{score:.4f}\t{each.score:.4f}\t{each.lm:.4f}\t{each.text}"
