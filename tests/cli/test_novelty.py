"""`elman generate --novelty`: what is copied from which text, for every kind of token and model."""

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from support.command_line import SMALL
from support.tiny import STORY

Refused = Callable[..., str]
GENERATE = ("generate", "run", "-n", 40, "--seed", 1)
KOREAN = "톰은 방에 있었다.\n메리가 방에 들어왔다.\n애나가 톰에게 인사했다.\n톰은 방을 나갔다.\n"


def counted(command: Any, text: str, *options: object, run: str = "run") -> None:
    """Make an n-gram run of a text, which is then in text.txt."""
    Path("text.txt").write_text(text, encoding="utf-8")
    outcome = command("train", "text.txt", "--model", "ngram", "--order", 3, "-o", run, *options)
    assert outcome.code == 0, outcome.err


def report_of(command: Any, *arguments: object) -> dict[str, Any]:
    """The JSON object that a command prints."""
    outcome = command(*arguments, "--json")
    assert (outcome.code, outcome.err) == (0, "")
    found: dict[str, Any] = json.loads(outcome.out)
    return found


def rows(table: str) -> dict[str, str]:
    return {row[:14].strip(): row[14:].strip() for row in table.splitlines()}


def test_report_goes_to_standard_error(command: Any) -> None:
    counted(command, STORY)
    outcome = command(*GENERATE, "--novelty")
    assert outcome.code == 0
    assert outcome.out == command(*GENERATE).out
    found = rows(outcome.err)
    assert found["compared with"] == "text.txt, 77 words"
    assert found["new 1-grams"] == "0.00%  0 of 40"
    assert found["new 6-grams"].endswith(" of 35")
    assert json.loads(found["its text"]).strip() in outcome.out


@pytest.mark.parametrize("level", ["word", "char", "jamo", "byte"])
def test_longest_copy_is_found_on_its_line(command: Any, level: str) -> None:
    counted(command, KOREAN, "--level", level)
    found = report_of(command, *GENERATE, "--novelty")
    novelty = found["novelty"]
    copied = re.sub("[\ufffd\u1100-\u11ff]", "", novelty["longest_text"])  # without parts of characters
    assert copied in KOREAN
    assert copied in found["text"]
    lines = [1 + KOREAN.count("\n", 0, k) for k in range(len(KOREAN)) if KOREAN.startswith(copied, k)]
    assert novelty["longest_line"] in lines
    assert novelty["longest_characters"] == len(novelty["longest_text"])
    assert list(novelty["new_share"]) == [str(n) for n in range(1, 7 if level == "word" else 11)]


def test_a_copied_word_is_a_whole_word(command: Any) -> None:
    counted(command, "a catalogue of cats\n")
    Path("other.txt").write_text("the catalogues of cats of\n", encoding="utf-8")
    found = report_of(command, "generate", "run", "--greedy", "-n", 4, "--novelty-text", "other.txt")
    assert found["text"] == "a catalogue of cats"
    assert found["novelty"]["longest_text"] == "of cats"
    assert found["novelty"]["new_share"]["1"] == 0.5


def test_prompt_does_not_count_as_copied(command: Any) -> None:
    counted(command, STORY)
    words = " ".join(STORY.split()[:8])
    found = report_of(command, "generate", "run", "--prompt", words, "-n", 0, "--novelty")
    assert (found["prompt"], found["text"], found["tokens"]) == (words, words, 0)
    assert (found["novelty"]["longest_tokens"], found["novelty"]["new_share"]) == (0, {})
    assert command("generate", "run", "-n", 0, "--novelty").err.splitlines()[1] == "longest copy   none"


def test_json_without_novelty_is_the_text(command: Any) -> None:
    counted(command, STORY)
    found = report_of(command, *GENERATE)
    assert found == {
        "prompt": "",
        "text": command(*GENERATE).out.removesuffix("\n"),
        "unit": "word",
        "tokens": 40,
    }


def test_novelty_text_names_another_text(command: Any) -> None:
    counted(command, "x y z\n")
    other = "q q\n\nx y z y\nx y z x\n"
    arguments = ("generate", "run", "--greedy", "-n", 3)
    outcome = command(*arguments, "--novelty-text", "-", "--json", stdin=other.encode("utf-16"))
    assert "byte 0xff at offset 0 (line 1) is not utf-8" in outcome.err
    outcome = command(
        *arguments, "--novelty-text", "-", "--encoding", "utf-16", "--json", stdin=other.encode("utf-16")
    )
    novelty = json.loads(outcome.out)["novelty"]
    assert (novelty["longest_text"], novelty["longest_line"]) == ("x y z", 3)
    assert novelty["new_share"] == {"1": 0, "2": 0, "3": 0}


def test_all_kinds_of_runs_know_their_text(command: Any) -> None:
    counted(command, STORY, run="ngram")
    assert command("train", "text.txt", *SMALL, "-o", "rnn").code == 0
    assert command("mix", "rnn", "ngram", "--tune", "text.txt", "-o", "mix").code == 0
    assert command("mix", "mix", "ngram", "--tune", "text.txt", "-o", "mix of mix").code == 0
    for run in ("ngram", "rnn", "rnn/last.safetensors", "mix", "mix of mix"):
        outcome = command("generate", run, "-n", 9, "--novelty")
        assert outcome.code == 0, outcome.err
        assert outcome.err.startswith("compared with  text.txt, 77 words\n")


def test_a_text_is_compared_as_it_was_read(command: Any) -> None:
    text = "one two three .\n" * 3 + "four five six .\n"
    Path("text.txt").write_text(text, encoding="utf-16")
    options = ("--model", "ngram", "--encoding", "utf-16", "--max-tokens", 15)
    assert command("train", "text.txt", *options, "-o", "run").code == 0
    Path("lone.safetensors").write_bytes(Path("run/model.safetensors").read_bytes())
    for run in ("run", "lone.safetensors"):
        assert command("generate", run, "--novelty").err.startswith("compared with  text.txt, 15 words\n")


def test_a_model_in_the_folder_of_another_run_keeps_to_its_own_text(command: Any) -> None:
    counted(command, KOREAN)
    Path("text.txt").rename("korean.txt")
    counted(command, STORY, run="other")
    assert command("train", "korean.txt", "--model", "ngram", "-o", "run", "--overwrite").code == 0
    Path("other/guest.safetensors").write_bytes(Path("run/model.safetensors").read_bytes())
    compared = command("generate", "other/guest.safetensors", "--novelty").err
    assert compared.startswith("compared with  korean.txt, ")


def test_what_was_held_out_is_not_the_training_text(command: Any) -> None:
    text = STORY * 4 + "a new line at the end\n"
    counted(command, text, "--valid", "auto", "--allow-overlap", "--min-count", 2)
    learnt = command("generate", "run", "--novelty").err.splitlines()[0]
    assert learnt.startswith("compared with  text.txt, ")
    assert int(learnt.split()[-2]) < 0.96 * len(text.replace("\n", " <eos> ").split())
    Path("lone.safetensors").write_bytes(Path("run/model.safetensors").read_bytes())
    assert command("generate", "lone.safetensors", "--novelty").err.startswith(learnt)


def test_changed_or_missing_training_text_is_refused(command: Any, refused: Refused) -> None:
    counted(command, STORY)
    Path("lone.safetensors").write_bytes(Path("run/model.safetensors").read_bytes())
    advice = "restore it, or give a text to compare with: --novelty-text TEXT"
    Path("text.txt").write_text(STORY + "mary left .\n", encoding="utf-8")
    for run in ("run", "lone.safetensors"):
        message = refused("generate", run, "--novelty")
        assert message.startswith(f"the training text of {run}, ")
        assert "text.txt, has changed since (its SHA-256 begins with " in message
        assert message.endswith(advice)
    Path("text.txt").unlink()
    for run in ("run", "lone.safetensors"):
        message = refused("generate", run, "--novelty", "--json")
        assert message.startswith(f"the training text of {run} cannot be read: there is no file")
        assert message.endswith(advice)


def test_model_without_one_training_text_needs_novelty_text(command: Any, refused: Refused) -> None:
    counted(command, STORY, run="one")
    assert command("export", "one", "-o", "one.arpa").code == 0
    assert refused("generate", "one.arpa", "--novelty") == (
        "one.arpa does not record its training text; give a text to compare with: --novelty-text TEXT"
    )
    assert command("generate", "one.arpa", "--novelty-text", "text.txt", "-n", 9).code == 0
    Path("text.txt").write_text(STORY.replace(".\n", ". .\n"), encoding="utf-8")
    assert command("train", "text.txt", "--model", "ngram", "-o", "two").code == 0
    assert command("mix", "one", "two", "--tune", "text.txt", "-o", "mix").code == 0
    assert "the models in mix have different training texts (text.txt and text.txt)" in refused(
        "generate", "mix", "--novelty"
    )
