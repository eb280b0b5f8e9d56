"""Published models: folders as `transformers` writes them, the ids of their tokenizers, and damaged folders."""

import json
import math
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from tokenizers import pre_tokenizers

import elman
from elman.errors import ConfigError, ElmanError, ModelFileError
from elman.evaluation.perplexity import LineNlls, newlines_of
from elman.formats.pretrained import READERS, read_pretrained
from elman.models import recurrent
from elman.text.corpus import encode_corpus, encode_text
from support.pretrained import (
    OPTIONS,
    V,
    byte_level,
    contents,
    model_of,
    read_tokenizer,
    write_arrays,
    write_folder,
)
from support.tiny import STORY

every_kind = pytest.mark.parametrize("kind", OPTIONS)
HARD = "tom\n\n\nwas  \n  in\t\n \n\nhis room. \n\n    mary\n\x1c\n\u2028\n x\x85\ny <|endoftext|> é 톰\n\n"
IDS = np.random.default_rng(0).integers(0, V, (2, 40))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return write_folder(tmp_path / "small", model_of("mamba2"))


def log_probs(model: Any) -> Any:
    return model.target_log_probs(IDS, model.start(2))[0]


def test_every_kind_is_tested() -> None:
    assert set(OPTIONS) == set(READERS)


@every_kind
@pytest.mark.parametrize("tied", [True, False], ids=["tied", "untied"])
def test_a_folder_holds_the_model(kind: str, tied: bool, tmp_path: Path) -> None:
    model = model_of(kind, tie_weights=tied)
    lm = elman.import_model(write_folder(tmp_path / "small", model))
    assert lm.model.hyperparameters == model.hyperparameters  # type: ignore[attr-defined]
    assert_array_equal(log_probs(lm.model), log_probs(model))
    lm.save(tmp_path / "run")
    again = elman.load(tmp_path / "run")
    assert_array_equal(log_probs(again.model), log_probs(model))
    assert (again.start, again.start_id, len(again.vocabulary)) == ("<|endoftext|>", 0, V)
    assert again.info["imported"] == f"a model of type {kind} from small"


def test_arrays_may_be_in_several_files(folder: Path) -> None:
    _, arrays = contents(model_of("mamba2"))
    names = sorted(arrays)
    parts = {"a.safetensors": names[::2], "b.safetensors": names[1::2]}
    for file, own in parts.items():
        write_arrays(folder / file, {name: arrays[name] for name in own})
    index = {"weight_map": {name: file for file, own in parts.items() for name in own}}
    (folder / "model.safetensors.index.json").write_text(json.dumps(index), encoding="utf-8")
    (folder / "model.safetensors").unlink()
    assert_array_equal(log_probs(read_pretrained(folder).model), log_probs(model_of("mamba2")))
    index["weight_map"]["x"] = "../c.safetensors"
    (folder / "model.safetensors.index.json").write_text(json.dumps(index), encoding="utf-8")
    with pytest.raises(ModelFileError, match="names files outside the folder"):
        read_pretrained(folder)


def test_half_precision_is_widened(folder: Path) -> None:
    _, arrays = contents(model_of("mamba2"))
    halves = {name: array.astype(np.float16) for name, array in arrays.items()}
    write_arrays(folder / "model.safetensors", halves)
    model: Any = read_pretrained(folder).model
    assert_array_equal(model.weights["0.Wo"].T, halves["backbone.layers.0.mixer.out_proj.weight"].astype("f"))
    cut = {name: np.ascontiguousarray(a, "f").view(np.uint32) >> 16 for name, a in arrays.items()}
    write_arrays(folder / "model.safetensors", {name: a.astype(np.uint16) for name, a in cut.items()})
    path = folder / "model.safetensors"
    path.write_bytes(path.read_bytes().replace(b'"U16"', b'"BF16"').replace(b'"BF16"', b'"BF16"'))
    data = path.read_bytes()  # the header is one byte longer for every array: its length goes before it
    length = int.from_bytes(data[:8], "little") + len(cut)
    path.write_bytes(length.to_bytes(8, "little") + data[8:])
    model = read_pretrained(folder).model
    assert_array_equal(model.weights["embedding"], (cut["backbone.embeddings.weight"] << 16).view("f"))


@every_kind
def test_long_texts_are_read_some_steps_at_a_time(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    model = model_of(kind)
    whole, after = model.target_log_probs(IDS, model.start(2))
    monkeypatch.setattr(recurrent, "NUMBERS_AT_ONCE", 1)
    monkeypatch.setattr(recurrent, "LEAST_ROWS", 14)
    found, end = model.target_log_probs(IDS, model.start(2))
    assert_allclose(found, whole, rtol=1e-4, atol=1e-5)
    for name, arrays in after.arrays.items():
        assert_allclose(end.arrays[name], arrays, rtol=1e-3, atol=1e-5)


# The tokenizer


@pytest.mark.parametrize("text", [STORY, HARD, HARD * 9, "no newline", "\n", "\n\na"])
def test_ids_are_those_of_the_tokenizer_for_the_whole_text(folder: Path, text: str) -> None:
    lm = elman.import_model(folder)
    theirs = read_tokenizer(folder)
    theirs.encode_special_tokens = True
    expected = theirs.encode(text, add_special_tokens=False).ids
    assert lm.ids(text).tolist() == expected
    assert encode_text(text, lm.tokenizer, lm.vocabulary).ids.tolist() == expected
    (folder / "text.txt").write_bytes(text.encode())
    assert (
        encode_corpus([folder / "text.txt"], lm.tokenizer, vocabulary=lm.vocabulary, cache=None).ids.tolist()
        == expected
    )
    rng = np.random.default_rng(0)

    def chunks() -> Iterator[str]:
        at = 0
        while at < len(text):
            size = int(rng.integers(1, 9))
            yield text[at : at + size]
            at += size

    tokens = [token for piece in lm.tokenizer.pieces(chunks()) for token in piece]
    assert lm.vocabulary.encode(tokens).tolist() == expected
    assert lm.tokenizer.join(tokens) == text


def test_measures_count_what_the_text_has(folder: Path) -> None:
    lm = elman.import_model(folder)
    (folder / "text.txt").write_bytes(HARD.encode())
    found = lm.evaluate(folder / "text.txt")
    ids = lm.ids(HARD)
    exact = lm.model.target_log_probs(
        ids[None].astype(np.intp), lm.model.feed(np.array([[0]]), lm.model.start())
    )
    assert found.nll_nats == pytest.approx(-float(exact[0].sum()), rel=1e-6)
    assert (found.tokens, found.bytes, found.lines) == (len(ids), len(HARD.encode()), HARD.count("\n"))
    assert found.bits_per_byte == pytest.approx(found.nll_nats / math.log(2) / len(HARD.encode()))
    assert found.first_token == "from <|endoftext|>"
    lines = LineNlls(lm.vocabulary.eos_id, newlines_of(lm))
    log_probs, _ = exact
    for k in range(0, len(ids), 7):
        lines(ids[None, k : k + 7], log_probs[:, k : k + 7])
    assert len(lines.nats()) == HARD.count("\n")
    assert lines.nats().sum() == pytest.approx(found.nll_nats, rel=1e-5)


def test_other_commands_read_the_model(folder: Path) -> None:
    lm = elman.import_model(folder)
    scored = lm.score_lines(["tom was in his room", "mary was reading"])
    wanted = lm.ids("tom was in his room\n")
    exact, _ = lm.model.target_log_probs(wanted[None].astype(np.intp), lm.begin_sentence())
    assert scored.rows[0].ln_prob == pytest.approx(float(exact.sum()), rel=1e-5)
    words = lm.surprisal("tom was  in\this room")
    assert [row.word for row in words.rows] == ["tom", "was", "in", "his", "room", "<eos>"]
    assert sum(row.surprisal_bits for row in words.rows) == pytest.approx(
        -sum(
            lm.model.target_log_probs(
                lm.ids("tom was  in\this room\n")[None].astype(np.intp), lm.begin_sentence()
            )[0][0]
        )
        / math.log(2),
        rel=1e-5,
    )
    assert isinstance(lm.generate("tom was", length=5, seed=1), str)


def test_an_imported_model_can_be_trained_further(folder: Path) -> None:
    lm = elman.import_model(folder)
    lm.save(folder / "run")
    (folder / "story.txt").write_text(STORY, encoding="utf-8")
    elman.train(
        folder / "story.txt",
        folder / "further",
        init_from=folder / "run",
        valid="none",
        epochs=2,
        batch_size=2,
        time_size=10,
    )
    again: Any = elman.load(folder / "further")
    assert again.model.sizes == OPTIONS["mamba2"]["sizes"]
    assert again.ids(HARD).tolist() == lm.ids(HARD).tolist()
    found = [each.evaluate(folder / "story.txt").perplexity for each in (again, lm)]
    assert found[0] < found[1]


# What is wrong with a folder


def changed(**options: Any) -> Callable[[Path], None]:
    def change(folder: Path) -> None:
        path = folder / "config.json"
        path.write_text(json.dumps(json.loads(path.read_text(encoding="utf-8")) | options), encoding="utf-8")

    return change


def with_arrays(**changes: Any) -> Callable[[Path], None]:
    def change(folder: Path) -> None:
        _, arrays = contents(model_of("mamba2"))
        for name, array in changes.items():
            name = name.replace("__", ".")
            if array is None:
                del arrays[name]
            else:
                arrays[name] = array
        write_arrays(folder / "model.safetensors", arrays)

    return change


def truncated(folder: Path) -> None:
    path = folder / "model.safetensors"
    path.write_bytes(path.read_bytes()[:-10])


def cut_in_its_header(folder: Path) -> None:
    path = folder / "model.safetensors"
    path.write_bytes(path.read_bytes()[:100])


def without(name: str) -> Callable[[Path], None]:
    return lambda folder: (folder / name).unlink()


def too_many_pieces(folder: Path) -> None:
    byte_level(size=400).save(str(folder / "tokenizer.json"))


def other_pattern(folder: Path) -> None:
    tokenizer = byte_level()
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.Digits(), pre_tokenizers.ByteLevel(add_prefix_space=False)]
    )
    tokenizer.save(str(folder / "tokenizer.json"))


CASES: list[tuple[Callable[[Path], None], str]] = [
    (
        changed(model_type="llama"),
        r"config\.json: elman has no model of type 'llama'; it reads those of mamba",
    ),
    (changed(hidden_act="gelu"), r"config\.json has hidden_act = 'gelu', but elman's model is for 'silu'"),
    (changed(layer_norm_epsilon=1e-6), r"has layer_norm_epsilon = 1e-06, but elman's model is for 1e-05"),
    (
        changed(time_step_limit=[0.0, 0.1]),
        r"config\.json limits the time steps: time_step_limit = \[0\.0, 0\.1\]",
    ),
    (changed(num_heads=5), "5 heads of width 3 in 2 groups do not make up the inner width 12"),
    (changed(state_size="8"), r"config\.json: state_size must be an integer ≥ 1, got '8'"),
    (
        changed(num_hidden_layers=3),
        r"array 'backbone\.layers\.2\.norm\.weight' is missing|array '.*' is missing",
    ),
    (changed(hidden_size=5), "must be an integer|do not make up|must be of shape"),
    (
        changed(num_hidden_layers=1),
        r"the model has no place for the arrays backbone\.layers\.1\..* and \d+ more",
    ),
    (
        with_arrays(backbone__norm_f__weight=None),
        r"the array 'backbone\.norm_f\.weight' is missing; .* \(6,\)",
    ),
    (with_arrays(rotary=np.ones(2, "f")), r"the model has no place for the arrays rotary"),
    (
        with_arrays(backbone__norm_f__weight=np.ones(7, "f")),
        r"the array 'backbone\.norm_f\.weight' must be of shape \(6,\), but is of shape \(7,\)",
    ),
    (
        with_arrays(backbone__norm_f__weight=np.full(6, np.nan, "f")),
        r"weights that are not finite: 1\.last_gain",
    ),
    (with_arrays(backbone__norm_f__weight=np.ones(6, "i8")), r"is of int64; it must be of floating numbers"),
    (
        with_arrays(backbone__norm_f__weight=np.ones(6, "i2")),
        r"has the number type I16; it must be one of F64",
    ),
    (truncated, r"model\.safetensors is truncated or is not a safetensors file"),
    (cut_in_its_header, r"model\.safetensors is truncated or is not a safetensors file"),
    (
        without("config.json"),
        r"config\.json cannot be read .* a published model is a folder with config\.json",
    ),
    (without("model.safetensors"), r"the file .*model\.safetensors is missing"),
    (without("tokenizer.json"), r"the tokenizer .*tokenizer\.json cannot be read"),
    (too_many_pieces, r"tokenizer\.json has the id \d+ .*, but the model has only 330 word vectors"),
    (other_pattern, r"cuts texts in another way than GPT-2's byte-level pattern"),
]


@pytest.mark.parametrize(("damage", "message"), CASES, ids=range(len(CASES)))
def test_what_is_wrong_with_a_folder_is_said(
    folder: Path, damage: Callable[[Path], None], message: str
) -> None:
    damage(folder)
    with pytest.raises(ElmanError, match=message) as found:
        elman.import_model(folder)
    assert "\n" not in str(found.value)


def test_a_folder_needs_no_description_of_its_tokens(folder: Path) -> None:
    with pytest.raises(
        ConfigError, match="`lower` applies only to a state dict, not to a folder; leave it out"
    ):
        elman.import_model(folder, lower=True)
