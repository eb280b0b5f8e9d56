"""`elman generate`: write text token by token, and with --novelty measure how much of it is copied."""

import contextlib
import sys
from pathlib import Path
from typing import Any

import click

from elman.api.novelty import compared_text
from elman.cli.inputs import prompt_argument, text_argument
from elman.cli.output import prose_table, write, write_line
from elman.evaluation.novelty_report import NoveltyReport, novelty_report
from elman.results import to_json
from elman.text_model import TextModel, load


@click.command("generate", no_args_is_help=True)
@click.argument("run", type=click.Path(path_type=Path))
@click.option(
    "--prompt", default="", help="text to continue; - reads it from standard input, without its last newline"
)
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
@click.option(
    "--encoding", default="utf-8", show_default=True, help="the encoding of --novelty-text and --prompt -"
)
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
    prompt = prompt_argument(prompt, text_model.tokenizer, encoding)
    sampling: dict[str, Any] = {"temperature": temperature, "top_k": top_k, "top_p": top_p, "greedy": greedy}
    stream = text_model.stream(prompt, length, unk=unk, seed=seed, **sampling)
    with contextlib.ExitStack() as stack:
        compared = None
        if novelty or novelty_text is not None:  # fails before there is any output
            other = None if novelty_text is None else text_argument(novelty_text)
            compared = stack.enter_context(compared_text(run, text_model, other, encoding))
        parts: list[str] = []
        for part in stream:
            parts.append(part) if as_json else write(part)
        copied = None if compared is None else novelty_report(text_model, stream.drawn, *compared)
    if as_json:
        write_line(to_json(_as_dict(text_model, prompt, "".join(parts), stream.drawn, copied)))
        return
    click.echo()
    if copied is not None:
        write_line(prose_table(copied.text_rows()), sys.stderr)


def _as_dict(
    text_model: TextModel, prompt: str, text: str, drawn: list[int], copied: NoveltyReport | None
) -> dict[str, Any]:
    found = {"prompt": prompt, "text": text, "unit": text_model.unit, "tokens": len(drawn)}
    if copied is None:
        return found
    report = {name: value for name, value in copied.to_dict().items() if name not in ("unit", "tokens")}
    return found | {"novelty": report}
