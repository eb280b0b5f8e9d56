"""Published models kept in bfloat16: the scores of the rounded weights, half of the file, and reading only."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from safetensors import safe_open

import elman
from elman.cli import main
from elman.errors import ConfigError, ModelFileError
from elman.formats.model_file import read_arrays
from elman.layers.bfloat16_matrix import Bfloat16Matrix
from support.blocks import BLOCKS
from support.pretrained import byte_level, model_of, write_folder
from support.rwkv import checkpoint, write_pth
from support.tiny import STORY, small_lm

KINDS = ("mamba", "mamba2", "rwkv4", "rwkv7")
V = 320
every_kind = pytest.mark.parametrize("kind", KINDS)


def source(kind: str, folder: Path) -> tuple[Path, dict[str, Any]]:
    """Write a published model, and return its path and the arguments with which it is imported."""
    if kind.startswith("mamba"):
        return write_folder(folder / "published", model_of(kind)), {}
    byte_level().save(str(folder / "tokenizer.json"))
    arrays = checkpoint(kind, V, 32, 2, BLOCKS[kind].sizes, np.random.default_rng(0))
    write_pth(folder / "model.pth", arrays)
    return folder / "model.pth", {"vocab": folder / "tokenizer.json"}


def with_widened(lm: elman.TextModel) -> Any:
    """The same model with float32 arrays for its matrices."""
    model: Any = lm.model
    weights = {name: np.asarray(weight) for name, weight in model.weights.items()}
    return type(model)(**model.hyperparameters, weights=weights)


@every_kind
def test_it_has_the_scores_of_its_rounded_weights(kind: str, tmp_path: Path) -> None:
    path, about = source(kind, tmp_path)
    lm = elman.import_model(path, dtype="bfloat16", **about)
    assert any(isinstance(weight, Bfloat16Matrix) for weight in lm.model.weights.values())
    ids, float32 = np.random.default_rng(0).integers(0, lm.model.vocab_size, (2, 30)), with_widened(lm)
    found, state = lm.model.target_log_probs(ids, lm.model.start(2))
    expected, expected_state = float32.target_log_probs(ids, float32.start(2))
    assert_allclose(found, expected, rtol=1e-4, atol=1e-5)
    assert_allclose(
        lm.model.next_log_probs(state), float32.next_log_probs(expected_state), rtol=1e-4, atol=1e-5
    )
    word, _ = lm.model.target_log_probs(ids[:1, :1], lm.model.start(1))
    assert_allclose(word, expected[:1, :1], rtol=1e-4, atol=1e-5)
    ratio = lm.evaluate([STORY]).perplexity / elman.import_model(path, **about).evaluate([STORY]).perplexity
    assert abs(ratio - 1) < 0.01


@every_kind
def test_its_file_keeps_it_and_is_read_as_it_is(kind: str, tmp_path: Path) -> None:
    path, about = source(kind, tmp_path)
    lm = elman.import_model(path, dtype="bfloat16", **about)
    lm.save(tmp_path / "run")
    again = elman.load(tmp_path / "run")
    for name, weight in lm.model.weights.items():
        kept = again.model.weights[name]
        assert isinstance(kept, Bfloat16Matrix) == isinstance(weight, Bfloat16Matrix), name
        assert_array_equal(np.asarray(kept), np.asarray(weight))
    assert again.score(STORY) == lm.score(STORY)
    again.save(tmp_path / "copy")
    assert (tmp_path / "copy" / "model.safetensors").read_bytes() == (
        tmp_path / "run" / "model.safetensors"
    ).read_bytes()
    with safe_open(tmp_path / "run" / "model.safetensors", framework="numpy") as file:
        assert file.get_slice("embedding").get_dtype() == "BF16"
        assert file.get_slice("output.b").get_dtype() == "F32"
    assert read_arrays(tmp_path / "run" / "model.safetensors")[0]["embedding"].dtype == np.uint16


@every_kind
def test_it_generates_and_adapts(kind: str, tmp_path: Path) -> None:
    path, about = source(kind, tmp_path)
    lm = elman.import_model(path, dtype="bfloat16", **about)
    assert lm.generate("tom", length=8, seed=1) == lm.generate("tom", length=8, seed=1)
    plain, dynamic = lm.evaluate([STORY] * 3), lm.dynamic(text=[STORY] * 3).evaluate([STORY] * 3)
    assert dynamic.perplexity < plain.perplexity


def test_training_starts_from_it_in_float32(tmp_path: Path) -> None:
    path, about = source("mamba2", tmp_path)
    elman.import_model(path, dtype="bfloat16", **about).save(tmp_path / "published-run")
    text = tmp_path / "text.txt"
    text.write_text(STORY * 4, encoding="utf-8")
    trained = elman.train(
        text, init_from=tmp_path / "published-run", output=tmp_path / "run", iterations=2, batch_size=2
    )
    weights: Any = trained.model.model.weights
    assert not any(isinstance(weight, Bfloat16Matrix) for weight in weights.values())


def test_the_command_line_imports_it(tmp_path: Path) -> None:
    path, _ = source("mamba", tmp_path)
    main(["import", str(path), "-o", str(tmp_path / "run"), "--dtype", "bfloat16"])
    assert isinstance(elman.load(tmp_path / "run").model.weights["0.Wx"], Bfloat16Matrix)


def test_other_models_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="a model of lstm cells cannot be kept in bfloat16"):
        small_lm(8, cell="lstm", dtype=np.float32).in_bfloat16()
    with pytest.raises(ConfigError, match="only float32 weights of NumPy can be rounded"):
        small_lm(8, cell="mamba2").in_bfloat16()
    with pytest.raises(ConfigError, match="`dtype` must be one of float32, bfloat16, got 'int8'"):
        elman.import_model(tmp_path / "model.pth", dtype="int8")  # type: ignore[arg-type]


def test_a_model_with_an_adaptive_softmax_can_be_kept_in_it() -> None:
    model = small_lm(30, cell="mamba2", adaptive=[4, 12], dtype=np.float32)
    ids = np.array([[1, 29, 7, 3]])
    found, _ = model.in_bfloat16().target_log_probs(ids, model.start())
    assert_allclose(found, model.target_log_probs(ids, model.start())[0], atol=0.05)


def test_damaged_numbers_are_refused(tmp_path: Path) -> None:
    path, about = source("mamba2", tmp_path)
    elman.import_model(path, dtype="bfloat16", **about).save(tmp_path / "run")
    file = tmp_path / "run" / "model.safetensors"
    arrays, _ = read_arrays(file)
    place = file.read_bytes().index(arrays["0.Wx"].tobytes())
    data = bytearray(file.read_bytes())
    data[place : place + 2] = np.uint16(0x7FC0).tobytes()  # NaN
    file.write_bytes(data)
    with pytest.raises(ModelFileError, match="does not match the SHA-256"):
        elman.load(file)
    with pytest.raises(ModelFileError, match=r"weights that are not finite: 0.Wx \(1 of"):
        elman.load(file, verify=False)
