"""`elman train --time-budget`: choosing the model that suits the time.

Most of these trainings end after a few iterations, long before the time is over: how fast the machine is does not
matter then.
"""

import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from support.command_line import SMALL
from support.tiny import STORY

Refused = Callable[..., str]


def options(run: Path) -> dict[str, Any]:
    stored: dict[str, Any] = tomllib.loads((run / "config.toml").read_text(encoding="utf-8"))["options"]
    return stored


@pytest.mark.parametrize(
    ("level", "cell", "model"),
    [
        ("word", "lstm", "lstm 1×16 ("),
        ("char", "fpool", "fpool 2×16 in residual blocks ("),
        ("byte", "fpool", "fpool 2×16 in residual blocks ("),
    ],
)
def test_time_budget_alone_chooses_a_model(
    command: Any, story: Path, tmp_path: Path, level: str, cell: str, model: str
) -> None:
    given = ("--time-budget", "5s", "--iterations", 20, "--level", level, "--lower", "--clip-norm", "2")
    outcome = command("train", story, "-o", "run", *given)
    assert outcome.code == 0
    tokens, validation, training = outcome.err.splitlines()[:3]
    assert tokens.startswith("tokens: of the level given")
    assert validation == "validation: none, the text is too short to hold out a part (312 characters)"
    assert training.startswith("training: at most 5 s, ")
    measured, chosen, flags = outcome.err.splitlines()[4:7]
    assert measured.startswith("measured in ")
    assert chosen.startswith(f"chosen: {model}")
    kept = options(tmp_path / "run")
    assert (kept["cell"], kept["schedule"], kept["level"], kept["clip_norm"]) == (cell, "cosine", level, 2)
    repeated = command("train", story, "-o", "again", *given, *flags.split()[1:])
    assert repeated.code == 0
    assert "chosen" not in repeated.err
    assert options(tmp_path / "again") == kept


def test_korean_and_a_validation_text(command: Any, tmp_path: Path) -> None:
    (tmp_path / "ko.txt").write_text("톰은 방에 있었다. 메리가 방에 들어왔다.\n" * 30, encoding="utf-8")
    (tmp_path / "valid.txt").write_text("메리는 방에 있었다.\n" * 9, encoding="utf-8")
    outcome = command(
        *("train", "ko.txt", "--valid", "valid.txt", "-o", "run", "--level", "char"),
        *("--time-budget", "5s", "--iterations", 20),
    )
    assert outcome.code == 0
    assert "best validation perplexity" in outcome.out
    resumed = command("train", "--resume", "run")
    assert "is finished" in resumed.err


def test_with_size_or_recipe_the_budget_is_only_a_limit(command: Any, story: Path, tmp_path: Path) -> None:
    (tmp_path / "my.toml").write_text("lr = 0.01\nbatch_size = 2\ntime_size = 4\n", encoding="utf-8")
    for k, given in enumerate((SMALL, ("--recipe", "my.toml", "--epochs", "1"))):
        outcome = command("train", story, "-o", f"run{k}", *given, "--time-budget", "60s")
        assert outcome.code == 0
        assert "chosen" not in outcome.err
        assert options(tmp_path / f"run{k}")["cell"] == "rnn"


def test_choose_keeps_given_options(command: Any, story: Path, tmp_path: Path) -> None:
    (tmp_path / "my.toml").write_text('lr = 0.02\ncell = "gru"\n', encoding="utf-8")
    given = ("--recipe", "my.toml", "--hidden", "9", "--choose", "--time-budget", "5s", "--iterations", 20)
    outcome = command("train", story, "-o", "run", *given)
    assert "chosen: gru 1×9 (" in outcome.err
    kept = options(tmp_path / "run")
    assert (kept["lr"], kept["cell"], kept["hidden"], kept["wordvec"]) == (0.02, "gru", 9, 9)
    assert kept["schedule"] == "cosine"


def test_no_choose_keeps_the_defaults(command: Any, story: Path, tmp_path: Path) -> None:
    given = (
        "--no-choose",
        "--time-budget",
        "60s",
        "--iterations",
        5,
        "--batch-size",
        "2",
        "--time-size",
        "4",
    )
    assert command("train", story, "-o", "run", *given).code == 0
    assert options(tmp_path / "run")["cell"] == "rnn"


def test_with_a_recipe_choose_needs_a_time_budget(refused: Refused, story: Path) -> None:
    given = ("--recipe", "char-lstm", "--choose")
    assert "add --time-budget 600" in refused("train", story, "-o", "run", *given)


def test_without_any_option_all_is_chosen(command: Any, story: Path, tmp_path: Path) -> None:
    outcome = command("train", story, "-o", "run", "--iterations", 20)
    assert outcome.code == 0
    assert outcome.err.startswith(
        "tokens: 312 characters are too few to learn words from (--level char, --open-voc"
    )
    kept = options(tmp_path / "run")
    assert (kept["cell"], kept["level"], kept["open_vocabulary"]) == ("fpool", "char", True)
    assert kept["time_budget"] == 0  # the given iterations end it


def test_large_vocabulary_gets_adaptive_softmax_and_time_ends_the_run(command: Any, tmp_path: Path) -> None:
    words = " ".join(f"w{k}" for k in range(20_000))
    (tmp_path / "large.txt").write_text(words + "\n" + STORY, encoding="utf-8")
    given = ("--level", "word", "--min-count", "1", "--valid", "none", "--time-budget", "0.3s")
    assert command("train", "large.txt", "-o", "run", *given).code == 0
    kept = options(tmp_path / "run")
    assert (kept["softmax"], kept["tie_weights"]) == ("adaptive", False)
