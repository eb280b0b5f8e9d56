"""`elman generate`: write text token by token, and with --novelty measure how much of it is copied."""

import contextlib
import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import click
import numpy as np

from elman.cli.inputs import text_argument
from elman.evaluation.novelty import novelty
from elman.files import release_pages
from elman.results import format_table, to_json
from elman.text.corpus import Corpus
from elman.text.sources import encoded, temporary_folder
from elman.text_model import TextModel, load
from elman.training.origin import training_text

LONGEST_NGRAM = {"word": 6, "subword": 8, "char": 10, "byte": 10}
CHUNK = 1 << 20  # tokens in which ends of lines are counted at a time


@click.command("generate", no_args_is_help=True)
@click.argument("run", type=click.Path(path_type=Path))
@click.option("--prompt", default="", help="text to continue")
@click.option(
    "-n", "--length", default=100, show_default=True, type=click.IntRange(0), help="number of tokens to draw"
)
@click.option(
    "--temperature",
    default=1.0,
    show_default=True,
    help="below 1 safer, above 1 more varied; 0 is greedy",
)
@click.option(
    "--top-k", default=0, show_default=True, help="draw only from the k most probable tokens; 0: all"
)
@click.option(
    "--top-p",
    default=1.0,
    show_default=True,
    help="draw only from the most probable tokens that together have probability p; 1: all",
)
@click.option("--greedy", is_flag=True, help="always take the most probable token")
@click.option("--unk/--no-unk", default=False, help="allow <unk> to be drawn  [default: no]")
@click.option(
    "--seed", type=click.IntRange(0), help="seed of the random draws  [default: a different text every time]"
)
@click.option(
    "--novelty", is_flag=True, help="report how much of the drawn text is copied from the training text"
)
@click.option(
    "--novelty-text",
    metavar="TEXT",
    help="the same for another text: a file, a folder, a named corpus, or - for standard input",
)
@click.option("--encoding", default="utf-8", show_default=True, help="the encoding of --novelty-text")
@click.option("--json", "as_json", is_flag=True, help="print one JSON object at the end")
def command(
    run: Path,
    prompt: str,
    length: int,
    temperature: float,
    top_k: int,
    top_p: float,
    greedy: bool,
    unk: bool,
    seed: int | None,
    novelty: bool,
    novelty_text: str | None,
    encoding: str,
    as_json: bool,
) -> None:
    """Write text with the model in RUN, token by token.

    --novelty reports on standard error the longest part of the drawn text that appears verbatim in the training
    text, the line where it begins there, and the fraction of the drawn n-grams that are new.
    """
    text_model = load(run)
    sampling: dict[str, Any] = {"temperature": temperature, "top_k": top_k, "top_p": top_p, "greedy": greedy}
    stream = text_model.stream(prompt, length, unk=unk, seed=seed, **sampling)
    with contextlib.ExitStack() as stack:
        compared = None
        if novelty or novelty_text is not None:  # fails before there is any output
            compared = stack.enter_context(_comparison_text(run, text_model, novelty_text, encoding))
        parts: list[str] = []
        for part in stream:
            parts.append(part) if as_json else click.echo(part, nl=False)
        copied = None if compared is None else novelty_report(text_model, stream.drawn, *compared)
    if as_json:
        click.echo(to_json(_as_dict(text_model, prompt, "".join(parts), stream.drawn, copied)))
        return
    click.echo()
    if copied is not None:
        click.echo(novelty_table(copied, text_model.unit, len(stream.drawn)), err=True)


def _as_dict(
    text_model: TextModel, prompt: str, text: str, drawn: list[int], copied: dict[str, Any] | None
) -> dict[str, Any]:
    found = {"prompt": prompt, "text": text, "unit": text_model.unit, "tokens": len(drawn)}
    return found if copied is None else found | {"novelty": copied}


@contextlib.contextmanager
def _comparison_text(
    run: Path, text_model: TextModel, named: str | None, encoding: str
) -> Iterator[tuple[str, Corpus]]:
    """Yield the name and ids of a corpus argument, or of the model's training text where it is None."""
    if named is not None:
        text = text_argument(named)
        with encoded(text, text_model.tokenizer, text_model.vocabulary, "train", encoding) as corpus:
            yield named, corpus
    else:
        with temporary_folder() as folder:
            corpus = training_text(run, text_model, folder)
            yield str(text_model.info.get("corpus", corpus.sources[0])), corpus


def novelty_report(text_model: TextModel, drawn: Sequence[int], name: str, corpus: Corpus) -> dict[str, Any]:
    """Return the longest part of ``drawn`` ids copied from a text, and the fractions of n-grams not in it."""
    found = novelty(np.array(drawn, np.int64), corpus.ids, max_n=LONGEST_NGRAM[text_model.tokenizer.level])
    copied = drawn[found.begin : found.begin + found.longest]
    text = text_model.tokenizer.join(text_model.vocabulary.decode(copied))
    return {
        "compared_with": name,
        "compared_tokens": corpus.tokens,
        "longest_tokens": found.longest,
        "longest_characters": len(text),
        "longest_text": text,
        "longest_line": _line_number(corpus, found.position) if found.longest else None,
        "new_share": {str(n): share for n, share in found.new_share.items()},
    }


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


def novelty_table(report: dict[str, Any], unit: str, tokens: int) -> str:
    """Return a novelty report on ``tokens`` drawn tokens as a table for people."""
    rows = [("compared with", f"{report['compared_with']}, {report['compared_tokens']:,} {unit}s")]
    if report["longest_tokens"]:
        characters = f", {report['longest_characters']:,} characters" if unit != "character" else ""
        rows += [
            ("longest copy", f"{report['longest_tokens']:,} {unit}s{characters}"),
            ("its text", json.dumps(report["longest_text"], ensure_ascii=False)),
        ]
        if report["longest_line"] is not None:
            rows.append(("its place", f"line {report['longest_line']:,}"))
    else:
        rows.append(("longest copy", "none"))
    for n, fraction in report["new_share"].items():
        count = tokens - int(n) + 1
        rows.append((f"new {n}-grams", f"{fraction:7.2%}  {round(fraction * count):,} of {count:,}"))
    return format_table(rows, left=2)
