"""`elman generate`: streamed, reproducible, and true to the prompt."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from support.waiting import LONG

Refused = Callable[..., str]


@pytest.fixture
def written(command: Any, runs: Path) -> Callable[..., str]:
    """What one of the runs writes, without a word on stderr."""

    def run(name: str, *options: object) -> str:
        outcome = command("generate", runs / name, *options)
        assert (outcome.code, outcome.err) == (0, "")
        text: str = outcome.out
        return text

    return run


def test_seed_determines_the_text(written: Any) -> None:
    first = written("word", "-n", 40, "--seed", 1)
    assert first == written("word", "-n", 40, "--seed", 1)
    assert first != written("word", "-n", 40, "--seed", 2)
    assert len({written("word", "-n", 40) for _ in range(3)}) == 3


def test_temperature_0_is_greedy_whatever_the_seed(written: Any) -> None:
    greedy = written("char", "-n", 30, "--greedy")
    assert greedy == written("char", "-n", 30, "--temperature", 0, "--seed", 5)
    assert greedy == written("char", "-n", 30, "--top-k", 1)
    assert greedy == written("char", "-n", 30, "--top-p", "1e-9", "--seed", 6)
    assert greedy != written("char", "-n", 30, "--seed", 5)


@pytest.mark.parametrize(
    ("name", "prompt"),
    [
        ("word", "tom was asleep"),
        ("char", "tom was asleep ."),
        ("byte", "tom — 톰\n은 🙂"),
        ("korean", "톰 은 방 에\n있었다"),
        ("jamo", "톰 은 방 에\n있었다 ."),
        ("word", ""),
    ],
)
def test_text_begins_with_the_prompt(written: Any, name: str, prompt: str) -> None:
    assert written(name, "-n", 0, "--prompt", prompt) == prompt + "\n"
    text = written(name, "-n", 20, "--prompt", prompt, "--seed", 3)
    assert text.startswith(prompt)
    assert len(text) > len(prompt) + 10


def test_the_length_is_in_tokens(written: Any) -> None:
    assert len(written("korean", "-n", 25, "--seed", 1)) == 25 + 1
    words = written("word", "-n", 25, "--seed", 1)
    assert len(words.replace("\n", " . ").split()) in (25, 26)  # an end of line is a token


def test_a_prompt_changes_what_follows(written: Any) -> None:
    texts = {written("char", "-n", 60, "--seed", 1, "--prompt", prompt)[4:] for prompt in ("mary", "bob ")}
    assert len(texts) == 2


@pytest.mark.parametrize(
    ("name", "prompt", "line"),
    [
        ("word", "zip tom zap zip", "not in the vocabulary, left out: zip zap"),
        ("word", "zip zap", "not in the vocabulary, left out: zip zap"),
        ("open", "zip zap", "not in the vocabulary, read as <unk>: zip zap"),
        ("char", "é", "not in the vocabulary, left out: é"),
        ("word", "\udce9", "not in the vocabulary, left out: ?"),
    ],
)
def test_unknown_word_in_the_prompt_is_a_warning(
    command: Any, runs: Path, name: str, prompt: str, line: str
) -> None:
    outcome = command("generate", runs / name, "-n", 8, "--prompt", prompt)
    assert outcome.code == 0
    assert outcome.err == f"elman: {line}\n"
    assert len(outcome.out) > len(prompt) + 8


def test_unk_is_drawn_only_if_allowed(written: Any) -> None:
    assert "<unk>" in written("open", "-n", 400, "--unk", "--seed", 1)
    assert "<unk>" not in written("open", "-n", 400, "--seed", 1)


def test_bytes_come_out_as_whole_characters(process: Any, runs: Path) -> None:
    with process("generate", runs / "byte", "-n", 600, "--seed", 1, "--prompt", "톰") as running:
        out, errors = running.communicate(timeout=LONG)
    assert errors == b""
    text = out.decode("utf-8")  # strictly: half a character would be an error
    assert text.startswith("톰")
    assert any("가" <= character <= "힣" for character in text[1:]) or "\N{REPLACEMENT CHARACTER}" in text


@pytest.mark.parametrize(
    ("option", "value", "message"),
    [
        ("--temperature", "-1", "temperature must be ≥ 0 (0: greedy) and finite, got -1.0"),
        ("--temperature", "nan", "temperature must be ≥ 0 (0: greedy) and finite, got nan"),
        ("--temperature", "inf", "and finite, got inf"),
        ("--temperature", "hot", "'hot' is not a valid float"),
        ("--top-p", "0", "top_p must be in (0, 1], got 0.0"),
        ("--top-p", "1.5", "top_p must be in (0, 1], got 1.5"),
        ("--top-p", "nan", "top_p must be in (0, 1], got nan"),
        ("--top-k", "-1", "top_k must be ≥ 1, or 0 for all tokens; got -1"),
        ("-n", "-1", "Invalid value for '-n' / '--length': -1"),
        ("--seed", "-1", "Invalid value for '--seed': -1"),
    ],
)
def test_invalid_value_is_a_one_line_error(
    refused: Refused, runs: Path, option: str, value: str, message: str
) -> None:
    assert message in refused("generate", runs / "word", option, value)
