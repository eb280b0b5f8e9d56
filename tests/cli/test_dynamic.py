"""Dynamic evaluation on the command line: it changes how a text is read, never the saved model."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from elman.evaluation.perplexity import evaluate
from elman.models.adaptive.cache import NeuralCache
from elman.models.adaptive.dynamic import DynamicModel
from elman.models.adaptive.learner import mean_squares
from elman.models.mixture import Mixture
from elman.text_model import load
from support.command_line import SMALL, contents
from support.tiny import STORY

Refused = Callable[..., str]
VALID = "ann was reading in his room . tom came into his room and said hi to ann .\nmary was singing .\n"
PLAIN = ("--dynamic", "--dynamic-step", "plain", "--dynamic-lr", 0.3)
CACHE = ("--neural-cache", 20, "--theta", 0.5, "--cache-weight", 0.2)


@pytest.fixture
def runs(command: Any, story: Path) -> Path:
    """A recurrent run, rnn, and an n-gram run, ngram, of one text; also valid.txt."""
    Path("valid.txt").write_text(VALID, encoding="utf-8")
    shared = ("--min-count", 2)
    assert command("train", story, *SMALL, *shared, "--cell", "lstm", "-o", "rnn").code == 0
    assert command("train", story, "--model", "ngram", *shared, "-o", "ngram").code == 0
    return story


def rows_of(table: str) -> dict[str, str]:
    rows = (line.split("  ", 1) for line in table.splitlines())
    return {name: value.strip() for name, value in rows}


def perplexity(command: Any, *arguments: object) -> float:
    outcome = command("eval", *arguments)
    assert outcome.code == 0
    assert all(
        "are not in the vocabulary and were scored as <unk>" in line for line in outcome.err.splitlines()
    )
    return float(rows_of(outcome.out)["perplexity per word"])


def test_eval_adapts_without_changing_the_run(command: Any, runs: Path) -> None:
    kept = contents(Path("rnn"))
    Path("valid.txt").write_text(8 * VALID, encoding="utf-8")
    static = perplexity(command, "rnn", "valid.txt")
    table = rows_of(command("eval", "rnn", "valid.txt", *PLAIN).out)
    assert float(table["perplexity per word"]) < static
    assert table["dynamic"].startswith(
        "a step every 20 tokens: plain gradients, clipped to norm 1, lr 0.3, decay 0"
    )
    assert table["state"] == "carried through the text"
    assert contents(Path("rnn")) == kept
    assert perplexity(command, "rnn", "valid.txt") == static


def test_mean_squares_come_from_training_text_or_given_text(command: Any, runs: Path) -> None:
    text_model = load("rnn")
    vocabulary, found = text_model.vocabulary, []
    for text in (STORY, VALID):
        squares = mean_squares(text_model.model, text_model.encode(text, end=True)[1], 4)
        model = DynamicModel(text_model.model, 0.01, 0.1, 4, squares, clip_norm=None)
        ids = text_model.encode(VALID, end=True)[1]
        found.append(evaluate(model, ids, eos=vocabulary.eos_id).perplexity)
    options = ("--dynamic", "--dynamic-lr", 0.01, "--dynamic-decay", 0.1, "--dynamic-block", 4)
    assert perplexity(command, "rnn", "valid.txt", *options) == pytest.approx(found[0], rel=1e-4)
    given = perplexity(command, "rnn", "valid.txt", *options, "--dynamic-text", "valid.txt")
    assert given == pytest.approx(found[1], rel=1e-4)
    assert found[0] != pytest.approx(found[1], rel=1e-4)


def test_mixture_is_tuned_with_adapting_members(command: Any, runs: Path) -> None:
    outcome = command("mix", "rnn", "ngram", "--tune", "valid.txt", *PLAIN, *CACHE, "-o", "mix")
    assert (outcome.code, outcome.err) == (0, "")
    numbers = [line.split("\t")[1] for line in outcome.out.splitlines()[1:]]
    assert perplexity(command, "rnn", "valid.txt", *PLAIN, *CACHE) == float(numbers[0])
    assert perplexity(command, "ngram", "valid.txt") == float(numbers[1])
    table = rows_of(command("eval", "mix", "valid.txt", *PLAIN, *CACHE).out)
    assert table["perplexity per word"] == numbers[2]
    assert table["dynamic"].startswith("each recurrent or window member: a step every 20 tokens")
    assert table["cache"].startswith("each recurrent member: P = 0.8·model + 0.2·cache")

    mixed = load("mix").model  # the members as they were trained
    assert isinstance(mixed, Mixture)
    text_model = load("rnn")
    assert (mixed.models[0].params[0] == text_model.model.params[0]).all()  # type: ignore[attr-defined]
    adapting = NeuralCache(DynamicModel(mixed.models[0], 0.3), 20, 0.5, 0.2)
    by_hand = Mixture([adapting, mixed.models[1]], mixed.weights)
    ids = text_model.encode(VALID, end=True)[1]
    expected = evaluate(by_hand, ids, eos=text_model.vocabulary.eos_id).perplexity
    assert float(numbers[2]) == pytest.approx(expected, rel=1e-4)


def test_unigram_cache_applies_to_the_whole_mixture(command: Any, runs: Path) -> None:
    command("mix", "rnn", "ngram", "--tune", "valid.txt", "-o", "mix")
    table = rows_of(command("eval", "mix", "valid.txt", *PLAIN, "--cache", 5).out)
    assert table["dynamic"].startswith("each recurrent or window member: ")
    assert table["cache"].startswith("P = 0.9·model")


def test_window_model_adapts_but_has_no_hidden_states(command: Any, refused: Refused, runs: Path) -> None:
    shared = ("--min-count", 2, *SMALL, "--model", "nplm", "--window", 2)
    assert command("train", runs, *shared, "-o", "nplm").code == 0
    assert perplexity(command, "nplm", "valid.txt", *PLAIN) != perplexity(command, "nplm", "valid.txt")
    assert "use --cache SIZE" in refused("eval", "nplm", "valid.txt", *PLAIN, *CACHE)
    outcome = command("mix", "nplm", "rnn", "--tune", "valid.txt", *PLAIN, *CACHE, "-o", "mix")
    (nplm, rnn) = (line.split("\t")[1] for line in outcome.out.splitlines()[1:3])
    assert perplexity(command, "nplm", "valid.txt", *PLAIN) == float(nplm)
    assert perplexity(command, "rnn", "valid.txt", *PLAIN, *CACHE) == float(rnn)


def test_conflicting_options_are_refused(command: Any, refused: Refused, runs: Path) -> None:
    message = refused("eval", "ngram", "valid.txt", "--dynamic")
    assert message.endswith("trained by gradient descent, which NgramModel is not; use --cache SIZE")
    assert refused("eval", "rnn", "valid.txt", "--dynamic-lr", 1).startswith("--dynamic-lr applies only to")
    both = ("--dynamic-step", "plain", "--dynamic-text", "valid.txt")
    assert "--dynamic-text applies only to --dynamic-step scaled" in refused(
        "eval", "rnn", "valid.txt", "--dynamic", *both
    )
    assert "≥ 1 token, got 0" in refused("eval", "rnn", "valid.txt", *PLAIN, "--dynamic-block", 0)
    command("train", runs, "--model", "ngram", "--min-count", 2, "--order", 2, "-o", "bigrams")
    mix = ("mix", "ngram", "bigrams", "--tune", "valid.txt", "-o", "mix")
    assert "NgramModel is not; use `cache=SIZE`" in refused(*mix, "--dynamic")
    assert "NgramModel does not have; use `cache=SIZE`" in refused(*mix, *CACHE)
    assert "add --neural-cache SIZE" in refused(*mix, "--theta", 1)
    runs.unlink()
    assert "name a text with --dynamic-text TEXT" in refused("eval", "rnn", "valid.txt", "--dynamic")
