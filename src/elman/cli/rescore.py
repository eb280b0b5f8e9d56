"""`elman rescore`: choose the best of a speech recogniser's candidates with a language model."""

from pathlib import Path
from typing import Any

import click

from elman.cli.inputs import text_argument
from elman.cli.options import cache_options
from elman.cli.output import write_line
from elman.errors import ConfigError
from elman.evaluation.spelling import CASES
from elman.language import translate
from elman.rescoring.nbest_formats import FORMATS
from elman.rescoring.rescore import rescore
from elman.rescoring.rescorer import SEPARATOR
from elman.results import to_json


@click.command("rescore", no_args_is_help=True)
@click.argument("model", metavar="RUN", type=click.Path(path_type=Path))
@click.argument("nbest", default="-")
@click.option(
    "--format",
    type=click.Choice(FORMATS),
    default="auto",
    show_default=True,
    help="the format of NBEST; auto recognises all but SRILM's lists without a header",
)
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
    model: Path,
    nbest: str,
    format: Any,
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
    resample: Any,
    seed: int,
    output: Path | None,
    write: Any,
    as_json: bool,
    encoding: str,
    **caches: Any,
) -> None:
    """Choose the best candidate of each utterance in NBEST with the model in RUN.

    NBEST is a tab-separated table (utterance, rank, score, text; or utterance, text; or utterance, score, text), a
    Kaldi folder (words_text, ac_cost), or - for standard input; or the list of another program (--format): Moses, SRILM
    (a file, a folder, or a list of files), ESPnet (a folder with 1best_recog, or data.json), JSON or JSON Lines:
    {"utt": "u1", "hyps": [{"text": "...", "score": -1.5}]}. Scores are natural logarithms, the higher the better;
    SRILM's are converted.

    The total of a candidate is score + λ·ln P(text) + β·words; with --with, ln P is the mean over several models.
    With --ref, λ and β are tuned on one half of the utterances, and word error rates are measured on the other; the
    halves have no speaker in common. Without --ref, give --lambda: the best candidates are written to -o, or to
    standard output, as `UTTERANCE<tab>text`.
    """
    if output is None and (write == "kaldi" or (ref is not None and write != "best")):
        raise ConfigError(f"name the output: -o {'FOLDER' if write == 'kaldi' else 'FILE'}")
    found = rescore(
        model,
        text_argument(nbest),
        format=format,
        others=others,
        ref=None if ref is None else text_argument(ref),
        tune=tune,
        lm_weight=lm_weight,
        beta=beta,
        carry=carry,
        separator=separator,
        case=case,
        unknown=unknown,
        lexicon=None if lexicon is None else text_argument(lexicon),
        resample=resample,
        seed=seed,
        output=output,
        write=write,
        encoding=encoding,
        **caches,
    )
    if ref is None:
        if output is None:
            write_line("\n".join(found.lines(write)))
    elif as_json:
        for row in found.results:
            write_line(to_json(found.results.row_dict(row)))
    else:
        write_line("\n".join(map("\t".join, found.results.text_rows())))
        if lm_weight is None and tune == "both":
            lm, words = found.weights.lm, found.weights.words
            click.echo(translate(f"tuned on all: --lambda {lm:.4g} --beta {words:.4g}"))
