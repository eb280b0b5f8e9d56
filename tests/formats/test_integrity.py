"""Bit rot, weights that are not finite, and descriptions that do not agree with the arrays: refused at load."""

import json
import random
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors import safe_open
from safetensors.numpy import save_file

import elman
from elman.errors import ConfigError, ElmanError, ModelFileError
from elman.formats.model_file import KEY, describe, read_arrays, save_model, write_arrays
from elman.formats.state_dict import from_state_dict, to_arrays
from elman.models.parameters import plan_weights
from elman.text_model import TextModel, load
from support.tiny import STORY, small_lm, text_model
from support.waiting import LONG


def old_file(path: Path, arrays: dict[str, Any], about: dict[str, Any]) -> Path:
    """Write a model file as elman 0.2.0 did: without a digest."""
    about = {name: value for name, value in about.items() if name != "versions"}
    save_file(arrays, path, {KEY: json.dumps(about)})
    return path


def test_every_flipped_bit_is_noticed(tmp_path: Path) -> None:
    path = tmp_path / "m"
    save_model(path, text_model(D=3, H=4, dtype=np.float32))
    whole = path.read_bytes()
    header = 8 + int.from_bytes(whole[:8], "little")
    rng = random.Random(0)
    places = [*range(64), *rng.sample(range(header), 300), *rng.sample(range(header, len(whole)), 300)]
    for place in places:
        path.write_bytes(whole[:place] + bytes([whole[place] ^ 1 << rng.randrange(8)]) + whole[place + 1 :])
        with pytest.raises(ModelFileError):
            load(path)
    path.write_bytes(whole)
    load(path)


def test_every_bit_of_the_digest_and_its_name_is_noticed(tmp_path: Path) -> None:
    path = tmp_path / "m"
    save_model(path, text_model(D=3, H=4))
    whole = path.read_bytes()
    first = whole.index(b"sha256") - 12
    for place in range(first, first + 24):
        for bit in range(8):
            path.write_bytes(whole[:place] + bytes([whole[place] ^ 1 << bit]) + whole[place + 1 :])
            with pytest.raises(ModelFileError):
                load(path)


def test_the_check_can_be_left_out(tmp_path: Path) -> None:
    path = tmp_path / "m"
    save_model(path, text_model(dtype=np.float32))
    whole = bytearray(path.read_bytes())
    whole[-1] ^= 1  # the sign or the exponent would do as well
    path.write_bytes(whole)
    with pytest.raises(
        ModelFileError, match=r"m is damaged: its content does not match the SHA-256 .*`verify=False`"
    ):
        elman.load(path)
    assert elman.load(path, verify=False).unit == "word"


def test_files_of_older_versions_are_read(tmp_path: Path) -> None:
    original = text_model(D=3, H=4)
    again = load(old_file(tmp_path / "m", *describe(original)))
    assert again.info == original.info
    assert again.vocabulary == original.vocabulary


def test_a_file_says_what_wrote_it(tmp_path: Path) -> None:
    save_model(tmp_path / "m", text_model())
    _, about = read_arrays(tmp_path / "m")
    assert about["versions"]["elman"] == elman.__version__
    assert about["versions"]["numpy"] == np.__version__
    assert about["versions"]["threads"] >= 1
    with safe_open(tmp_path / "m", framework="numpy") as file:
        assert list(file.metadata()) == [KEY]
        assert len(json.loads(file.metadata()[KEY])["sha256"]) == 64


def test_file_names_that_are_not_utf_8_can_be_stored(tmp_path: Path) -> None:
    model = text_model()
    model.info["corpus"] = "caf\udce9.txt"
    save_model(tmp_path / "m", model)
    assert load(tmp_path / "m").info == model.info


@pytest.mark.parametrize("number", [np.nan, np.inf, -np.inf])
def test_weights_that_are_not_finite_are_refused_with_their_places(tmp_path: Path, number: float) -> None:
    arrays, about = describe(text_model(D=3, H=4))
    arrays["0.Wh"][1, 2:] = number
    arrays["output.b"][5] = number
    for path in (tmp_path / "new", old_file(tmp_path / "old", arrays, about)):
        write_arrays(tmp_path / "new", arrays, about)
        message = (
            rf"0.Wh \(2 of 16 numbers, the first {number} at \[1, 2\]\), output.b \(1 of 24 .* at \[5\]\)"
        )
        with pytest.raises(ModelFileError, match=message):
            load(path)
    state = to_arrays(small_lm())
    state["rnn.weight_hh_l0"][0, 0] = number
    with pytest.raises(ModelFileError, match=r"the state dict has weights that are not finite: 0.Wh"):
        from_state_dict(state)


def test_n_grams_that_are_not_finite_are_refused(tmp_path: Path) -> None:
    model = text_model()
    ids = model.encode(STORY)[1]
    counted = elman.NgramModel.train(ids, len(model.vocabulary), 2)
    arrays, about = describe(TextModel(counted, model.tokenizer, model.vocabulary))
    arrays["2.weights"][3] = np.nan
    with pytest.raises(ModelFileError, match=r"2.weights \(1 of .* at \[3\]\)"):
        load(old_file(tmp_path / "m", arrays, about))


@pytest.mark.parametrize("dtype", [np.float16, np.int32, np.int8, np.complex64, np.bool_])
def test_other_number_types_are_refused(tmp_path: Path, dtype: Any) -> None:
    arrays, about = describe(text_model(D=3, H=4))
    arrays["output.b"] = arrays["output.b"].astype(dtype)
    with pytest.raises(
        ModelFileError, match=r"'output.b' (has the number type|is int32; all weights must be float32)"
    ):
        load(old_file(tmp_path / "m", arrays, about))
    arrays["output.b"] = arrays["output.b"].real.astype(np.float32)
    with pytest.raises(ModelFileError, match="is float32; all weights must be float32, or all float64"):
        load(old_file(tmp_path / "m", arrays, about))


@pytest.mark.parametrize(
    "change",
    [
        {"layers": 10_000_000},
        {"layers": True},
        {"layers": 1.0},
        {"hidden_size": 10**30},
        {"vocab_size": -1},
        {"dropout": float("nan")},
        {"dropout": 1},
        {"dropout": None},
        {"tie_weights": "no"},
        {"cell": ["rnn"]},
        {"adaptive": [1] * 1000},
        {"adaptive": "1,2"},
        {"wordvec_size": "9" * 4000},
    ],
)
def test_sizes_must_agree_with_the_arrays(tmp_path: Path, change: dict[str, Any]) -> None:
    arrays, about = describe(text_model(D=3, H=4))
    about["model"] |= change
    with pytest.raises(ModelFileError, match="does not agree with the 6 arrays") as error:
        load(old_file(tmp_path / "m", arrays, about))
    assert len(str(error.value)) < 300


def test_too_many_layers_are_refused_before_they_are_planned() -> None:
    with pytest.raises(ConfigError, match="layers must be at most 1,000, got 10,000,000"):
        plan_weights(5, 4, 4, layers=10_000_000)


@pytest.mark.parametrize(
    "about",
    [
        '{"format": ' + "[" * 50_000,
        '{"format": ' + "9" * 5_000 + "}",
        '{"format": 1, "kind": "mixture", "model": 3}',
    ],
)
def test_hostile_descriptions(tmp_path: Path, about: str) -> None:
    save_file({"weight": np.zeros((2, 2), np.float32)}, tmp_path / "m", {KEY: about})
    with pytest.raises(ModelFileError, match=r"m: its description"):
        load(tmp_path / "m")


def test_mixtures_in_mixtures_end(tmp_path: Path) -> None:
    about: dict[str, Any] = {"kind": "ngram", "model": {}}
    for _ in range(300):
        about = {"kind": "mixture", "model": {"weights": [1.0], "members": [about]}}
    arrays, of_model = describe(text_model())
    with pytest.raises(ElmanError):
        load(old_file(tmp_path / "m", arrays, of_model | about))


def test_a_model_without_finite_scores_is_never_first(tmp_path: Path) -> None:
    (tmp_path / "text.txt").write_text(STORY)
    good, bad = text_model(seed=1), text_model(seed=2)
    bad.model.weights["output.b"][3] = np.nan  # type: ignore[attr-defined]
    for models in ({"bad": bad, "good": good}, {"good": good, "bad": bad}):
        found = elman.compare(models, tmp_path / "text.txt")
        assert [row.name for row in found] == ["good", "bad"]
        assert found[1].difference is None


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="there is no ulimit")
def test_a_process_without_memory_ends_with_one_line(tmp_path: Path) -> None:
    import resource

    arrays, about = describe(text_model(D=3, H=4))
    about["model"] |= {"layers": 10_000_000}
    old_file(tmp_path / "m", arrays, about)
    code = (
        f"import elman\ntry: elman.load({str(tmp_path / 'm')!r})\nexcept elman.ElmanError: print('refused')"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        timeout=LONG,
        check=False,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_AS, (3 << 30, 3 << 30)),
    )
    assert done.stdout == "refused\n", done.stderr
