"""The compiled step of a small Elman network, and the same source as plain Python, against the oracle."""

import copy
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from numpy.testing import assert_array_equal
from numpy.typing import NDArray

import oracle
from elman.errors import ElmanError, ShapeError, TrainingDiverged, VocabularyError
from elman.models.recurrent import RecurrentLM, SimpleRnnlm
from elman.models.regularisation import Regularisation
from elman.training import compiled_step
from elman.training import trainer as trainer_module
from elman.training.compiled_step import CompiledStep, can_compile_step
from elman.training.optimizers import OPTIMIZERS, SGD, AdaGrad, Adam
from elman.training.step import TrainingStep
from elman.training.trainer import RnnlmTrainer
from support.loops import STEPS, switch_jit
from support.tiny import blocks_of, ids_of_length, small_lm

V, D, H = 9, 4, 5
IDS = ids_of_length(60, V)


@pytest.fixture(params=STEPS)
def way(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """How the functions run: compiled, or as plain Python."""
    if request.param == "plain":
        monkeypatch.setattr(compiled_step, "can_compile_products", lambda: True)
    elif not compiled_step.can_compile_products():
        pytest.skip("NumPy's BLAS is not that of its wheels")
    switch_jit(monkeypatch, True)
    monkeypatch.setattr(compiled_step, "step_kernels", STEPS[request.param])
    return str(request.param)


def lm(D: int = D, **options: Any) -> RecurrentLM:
    return small_lm(V, D, H, **{"dtype": np.float32, **options})


def textbook_lm() -> SimpleRnnlm:
    model = SimpleRnnlm(V, D, H, rng=np.random.default_rng(1))
    for param in model.params:
        param += 0.3 * np.random.default_rng(param.size).standard_normal(param.shape).astype("f")
    return model


MODELS = {"word vectors": lm, "one-hot": lambda: lm(0), "the textbook's": textbook_lm}
every_model = pytest.mark.parametrize("make", MODELS.values(), ids=MODELS)


def exact_block(
    params: Sequence[Any], xs: NDArray[Any], ts: NDArray[Any], h: Any
) -> tuple[float, list[Any], Any, Any]:
    """Return the loss, the gradients, the state after the block and the gradient of h, by the oracle."""
    E, *of_rnn, W, b_out = (param.astype("d") for param in params)
    weights = of_rnn if len(of_rnn) == 3 else [E, *of_rnn]
    vectors = oracle.embedding(xs, E) if len(of_rnn) == 3 else oracle.one_hot(xs, V)
    hs = oracle.rnn(vectors, *weights, h)
    loss, dscores = oracle.softmax_cross_entropy(oracle.affine(hs, W, b_out), ts)
    dhs, dW, db_out = oracle.affine_backward(hs, dscores, W)
    dvectors, grads, (dh,) = oracle.backward_through_time(oracle.RnnStep, weights, vectors, dhs, h)
    if len(of_rnn) == 3:
        grads = [oracle.embedding_backward(xs, dvectors, E), *grads]
    return loss, [*grads, dW, db_out], hs[:, -1], dh


def close(ours: Any, theirs: Any, error: float = 3e-6) -> None:
    assert ours.dtype == np.float32
    assert np.abs(ours - theirs).max() <= error * np.abs(theirs).max()


def blocks(N: int, T: int, count: int = 3) -> list[tuple[Any, Any]]:
    return list(zip(blocks_of(V, N, T, count), blocks_of(V, N, T, count, seed=1), strict=True))


# The numbers


@every_model
@pytest.mark.parametrize(("N", "T"), [(1, 6), (3, 4), (2, 1)])
def test_is_the_oracles_block_after_block(way: str, make: Any, N: int, T: int) -> None:
    model = make()
    step, h = CompiledStep(model, SGD(0.0)), np.zeros((N, H))
    for xs, ts in blocks(N, T):
        ts[0, 0] = -1 if N * T > 2 else ts[0, 0]  # does not count
        loss, grads, h, dh = exact_block(model.params, xs, ts, h)
        found, norm = step(xs, ts)
        assert found == pytest.approx(loss, rel=1e-6)
        assert norm == pytest.approx(np.sqrt(sum((g**2).sum() for g in grads)), rel=1e-5)
        for ours, theirs in zip(model.grads, grads, strict=True):
            close(ours, theirs)
        close(model.rnn_layer.h, h)
        close(model.rnn_layer.dh, dh)
        assert_array_equal(model.embedding.rows, np.unique(xs))


@pytest.mark.parametrize("name", OPTIMIZERS)
@pytest.mark.parametrize(
    "options", [(None,), (0.1,), (None, 0.05), (1.0, 0.3, "sum")], ids=["", "norm", "value", "sum"]
)
def test_updates_as_the_layers_do(way: str, name: str, options: Any) -> None:
    D = 0 if name == "adagrad" else 4
    ours, theirs = lm(D), lm(D)
    step, other = (
        CompiledStep(ours, OPTIMIZERS[name](0.02), *options),
        TrainingStep(theirs, OPTIMIZERS[name](0.02), *options),
    )
    for xs, ts in blocks(3, 4):
        assert step(xs, ts) == pytest.approx(other(xs, ts), rel=1e-4)
    for p, q in zip(ours.params, theirs.params, strict=True):
        close(p, q, 1e-4)
    assert step.optimizer.step == 3
    for slot, arrays in other.optimizer.state.items():
        for p, q in zip(step.optimizer.state[slot], arrays, strict=True):
            close(p, q, 1e-3)


def test_weights_decay(way: str) -> None:
    ours, theirs = lm(), lm()
    for Step, model in ((CompiledStep, ours), (TrainingStep, theirs)):
        step = Step(model, SGD(0.1, weight_decay=0.5))
        step(*blocks(2, 3)[0])
    for p, q in zip(ours.params, theirs.params, strict=True):
        close(p, q, 1e-5)


def test_the_layers_may_take_a_block_between_two_others(way: str, monkeypatch: pytest.MonkeyPatch) -> None:
    model = lm()
    step, h = CompiledStep(model, SGD(0.0)), np.zeros((2, H))
    for k, (xs, ts) in enumerate(blocks(2, 3, 4)):
        monkeypatch.setattr(step, "_fits", lambda xs, ts, k=k: CompiledStep._fits(step, xs, ts) and k != 1)
        loss, grads, h, _ = exact_block(model.params, xs, ts, h)
        assert step(xs, ts)[0] == pytest.approx(loss, rel=1e-6)
        for ours, theirs in zip(model.grads, grads, strict=True):
            close(ours, theirs)


# What is refused, and what is left to the layers


@pytest.mark.parametrize(
    ("place", "value", "error"),
    [(0, V, VocabularyError), (0, -1, VocabularyError), (1, V, ShapeError), (1, -2, ShapeError)],
)
def test_ids_out_of_range_change_no_weight(way: str, place: int, value: int, error: type[ElmanError]) -> None:
    model = lm()
    step = CompiledStep(model, AdaGrad(0.1))
    step(*blocks(2, 3)[0])
    before = copy.deepcopy(model.params)
    block = blocks(2, 3)[1]
    block[place][1, 2] = value
    with pytest.raises(error):
        step(*block)
    for p, q in zip(before, model.params, strict=True):
        assert_array_equal(p, q)


def test_a_block_without_targets_is_refused(way: str) -> None:
    (xs, ts), *_ = blocks(2, 3)
    with pytest.raises(ShapeError, match="ignore_label"):
        CompiledStep(lm(), SGD(0.1))(xs, np.full_like(ts, -1))


def test_a_state_of_another_batch_size_is_refused(way: str) -> None:
    step = CompiledStep(lm(), SGD(0.1))
    step(*blocks(2, 3)[0])
    with pytest.raises(ShapeError, match="carried state h"):
        step(*blocks(3, 3)[0])


def test_long_blocks_are_left_to_the_layers(way: str, monkeypatch: pytest.MonkeyPatch) -> None:
    model, calls = lm(), []
    real = RecurrentLM.forward
    monkeypatch.setattr(
        RecurrentLM, "forward", lambda self, *block: calls.append(block) or real(self, *block)
    )
    monkeypatch.setattr(compiled_step, "MOST_MULTIPLICATIONS", 2 * 3 * V * H)
    step = CompiledStep(model, SGD(0.1))
    step(*blocks(2, 3)[0])
    assert not calls
    step(*blocks(2, 4)[0])
    assert len(calls) == 1


class Own(RecurrentLM):
    """A model whose passes may be others."""


def test_only_plain_elman_networks_are_compiled(way: str) -> None:
    assert all(can_compile_step(make()) for make in MODELS.values())
    for options in (
        {"cell": "lstm"},
        {"layers": 2},
        {"dropout": 0.5},
        {"adaptive": [3]},
        {"dtype": np.float64},
        {"block": "residual"},
        *(
            {"regularisation": Regularisation(**{name: 0.5})}
            for name in ("embedding_dropout", "recurrent_dropout", "activation_penalty", "temporal_penalty")
        ),
    ):
        assert not can_compile_step(lm(**options)), options
    assert not can_compile_step(small_lm(V, H, H, dtype=np.float32, tie_weights=True))
    assert not can_compile_step(Own(V, D, H))
    hooked = lm()
    hooked.forward = lambda xs, ts: 0.0  # type: ignore[method-assign]
    assert not can_compile_step(hooked)
    reading = lm()
    reading.train_mode(False)
    assert not can_compile_step(reading)
    transposed = lm().weights | {"output.W": np.asfortranarray(lm().weights["output.W"])}
    assert not can_compile_step(RecurrentLM(V, D, H, weights=transposed))


# In the trainer


def fit(trainer: RnnlmTrainer, blocks: int, **options: Any) -> RnnlmTrainer:
    trainer.fit(IDS[:-1], IDS[1:], 100, 2, 3, 0.5, max_iterations=blocks, **options)
    return trainer


def test_the_trainer_chooses_it(way: str, monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[Any] = []

    class Watched(CompiledStep):
        def __init__(self, *options: Any) -> None:
            super().__init__(*options)
            made.append(self)

    monkeypatch.setattr(trainer_module, "CompiledStep", Watched)
    fit(RnnlmTrainer(lm(), SGD(0.1)), 2)
    assert len(made) == 1
    fit(RnnlmTrainer(lm(cell="gru"), SGD(0.1)), 2)
    fit(RnnlmTrainer(lm(), SGD(0.1)), 2, accumulate=2)
    assert len(made) == 1


@every_model
@pytest.mark.parametrize("make_optimizer", [SGD, AdaGrad, Adam])
def test_stopping_and_continuing_changes_no_bit(way: str, make: Any, make_optimizer: Any) -> None:
    whole = fit(RnnlmTrainer(make(), make_optimizer(0.1)), 6)
    parts = fit(RnnlmTrainer(make(), make_optimizer(0.1)), 2)
    again = RnnlmTrainer(make(), copy.deepcopy(parts.optimizer))
    for p, q in zip(again.model.params, parts.model.params, strict=True):
        p[...] = q
    again.model.carry(parts.carried_state())
    again.progress = copy.deepcopy(parts.progress)
    fit(again, 6)
    for p, q in zip(again.model.params, whole.model.params, strict=True):
        assert_array_equal(p, q)
    assert again.progress.interval_nll == whole.progress.interval_nll


def test_a_diverged_block_changes_no_weight(way: str) -> None:
    trainer = fit(RnnlmTrainer(lm(), SGD(0.1)), 2)
    trainer.model.params[-1][0] = np.inf
    before = copy.deepcopy(trainer.model.params)
    with np.errstate(all="ignore"), pytest.raises(TrainingDiverged):
        fit(trainer, 4)
    for p, q in zip(trainer.model.params, before, strict=True):
        assert_array_equal(p, q)
