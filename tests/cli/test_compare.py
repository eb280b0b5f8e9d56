"""`elman compare`: rankings, measures that agree with `elman eval`, and what is refused."""

import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from elman.formats.model_file import save_model
from elman.models.mixture import Mixture
from elman.text_model import TextModel
from support.ngrams import sentence_model
from support.tiny import STORY, text_model

Refused = Callable[..., str]


@pytest.fixture(autouse=True)
def _models(command: Any) -> None:
    """Keep models of the story in the test's folder, three of them of one vocabulary, and the story twice."""
    recurrent, counted = text_model(), sentence_model()
    mixed = TextModel(
        Mixture([recurrent.model, counted.model], [0.5, 0.5]), counted.tokenizer, counted.vocabulary
    )
    models = {"rnn": recurrent, "kn": counted, "mix": mixed, "char": text_model("char")}
    models["open"] = sentence_model(min_count=2)
    for name, model in models.items():
        save_model(f"{name}.safetensors", model)
    Path("story.txt").write_text(STORY * 2, encoding="utf-8")


def compared(command: Any, *names: str, text: str = "story.txt", stdin: bytes = b"") -> dict[str, Any]:
    outcome = command("compare", *(f"{name}.safetensors" for name in names), text, "--json", stdin=stdin)
    assert (outcome.code, outcome.err) == (0, "")
    found: dict[str, Any] = json.loads(outcome.out)
    return found


def test_models_of_one_vocabulary_are_ranked_by_perplexity(command: Any) -> None:
    found = compared(command, "rnn", "mix", "kn")
    assert (found["ranked_by"], found["seed"]) == ("perplexity", 0)
    best, *others = found["models"]
    assert [best["model"], others[0]["model"]] == ["kn.safetensors", "mix.safetensors"]
    assert best["difference_from_best"] is None
    for other in others:
        bits = (other["nll_nats"] - best["nll_nats"]) / math.log(2)
        difference = other["difference_from_best"]
        assert difference["lines"] == other["lines"] == 8
        assert difference["bits"] == pytest.approx(bits / 8, rel=1e-6)
        assert difference["low"] <= difference["bits"] <= difference["high"]
        assert 0 < difference["p"] < 0.05


def test_the_numbers_are_those_of_eval(command: Any) -> None:
    for model in compared(command, "rnn", "kn")["models"]:
        said = json.loads(command("eval", model["model"], "story.txt", "--json").out)
        assert said.items() <= model.items()
        assert model["file_bytes"] == Path(model["model"]).stat().st_size
        assert model["tokens_per_second"] > 0
    rnn = text_model().model
    assert compared(command, "kn", "rnn")["models"][1]["parameters"] == sum(w.size for w in rnn.params)


def test_models_of_other_units_are_ranked_by_bits_per_character(command: Any) -> None:
    found = compared(command, "char", "kn", text="-", stdin=STORY.encode())
    assert found["ranked_by"] == "bits_per_char"
    assert [model["model"] for model in found["models"]] == ["kn.safetensors", "char.safetensors"]
    assert found["models"][1]["difference_from_best"]["lines"] == 4


def test_unknown_words_make_models_incomparable(command: Any) -> None:
    found = compared(command, "open", "kn")
    assert found["ranked_by"] is None
    assert [model["model"] for model in found["models"]] == ["open.safetensors", "kn.safetensors"]
    assert all(model["difference_from_best"] is None for model in found["models"])
    outcome = command("compare", "open.safetensors", "kn.safetensors", "story.txt")
    assert "ranked       not at all: the models' vocabularies differ (" in outcome.out
    assert "unknown tokens are scored as <unk>, not as the word in the text" in outcome.out
    assert "sign flips" not in outcome.out


def test_unknown_words_of_a_closed_vocabulary(command: Any) -> None:
    """Of one vocabulary it is left out; another model's probability 0 comes last."""
    Path("other.txt").write_text("tom was here .\nmary was asleep .\n", encoding="utf-8")
    found = compared(command, "rnn", "kn", text="other.txt")
    assert found["ranked_by"] == "perplexity_known_tokens"
    assert [model["perplexity"] for model in found["models"]] == [None, None]
    assert found["models"][1]["difference_from_best"]["bits"] > 0
    found = compared(command, "kn", "char", text="other.txt")
    assert found["ranked_by"] == "bits_per_char"
    assert [model["model"] for model in found["models"]] == ["char.safetensors", "kn.safetensors"]
    assert found["models"][1]["bits_per_char"] is found["models"][1]["difference_from_best"] is None


def test_table_defines_its_numbers(command: Any) -> None:
    outcome = command("compare", "rnn.safetensors", "kn.safetensors", "story.txt")
    assert (outcome.code, outcome.err) == (0, "")
    table, definition = outcome.out.split("\n\n")
    head, best, other = (line.split() for line in table.splitlines())
    assert head[:5] == ["model", "perplexity", "per", "bits/char", "unknown"]
    assert (best[0], len(best)) == ("kn.safetensors", 8)
    assert (other[0], len(other), other[8][0]) == ("rnn.safetensors", 13, "+")
    said = [line.split(maxsplit=1) for line in definition.splitlines()]
    assert ["state", "kn.safetensors: reset on every line"] in said
    assert ["state", "rnn.safetensors: carried through the text"] in said
    assert ["ranked", "by perplexity: all predict the same words, of the same vocabulary of 24"] in said


def test_runs_must_be_different_and_come_before_the_text(command: Any, refused: Refused) -> None:
    advice = "name two or more different models to compare, and then the text"
    assert refused("compare", "kn.safetensors", "story.txt") == advice
    twice = "kn.safetensors is given twice; name different models"
    assert refused("compare", "kn.safetensors", "kn.safetensors", "story.txt") == twice
    Path("run").mkdir()
    Path("kn.safetensors").rename("run/model.safetensors")
    assert refused("compare", "rnn.safetensors", "mix.safetensors", "run").startswith(
        "run is a run, not a text"
    )
