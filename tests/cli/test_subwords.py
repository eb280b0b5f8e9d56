"""Models of subwords on the command line: train, evaluate, generate, export."""

import json
import math
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import tokenizers

from elman.errors import MissingExtra
from elman.text.subword_training import train_subwords
from elman.text.tokenizers import SubwordTokenizer
from elman.text_model import load
from elman.training.run import TrainingRun

Refused = Callable[..., str]
LINES = [
    "톰은 방에 있었다 .",
    "메리가  방에 들어왔다 .",
    "\t애나가 톰에게 인사했다 .",
    "Tom was in the room.",
]
TEXT = "".join(f"{line}\n" for line in LINES * 12) + "뷁 끝 👨‍👩‍👧\n"
SMALL = ("--hidden", 6, "--wordvec", 5, "--batch-size", 2, "--time-size", 4, "--epochs", 1, "-q")


@pytest.fixture
def text(command: Any, tmp_path: Path) -> Path:
    path = tmp_path / "text.txt"
    path.write_text(TEXT, encoding="utf-8")
    return path


@pytest.fixture
def trained(command: Any, text: Path) -> Callable[..., Path]:
    def train(name: str, *options: object) -> Path:
        small = () if "ngram" in options else SMALL
        outcome = command("train", text, "-o", name, "--level", "subword", *small, *options)
        assert outcome.code == 0, outcome.err
        return Path(name)

    return train


@pytest.mark.parametrize("kind", ["bpe", "unigram"])
def test_model_file_needs_no_other_file(command: Any, trained: Any, tmp_path: Path, kind: str) -> None:
    run = trained("run", "--subwords", kind, "--vocab-size", 320, "--valid", "auto")
    shutil.copy(run / "model.safetensors", "alone.safetensors")
    shutil.rmtree(run)
    outcome = command("eval", "alone.safetensors", tmp_path / "text.txt")
    assert "perplexity per subword" in outcome.out
    assert "perplexity per word" in outcome.out
    assert "unknown subwords              0 (0.00%)" in outcome.out
    found = json.loads(command("eval", "alone.safetensors", tmp_path / "text.txt", "--json").out)
    assert found["words"] == len(TEXT.split())
    assert found["characters"] == len(TEXT)
    assert found["bits_per_char"] == pytest.approx(found["nll_nats"] / math.log(2) / len(TEXT))
    per_word = found["nll_nats"] / (len(TEXT.split()) + TEXT.count("\n"))
    assert math.log(found["perplexity_per_word"]) == pytest.approx(per_word)
    scores = command("score", "alone.safetensors", "-", stdin=TEXT.encode()).out.splitlines()[1:]
    assert [line.split("\t", 5)[-1] for line in scores] == TEXT.splitlines()


def test_the_tokenizer_is_learnt_from_the_training_text_only(trained: Any) -> None:
    run = load(trained("run", "--vocab-size", 320, "--valid", "auto"))
    latest = len(TEXT) - int(0.05 * len(TEXT))
    learnt = TEXT[: TEXT.rfind("\n", 0, latest) + 1]
    assert "뷁" not in learnt
    assert run.tokenizer.json == train_subwords([learnt], "bpe", 320)
    assert run.tokenizer.json != train_subwords([TEXT], "bpe", 320)
    assert run.info["max_tokens"] == len(run.encode(learnt)[1])


def test_resumed_training_equals_uninterrupted_training(command: Any, trained: Any, text: Path) -> None:
    options = ("--vocab-size", 320, "--valid", "auto", "--epochs", 2)
    once = trained("once", *options)
    twice = trained("twice", *options, "--iterations", 7)
    assert command("train", "--resume", twice, "--iterations", 0, "-q").code == 0
    assert (twice / "model.safetensors").read_bytes() == (once / "model.safetensors").read_bytes()


def test_generated_text_continues_the_prompt(command: Any, trained: Any) -> None:
    run = trained("run", "--vocab-size", 320)
    outcome = command("generate", run, "--prompt", " 메리가  뷁", "-n", 30, "--seed", 1, "--novelty")
    assert outcome.out.startswith(" 메리가  뷁")
    assert "\ufffd" not in outcome.out
    assert "subwords" in outcome.err
    drawn = json.loads(command("generate", run, "-n", 30, "--seed", 1, "--json").out)
    assert drawn["unit"] == "subword"
    assert drawn["tokens"] == 30


def test_tokens_are_shown_as_people_read_them(command: Any, trained: Any) -> None:
    run = trained("run", "--vocab-size", 320)
    line = "톰은  뷁"
    shown = [
        row.split("\t")[1]
        for row in command("score", run, "--per-token", stdin=line.encode()).out.splitlines()[1:]
    ]
    assert shown[-1] == "<eos>"
    assert shown[0] == "톰은"
    assert shown[-2].startswith("\\x")


def test_tokenizer_export_and_import_round_trip(command: Any, trained: Any, refused: Refused) -> None:
    run = trained("first", "--vocab-size", 320, "--model", "ngram", "--order", 2)
    assert command("export", run, "-o", "mine.json").out == "mine.json\n"
    assert command("export", run, "--to", "tokenizer", "-o", "again.json").code == 0
    assert Path("again.json").read_bytes() == Path("mine.json").read_bytes()
    theirs = tokenizers.Tokenizer.from_file("mine.json")
    model = load(run)
    ids = theirs.encode("톰은 뷁  방에").ids
    assert ids == model.encode("톰은 뷁  방에")[1].tolist()
    assert theirs.decode(ids) == "톰은 뷁  방에"
    second = trained("second", "--tokenizer", "mine.json", "--max-tokens", 200)
    assert load(second).tokenizer == model.tokenizer
    Path("mine.json").unlink()
    assert command("train", "--resume", second, "--epochs", 2, "-q").code == 0
    assert command("generate", second, "-n", 5, "--novelty").code == 0
    assert command("mix", run, second, "--tune", "text.txt", "-o", "mixed").code == 0


def test_windows_take_subwords_too(command: Any, text: Path) -> None:
    options = ("--level", "subword", "--vocab-size", 300, "--model", "cbow", "--epochs", 1, "-q")
    assert command("train", text, "-o", "cbow", "--wordvec", 5, "--batch-size", 2, *options).code == 0
    assert "the last 5 subwords" in command("eval", "cbow", text).out


def test_conflicting_options_are_refused(refused: Refused, trained: Any, text: Path) -> None:
    subword = ("train", text, "-o", "run", "--level", "subword")
    assert "--vocab-size applies only to --level subword, but level is 'word'" in refused(
        "train", text, "-o", "run", "--vocab-size", 300
    )
    assert "--max-vocab does not apply to --level subword" in refused(*subword, "--max-vocab", 300)
    assert "--max-tokens counts subwords" in refused(*subword, "--max-tokens", 9)
    assert "must be an integer ≥ 257" in refused(*subword, "--vocab-size", 256)
    assert "the tokenizer none.json cannot be read" in refused(*subword, "--tokenizer", "none.json")
    given = ("--tokenizer", "t.json", "--subwords", "unigram")
    assert "--subwords cannot be combined with a given --tokenizer" in refused(*subword, *given)
    one = trained("one", "--vocab-size", 300)
    assert "with the suffix .json" in refused("export", one, "--to", "tokenizer", "-o", "t.arpa")
    other = trained("other", "--vocab-size", 300, "--subwords", "unigram")
    assert "cannot be mixed" in refused("mix", one, other, "--tune", text, "-o", "mixed")


def test_only_models_of_subwords_have_a_tokenizer_to_write(refused: Refused, runs: Path) -> None:
    assert "this is a model of words" in refused("export", runs / "word", "-o", "t.json")


def test_missing_tokenizers_library_is_a_one_line_error(
    trained: Any, refused: Refused, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = trained("run", "--vocab-size", 300)
    monkeypatch.setitem(sys.modules, "tokenizers", None)
    with pytest.raises(MissingExtra, match=r"pip install 'elman\[subword\]'"):
        load(run)
    assert "pip install 'elman[subword]'" in refused("eval", run, "text.txt")
    assert "pip install 'elman[subword]'" in refused("train", "--resume", run, "--epochs", 2)


def test_different_tokenizers_of_one_vocabulary_are_not_mixed(trained: Any, refused: Refused) -> None:
    run = trained("one", "--vocab-size", 300)
    data = json.loads(load(run).tokenizer.json)
    data["model"]["merges"].reverse()
    Path("other.json").write_text(json.dumps(data), encoding="utf-8")
    other = trained("other", "--tokenizer", "other.json")
    assert "they split words into different subwords" in refused(
        "mix", run, other, "--tune", "text.txt", "-o", "m"
    )


def test_a_run_can_be_made_without_the_command_line(text: Path) -> None:
    from support.runs import small_config

    run = TrainingRun.create(Path("run"), str(text), small_config(level="subword", vocab_size=300))
    assert isinstance(run.text_model.tokenizer, SubwordTokenizer)
    assert "\ufffd" not in run.sample(20)
