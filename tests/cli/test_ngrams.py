"""N-gram models on the command line: train, evaluate, generate, export and import."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from support.command_line import contents

Refused = Callable[..., str]


@pytest.fixture
def counted(command: Any, story: Path) -> Path:
    """A run of a 4-gram model with an unknown word."""
    assert command("train", story, "--model", "ngram", "--order", 4, "--min-count", 2, "-o", "run").code == 0
    return Path("run")


def test_training_is_one_line_of_result(command: Any, story: Path) -> None:
    outcome = command("train", story, "-o", "a/run", "--model", "ngram", "--valid", story, "--allow-overlap")
    assert outcome.code == 0
    first, warning = outcome.err.splitlines()
    assert first == f"{story}: 77 tokens (words), vocabulary 24"
    assert warning.startswith(f"elman: the validation text {story} repeats the training text: at least ")
    (line,) = outcome.out.splitlines()
    assert line.startswith("a/run: validation perplexity ")
    assert " per word, " in line
    assert " n-grams of up to 5 words, " in line
    assert contents(Path("a/run")).keys() == {"config.toml", "metrics.jsonl", "model.safetensors"}


def test_named_corpus_shows_reference_perplexities(command: Any) -> None:
    options = ("--model", "ngram", "--smoothing", "witten-bell", "--order", 3)
    outcome = command("train", "rooms", "-o", "run", *options)
    assert "lowest possible perplexity on the validation text: 1.6" in outcome.err
    assert outcome.out.startswith("run: validation perplexity 2.")


def test_other_commands_accept_an_ngram_model(command: Any, counted: Path, story: Path) -> None:
    table = command("eval", counted, story).out
    assert table.startswith("perplexity per word ")
    assert table.splitlines()[-1].split(maxsplit=1) == ["state", "reset on every line"]
    assert command("generate", counted, "-n", 5, "--seed", 1).code == 0
    scores = command("score", counted, stdin=b"tom was in the garden .\ntom the was\n").out.splitlines()[1:]
    probable, odd = (float(line.split("\t")[0]) for line in scores)
    assert probable > odd


def test_the_text_may_come_from_standard_input(command: Any, story: Path) -> None:
    text = story.read_bytes()
    assert command("train", "-", "--model", "ngram", "-o", "run", stdin=text).code == 0
    command("train", story, "--model", "ngram", "-o", "same")
    assert command("eval", "run", story).out == command("eval", "same", story).out


def test_conflicting_options_are_refused(refused: Refused, counted: Path, story: Path) -> None:
    ngram = ("train", story, "--model", "ngram", "-o", "other")
    assert refused(*ngram, "--hidden", 7).startswith("--hidden applies only to --model rnn")
    assert refused(*ngram, "--recipe", "char-lstm").startswith("--cell applies only to --model rnn")
    assert refused("train", story, "--order", 3, "-o", "other").startswith(
        "--order applies only to --model ngram"
    )
    assert "must be an integer from 1 to 6" in refused(*ngram, "--order", 7)
    assert "for the order of the vocabulary use vocab_order" in refused(*ngram, "--order", "frequency")
    assert refused("train", story, "--model", "ngram", "-o", "run").startswith("run already holds a run")
    assert refused("train", "--resume", "run").startswith("run holds an n-gram model, which is complete")
    assert not Path("other").exists()


def test_plot_draws_ngram_model_as_a_horizontal_line(
    command: Any, refused: Refused, story: Path, runs: Path
) -> None:
    command("train", story, "--model", "ngram", "--valid", story, "--allow-overlap", "-o", "n-gram")
    command("train", story, "--model", "ngram", "-o", "unmeasured")
    assert command("plot", runs / "word", "n-gram", "unmeasured", "-o", "c.svg").code == 0
    assert Path("c.svg").stat().st_size > 5_000
    assert refused("plot", "n-gram", "-o", "d.svg").startswith("n-gram models have no learning curve")
    assert not Path("d.svg").exists()


def test_export_and_import_round_trip(command: Any, counted: Path, story: Path) -> None:
    outcome = command("export", counted, "-o", "model.arpa")
    assert (outcome.code, outcome.out, outcome.err) == (0, "model.arpa\n", "")
    assert Path("model.arpa").read_text("utf-8").startswith("\\data\\\nngram 1=")
    outcome = command("import", "model.arpa", "-o", "folder/again")
    assert (outcome.code, outcome.out, outcome.err) == (0, "folder/again\n", "")
    assert contents(Path("folder/again")).keys() == {"model.safetensors"}
    tables = [command("eval", model, story).out for model in (counted, "model.arpa", "folder/again")]
    assert tables[0] == tables[1] == tables[2]
    command("export", "folder/again", "-o", "twice.arpa")
    assert Path("twice.arpa").read_bytes() == Path("model.arpa").read_bytes()


def test_import_replaces_a_run_only_with_overwrite(command: Any, refused: Refused, counted: Path) -> None:
    command("export", counted, "-o", "model.arpa")
    before = contents(counted)
    assert refused("import", "model.arpa", "-o", "run").startswith("run already holds a run")
    Path("broken.arpa").write_text("\\data\\\nngram 1=1\n")
    message = refused("import", "broken.arpa", "-o", "run", "--overwrite")
    assert message.startswith("broken.arpa, line 2: the file ends here")
    assert contents(counted) == before
    assert command("import", "model.arpa", "-o", "run", "--overwrite").code == 0
    assert contents(counted).keys() == {"model.safetensors"}


def test_failed_export_or_import_is_a_one_line_error(refused: Refused, counted: Path, runs: Path) -> None:
    assert refused("export", counted).startswith("Missing option '-o' ")
    assert refused("export", counted, "-o", "model.txt").startswith(
        "name the file to write, with the suffix .arpa"
    )
    assert "only n-gram models can be written" in refused("export", runs / "word", "-o", "model.arpa")
    assert refused("export", counted, "-o", "gone/model.arpa").startswith("cannot write gone/model.arpa")
    assert refused("import", "gone.arpa", "-o", "other") == "there is no ARPA file at gone.arpa"
    assert refused("import", "gone.arpa").startswith("Missing option '-o' ")
    Path("file").write_text("")
    Path("model.arpa").write_text(
        "\\data\\\nngram 1=2\n\n\\1-grams:\n-0.3 </s>\n-0.3 a\n\n\\end\\\n", encoding="utf-8"
    )
    assert refused("import", "model.arpa", "-o", "file/run").startswith(
        "cannot write the run folder file/run"
    )
