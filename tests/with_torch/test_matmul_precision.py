"""bf16 products: how exact they are, and that nothing else becomes bf16."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from elman.arrays import Buffers, namespace
from elman.backend import Backend
from elman.evaluation.perplexity import evaluate
from elman.matmul_precision import Bf16Torch, bf16_torch, product_precision
from elman.models.recurrent import RecurrentLM
from elman.text import datasets
from elman.text.corpus import encode_corpus
from elman.text.tokenizers import make_tokenizer
from elman.training.optimizers import Adam
from elman.training.trainer import RnnlmTrainer
from support.trainers import losses_and_events

torch = pytest.importorskip("torch")
torch.set_num_threads(1)
pytestmark = pytest.mark.torch


def draw(*shape: int, dtype: Any = None) -> Any:
    return torch.tensor(
        np.random.default_rng(sum(shape)).standard_normal(shape), dtype=dtype or torch.float32
    )


@pytest.mark.parametrize("transposed", [(False, False), (True, False), (False, True), (True, True)])
def test_a_product_is_that_of_the_rounded_matrices(transposed: tuple[bool, bool]) -> None:
    a = draw(7, 5).T.contiguous().T if transposed[0] else draw(7, 5)
    b = draw(5, 6).T.contiguous().T if transposed[1] else draw(5, 6)
    out = torch.zeros(7, 6)
    with product_precision("bf16"):
        assert namespace(a).matmul(a, b, out=out) is out
    exact = a.bfloat16().double() @ b.bfloat16().double()
    assert out.dtype == torch.float32
    assert_allclose(out, exact, rtol=2**-8)
    assert not torch.allclose(out, a @ b, rtol=1e-5)


def test_an_operand_is_cast_once_into_memory_of_its_own() -> None:
    W, buffers = draw(5, 6), Buffers()
    assert buffers.operand("W", W) is W
    with product_precision("bf16"):
        operand, of_transposed = buffers.operand("W", W), buffers.operand("WT", W.T)
        kept = buffers.operand("W", W)
        ids = torch.arange(3)
        assert buffers.operand("ids", ids) is ids
        out, other = torch.zeros(4, 6), torch.zeros(4, 6)
        namespace(W).matmul(draw(4, 5), operand, out=out)
        namespace(W).matmul(draw(4, 5), of_transposed.T, out=other)
    assert operand.dtype == of_transposed.dtype == torch.bfloat16
    assert kept.data_ptr() == operand.data_ptr() != of_transposed.data_ptr()
    assert of_transposed.shape == (6, 5)
    assert torch.equal(out, other)


def test_a_matrix_of_one_row_or_column_is_an_operand_too() -> None:
    with product_precision("bf16"):
        for shape in ((1, 1), (1, 4), (4, 1)):
            matrix = draw(*shape)
            assert torch.equal(Buffers().operand("one", matrix), matrix.bfloat16())
            out = torch.zeros(shape[0], shape[0])
            namespace(matrix).matmul(matrix, matrix.T, out=out)
            assert_allclose(out, (matrix.bfloat16() @ matrix.bfloat16().T).float())


def test_float64_is_left_alone() -> None:
    a, b, out = draw(3, 4, dtype=torch.float64), draw(4, 2, dtype=torch.float64), torch.zeros(3, 2).double()
    with product_precision("bf16"):
        assert Buffers().operand("a", a) is a
        namespace(a).matmul(a, b, out=out)
    assert torch.equal(out, a @ b)


def test_all_else_is_torch_itself() -> None:
    with product_precision("bf16"):
        xp = namespace(torch.zeros(1))
        assert isinstance(xp, Bf16Torch)
        assert xp.tanh is torch.tanh
        assert namespace(np.zeros(1)) is np


@pytest.mark.parametrize("precision", ["float32", "bf16"])
def test_afterwards_all_is_as_before(precision: Any) -> None:
    before = torch.get_float32_matmul_precision()
    with pytest.raises(ZeroDivisionError), product_precision(precision):
        1 / 0  # noqa: B018
    assert torch.get_float32_matmul_precision() == before
    assert namespace(torch.zeros(1)) is torch
    with product_precision("bf16"):
        with product_precision("float32"):
            assert bf16_torch() is None
        assert bf16_torch() is not None


def test_float32_keeps_its_digits() -> None:
    a, b = draw(300, 300).abs(), draw(300, 200).abs()
    with product_precision("float32"):
        product = a @ b
    assert_allclose(product, a.double() @ b.double(), rtol=2e-6)


def lm(backend: Backend) -> RecurrentLM:
    return RecurrentLM(9, 4, 5, "lstm", 2, rng=np.random.default_rng(0), weight_scale=0.5, backend=backend)


def test_only_training_is_bf16_and_only_products_are() -> None:
    rounded, exact = lm(Backend("torch", "bf16")), lm(Backend("torch"))
    ids = np.random.default_rng(0).integers(0, 9, (3, 6))
    one, other = (model.target_log_probs(ids, model.start(3)) for model in (rounded, exact))
    assert_array_equal(one[0], other[0])
    assert one[1] == other[1]
    assert_array_equal(rounded.next_log_probs(one[1]), exact.next_log_probs(one[1]))

    losses = [model.forward(ids, ids) for model in (rounded, exact)]
    assert losses[0] != losses[1]
    assert losses[0] == pytest.approx(losses[1], rel=1e-2)
    for model in (rounded, exact):
        model.backward()
    for p, g, expected in zip(rounded.params, rounded.grads, exact.grads, strict=True):
        assert p.dtype == g.dtype == torch.float32
        assert 0 < float((g - expected).norm()) < 0.03 * float(expected.norm())


def test_training_by_steps_of_the_rounded_gradient_follows_the_exact_one() -> None:
    (rounded, _), (exact, _) = (losses_and_events(lm(Backend("torch", p))) for p in ("bf16", "float32"))
    assert_allclose(rounded, exact, rtol=5e-3)


def test_a_small_text_is_learnt_as_well_as_in_float32(tmp_path: Path) -> None:
    """The bound that bf16 has to keep: a perplexity within 1 % of float32's."""
    words = make_tokenizer("word")
    train = encode_corpus(datasets.resolve("rooms"), words, cache=None, max_tokens=30_000)
    valid = encode_corpus(datasets.resolve("rooms", "valid"), words, cache=None, vocabulary=train.vocabulary)
    found = {}
    for precision in ("float32", "bf16"):
        model = RecurrentLM(
            len(train.vocabulary), 32, 32, "lstm", rng=np.random.default_rng(0), embedding_scale=0.5,
            backend=Backend("torch", precision),  # type: ignore[arg-type]
        )  # fmt: skip
        RnnlmTrainer(model, Adam(0.01)).fit(train.ids[:-1], train.ids[1:], 1, 20, 20, 1.0)
        found[precision] = evaluate(model, valid.ids, batch_size=20).perplexity
    assert found["float32"] < 4
    assert found["bf16"] == pytest.approx(found["float32"], rel=0.01)
