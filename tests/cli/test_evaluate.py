"""`elman eval`: its measures and their definitions."""

import json
import math
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import save_file

from elman.evaluation.perplexity import evaluate
from elman.models.adaptive.cache import CachedModel, NeuralCache
from elman.text_model import load
from support.tiny import STORY

Refused = Callable[..., str]
KEYS = {
    "versions",
    "unit",
    "perplexity",
    "perplexity_known_tokens",
    "perplexity_per_word",
    "bits_per_token",
    "bits_per_char",
    "bits_per_byte",
    "tokens",
    "unknown_tokens",
    "unknown_rule",
    "characters",
    "bytes",
    "lines",
    "words",
    "nll_nats",
    "vocab_size",
    "end_of_line",
    "first_token",
    "state",
}


@pytest.fixture
def measured(command: Any, runs: Path) -> Callable[..., dict[str, Any]]:
    """Evaluate one of the runs on a text, as JSON."""

    def run(name: str, text: str | bytes, *options: object) -> dict[str, Any]:
        stdin = text.encode() if isinstance(text, str) else text
        outcome = command("eval", runs / name, "-", "--json", *options, stdin=stdin)
        assert outcome.code == 0, outcome.err
        found: dict[str, Any] = json.loads(outcome.out)
        return found

    return run


@pytest.mark.parametrize(
    ("name", "unit", "tokens"),
    [
        ("word", "word", 77),
        ("char", "character", 312),
        ("byte", "byte", 312),
        ("korean", "character", 336),
        ("jamo", "jamo", 624),
    ],
)
def test_measures_are_consistent(measured: Any, name: str, unit: str, tokens: int) -> None:
    text = STORY if name not in ("korean", "jamo") else "톰 은 방 에 있었다 .\n" * 24
    found = measured(name, text)
    assert found.keys() == KEYS
    assert found["unit"] == unit
    assert found["tokens"] == tokens
    assert found["characters"] == len(text)
    assert found["bytes"] == len(text.encode())
    assert found["lines"] == text.count("\n")
    bits = found["nll_nats"] / math.log(2)
    assert found["unknown_tokens"] == 0
    assert found["perplexity"] == pytest.approx(math.exp(found["nll_nats"] / tokens))
    assert found["perplexity_known_tokens"] == pytest.approx(found["perplexity"])
    assert found["bits_per_token"] == pytest.approx(bits / tokens)
    assert found["bits_per_char"] == pytest.approx(bits / found["characters"])
    assert found["bits_per_byte"] == pytest.approx(bits / found["bytes"])
    assert found["words"] == len(text.split())
    per_word = found["nll_nats"] / (found["words"] + found["lines"])
    assert math.log(found["perplexity_per_word"]) == pytest.approx(per_word)


def test_command_and_library_agree(measured: Any, runs: Path) -> None:
    text_model = load(runs / "word")
    _, ids = text_model.encode(STORY)
    expected = evaluate(text_model.model, ids, eos=text_model.start_id)
    assert measured("word", STORY)["nll_nats"] == pytest.approx(expected.nll_nats)


def test_table_and_json_agree(command: Any, measured: Any, runs: Path) -> None:
    found = measured("word", STORY)
    lines = command("eval", runs / "word", runs / "story.txt").out.splitlines()
    rows = dict(re.split(r"\s{2,}", line, maxsplit=1) for line in lines)
    assert rows["perplexity per word"] == f"{found['perplexity']:.4f}"
    assert rows["perplexity per known word"] == f"{found['perplexity_known_tokens']:.4f}"
    assert rows["bits per character"] == f"{found['bits_per_char']:.4f}"
    assert rows["bits per byte"] == f"{found['bits_per_byte']:.4f}"
    assert rows["words"] == "77 in 4 lines, 312 characters"
    assert rows["unknown words"] == "0 (0.00%)"
    assert rows["vocabulary"] == "24"
    assert rows["end of line"] == "counted; the first word is predicted from the end of a line"
    assert rows["state"] == "carried through the text"


def test_unknown_words_of_a_closed_vocabulary_have_probability_0(
    command: Any, measured: Any, runs: Path
) -> None:
    found = measured("word", "tom was happy .\n")
    assert (found["tokens"], found["unknown_tokens"]) == (5, 1)
    assert found["unknown_rule"] == "probability 0: no <unk>"
    assert found["perplexity"] is None  # JSON has no infinity
    assert found["bits_per_char"] is None
    assert 1 < found["perplexity_known_tokens"] < 100
    outcome = command("eval", runs / "word", "-", stdin=b"tom was happy .\n")
    assert "perplexity per word        inf" in outcome.out
    assert "1 (20.00%), probability 0: no <unk>" in outcome.out
    (line,) = outcome.err.splitlines()
    assert line.startswith(
        "elman: 1 words are not in the vocabulary, which has no <unk>: the text has probability 0"
    )
    assert "--min-count 2" in line


def test_unknown_words_of_an_open_vocabulary_are_scored_as_unk(
    command: Any, measured: Any, runs: Path
) -> None:
    found = measured("open", "tom was happy .\n")
    assert (found["tokens"], found["unknown_tokens"]) == (5, 1)
    assert found["unknown_rule"] == "scored as <unk>"
    assert math.isfinite(found["perplexity"])
    assert found["perplexity"] != found["perplexity_known_tokens"]
    assert found["nll_nats"] == measured("open", "tom was <unk> .\n")["nll_nats"]
    outcome = command("eval", runs / "open", "-", stdin=b"tom was happy .\n")
    assert "1 (20.00%), scored as <unk>" in outcome.out
    assert outcome.err.startswith(
        "elman: 1 of 5 words (20.0%) are not in the vocabulary and were scored as <unk>, which says little about them;"
    )
    assert command("eval", runs / "open", "-", stdin=b"tom was <unk> .\n").err == ""


def test_of_a_text_of_unknown_characters_only_the_end_is_known(measured: Any) -> None:
    found = measured("char", "éüñ")
    assert (found["unknown_tokens"], found["tokens"]) == (3, 4)
    assert found["perplexity_known_tokens"] == pytest.approx(math.exp(found["nll_nats"]))


@pytest.mark.parametrize(("batch_size", "pieces"), [(1, 1), (4, 4), (100_000, 38)])
def test_batch_size_is_part_of_the_definition(measured: Any, batch_size: int, pieces: int) -> None:
    found = measured("word", STORY, "--batch-size", batch_size)
    expected = "carried through the text" if pieces == 1 else f"carried through each of {pieces} sequences"
    assert found["state"] == expected
    assert found["tokens"] == 77
    assert (
        measured("word", "tom zip zap zip", "--batch-size", batch_size)["state"] == "carried through the text"
    )


@pytest.mark.parametrize(
    ("options", "cached", "definition"),
    [
        (
            ("--cache", 50),
            lambda model: CachedModel(model, 50, 0.1),
            "P = 0.9·model + 0.1·cache: the word's relative frequency among the last 50 of its sequence",
        ),
        (
            ("--neural-cache", 1000, "--theta", 2, "--cache-weight", 0.25),
            lambda model: NeuralCache(model, 1000, 2, 0.25),
            "P = 0.75·model + 0.25·cache: the last 1,000 words of its sequence, each weighted by exp(2·h_t·h_i)",
        ),
    ],
    ids=["cache", "neural cache"],
)
def test_a_cache_is_part_of_the_definition(
    command: Any, measured: Any, runs: Path, options: Any, cached: Any, definition: str
) -> None:
    text_model = load(runs / "word")
    _, ids = text_model.encode(STORY)
    found = measured("word", STORY, *options)
    assert found.keys() == {*KEYS, "cache"}
    assert found["cache"] == definition
    expected = evaluate(cached(text_model.model), ids, eos=text_model.start_id)
    assert found["nll_nats"] == pytest.approx(expected.nll_nats)
    assert found["nll_nats"] != pytest.approx(measured("word", STORY)["nll_nats"])
    shown = command("eval", runs / "word", runs / "story.txt", *options)
    assert re.search(rf"^cache +{re.escape(definition)}$", shown.out, re.MULTILINE)
    assert "carried through the text" in shown.out


def test_ngram_model_takes_cache_but_no_neural_cache(
    command: Any, refused: Refused, runs: Path, tmp_path: Path
) -> None:
    story = runs / "story.txt"
    assert command("train", story, "--model", "ngram", "--valid", "none", "-o", "counted", "-q").code == 0
    found = json.loads(command("eval", "counted", story, "--cache", 20, "--json").out)
    assert found["cache"].endswith("the last 20 of its sequence")
    assert found["state"] == "reset on every line; the cache is carried through the text"
    assert refused("eval", "counted", story, "--neural-cache", 20) == (
        "a neural cache needs the hidden states of a recurrent model, which NgramModel does not have; "
        "use --cache SIZE"
    )


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--cache", 0), "the size of a cache must be ≥ 1 word, got 0"),
        (("--neural-cache", -1), "the size of a cache must be ≥ 1 word, got -1"),
        (("--cache", 9, "--cache-weight", 1), "the weight of a cache must be in [0, 1), got 1.0; try 0.1"),
        (
            ("--neural-cache", 9, "--theta", -1),
            "theta of a neural cache must be ≥ 0 and finite, got -1.0; try 0.3",
        ),
        (
            ("--cache", 9, "--neural-cache", 9),
            "--cache and --neural-cache cannot be used together; leave one",
        ),
        (("--cache", 9, "--theta", 1), "--theta applies only to a neural cache; add --neural-cache SIZE"),
        (
            ("--cache-weight", 0.1),
            "--cache-weight applies only to a cache; add --cache SIZE or --neural-cache SIZE",
        ),
    ],
)
def test_invalid_cache_options_are_refused(refused: Refused, runs: Path, options: Any, message: str) -> None:
    assert refused("eval", runs / "word", runs / "story.txt", *options).startswith(message)


def test_a_named_corpus_is_measured_on_its_test_part(command: Any, runs: Path, tmp_path: Path) -> None:
    outcome = command("eval", runs / "char", "hello", "--split", "train", "--json")
    assert json.loads(outcome.out)["lines"] == 50
    outcome = command("eval", runs / "char", "hello")
    assert outcome.code == 0
    assert outcome.err.startswith("hello has no split 'test'; reading its only one, 'train'\n")


def test_rooms_shows_the_lowest_possible_perplexity(command: Any, tmp_path: Path) -> None:
    small = ("--hidden=6", "--wordvec=5", "--batch-size=50", "--iterations=1", "--valid=none", "-q")
    assert command("train", "rooms", "-o", "run", *small).code == 0
    few = "".join(
        (Path(path).read_text()[:2000].rsplit("\n", 1)[0] + "\n") for path in _split(command, "test")
    )
    outcome = command("eval", "run", "-", stdin=few.encode())
    assert "lowest possible perplexity" in outcome.out
    found = json.loads(command("eval", "run", "-", "--json", stdin=few.encode()).out)
    assert 1 < found["lowest_possible_perplexity"] < found["perplexity"]


def _split(command: Any, split: str) -> list[str]:
    rows = [line.split("\t") for line in command("data", "rooms").out.splitlines()]
    return [path for name, path in rows if name == split]


def test_all_files_of_a_folder_are_measured(command: Any, runs: Path, tmp_path: Path) -> None:
    (tmp_path / "texts").mkdir()
    for name in ("a.txt", "b.txt"):
        (tmp_path / "texts" / name).write_text(STORY, encoding="utf-8")
    outcome = command("eval", runs / "word", "texts", "--json")
    assert json.loads(outcome.out)["lines"] == 8


@pytest.fixture
def model_files(tmp_path: Path, runs: Path) -> Path:
    """The test's own folder, with every kind of bad model file in it."""
    whole = (runs / "word" / "model.safetensors").read_bytes()
    (tmp_path / "head.safetensors").write_bytes(whole[:300])
    (tmp_path / "most.safetensors").write_bytes(whole[:-1])
    (tmp_path / "nothing.safetensors").touch()
    (tmp_path / "folder").mkdir()
    (tmp_path / "text.txt").write_text(STORY, encoding="utf-8")
    for name, metadata in {
        "foreign": None,
        "array": {"elman": "[]"},
        "later": {"elman": '{"format": 2}'},
        "kind": {"elman": '{"format": 1}'},
    }.items():
        save_file({"a": np.zeros(3)}, tmp_path / f"{name}.safetensors", metadata=metadata)
    return tmp_path


@pytest.mark.parametrize("verb", ["eval", "score", "generate"])
@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("gone", "there is no model at gone; `elman train` makes one"),
        ("folder", "there is no model at folder/model.safetensors; `elman train"),
        ("text.txt", "text.txt is truncated or is not a model file"),
        ("nothing.safetensors", "nothing.safetensors is truncated or is not a model file"),
        ("head.safetensors", "head.safetensors is truncated or is not a model file"),
        ("most.safetensors", "most.safetensors is truncated or is not a model file"),
        ("foreign.safetensors", "foreign.safetensors is a safetensors file, but not one that elman wrote"),
        ("array.safetensors", "array.safetensors: its description cannot be read"),
        ("later.safetensors", "later.safetensors has format 2, this elman reads format 1; use a newer elman"),
        ("kind.safetensors", "kind.safetensors holds a model of kind None, which this elman does not know"),
    ],
)
def test_bad_model_file_is_a_one_line_error(
    refused: Refused, model_files: Path, verb: str, name: str, message: str
) -> None:
    text = ["text.txt"] if verb != "generate" else []
    assert refused(verb, name, *text).startswith(message)
