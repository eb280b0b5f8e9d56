"""Importing RWKV checkpoints: the arrays, the vocabulary, and one clear line for everything that does not fit."""

import importlib.util
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.testing import assert_array_equal
from safetensors.numpy import save_file

import elman
from elman.errors import ConfigError, ElmanError, ModelFileError, VocabularyError
from elman.evaluation.perplexity import LineNlls, newlines_of
from elman.formats.rwkv import from_rwkv
from elman.formats.torch_zip import read_torch_zip
from elman.text.world_vocabulary import is_world_vocabulary, read_world_vocabulary
from support.blocks import BLOCKS
from support.pretrained import byte_level
from support.rwkv import checkpoint, write_pth, write_world_vocabulary

D, LAYERS = 8, 2
PIECES = (" the", "the", "the gar", ".\n", "\n\n", "정원", "한국", "ing")
TEXT = "tom was in the garden.\n\nin the kitchen, the garden\n정원에서 ing\n"
every_cell = pytest.mark.parametrize("cell", BLOCKS)


@pytest.fixture
def vocab(tmp_path: Path) -> Path:
    write_world_vocabulary(tmp_path / "vocab.txt", *PIECES)
    return tmp_path / "vocab.txt"


V = 320  # 257 + 8 ids, padded


def arrays_of(cell: str = "rwkv7", V: int = V) -> dict[str, Any]:
    return checkpoint(cell, V, D, LAYERS, BLOCKS[cell].sizes, np.random.default_rng(0))


@every_cell
def test_pth_and_safetensors_give_the_same_model(tmp_path: Path, vocab: Path, cell: str) -> None:
    arrays = arrays_of(cell)
    write_pth(tmp_path / "model.pth", arrays)
    save_file(arrays, tmp_path / "model.safetensors")
    models = [elman.import_model(tmp_path / f"model.{kind}", vocab=vocab) for kind in ("pth", "safetensors")]
    found = [model.score(TEXT) for model in models]
    assert found[0] == found[1]
    models[0].save(tmp_path / "run")
    again = elman.load(tmp_path / "run")
    assert again.score(TEXT) == found[0]
    assert again.tokenizer == models[0].tokenizer
    assert again.model.sizes == BLOCKS[cell].sizes


@every_cell
def test_a_model_trained_on_the_pile_takes_a_tokenizer_json(tmp_path: Path, cell: str) -> None:
    tokenizer = byte_level()
    tokenizer.save(str(tmp_path / "tokenizer.json"))
    write_pth(tmp_path / "model.pth", arrays_of(cell))
    lm = elman.import_model(tmp_path / "model.pth", vocab=tmp_path / "tokenizer.json")
    assert lm.encode(TEXT)[1].tolist() == tokenizer.encode(TEXT).ids
    assert (lm.start, lm.start_id, len(lm.vocabulary)) == ("<|endoftext|>", 0, V)
    lm.save(tmp_path / "run")
    assert elman.load(tmp_path / "run").score(TEXT) == lm.score(TEXT)
    write_pth(tmp_path / "small.pth", arrays_of(cell, 200))
    with pytest.raises(ConfigError, match=r"tokenizer.json.*200"):
        elman.import_model(tmp_path / "small.pth", vocab=tmp_path / "tokenizer.json")


def test_a_piece_may_end_several_lines(tmp_path: Path, vocab: Path) -> None:
    write_pth(tmp_path / "model.pth", arrays_of())
    lm = elman.import_model(tmp_path / "model.pth", vocab=vocab)
    lines, ids = LineNlls(lm.vocabulary.eos_id, newlines_of(lm)), lm.ids(f"ing\n\n{TEXT}")
    lines(ids[None].astype(np.intp), np.full((1, len(ids)), -1.0, np.float32))
    assert lines.nats()[:3].tolist() == [2, 0, len(lm.ids("tom was in the garden.\n"))]
    assert len(lines.nats()) == 2 + TEXT.count("\n")
    assert lines.nats().sum() == len(ids)


@every_cell
def test_half_precision_is_widened_exactly(tmp_path: Path, cell: str) -> None:
    arrays = arrays_of(cell)
    halves = {name: array.astype(np.float16) for name, array in arrays.items()}
    write_pth(tmp_path / "half.pth", halves)
    for name, array in read_torch_zip(tmp_path / "half.pth").items():
        assert_array_equal(array, halves[name])
    upper = {name: (array.view(np.uint32) >> 16).astype(np.uint16) for name, array in arrays.items()}
    write_pth(tmp_path / "bfloat16.pth", upper)  # the upper half of a float32
    for name, array in read_torch_zip(tmp_path / "bfloat16.pth").items():
        assert array.dtype == np.float32
        assert_array_equal(array.view(np.uint32), upper[name].astype(np.uint32) << 16)
    ours = from_rwkv(read_torch_zip(tmp_path / "bfloat16.pth"), "bfloat16.pth")
    assert ours.weights["embedding"].dtype == np.float32


def test_nothing_in_a_file_is_run(tmp_path: Path, vocab: Path) -> None:
    evil = tmp_path / "evil"
    call = b"cos\nsystem\n(X" + len(f"touch {evil}").to_bytes(4, "little") + f"touch {evil}".encode() + b"tR"
    write_pth(tmp_path / "model.pth", arrays_of(), call)
    with pytest.raises(
        ModelFileError, match=r"model.pth holds the Python object os.system, and could run code"
    ):
        read_torch_zip(tmp_path / "model.pth")
    with pytest.raises(ElmanError):
        elman.import_model(tmp_path / "model.pth", vocab=vocab)
    assert not evil.exists()


def test_a_truncated_file_says_so(tmp_path: Path, vocab: Path) -> None:
    write_pth(tmp_path / "model.pth", arrays_of())
    data = (tmp_path / "model.pth").read_bytes()
    for kept in (len(data) // 2, len(data) - 30):
        (tmp_path / "model.pth").write_bytes(data[:kept])
        with pytest.raises(ModelFileError, match=r"model.pth is truncated or damaged"):
            elman.import_model(tmp_path / "model.pth", vocab=vocab)


def changed(**changes: Any) -> dict[str, Any]:
    arrays = {**arrays_of(), **changes}
    return {name: array for name, array in arrays.items() if array is not None}


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"blocks.1.att.w1": None}, "x.pth lacks blocks.1.att.w1; it is incomplete"),
        (
            {"ln_out.bias": None, "head.weight": None},
            "x.pth lacks head.weight, ln_out.bias; it is incomplete",
        ),
        (
            {"blocks.0.ffn.s1": np.zeros(3)},
            "x.pth has blocks.0.ffn.s1, which an RWKV of this version has not",
        ),
        (
            {"blocks.1.att.key.weight": np.zeros((8, 9))},
            r"blocks.1.att.key.weight must be \(8, 8\), but is \(8, 9\)",
        ),
        ({"head.weight": np.zeros((9, 8))}, r"head.weight must be \(320, 8\), but is \(9, 8\)"),
        ({"emb.weight": np.zeros(8)}, r"emb.weight must be \(V, D\), but is \(8,\)"),
        ({"blocks.1.att.w1": np.zeros(8)}, "a matrix of a block has only one dimension"),
        ({"blocks.1.att.r_k": np.zeros((2, 3))}, "heads of width 3 do not fill a width of 8"),
        ({"blocks.1.att.r_k": np.zeros((2, 0))}, "head must be ≥ 1, got 0"),
        ({"blocks.99999999999.ln1.bias": np.zeros(8)}, "x.pth lacks blocks.10.att.a0, blocks.10.att.a1"),
        ({"blocks.1.ln1.bias": np.full(8, np.nan)}, "not finite: 1.ln1_bias"),
    ],
)
def test_arrays_that_do_not_fit_are_named(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ModelFileError, match=message):
        from_rwkv(changed(**changes), "x.pth")


def test_other_versions_are_named() -> None:
    arrays = changed(**{"blocks.0.att.r_k": None, "blocks.0.att.time_decay": np.zeros(8)})
    with pytest.raises(ModelFileError, match=r"x.pth is a model of RWKV-5; elman reads those of RWKV-"):
        from_rwkv(arrays, "x.pth")
    with pytest.raises(ModelFileError, match=r"x.pth is a model of RWKV-6; elman reads those of RWKV-"):
        from_rwkv({**arrays, "blocks.0.att.time_maa_x": np.zeros(8)}, "x.pth")


def test_values_of_the_first_block_are_not_needed() -> None:
    more = {f"blocks.0.att.v{k}": np.zeros((1, 1, D), np.float32) for k in range(3)}
    assert len(from_rwkv({**arrays_of(), **more}, "x.pth").params) == len(
        from_rwkv(arrays_of(), "x.pth").params
    )


def test_the_vocabulary_must_belong_to_the_model(tmp_path: Path, vocab: Path) -> None:
    write_pth(tmp_path / "model.pth", arrays_of(V=400))
    with pytest.raises(
        VocabularyError, match="has ids up to 264, but the model has word vectors for 400 tokens"
    ):
        elman.import_model(tmp_path / "model.pth", vocab=vocab)
    write_pth(tmp_path / "model.pth", arrays_of(V=264))
    with pytest.raises(
        VocabularyError, match="has ids up to 264, but the model has word vectors for 264 tokens"
    ):
        elman.import_model(tmp_path / "model.pth", vocab=vocab)


def test_a_file_of_tokens_needs_a_level(tmp_path: Path) -> None:
    write_pth(tmp_path / "model.pth", arrays_of(V=3))
    (tmp_path / "tokens.txt").write_text("a\nb\nc\n")
    with pytest.raises(
        ConfigError,
        match=r"tokens.txt is neither RWKV's vocabulary.*nor a tokenizer.json.*say what they are: `level='char'`",
    ):
        elman.import_model(tmp_path / "model.pth", vocab=tmp_path / "tokens.txt")
    lm = elman.import_model(tmp_path / "model.pth", vocab=tmp_path / "tokens.txt", level="char")
    assert len(lm.vocabulary) == 3
    for options, message in (
        ({"lower": True}, "`lower` does not apply to RWKV's own vocabulary"),
        ({"tie_weights": True}, "`tie_weights` does not apply to an RWKV checkpoint"),
    ):
        with pytest.raises(ConfigError, match=message):
            elman.import_model(tmp_path / "model.pth", vocab=tmp_path / "tokens.txt", **options)


def test_without_a_vocabulary_the_installed_one_is_taken(
    tmp_path: Path, vocab: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_pth(tmp_path / "model.pth", arrays_of())
    monkeypatch.setattr("elman.formats.rwkv.installed_vocabulary", lambda: vocab)
    assert elman.import_model(tmp_path / "model.pth").vocabulary.tokens[257 + 1] == "the"
    monkeypatch.setattr("elman.formats.rwkv.installed_vocabulary", lambda: None)
    with pytest.raises(ConfigError, match=r"give RWKV's with `vocab='rwkv_vocab_v20230424.txt'`, or install"):
        elman.import_model(tmp_path / "model.pth")


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("x 'a' 1", "line 2: it must be an id, a piece in quotes and its number of bytes, got \"x 'a' 1\""),
        ("2 'a' 2", "line 2: the piece has 1 bytes, but 2 are stated"),
        ("2 f('a') 1", "line 2: it must be an id"),
        ("2 'a' + 'b' 2", "line 2: it must be an id"),
    ],
)
def test_a_vocabulary_of_another_form_is_refused(tmp_path: Path, line: str, message: str) -> None:
    (tmp_path / "vocab.txt").write_text(f"1 'b' 1\n{line}\n")
    assert is_world_vocabulary(tmp_path / "vocab.txt")
    with pytest.raises(VocabularyError, match=message.replace("(", r"\(").replace(")", r"\)")):
        read_world_vocabulary(tmp_path / "vocab.txt", 64)


def test_a_text_has_a_perplexity_per_word_and_bits_per_byte(tmp_path: Path, vocab: Path) -> None:
    write_pth(tmp_path / "model.pth", arrays_of())
    lm = elman.import_model(tmp_path / "model.pth", vocab=vocab)
    (tmp_path / "text.txt").write_text(TEXT, encoding="utf-8")
    found = lm.evaluate(tmp_path / "text.txt")
    ids = lm.encode(TEXT)[1]
    before = lm.model.feed(np.array([[lm.vocabulary.eos_id]]), lm.model.start())
    nats = -float(lm.model.target_log_probs(ids[None], before)[0].sum())
    assert found.tokens == len(ids) < len(TEXT.encode())
    assert found.bits_per_byte == pytest.approx(nats / np.log(2) / len(TEXT.encode()), rel=1e-5)
    words_and_lines = len(TEXT.split()) + TEXT.count("\n")
    assert found.perplexity_per_word == pytest.approx(np.exp(nats / words_and_lines), rel=1e-4)


@pytest.mark.skipif(importlib.util.find_spec("rwkv") is None, reason="needs the package rwkv")
def test_ids_are_those_of_the_authors_tokenizer() -> None:
    from rwkv.rwkv_tokenizer import TRIE_TOKENIZER

    from elman.text.tokenizers import WorldTokenizer
    from elman.text.world_vocabulary import installed_vocabulary

    path = installed_vocabulary()
    assert path is not None
    theirs = TRIE_TOKENIZER(str(path))
    ours = WorldTokenizer(tuple(read_world_vocabulary(path, 65536)))
    text = (
        TEXT * 3
        + "def f(x):\n\n\n    return x  # 🙂 <|endoftext|>\n\n\n\n\tif 한국어 == 'ñ':\n"
        + " " * 200
        + "\n\n"
    )
    pieces = ours.tokens(text)
    assert ours.vocabulary.encode(pieces).tolist() == theirs.encode(text)
    assert ours.join(pieces) == text
    in_parts = [
        token for piece in ours.pieces([text[k : k + 7] for k in range(0, len(text), 7)]) for token in piece
    ]
    assert in_parts == pieces


@every_cell
def test_training_can_start_from_a_checkpoint_and_be_resumed(tmp_path: Path, vocab: Path, cell: str) -> None:
    write_pth(tmp_path / "model.pth", arrays_of(cell))
    elman.import_model(tmp_path / "model.pth", vocab=vocab).save(tmp_path / "run")
    (tmp_path / "text.txt").write_text(TEXT * 5, encoding="utf-8")
    options: dict[str, Any] = {"batch_size": 2, "time_size": 8, "lr": 0.01, "valid": "none"}
    run = elman.train(
        tmp_path / "text.txt", tmp_path / "tuned", init_from=tmp_path / "run", epochs=2, **options
    )
    assert run.model.tokenizer == elman.load(tmp_path / "run").tokenizer
    assert run.model.model.sizes == BLOCKS[cell].sizes
    run.resume(epochs=3)
    before, after = (elman.load(tmp_path / name).evaluate(tmp_path / "text.txt") for name in ("run", "tuned"))
    assert after.bits_per_byte < before.bits_per_byte
