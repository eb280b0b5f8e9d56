"""Model files: written models are read, and other files are refused with clear messages."""

import errno
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.testing import assert_array_equal
from safetensors.numpy import save_file

from elman.errors import ModelFileError
from elman.formats.model_file import KEY, read_arrays, save_model, write_arrays
from elman.models.ngram.model import NgramModel
from elman.text_model import TextModel, load
from support.ngrams import sentence_model
from support.tiny import STORY, text_model

ABOUT = {"format": 1, "kind": "test"}


def described(path: Path, **changes: Any) -> None:
    """Write the file again, with a description that differs."""
    arrays, about = read_arrays(path)
    write_arrays(path, arrays, {**about, **changes})


@pytest.fixture
def saved(tmp_path: Path) -> Path:
    path = tmp_path / "model.safetensors"
    save_model(path, text_model(D=3, H=4))
    return path


# Memory-mapped arrays


def test_changes_of_arrays_stay_in_memory(saved: Path) -> None:
    content = saved.read_bytes()
    arrays, _ = read_arrays(saved)
    for array in arrays.values():
        array[...] = 0
    assert saved.read_bytes() == content


def test_arrays_of_other_programs_need_not_be_aligned(saved: Path) -> None:
    arrays = {name: array.copy() for name, array in read_arrays(saved)[0].items()}  # before the file changes
    content = saved.read_bytes()
    length = int.from_bytes(content[:8], "little")
    saved.write_bytes(
        (length + 1).to_bytes(8, "little") + content[8 : 8 + length] + b" " + content[8 + length :]
    )
    again, _ = read_arrays(saved)
    assert again.keys() == arrays.keys()
    for name, array in again.items():
        assert array.flags.aligned
        assert_array_equal(array, arrays[name])


def test_a_model_outlives_its_file(tmp_path: Path) -> None:
    path = tmp_path / "ngrams.safetensors"
    save_model(path, sentence_model())
    model = load(path)
    expected = model.score("tom was here")
    save_model(path, text_model(D=3, H=4))
    assert model.score("tom was here") == expected


# Round trips


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"cell": "lstm", "layers": 2, "dropout": 0.25},
        {"cell": "gru"},
        {"D": 5, "tie_weights": True},
        {"D": 0},
        {"dtype": np.float32},
        {"adaptive": (4, 9), "ranks": np.random.default_rng(0).permutation(24)},
    ],
    ids=str,
)
def test_a_recurrent_model_comes_back(tmp_path: Path, options: dict[str, Any]) -> None:
    original = text_model(**options)
    save_model(tmp_path / "m", original)
    again = load(tmp_path / "m")
    model: Any = again.model
    assert model.hyperparameters == original.model.hyperparameters  # type: ignore[attr-defined]
    assert_array_equal(model.ranks, original.model.ranks)  # type: ignore[attr-defined]
    assert (again.vocabulary, again.tokenizer, again.info) == (
        original.vocabulary,
        original.tokenizer,
        original.info,
    )
    _, ids = original.encode(STORY)
    state, same = original.model.feed(ids[None], original.model.start()), model.feed(ids[None], model.start())
    assert same == state
    assert_array_equal(model.next_log_probs(same), original.model.next_log_probs(state))


@pytest.mark.parametrize("level", ["char", "jamo", "byte"])
def test_a_model_of_another_level_comes_back(tmp_path: Path, level: str) -> None:
    original = text_model(level, "안녕, 세상!\n")
    save_model(tmp_path / "m", original)
    again = load(tmp_path / "m")
    assert again.tokenizer == original.tokenizer
    assert again.vocabulary == original.vocabulary
    assert again.unit == {"char": "character"}.get(level, level)


def test_an_n_gram_model_comes_back(tmp_path: Path) -> None:
    original = text_model()
    _, ids = original.encode(STORY)
    markov = NgramModel.train(ids, len(original.vocabulary), 3)
    save_model(tmp_path / "m", TextModel(markov, original.tokenizer, original.vocabulary, {"order": 3}))
    again = load(tmp_path / "m")
    assert isinstance(again.model, NgramModel)
    assert again.info == {"order": 3}
    expected, _ = markov.target_log_probs(ids[None], markov.start())
    assert_array_equal(again.model.target_log_probs(ids[None], again.model.start())[0], expected)


def test_a_run_folder_means_its_best_model(saved: Path) -> None:
    assert load(saved.parent).info == load(saved).info == load(str(saved)).info == {"corpus": "a story"}


def test_a_path_may_be_a_string(tmp_path: Path) -> None:
    save_model(str(tmp_path / "m"), text_model())
    assert load(str(tmp_path / "m")).unit == "word"


def test_a_loaded_model_can_be_trained(saved: Path) -> None:
    model: Any = load(saved).model
    ids = np.zeros((1, 3), np.int64)
    before = model.forward(ids, ids)
    model.backward()
    for param, grad in zip(model.params, model.grads, strict=True):
        param -= 0.5 * grad
    model.reset_state()
    assert model.forward(ids, ids) < before


def test_arrays_of_any_layout_come_back(tmp_path: Path) -> None:
    square = np.arange(24, dtype=np.float32).reshape(4, 6)
    arrays = {
        "transposed": square.T,
        "reversed": square[::-1, ::-1],
        "sliced": square[1:3, ::2],
        "fortran": np.asfortranarray(square),
        "float64": square.astype(np.float64)[:, 1:4],
        "ids": np.arange(10, dtype=np.int64)[::3],
        "empty": np.zeros((0, 3), np.float32),
        "read only": np.broadcast_to(np.float32(2), (3, 2)),
    }
    write_arrays(tmp_path / "m", arrays, ABOUT)
    found, about = read_arrays(tmp_path / "m")
    assert about == ABOUT
    assert set(found) == set(arrays)
    for name, array in arrays.items():
        assert found[name].dtype == array.dtype
        assert_array_equal(found[name], array, err_msg=name)


def test_one_model_is_one_sequence_of_bytes(tmp_path: Path) -> None:
    for name in ("a", "b"):
        save_model(tmp_path / name, text_model())
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


# What is no model


def test_a_missing_file_says_how_to_make_one(tmp_path: Path) -> None:
    for path in (tmp_path / "none", tmp_path):
        with pytest.raises(ModelFileError, match=r"there is no model at .*`elman.train"):
            load(path)


def test_a_file_cut_short_anywhere_is_refused(saved: Path) -> None:
    whole = saved.read_bytes()
    lengths = {0, 1, 7, 8, 9, 100, len(whole) // 2, len(whole) - 1, *range(0, len(whole), len(whole) // 40)}
    for length in sorted(lengths):
        saved.write_bytes(whole[:length])
        with pytest.raises(ModelFileError, match="truncated or is not a model file"):
            load(saved)


@pytest.mark.parametrize(
    "content",
    [b"hello, world\n" * 20, bytes(range(256)), b"PK\x03\x04" + bytes(100), b"\xff" * 64, b"{}", bytes(8)],
)
def test_garbage_is_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "m").write_bytes(content)
    with pytest.raises(ModelFileError, match=r"m is (truncated|a safetensors file, but not one)"):
        load(tmp_path / "m")


@pytest.mark.parametrize("metadata", [None, {}, {"format": "pt"}])
def test_a_foreign_safetensors_file_is_refused(tmp_path: Path, metadata: dict[str, str] | None) -> None:
    save_file({"weight": np.zeros((2, 2), np.float32)}, tmp_path / "m", metadata)
    with pytest.raises(ModelFileError, match="a safetensors file, but not one that elman wrote"):
        load(tmp_path / "m")


@pytest.mark.parametrize("about", ["not json", "[1, 2]", "{}", "7", "null"])
def test_an_invalid_description_is_refused(tmp_path: Path, about: str) -> None:
    save_file({"weight": np.zeros((2, 2), np.float32)}, tmp_path / "m", {KEY: about})
    with pytest.raises(ModelFileError, match="its description cannot be read"):
        load(tmp_path / "m")


def test_a_later_format_asks_for_a_newer_elman(saved: Path) -> None:
    described(saved, format=2)
    with pytest.raises(ModelFileError, match="has format 2, this elman reads format 1; use a newer elman"):
        load(saved)


def test_an_unknown_kind_is_named(saved: Path) -> None:
    described(saved, kind="transformer")
    with pytest.raises(ModelFileError, match="of kind 'transformer'"):
        load(saved)


@pytest.mark.parametrize("key", ["model", "tokenizer", "vocabulary"])
@pytest.mark.parametrize("value", [None, 3, [], {}, {"no": "such"}])
def test_an_incomplete_description_is_refused(saved: Path, key: str, value: Any) -> None:
    described(saved, **{key: value})
    with pytest.raises(ModelFileError, match="its description is incomplete"):
        load(saved)


def test_a_description_without_a_part_is_refused(saved: Path) -> None:
    arrays, about = read_arrays(saved)
    for key in ("kind", "model", "tokenizer", "vocabulary"):
        write_arrays(saved, arrays, {name: value for name, value in about.items() if name != key})
        with pytest.raises(ModelFileError, match=r"incomplete|of kind None"):
            load(saved)


@pytest.mark.parametrize("change", [{"cell": "elman"}, {"layers": 0}, {"hidden_size": "many"}, {"new": 1}])
def test_invalid_model_options_are_refused(saved: Path, change: dict[str, Any]) -> None:
    _, about = read_arrays(saved)
    described(saved, model={**about["model"], **change})
    with pytest.raises(ModelFileError, match="its description is incomplete"):
        load(saved)


def test_a_wrong_shape_is_named(saved: Path) -> None:
    arrays, about = read_arrays(saved)
    write_arrays(saved, {**arrays, "0.Wh": arrays["0.Wh"][:, :-1]}, about)
    with pytest.raises(ModelFileError, match=r"'0.Wh' must be of shape \(4, 4\), but is of shape \(4, 3\)"):
        load(saved)


def test_a_missing_array_is_named(saved: Path) -> None:
    arrays, about = read_arrays(saved)
    arrays.pop("output.b")
    write_arrays(saved, arrays, about)
    with pytest.raises(ModelFileError, match=r"'output.b' must be .*, but is missing"):
        load(saved)


def test_a_vocabulary_of_another_size_is_refused(saved: Path) -> None:
    _, about = read_arrays(saved)
    described(saved, vocabulary={**about["vocabulary"], "tokens": ["a", "b"]})
    with pytest.raises(ModelFileError, match=r"the vocabulary has 2 tokens but the model \d+"):
        load(saved)


# A disk that is full


def full_disk(monkeypatch: pytest.MonkeyPatch, call: str) -> None:
    def full(*arguments: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    if call == "write":
        real = os.fdopen

        def fdopen(*arguments: Any, **more: Any) -> Any:
            file = real(*arguments, **more, buffering=0)

            class Full:
                write = staticmethod(full)

                def __enter__(self) -> "Full":
                    return self

                def __exit__(self, *exception: object) -> None:
                    file.close()

            return Full()

        monkeypatch.setattr(os, "fdopen", fdopen)
    else:
        monkeypatch.setattr(os, call, full)


@pytest.mark.parametrize("call", ["write", "fsync"])
def test_a_full_disk_leaves_the_old_model(saved: Path, monkeypatch: pytest.MonkeyPatch, call: str) -> None:
    whole = saved.read_bytes()
    full_disk(monkeypatch, call)
    with pytest.raises(
        ModelFileError, match=r"cannot write .*: No space left on device; nothing was changed"
    ):
        save_model(saved, text_model("char"))
    monkeypatch.undo()
    assert saved.read_bytes() == whole
    assert [path.name for path in saved.parent.iterdir()] == [saved.name]


def test_a_folder_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(ModelFileError, match=r"cannot write .*no/m: No such file or directory"):
        save_model(tmp_path / "no" / "m", text_model())
