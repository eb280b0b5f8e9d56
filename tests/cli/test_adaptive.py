"""A model with an adaptive softmax at the command line, from training to its text."""

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from elman.text_model import load
from support.command_line import SMALL

Refused = Callable[..., str]
ADAPTIVE = ("--softmax", "adaptive", "--cutoffs", "4,9")


def test_train_resume_evaluate_score_generate(command: Any, story: Path) -> None:
    assert command("train", story, "-o", "run", *SMALL, *ADAPTIVE, "--lr", 0.02, "--epochs", 20).code == 0
    assert command("train", "--resume", "run", "--epochs", 30).code == 0
    found = json.loads(command("eval", "run", story, "--json").out)
    assert 1 < found["perplexity"] < 3

    first, *others = command("score", "run", story, "--json").out.splitlines()
    loaded: Any = load("run")
    _, ids = loaded.encode_line(json.loads(first)["text"])
    start = loaded.model.feed(np.array([[loaded.start_id]]), loaded.model.start())
    state, total = start, 0.0
    for id_ in ids:
        rows = loaded.model.next_log_probs(state)
        assert np.exp(rows).sum() == pytest.approx(1, rel=1e-5)
        total += float(rows[0, id_])
        state = loaded.model.feed(np.array([[id_]]), state)
    assert json.loads(first)["ln_prob"] == pytest.approx(total, rel=1e-4)
    assert len(others) == 3  # the lines of the story

    text = command("generate", "run", "--prompt", "tom was", "-n", 20, "--seed", 1).out
    assert text.startswith("tom was")
    assert set(text.split()) <= set(loaded.vocabulary.tokens)
    assert len(text.replace("\n", " . ").split()) > 15


def test_parameter_count_includes_the_clusters(command: Any, story: Path) -> None:
    said = command("train", story, "-o", "run", *SMALL, *ADAPTIVE).err.splitlines()[0]
    embedding, cell, V, H, d = 24 * 5, 6 * (5 + 6 + 1), 24, 6, 4
    output = (H + 1) * (4 + 2) + 2 * H * d + (d + 1) * (V - 4)
    assert said == f"{story}: 77 tokens (words), vocabulary 24, {embedding + cell + output} parameters"


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--cutoffs", "4,9"], "--cutoffs applies only to --softmax adaptive, but softmax is 'full'"),
        (
            [*ADAPTIVE[:2], "--cutoffs", "9,4"],
            "increasing numbers ≥ 1 and below the vocabulary's 24 tokens; got 9, 4",
        ),
        ([*ADAPTIVE[:2], "--cutoffs", "24"], "got 24"),
        (
            [*ADAPTIVE[:2], "--cutoffs", "4;9"],
            "must be auto, or increasing numbers such as 2000,20000, got '4;9'",
        ),
        ([*ADAPTIVE[:2], "--cutoffs", "0,9"], "got '0,9'"),
        (
            [*ADAPTIVE, "--tie-weights", "--wordvec", "6"],
            "tied weights need one output matrix over all words",
        ),
    ],
    ids=" ".join,
)
def test_conflicting_options_are_refused(
    refused: Refused, story: Path, options: list[str], message: str
) -> None:
    assert re.search(message, refused("train", story, "-o", "run", *SMALL, *options))
    assert not Path("run").exists()
