"""Language models trained in PyTorch and read by elman, and the other way round, say the same."""

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from elman.errors import ModelFileError
from elman.evaluation.perplexity import evaluate
from elman.formats.state_dict import from_state_dict, to_state_dict
from elman.formats.torch_file import read_torch
from elman.formats.torch_zip import read_torch_zip
from support.tiny import STORY, small_lm

torch = pytest.importorskip("torch")
torch.set_num_threads(1)
pytestmark = pytest.mark.torch

CELLS = {"rnn": torch.nn.RNN, "lstm": torch.nn.LSTM, "gru": torch.nn.GRU}


class PlainLM(torch.nn.Module):
    """Embedding, recurrent layers, linear: as PyTorch users write it."""

    def __init__(self, V: int, D: int, H: int, cell: str, layers: int, tied: bool = False) -> None:
        super().__init__()
        self.encoder = torch.nn.Embedding(V, D)
        self.rnn = CELLS[cell](D, H, layers, batch_first=True)
        self.decoder = torch.nn.Linear(H, V)
        if tied:
            self.decoder.weight = self.encoder.weight

    def forward(self, ids: Any, state: Any = None) -> tuple[Any, Any]:
        hs, state = self.rnn(self.encoder(ids), state)
        return self.decoder(hs).log_softmax(-1), state


def trained(cell: str, ids: Any, V: int, layers: int = 2, tied: bool = False) -> PlainLM:
    """A model after 30 steps of Adam: its weights, both biases among them, are far from the initial ones."""
    torch.manual_seed(0)
    model = PlainLM(V, 16 if tied else 12, 16, cell, layers, tied)
    optimizer = torch.optim.Adam(model.parameters(), lr=0.03)
    for _ in range(30):
        log_probs, _ = model(ids[None, :-1])
        loss = torch.nn.functional.nll_loss(log_probs[0], ids[1:])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return model


def story() -> tuple[Any, list[str]]:
    words = STORY.replace("\n", " <eos> ").split()
    tokens = list(dict.fromkeys(words))
    return torch.tensor([tokens.index(word) for word in words]), tokens


@pytest.mark.parametrize(("cell", "tied"), [("rnn", False), ("lstm", False), ("lstm", True), ("gru", False)])
def test_a_model_trained_in_pytorch_has_the_same_perplexity_here(cell: str, tied: bool) -> None:
    ids, tokens = story()
    theirs = trained(cell, ids, len(tokens), tied=tied)
    with torch.no_grad():
        log_probs, _ = theirs(ids[None, :-1])
        nll = torch.nn.functional.nll_loss(log_probs[0].double(), ids[1:])
    ours = from_state_dict(theirs.state_dict())
    assert (ours.cell, ours.tie_weights, len(ours.rnn_layers)) == (cell, tied, 2)
    found = evaluate(ours, ids[1:].numpy(), eos=int(ids[0]))  # the first word is read, and not scored
    assert found.perplexity < 8  # it has learnt: V is 24
    assert found.perplexity == pytest.approx(math.exp(nll), rel=1e-5)
    assert abs(found.perplexity - math.exp(nll)) < 1e-4


@pytest.mark.parametrize("options", [{}, {"layers": 3}, {"D": 5, "tie_weights": True}, {"D": 0}])
@pytest.mark.parametrize("cell", CELLS)
def test_our_model_says_the_same_in_pytorch(cell: str, options: Any) -> None:
    ours = small_lm(cell=cell, dtype=np.float32, **options)
    D = ours.wordvec_size or ours.vocab_size
    theirs = PlainLM(9, D, 5, cell, len(ours.rnn_layers), ours.tie_weights)
    state_dict = to_state_dict(ours)
    theirs.load_state_dict(state_dict)
    ids = np.random.default_rng(0).integers(0, 9, (2, 7))
    with torch.no_grad():
        log_probs, _ = theirs(torch.tensor(ids[:, :-1]))
    chosen = np.take_along_axis(log_probs.numpy(), ids[:, 1:, None], 2)[..., 0]
    expected, _ = ours.target_log_probs(ids[:, 1:], ours.feed(ids[:, :1], ours.start(2)))
    assert_allclose(chosen, expected, atol=2e-6)
    tied = state_dict["decoder.weight"] is state_dict["encoder.weight"]
    assert tied == ours.tie_weights == from_state_dict(state_dict).tie_weights


def test_files_of_pytorch_are_read_without_running_what_is_in_them(tmp_path: Path) -> None:
    _, tokens = story()
    model = PlainLM(len(tokens), 6, 6, "gru", 1, tied=True)
    path, vocab = tmp_path / "model.pt", tmp_path / "vocab.txt"
    vocab.write_text("\n".join(tokens), "utf-8")
    torch.save(model.state_dict(), path)
    read = read_torch(path, vocab)
    assert read.vocabulary.tokens == tuple(tokens)
    assert read.model.tie_weights  # type: ignore[attr-defined]
    torch.save(model, path)
    with pytest.raises(
        ModelFileError, match=r"holds the Python object .*PlainLM.*torch.save\(model.state_dict\(\)"
    ):
        read_torch(path, vocab)
    torch.save({"epoch": 3}, path)
    with pytest.raises(ModelFileError, match="is not a state dict of tensors"):
        read_torch(path, vocab)
    path.write_bytes(b"PK")
    with pytest.raises(ModelFileError, match="is damaged"):
        read_torch(path, vocab)


@pytest.mark.parametrize("protocol", [2, 4])
def test_files_of_pytorch_are_read_without_it(tmp_path: Path, protocol: int) -> None:
    whole = torch.arange(12.0).reshape(3, 4)
    tensors = {
        "float32": whole,
        "a view": whole.T[1:],
        "bfloat16": whole.bfloat16() / 3,
        "float16": whole.half() / 3,
        "float64": whole.double() / 3,
        "int64": whole.long(),
        "parameter": torch.nn.Parameter(whole + 1),
        "number": torch.tensor(2.5),
        "empty": torch.zeros(0, 3),
    }
    torch.save(tensors, tmp_path / "tensors.pth", pickle_protocol=protocol)
    found = read_torch_zip(tmp_path / "tensors.pth")
    assert list(found) == list(tensors)
    for name, tensor in tensors.items():
        expected = tensor.detach().float().numpy() if name == "bfloat16" else tensor.detach().numpy()
        assert found[name].dtype == expected.dtype
        assert_array_equal(found[name], expected)
    torch.save(torch.nn.Linear(2, 3).state_dict(), tmp_path / "linear.pth", pickle_protocol=protocol)
    linear = read_torch_zip(tmp_path / "linear.pth")
    assert {name: array.shape for name, array in linear.items()} == {"weight": (3, 2), "bias": (3,)}


def test_half_precision_is_widened() -> None:
    model = PlainLM(9, 4, 5, "lstm", 1).to(torch.bfloat16)
    weights = from_state_dict(model.state_dict()).weights
    assert weights["embedding"].dtype == np.float32
    assert_allclose(weights["embedding"], model.encoder.weight.detach().float().numpy())


@pytest.mark.parametrize("suffix", [".pt", ".pth", ".bin", ".ckpt", ".pth.tar"])
@pytest.mark.parametrize("key", ["", "state_dict", "model_state_dict", "model"])
def test_checkpoints_are_read(tmp_path: Path, suffix: str, key: str) -> None:
    state = {f"module.{name}": tensor for name, tensor in PlainLM(256, 3, 4, "gru", 1).state_dict().items()}
    path = tmp_path / f"m{suffix}"
    more = {"epoch": 3, "optimizer": {"state": {0: {"step": 7}}}}
    torch.save({key: state, **more} if key else state, path)
    found: Any = read_torch(path, level="byte")
    assert_allclose(found.model.weights["embedding"], state["module.encoder.weight"].numpy())


def test_what_is_no_state_dict_is_one_line(tmp_path: Path) -> None:
    path = tmp_path / "m.pt"
    good = PlainLM(256, 3, 4, "rnn", 1).state_dict()
    nested: Any = good
    for _ in range(200):
        nested = {"state_dict": nested}
    odd: list[tuple[Any, str]] = [
        ({0: torch.zeros(2), 1: torch.zeros(3)}, "must be strings, got 0"),
        ({**good, 5: torch.zeros(2)}, "must be strings, got 5"),
        ({**good, "decoder.bias": torch.zeros(256, device="meta")}, "_rebuild_meta_tensor"),
        (
            {**good, "decoder.bias": torch.zeros(256, dtype=torch.complex64)},
            "ComplexFloatStorage, which elman",
        ),
        ({**good, "decoder.bias": torch.zeros(256, dtype=torch.bool)}, "must contain floating-point"),
        ({**good, "decoder.bias": torch.zeros(256).to_sparse()}, "m.pt"),
        ({**good, "decoder.bias": torch.full((256,), torch.nan)}, "not finite: output.b"),
        ({"state_dict": good, "rnn_type": "RNN_RELU"}, "is an nn.RNN with relu"),
        (nested, "is not a state dict of tensors"),
        ([good], "is not a state dict of tensors"),
        ({}, "is not a state dict of tensors"),
        ({"state_dict": {"a": 1}}, "is not a state dict of tensors"),
    ]
    for content, message in odd:
        torch.save(content, path)
        with pytest.raises(ModelFileError, match=message):
            read_torch(path, level="byte")


def test_tensors_without_real_numbers_are_named() -> None:
    good = PlainLM(256, 3, 4, "rnn", 1).state_dict()
    for bias, message in (
        (torch.zeros(256, device="meta"), "decoder.bias is a meta tensor"),
        (torch.zeros(256, dtype=torch.complex64), "must contain floating-point"),
        (torch.zeros(256, dtype=torch.bool), "must contain floating-point"),
    ):
        with pytest.raises(ModelFileError, match=message):
            from_state_dict({**good, "decoder.bias": bias})


def test_bfloat16_and_float16_tensors(tmp_path: Path) -> None:
    for dtype in (torch.bfloat16, torch.float16):
        state = {
            name: tensor.to(dtype) for name, tensor in PlainLM(256, 3, 4, "lstm", 1).state_dict().items()
        }
        torch.save(state, tmp_path / "m.pt")
        found: Any = read_torch(tmp_path / "m.pt", level="byte")
        assert_allclose(found.model.weights["embedding"], state["encoder.weight"].float().numpy())
