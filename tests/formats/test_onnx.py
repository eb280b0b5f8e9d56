"""ONNX files run in onnxruntime with the results of the models they were written from."""

import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.testing import assert_allclose

from elman.errors import ModelFileError
from elman.evaluation.perplexity import evaluate
from elman.formats import onnx as onnx_writer
from elman.formats.onnx import LINEAR, write_onnx
from elman.models.ngram.model import NgramModel
from elman.text_model import TextModel
from support.tiny import text_model

onnx = pytest.importorskip("onnx", reason="needs the extra onnx")
onnxruntime = pytest.importorskip("onnxruntime", reason="needs the package onnxruntime")

ADAPTIVE: dict[str, Any] = {"adaptive": (5, 12), "ranks": np.random.default_rng(0).permutation(24)}
PLAIN: dict[str, dict[str, Any]] = {
    "two layers": {"layers": 2},
    "one-hot": {"D": 0},
    "tied": {"D": 5, "tie_weights": True},
    "adaptive": ADAPTIVE,
}
# SRU and RG-LRU read x itself where the cell is as wide as the block, and a product of x where it is not
BLOCKS: dict[str, dict[str, Any]] = {
    "two blocks": {"block": "residual", "layers": 2},
    "tied blocks with MLPs": {"block": "residual", "layers": 2, "mlp": 7, "tie_weights": True},
    "one block, cell as wide": {"block": "residual", "D": 5},
    "adaptive after blocks": {"block": "residual", **ADAPTIVE},
}
SHAPES = PLAIN | BLOCKS
every_model = pytest.mark.parametrize(
    ("cell", "shape"),
    [
        *((cell, shape) for cell in ("rnn", "lstm", "gru", "mingru", "sru") for shape in PLAIN),
        *((cell, "two layers") for cell in LINEAR if cell not in ("mingru", "sru")),
        *((cell, shape) for cell in ("lstm", "mingru", "sru") for shape in BLOCKS),
        *((cell, "tied blocks with MLPs") for cell in ("rnn", "gru", "minlstm", "fpool", "rglru")),
        ("rglru", "one block, cell as wide"),
    ],
)


def session(path: Path) -> Any:
    return onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])


def states_in_file(state: Any, cell: str) -> dict[str, Any]:
    """The states that a file holds: not h of an SRU or of a residual block, as no step reads it."""
    of_cell = [name for name in state.arrays if name.startswith("cell_")]
    names = [name for name in of_cell or state.arrays if cell != "sru" or name.endswith("c")]
    return {name: np.stack(state.arrays[name]).astype(np.float32) for name in names}


def inputs_of(state: Any, cell: str) -> dict[str, Any]:
    return {f"{name}0": array for name, array in states_in_file(state, cell).items()}


def check_state(outputs: list[Any], state: Any, cell: str) -> None:
    for found, wanted in zip(outputs, states_in_file(state, cell).values(), strict=True):
        assert_allclose(found, wanted, atol=1e-5)


@every_model
def test_a_sequence_has_the_same_log_probs(shape: str, cell: str, tmp_path: Path) -> None:
    written = text_model(cell=cell, **SHAPES[shape])
    write_onnx(tmp_path / "model.onnx", written)
    runtime, model = session(tmp_path / "model.onnx"), written.model
    rng = np.random.default_rng(0)
    for N, T in ((3, 4), (2, 1)):
        ids = rng.integers(0, model.vocab_size, (N, T))
        state = model.feed(rng.integers(0, model.vocab_size, (N, 2)), model.start(N))
        log_probs, *last = runtime.run(None, {"ids": ids, **inputs_of(state, cell)})
        assert log_probs.shape == (N, T, model.vocab_size)
        for t in range(T):
            state = model.feed(ids[:, t : t + 1], state)
            assert_allclose(log_probs[:, t], model.next_log_probs(state), atol=1e-5)
        check_state(last, state, cell)


@every_model
def test_steps_have_the_same_log_probs(shape: str, cell: str, tmp_path: Path) -> None:
    written = text_model(cell=cell, **SHAPES[shape])
    write_onnx(tmp_path / "model.onnx", written, form="step")
    runtime, model = session(tmp_path / "model.onnx"), written.model
    state = model.start(2)
    feeds = inputs_of(state, cell)
    for ids in np.random.default_rng(0).integers(0, model.vocab_size, (4, 2)):
        log_probs, *last = runtime.run(None, {"ids": ids, **feeds})
        feeds = dict(zip(feeds, last, strict=True))
        state = model.feed(ids[:, None], state)
        assert_allclose(log_probs, model.next_log_probs(state), atol=1e-5)
    check_state(last, state, cell)


@pytest.mark.parametrize("cell", ["lstm", "mingru", "sru"])
def test_a_sequence_read_in_pieces_through_residual_blocks_gives_the_same_as_whole(
    cell: str, tmp_path: Path
) -> None:
    written = text_model(cell=cell, **BLOCKS["tied blocks with MLPs"])
    write_onnx(tmp_path / "model.onnx", written)
    runtime, V = session(tmp_path / "model.onnx"), written.model.vocab_size
    ids = np.random.default_rng(0).integers(0, V, (3, 7))
    start = inputs_of(written.model.start(3), cell)
    assert list(start) == {"lstm": ["cell_h0", "cell_c0"], "mingru": ["cell_h0"], "sru": ["cell_c0"]}[cell]
    whole, *after_whole = runtime.run(None, {"ids": ids, **start})
    pieces, feeds = [], start
    for piece in np.split(ids, [1, 5], axis=1):
        log_probs, *last = runtime.run(None, {"ids": piece, **feeds})
        pieces.append(log_probs)
        feeds = dict(zip(start, last, strict=True))
    assert_allclose(np.concatenate(pieces, axis=1), whole, atol=1e-6)
    for found, wanted in zip(last, after_whole, strict=True):
        assert_allclose(found, wanted, atol=1e-6)


@pytest.mark.parametrize("level", ["word", "char", "jamo", "byte"])
def test_the_vocabulary_is_in_the_metadata(level: str, tmp_path: Path) -> None:
    written = text_model(level, dtype=np.float32)
    write_onnx(tmp_path / "model.onnx", written)
    about = session(tmp_path / "model.onnx").get_modelmeta()
    metadata = about.custom_metadata_map
    assert json.loads(metadata["tokens"]) == list(written.vocabulary.tokens)
    assert (metadata["level"], metadata["form"]) == (level, "sequence")
    assert metadata["eos"] == written.vocabulary.eos
    assert about.producer_name == "elman"


def test_the_same_model_gives_the_same_bytes(tmp_path: Path) -> None:
    for name in ("one.onnx", "other.onnx"):
        write_onnx(tmp_path / name, text_model(cell="lstm"))
    assert (tmp_path / "one.onnx").read_bytes() == (tmp_path / "other.onnx").read_bytes()
    proto = onnx.load(tmp_path / "one.onnx")
    assert [(opset.domain, opset.version) for opset in proto.opset_import] == [("", 17)]
    write_onnx(tmp_path / "other.onnx", text_model(cell="lstm"), "step")
    assert (tmp_path / "one.onnx").read_bytes() != (tmp_path / "other.onnx").read_bytes()


def test_models_that_onnx_cannot_represent_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, written = tmp_path / "model.onnx", text_model()
    counted = NgramModel.train(np.arange(24), 24, 2)
    with pytest.raises(ModelFileError, match="this is a NgramModel; export an n-gram model with `to='arpa'`"):
        write_onnx(path, TextModel(counted, written.tokenizer, written.vocabulary))
    for cell in ("qrnn", "mogrifier"):
        for block in ("plain", "residual"):
            with pytest.raises(
                ModelFileError, match=f"of `cell='{cell}'` cannot be written .* only those of rnn, lstm,"
            ):
                write_onnx(path, text_model(cell=cell, block=block))
    with pytest.raises(ModelFileError, match=r"cannot write .*: No such file"):
        write_onnx(tmp_path / "gone" / "model.onnx", written)
    monkeypatch.setattr(onnx_writer, "LARGEST", 100)
    with pytest.raises(ModelFileError, match="an ONNX file holds at most 2 GiB"):
        write_onnx(path, written)
    assert not path.exists()


def test_the_documented_program_needs_no_elman(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    page = Path(__file__).parents[2] / "docs" / "en" / "howto" / "other-programs.md"
    (program,) = (
        b for b in re.findall(r"```py\n(.*?)```", page.read_text("utf-8"), re.DOTALL) if "onnxruntime" in b
    )
    assert "elman" not in program
    monkeypatch.chdir(tmp_path)
    text = "Tom was watching TV in his room . Mary came into the"
    written = text_model("word", text, cell="lstm")
    write_onnx("rooms.onnx", written)
    exec(compile(program, str(page), "exec"), {})
    _, ids = written.encode(text)
    expected = evaluate(written.model, ids, eos=written.vocabulary.eos_id).perplexity
    assert capsys.readouterr().out.splitlines()[-1] == f"perplexity {expected:.4f}"
