"""State dicts of PyTorch's layers, without PyTorch: round trips and refusals."""

import json
import re
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.testing import assert_array_equal
from safetensors.numpy import save_file

import elman
from elman.errors import ConfigError, ElmanError, MissingExtra, ModelFileError, VocabularyError
from elman.formats.model_file import save_model
from elman.formats.state_dict import from_state_dict, to_arrays, to_state_dict
from elman.formats.torch_file import read_torch, write_torch
from elman.formats.vocabulary_file import read_text
from elman.text.tokenizers import make_tokenizer
from elman.text_model import TextModel
from support.tiny import small_lm, text_model

SHAPES: dict[str, dict[str, Any]] = {
    "one layer": {},
    "three layers": {"layers": 3},
    "tied": {"D": 5, "H": 5, "tie_weights": True},
    "float32": {"dtype": np.float32},
}
Change = Callable[[dict[str, Any]], Any]


@pytest.mark.parametrize("cell", ["rnn", "lstm", "gru"])
@pytest.mark.parametrize("shape", SHAPES)
def test_there_and_back(cell: str, shape: str) -> None:
    model = small_lm(cell=cell, **SHAPES[shape])
    again = from_state_dict(to_arrays(model))
    assert again.hyperparameters == model.hyperparameters
    assert again.weights.keys() == model.weights.keys()
    for name, weight in model.weights.items():
        assert_array_equal(again.weights[name], weight)
        assert again.weights[name].dtype == weight.dtype


def test_one_hot_input_is_an_embedding_that_is_the_identity() -> None:
    model = small_lm(D=0, cell="lstm")
    again = from_state_dict(to_arrays(model))
    assert again.wordvec_size == again.vocab_size
    ids = np.arange(9)[None]
    probs = (m.target_log_probs(ids, m.start())[0] for m in (model, again))
    np.testing.assert_allclose(*probs, rtol=1e-12)


def test_parts_may_have_other_names() -> None:
    names = {"encoder": "module.embed", "rnn": "", "decoder": "module.out"}
    arrays = to_arrays(small_lm(), names)
    assert list(arrays)[:2] == ["module.embed.weight", "weight_ih_l0"]
    assert from_state_dict(arrays, names=names).cell == "rnn"
    with pytest.raises(
        ConfigError, match="unknown part 'lstm' of a model; the parts are encoder, rnn, decoder"
    ):
        to_arrays(small_lm(), {"lstm": "rnn"})


def test_cells_that_pytorch_has_not_are_refused() -> None:
    with pytest.raises(ModelFileError, match="no layer for `cell='sru'`; only rnn, lstm, gru can be"):
        to_arrays(small_lm(cell="sru"))


def test_two_biases_are_added_but_not_those_of_a_candidate() -> None:
    arrays = to_arrays(small_lm(cell="gru", H=2))
    arrays["rnn.bias_ih_l0"] = np.arange(6.0)
    arrays["rnn.bias_hh_l0"] = 10 + np.arange(6.0)
    weights = from_state_dict(arrays).weights
    assert weights["0.b"].tolist() == [10, 12, 14, 16, 4, 5]
    assert weights["0.b_h"].tolist() == [14, 15]


def test_layers_without_biases() -> None:
    arrays = {name: a for name, a in to_arrays(small_lm(cell="lstm")).items() if "bias" not in name}
    weights = from_state_dict(arrays).weights
    assert not weights["0.b"].any()
    assert not weights["output.b"].any()
    assert weights["0.b"].dtype == np.float64


def test_ties_are_declared_and_not_guessed() -> None:
    arrays = to_arrays(small_lm(D=5, H=5, tie_weights=True))
    apart = {name: array.copy() for name, array in arrays.items()}
    assert from_state_dict(arrays).tie_weights
    assert not from_state_dict(apart).tie_weights
    assert from_state_dict(apart, tie_weights=True).tie_weights
    apart["decoder.weight"][0, 0] += 1
    with pytest.raises(ModelFileError, match=r"decoder.weight is not equal to encoder.weight"):
        from_state_dict(apart, tie_weights=True)
    del apart["decoder.weight"]
    assert from_state_dict(apart, tie_weights=True).tie_weights
    with pytest.raises(
        ModelFileError,
        match=r"has no decoder.weight; if it is tied to encoder.weight, set `tie_weights=True`",
    ):
        from_state_dict(apart)
    with pytest.raises(
        ModelFileError, match=r"encoder.weight have width 4 and the hidden state 5, so decoder.weight"
    ):
        from_state_dict(to_arrays(small_lm()), tie_weights=True)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda a: a.clear(), "no encoder.weight; .* it has nothing"),
        (lambda a: a.pop("rnn.bias_hh_l0"), "has no rnn.bias_hh_l0"),
        (lambda a: a.update({"lstm.weight_hh_l0": a.pop("rnn.weight_hh_l0")}), r"names={'rnn': 'lstm'}"),
        (
            lambda a: a.update({"rnn.weight_hh_l0": np.zeros((10, 5))}),
            r"\(3·H, H\) for nn.GRU, got \(10, 5\)",
        ),
        (lambda a: a.update({"rnn.weight_hh_l0": np.zeros(5)}), r"must be a matrix, got shape \(5,\)"),
        (
            lambda a: a.update({"rnn.weight_ih_l0": np.zeros((20, 3))}),
            r"must be of shape \(20, 4\), got",
        ),
        (
            lambda a: a.update({"decoder.weight": np.zeros((8, 5))}),
            r"decoder.weight must be of shape \(9, 5\)",
        ),
        (
            lambda a: a.update({"encoder.weight": np.zeros((9, 4), int)}),
            "must contain floating-point numbers",
        ),
        (
            lambda a: a.update({"rnn.weight_ih_l0_reverse": np.zeros((20, 4))}),
            "belongs to a bidirectional layer",
        ),
        (lambda a: a.update({"rnn.weight_hr_l0": np.zeros((3, 5))}), "projections"),
        (
            lambda a: a.update({"norm.weight": np.zeros(5)}),
            "has the additional arrays norm.weight; only models",
        ),
    ],
)
def test_arrays_that_do_not_fit_are_named(change: Change, message: str) -> None:
    arrays = dict(to_arrays(small_lm(cell="lstm")))
    change(arrays)
    with pytest.raises(ModelFileError, match=message):
        from_state_dict(arrays)


def test_the_requested_cell_must_match_the_shapes() -> None:
    arrays = to_arrays(small_lm(cell="lstm"))
    assert from_state_dict(arrays, cell="lstm").cell == "lstm"
    with pytest.raises(ModelFileError, match="so the cell is 'lstm', not 'gru'"):
        from_state_dict(arrays, cell="gru")
    with pytest.raises(ConfigError, match="unknown cell 'mlstm'; choose from rnn, lstm, gru"):
        from_state_dict(arrays, cell="mlstm")


@pytest.mark.parametrize("level", ["word", "char", "jamo", "byte"])
def test_a_file_brings_its_vocabulary_and_its_tie(level: str, tmp_path: Path) -> None:
    path = tmp_path / "model.safetensors"
    written = text_model(level, D=5, H=5, tie_weights=True, cell="gru")
    write_torch(path, written)
    read = read_torch(path)
    assert (read.tokenizer, read.vocabulary, read.start) == (written.tokenizer, written.vocabulary, "eos")
    assert isinstance(read.model, type(written.model))
    assert read.model.hyperparameters == written.model.hyperparameters  # type: ignore[attr-defined]
    ids = np.arange(9)[None]
    assert_array_equal(*(m.target_log_probs(ids, m.start())[0] for m in (read.model, written.model)))


def test_a_vocabulary_may_come_from_another_file(tmp_path: Path) -> None:
    path, vocab = tmp_path / "model.safetensors", tmp_path / "vocab.txt"
    write_torch(path, text_model())
    tokens = [*text_model().vocabulary.tokens]
    vocab.write_text("\r\n".join("</s>" if token == "<eos>" else token for token in tokens), "utf-8")
    read = read_torch(path, vocab, eos="</s>", unk="tom", lower=True)
    assert read.vocabulary.tokens == tuple(tokens)
    assert read.start_id == tokens.index("<eos>")
    assert read.vocabulary.unk == "tom"
    assert read.tokenizer.lower
    chars = tmp_path / "vocab.json"
    chars.write_text('["a", "\\n", "b"]')
    write_torch(path, text_model("char", "a\nb"))
    assert read_torch(path, chars, level="char").vocabulary.eos_id == 1


@pytest.mark.parametrize(
    ("text", "options", "message"),
    [
        ("a\nb\n", {}, "the vocabulary has 2 tokens, but .* has word vectors for 24"),
        ("a\n\nb\n", {}, "line 2: an empty line is not a token"),
        ("a 12\nb c\n", {}, "'a 12', with id 0, is not a word"),
        ("a\na\n", {}, "'a' is in the vocabulary more than once"),
        ("a\nb\n", {"eos": "</s>"}, "has no '</s>' to end lines with"),
        ("a\nb\n", {"unk": "UNK"}, "the unknown token 'UNK' is not in the vocabulary"),
    ],
)
def test_vocabularies_that_do_not_fit(text: str, options: Any, message: str, tmp_path: Path) -> None:
    path, vocab = tmp_path / "model.safetensors", tmp_path / "vocab.txt"
    write_torch(path, text_model())
    vocab.write_text(text)
    with pytest.raises(ElmanError, match=message):
        read_torch(path, vocab, **options)


def test_broken_vocabularies(tmp_path: Path) -> None:
    path, vocab = tmp_path / "model.safetensors", tmp_path / "vocab.json"
    write_torch(path, text_model())
    with pytest.raises(VocabularyError, match="cannot be read"):
        read_torch(path, vocab)
    for text, message in (
        ("[", "is not valid JSON"),
        ("3", "must be a JSON list of strings"),
        ('{"a": 1}', "whose values must be the ids 0 to 0, each once"),
        ('{"a": 0, "b": true}', "whose values must be the ids 0 to 1, each once"),
        ('["\\ud800"]', r"contains the lone surrogate U\+D800"),
        ("[" * 100_000, r"vocab.json is not valid JSON \(nested too deeply\)"),
        ("[" + "9" * 5_000 + "]", r"vocab.json is not valid JSON \(Exceeds the limit"),
    ):
        vocab.write_text(text)
        with pytest.raises(VocabularyError, match=message):
            read_torch(path, vocab)
    with pytest.raises(ConfigError, match="contains its own vocabulary"):
        read_torch(path, eos="</s>")
    with pytest.raises(ConfigError, match="give it with `vocab="):
        read_torch(path, level="char")


def test_files_without_a_state_dict_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "model.safetensors"
    with pytest.raises(ModelFileError, match="there is no file"):
        read_torch(path)
    path.write_bytes(b"\0" * 20)
    with pytest.raises(ModelFileError, match="is damaged, or is not a safetensors file"):
        read_torch(path)
    save_model(path, text_model())
    with pytest.raises(ModelFileError, match="is already an elman model"):
        read_torch(path)
    with pytest.raises(ModelFileError, match=r"cannot write .*: No such file"):
        write_torch(tmp_path / "gone" / "model.safetensors", text_model())


def test_models_that_pytorch_cannot_represent_are_refused() -> None:
    with pytest.raises(ModelFileError, match=r"nn.Linear cannot represent an adaptive softmax"):
        to_arrays(small_lm(adaptive=(3,)))
    with pytest.raises(ModelFileError, match="cannot represent a str"):
        to_arrays("model")


def test_tensors_need_pytorch(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "torch", None)
    with pytest.raises(MissingExtra, match=r"torch is not installed"):
        to_state_dict(small_lm())


@pytest.mark.parametrize("prefix", ["module.", "_orig_mod.", "model.", "module._orig_mod.model."])
def test_prefixes_that_all_keys_have_are_left_out(prefix: str) -> None:
    arrays = {f"{prefix}{name}": array for name, array in to_arrays(small_lm(cell="lstm")).items()}
    assert from_state_dict(arrays).cell == "lstm"
    named = {part: f"{prefix}{part}" for part in ("encoder", "rnn", "decoder")}
    assert from_state_dict(arrays, names=named).cell == "lstm"
    arrays["other.weight"] = np.zeros(3)
    with pytest.raises(ModelFileError, match=r"has no encoder.weight"):
        from_state_dict(arrays)


def test_relu_is_refused_where_it_is_known(tmp_path: Path) -> None:
    path, vocab = tmp_path / "m.safetensors", tmp_path / "vocab.txt"
    arrays = to_arrays(small_lm(2))
    vocab.write_text("a\n<eos>\n")
    with pytest.raises(ModelFileError, match=r"is an nn.RNN with relu, and elman's has tanh"):
        from_state_dict(arrays, nonlinearity="relu")
    with pytest.raises(ConfigError, match="`nonlinearity` must be one of tanh, relu, got 'gelu'"):
        from_state_dict(arrays, nonlinearity="gelu")
    assert from_state_dict(to_arrays(small_lm(cell="lstm")), nonlinearity="relu").cell == "lstm"
    save_file(arrays, path, {"nonlinearity": "relu"})
    with pytest.raises(ModelFileError, match=r"is an nn.RNN with relu"):
        elman.import_model(path, vocab=vocab)
    assert elman.import_model(path, vocab=vocab, nonlinearity="tanh").unit == "word"
    save_file(arrays, path)
    with pytest.raises(ModelFileError, match=r"is an nn.RNN with relu"):
        elman.import_model(path, vocab=vocab, nonlinearity="relu")


def test_bfloat16_is_read_exactly(tmp_path: Path) -> None:
    path, vocab = tmp_path / "m.safetensors", tmp_path / "vocab.txt"
    vocab.write_text("a\n<eos>\n")
    arrays = {name: array.astype(np.float32) for name, array in to_arrays(small_lm(2, cell="gru")).items()}
    halves = {name: (array.view(np.uint32) >> 16).astype(np.uint16) for name, array in arrays.items()}
    write_header(path, {name: ("BF16", half) for name, half in halves.items()})
    model: Any = elman.import_model(path, vocab=vocab).model
    expected = (halves["rnn.weight_hh_l0"].astype(np.uint32) << 16).view(np.float32)
    assert_array_equal(model.weights["0.Wh"], expected.T)
    np.testing.assert_allclose(expected, arrays["rnn.weight_hh_l0"], rtol=2**-7)


@pytest.mark.parametrize("dtype", ["F8_E4M3", "F8_E5M2", "BOOL", "C64", "I64", "U8", "F4"])
def test_other_number_types_are_named(tmp_path: Path, dtype: str) -> None:
    path = tmp_path / "m.safetensors"
    bits = {"C64": 64, "I64": 64, "F4": 4}.get(dtype, 8)
    arrays: dict[str, Any] = {name: ("F64", array) for name, array in to_arrays(small_lm(2)).items()}
    arrays["decoder.bias"] = (dtype, np.zeros(2 * bits // 8, np.uint8))
    write_header(path, arrays, {"decoder.bias": [2]})
    with pytest.raises(
        ModelFileError, match=rf"'decoder.bias' has the number type {dtype}; it must be one of F64"
    ):
        read_torch(path, level="byte")


def write_header(path: Path, arrays: dict[str, Any], shapes: dict[str, list[int]] | None = None) -> None:
    """Write safetensors with any number types: the length of the header, the header, the bytes."""
    header, data = {}, b""
    for name, (dtype, array) in arrays.items():
        raw = np.ascontiguousarray(array).tobytes()
        shape = (shapes or {}).get(name, list(array.shape))
        header[name] = {"dtype": dtype, "shape": shape, "data_offsets": [len(data), len(data) + len(raw)]}
        data += raw
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    path.write_bytes(len(text).to_bytes(8, "little") + text + data)


def test_the_keys_must_be_strings() -> None:
    with pytest.raises(ModelFileError, match="the keys of a state dict must be strings, got 3"):
        from_state_dict({3: np.zeros(2)})  # type: ignore[dict-item]


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("v.json", '{"b": 1, "a": 0, "<eos>": 2}'),
        ("v.json", '["a", "b", "<eos>"]'),
        ("v.txt", "a\nb\n<eos>"),
        ("v.txt", "a 120\nb 7\n<eos> 1\n"),
        ("v.txt", "a\t120\r\nb\t7\r\n<eos>\t1\r\n"),
        ("words.txt", "b 1\n<eos> 2\na 0\n"),
        ("v.txt", "\ufeffa\nb\n<eos>\n"),
    ],
)
def test_vocabularies_of_other_programs(tmp_path: Path, name: str, content: str) -> None:
    (tmp_path / name).write_text(content, encoding="utf-8", newline="")
    assert read_text(tmp_path / name).vocabulary.tokens == ("a", "b", "<eos>")
    assert read_text(tmp_path / name).tokenizer == make_tokenizer("word")


def test_characters_may_have_counts(tmp_path: Path) -> None:
    (tmp_path / "v.txt").write_text("a 12\n  5\n3 4\n")
    assert read_text(tmp_path / "v.txt", "char").vocabulary.tokens == ("a", " ", "3")


def test_the_usual_ends_of_lines_are_recognised_with_a_warning(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    for content, unk, eos_id, warning in (
        (
            "a\n<s>\n</s>\n<UNK>\n",
            "<UNK>",
            2,
            "</s> of .* is taken as the end of a line; .* <s> is never read",
        ),
        (
            "a\n<EOS>\n<unk>\n",
            "<unk>",
            1,
            "<EOS> of .* is taken as the end of a line; name another with `eos`$",
        ),
        ("a\nb\n", None, None, "has no <eos> or </s>: the ends of lines are not scored"),
        ("a\n<eos>\n</s>\n", None, 1, ""),
    ):
        caplog.clear()
        (tmp_path / "v.txt").write_text(content)
        found = read_text(tmp_path / "v.txt").vocabulary
        assert (found.unk, found.eos_id) == (unk, eos_id)
        assert len(caplog.messages) == bool(warning)
        assert re.search(warning, "".join(caplog.messages))


def test_words_with_other_spaces_are_found(tmp_path: Path) -> None:
    for word in ("b\u00a0c", "b\u3000c", "b\x1cc"):
        (tmp_path / "v.txt").write_text(f"a\n{word}\n<eos>\n", encoding="utf-8")
        text = read_text(tmp_path / "v.txt")
        assert text.vocabulary.encode(text.tokenizer.tokens(f"a {word}\n")).tolist() == [0, 1, 2]
        lm = small_lm(3)
        write_torch(tmp_path / "m.safetensors", TextModel(lm, text.tokenizer, text.vocabulary))
        assert read_torch(tmp_path / "m.safetensors").tokenizer == text.tokenizer


def test_vocabularies_in_other_encodings(tmp_path: Path) -> None:
    for encoding in ("cp949", "utf-16"):
        (tmp_path / "v.txt").write_bytes("나\n<eos>\n".encode(encoding))
        assert read_text(tmp_path / "v.txt", encoding=encoding).vocabulary.tokens == ("나", "<eos>")
    with pytest.raises(ConfigError, match="unknown `encoding` 'klingon'"):
        read_text(tmp_path / "v.txt", encoding="klingon")
    (tmp_path / "v.txt").write_bytes("나\n".encode("utf-16-le")[:-1])
    with pytest.raises(VocabularyError, match="cannot be read"):
        read_text(tmp_path / "v.txt", encoding="utf-16")
