"""What `elman generate --novelty` tells: how much of a text is copied, and how much is new."""

import contextlib
import json
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from elman.cli.encoded import encoded
from elman.evaluation.novelty import novelty
from elman.models.text_model import TextModel
from elman.text.corpus import Corpus
from elman.text.pages import let_go
from elman.training.origin import training_text

LONGEST_NGRAM = {"word": 6, "subword": 8, "char": 10, "byte": 10}
COUNTED = 1 << 20  # tokens in which ends of lines are counted at a time


@contextlib.contextmanager
def text_to_compare(
    run: Path, text_model: TextModel, named: str | None, encoding: str
) -> Iterator[tuple[str, Corpus]]:
    """Yield the text ``named``, a corpus argument, or else the one that the model learnt from; and its name."""
    if named is not None:
        with encoded(text_model, named, "train", encoding) as corpus:
            yield named, corpus
    else:
        with tempfile.TemporaryDirectory() as folder:
            corpus = training_text(run, text_model, Path(folder))
            yield str(text_model.info.get("corpus", corpus.sources[0])), corpus


def report(text_model: TextModel, drawn: Sequence[int], name: str, corpus: Corpus) -> dict[str, Any]:
    """Return what ``drawn`` ids copy from a text, and the shares of their n-grams that are not in it."""
    found = novelty(np.array(drawn, np.int64), corpus.ids, max_n=LONGEST_NGRAM[text_model.tokenizer.level])
    copied = drawn[found.begin : found.begin + found.longest]
    text = text_model.tokenizer.join(text_model.vocabulary.decode(copied))
    return {
        "compared_with": name,
        "compared_tokens": corpus.tokens,
        "longest_tokens": found.longest,
        "longest_characters": len(text),
        "longest_text": text,
        "longest_line": _line(corpus, found.position) if found.longest else None,
        "new_share": {str(n): share for n, share in found.new_share.items()},
    }


def _line(corpus: Corpus, position: int) -> int | None:
    """Return the number of the line, from 1 on, that a token stands in; None where lines have no end to count."""
    eos = corpus.vocabulary.eos_id
    if eos is None:
        return 1 if corpus.lines == 1 else None
    line = 1
    for k in range(0, position, COUNTED):
        line += int(np.count_nonzero(corpus.ids[k : min(k + COUNTED, position)] == eos))
        let_go(corpus.ids)
    return line


def table(told: dict[str, Any], unit: str, tokens: int) -> str:
    """Return a report on ``tokens`` drawn tokens as lines for people."""
    rows = [("compared with", f"{told['compared_with']}, {told['compared_tokens']:,} {unit}s")]
    if told["longest_tokens"]:
        characters = f", {told['longest_characters']:,} characters" if unit != "character" else ""
        rows += [
            ("longest copy", f"{told['longest_tokens']:,} {unit}s{characters}"),
            ("its text", json.dumps(told["longest_text"], ensure_ascii=False)),
        ]
        if told["longest_line"] is not None:
            rows.append(("its place", f"line {told['longest_line']:,}"))
    else:
        rows.append(("longest copy", "none"))
    for n, share in told["new_share"].items():
        count = tokens - int(n) + 1
        rows.append((f"new {n}-grams", f"{share:7.2%}  {round(share * count):,} of {count:,}"))
    width = max(len(name) for name, _ in rows)
    return "\n".join(f"{name:<{width}}  {value}" for name, value in rows)
