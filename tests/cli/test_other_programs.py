"""Export to PyTorch and ONNX, and import from PyTorch, on the command line."""

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from support.command_line import SMALL, contents

Refused = Callable[..., str]


def test_to_pytorch_and_back(command: Any, runs: Path) -> None:
    outcome = command("export", runs / "char", "--to", "torch", "-o", "model.safetensors")
    assert (outcome.code, outcome.out, outcome.err) == (0, "model.safetensors\n", "")
    outcome = command("import", "model.safetensors", "-o", "folder/again")
    assert (outcome.code, outcome.out, outcome.err) == (0, "folder/again\n", "")
    assert contents(Path("folder/again")).keys() == {"model.safetensors"}
    story = runs / "story.txt"
    assert command("eval", "folder/again", story).out == command("eval", runs / "char", story).out
    assert command("generate", "folder/again", "-n", 5, "--seed", 1).code == 0
    scored = command("score", "folder/again", stdin=b"tom was reading in the garden .\n").out
    assert len(scored.splitlines()) == 2


def test_a_vocabulary_and_other_names_are_options(command: Any, refused: Refused, story: Path) -> None:
    command("train", story, *SMALL, "--hidden=5", "--tie-weights", "-o", "run")
    command("export", "run", "-o", "model.safetensors")
    words = story.read_text().replace("\n", " </s> ").split()
    Path("vocab.txt").write_text("\n".join(dict.fromkeys(words)))
    described = ("--vocab", "vocab.txt", "--eos", "</s>", "--unk", "tom", "--tie-weights")
    command("import", "model.safetensors", *described, "-o", "again")
    score = command("score", "again", stdin=b"mary was reading .\n").out
    assert score == command("score", "run", stdin=b"mary was reading .\n").out
    message = refused("import", "model.safetensors", "--name", "rnn=lstm", "-o", "other")
    assert message.startswith("the state dict has no lstm.weight_hh_l0; give the layer's name: ")
    assert "--name rnn=rnn" in message
    message = refused("import", "model.safetensors", "--name", "lstm", "-o", "other")
    assert message == "--name must be PART=NAME, such as rnn=lstm, got 'lstm'"


def test_failed_import_is_a_one_line_error(refused: Refused, runs: Path) -> None:
    Path("model.pt").write_bytes(b"PK")
    message = refused("import", "model.pt", "-o", "a")
    assert message.startswith("model.pt is damaged, or was written by PyTorch before 1.6; save one with")
    assert refused("import", "model.txt", "-o", "a").startswith("model.txt cannot be imported")
    assert refused("import", "gone.safetensors", "-o", "a") == "there is no file gone.safetensors"
    for option in (("--name", "rnn=lstm"), ("--tie-weights",)):
        message = refused("import", "model.arpa", *option, "-o", "a")
        assert message == f"{option[0]} applies only to a state dict, not to an ARPA file; leave it out"
    assert not Path("a").exists()


def test_failed_export_is_a_one_line_error(
    command: Any, refused: Refused, story: Path, runs: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "onnx", None)
    command("train", story, "--model", "ngram", "-o", "counted")
    assert "nn.Linear cannot represent a NgramModel" in refused("export", "counted", "-o", "a.safetensors")
    assert "export an n-gram model with --to arpa" in refused("export", "counted", "-o", "a.onnx")
    message = refused("export", runs / "word", "-o", "a.onnx")
    assert message == "onnx is not installed; type: pip install 'elman[onnx]'"
    assert refused("export", runs / "word", "--to", "onnx", "-o", "a").startswith(
        "name the file to write, with the suffix"
    )
    message = refused("export", runs / "word", "--to", "torch", "--form", "step", "-o", "a.safetensors")
    assert message == "--form applies only to --to onnx, not to torch; leave it out"


def test_onnx_files_of_both_forms(command: Any, runs: Path) -> None:
    onnx = pytest.importorskip("onnx", reason="onnx is not installed")
    for options, dimensions in (((), 2), (("--form", "sequence"), 2), (("--form", "step"), 1)):
        outcome = command("export", runs / "word", "--to", "onnx", *options, "-o", "model.onnx")
        assert (outcome.code, outcome.out, outcome.err) == (0, "model.onnx\n", "")
        ids = onnx.load("model.onnx").graph.input[0]
        assert len(ids.type.tensor_type.shape.dim) == dimensions
