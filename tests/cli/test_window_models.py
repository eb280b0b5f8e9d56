"""Models with a fixed window on the command line: train, resume, evaluate, mix, and what is refused."""

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from elman.text_model import load

Refused = Callable[..., str]
OPTIONS = {
    "cbow": ("--model", "cbow", "--wordvec", 8),
    "nplm": ("--model", "nplm", "--wordvec", 5, "--hidden", 6),
}
SCHOOL = ("--batch-size", 2, "--time-size", 4, "--lr", 0.02, "--embedding-scale", 0.3, "--epochs", 20)


@pytest.fixture(params=OPTIONS)
def kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.mark.slow
def test_train_resume_evaluate_plot_generate(command: Any, story: Path, kind: str) -> None:
    done = command("train", story, "-o", "run", *OPTIONS[kind], "--window", 3, *SCHOOL)
    assert done.code == 0
    embedding, output = {"cbow": (24 * 8, 9 * 24), "nplm": (24 * 5 + (15 + 1) * 6, 7 * 24)}[kind]
    assert f"vocabulary 24, {embedding + output} parameters" in done.err
    assert command("train", "--resume", "run", "--epochs", 30, "--valid", story).code == 1
    assert command("train", "--resume", "run", "--epochs", 30).code == 0
    table = command("eval", "run", story).out
    assert table.splitlines()[-1].split(maxsplit=1) == ["state", "the last 3 words, carried through the text"]
    assert 1 < json.loads(command("eval", "run", story, "--json").out)["perplexity"] < 6
    assert command("plot", "run").code == 0

    loaded: Any = load("run")
    lines = command("score", "run", story, "--json").out.splitlines()
    _, ids = loaded.encode_line(json.loads(lines[0])["text"])
    start = loaded.model.feed(np.array([[loaded.start_id]]), loaded.model.start())
    total = loaded.model.target_log_probs(ids[None], start)[0].sum()
    assert json.loads(lines[0])["ln_prob"] == pytest.approx(float(total), rel=1e-4)

    text = command("generate", "run", "--prompt", "tom was", "-n", 20, "--seed", 1).out
    assert text.startswith("tom was")
    assert set(text.split()) <= set(loaded.vocabulary.tokens)


def test_mix_and_cache(command: Any, story: Path, kind: str) -> None:
    command("train", story, "-o", "run", *OPTIONS[kind], *SCHOOL)
    command("train", story, "-o", "counts", "--model", "ngram")
    assert command("mix", "run", "counts", "--tune", story, "-o", "both").code == 0
    mixed, alone, cached = (
        json.loads(command("eval", run, story, "--json", *more).out)
        for run, more in (("both", ()), ("run", ()), ("run", ("--cache", 9, "--cache-weight", 0.1)))
    )
    assert mixed["perplexity"] < alone["perplexity"] != cached["perplexity"]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (
            ["--model", "cbow", "--hidden", 7],
            "--hidden applies only to --model rnn or --model nplm, but model is 'cbow'",
        ),
        (["--model", "nplm", "--cell", "lstm"], "--cell applies only to --model rnn"),
        (["--model", "nplm", "--softmax", "adaptive"], "--softmax applies only to --model rnn"),
        (["--model", "nplm", "--order", 3], "--order applies only to --model ngram, but model is 'nplm'"),
        (["--window", 3], "--window applies only to --model cbow or --model nplm, but model is 'rnn'"),
        (["--model", "ngram", "--window", 3], "--window applies only to --model cbow or --model nplm"),
        (["--model", "cbow", "--wordvec", 0], "wordvec_size must be ≥ 1, got 0"),
        (["--model", "nplm", "--tie-weights", "--hidden", 7], "got wordvec 100 and hidden 7"),
    ],
    ids=lambda value: " ".join(map(str, value)) if isinstance(value, list) else "",
)
def test_conflicting_options_are_refused(
    refused: Refused, story: Path, options: list[Any], message: str
) -> None:
    assert re.search(message, refused("train", story, "-o", "run", *SCHOOL, *options))
    assert not Path("run").exists()


def test_resume_refuses_another_window(command: Any, refused: Refused, story: Path, kind: str) -> None:
    command("train", story, "-o", "run", *OPTIONS[kind], *SCHOOL)
    assert "was started with window = 5" in refused("train", "--resume", "run", "--window", 4)
    config = Path("run/config.toml")
    config.write_text(config.read_text().replace("window = 5", "window = 4"))
    assert "says window = 4, but the checkpoint next to it has 5" in refused("train", "--resume", "run")
    config.write_text(config.read_text().replace("window = 4", "window = 5").replace(kind, "rnn"))
    assert f"says model = 'rnn', but the checkpoint next to it has '{kind}'" in refused(
        "train", "--resume", "run"
    )


def test_a_neural_cache_has_no_hidden_states_to_compare(refused: Refused, command: Any, story: Path) -> None:
    command("train", story, "-o", "run", *OPTIONS["cbow"], *SCHOOL)
    assert "which CBOW does not have" in refused("eval", "run", story, "--neural-cache", 9)
