"""The device step: the same numbers as the ordinary step, without the host reading any array on the way."""

import itertools
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from numpy.testing import assert_allclose

from elman.backend import Backend
from elman.errors import ShapeError, TrainingDiverged, VocabularyError
from elman.models.recurrent import RecurrentLM, SimpleRnnlm
from elman.training import trainer as trainer_module
from elman.training.averaging import Tail
from elman.training.optimizers import OPTIMIZERS, SGD, Adam
from elman.training.progress import BlockDone
from elman.training.step import (
    WARM_UP,
    DeviceStep,
    GraphStep,
    TrainingStep,
    can_use_device_step,
    training_step,
)
from elman.training.trainer import RnnlmTrainer

torch = pytest.importorskip("torch")
from torch.utils._python_dispatch import TorchDispatchMode  # noqa: E402

torch.set_num_threads(1)
pytestmark = pytest.mark.torch

V, N, T = 30, 3, 5
IDS = np.random.default_rng(0).integers(0, V, 200)
READS = (
    "_local_scalar_dense",
    "nonzero",
    "unique",
    "masked_select",
    "equal",
)  # operations that wait for the device
needs_gpu = pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no GPU here")


def lm(cell: str = "lstm", tie: bool = False, dropout: float = 0.3, **backend: Any) -> RecurrentLM:
    rng = np.random.default_rng(1)
    return RecurrentLM(
        V,
        8 if tie else 6,
        8,
        cell,
        2,
        dropout,
        tie,
        rng,
        weight_scale=0.3,
        backend=Backend("torch", **backend),
    )


def fit(model: Any, optimizer: Any, **options: Any) -> list[tuple[float, float]]:
    """Train for two epochs; return each block's loss and norm."""
    found: list[tuple[float, float]] = []

    def watch(event: Any) -> None:
        if isinstance(event, BlockDone):
            found.append((event.loss_nats, event.grad_norm))

    RnnlmTrainer(model, optimizer).fit(IDS[:-1], IDS[1:], 2, N, T, 0.5, fresh_at=3, on_event=watch, **options)
    return found


def assert_same(model: RecurrentLM, other: RecurrentLM) -> None:
    for p, q in zip(model.params, other.params, strict=True):
        assert_allclose(p.cpu(), q.cpu(), rtol=1e-4, atol=1e-6)


@pytest.fixture
def device_step(monkeypatch: pytest.MonkeyPatch) -> Callable[[], None]:
    """Make the trainer use `DeviceStep`, as it does on a GPU."""

    def set_up(Step: Any = DeviceStep) -> None:
        monkeypatch.setattr(trainer_module, "training_step", Step)

    return set_up


@pytest.mark.parametrize("tie", [False, True])
@pytest.mark.parametrize(
    ("cell", "name"), [*zip(itertools.cycle(["rnn", "lstm", "gru"]), OPTIMIZERS, strict=False)]
)
def test_the_numbers_equal_those_of_the_ordinary_step(cell: str, name: str, tie: bool) -> None:
    for decay, options in ((0.0, {}), (5.0, {"reduction": "sum", "max_value": 0.05})):
        models = [lm(cell, tie) for _ in range(2)]
        expected = fit(models[0], OPTIMIZERS[name](lr=0.002, weight_decay=decay), **options)
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(trainer_module, "training_step", DeviceStep)
            found = fit(models[1], OPTIMIZERS[name](lr=0.002, weight_decay=decay), **options)
        assert_allclose(found, expected, rtol=2e-6)
        assert_same(*models)


def test_with_bf16_products_too(device_step: Any) -> None:
    models = [lm(precision="bf16") for _ in range(2)]
    expected = fit(models[0], SGD(0.1))
    device_step()
    assert_allclose(fit(models[1], SGD(0.1)), expected, rtol=1e-4)


def test_the_host_reads_no_array() -> None:
    seen: set[str] = set()

    class Watch(TorchDispatchMode):
        def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
            seen.add(func.__name__.split(".")[0])
            return func(*args, **(kwargs or {}))

    def reads() -> list[str]:
        return sorted(name for name in seen if any(read in name for read in READS))

    block = IDS[: N * T].reshape(N, T)
    for optimizer in (SGD(0.1), Adam(0.01)):
        step = DeviceStep(lm(), optimizer, 0.5, 0.1)
        step(block, block)
        step.prepare(block, block)
        with Watch():
            step.compute()
    assert "mm" in seen
    assert reads() == []
    with Watch():
        lm().forward(block, block)
    assert reads() == ["_local_scalar_dense"]


def test_a_nan_does_not_reach_the_weights(device_step: Any) -> None:
    model = lm(dropout=0)
    before = [p.clone() for p in model.params]
    block = IDS[: N * T].reshape(N, T)
    step = DeviceStep(model, SGD(0.1), 1.0)
    model.weights["output.b"][0] = float("inf")
    loss, norm = step(block, block)
    assert not np.isfinite(loss + norm)
    model.weights["output.b"][0] = 0
    for p, q in zip(model.params, before, strict=True):
        assert torch.equal(p, q)
    device_step()
    model.weights["output.b"][0] = float("inf")
    with pytest.raises(TrainingDiverged, match="is not a number"):
        fit(model, SGD(0.1))


def test_ids_and_targets_are_checked_beforehand() -> None:
    model = lm()
    step = DeviceStep(model, SGD(0.1))
    before = [p.clone() for p in model.params]
    good = IDS[: N * T].reshape(N, T)
    with pytest.raises(VocabularyError, match=r"\[0, 30\), got 30"):
        step(good * 0 + 30, good)
    with pytest.raises(ShapeError, match=r"\[0, 30\) or -1"):
        step(good, good * 0 + 30)
    with pytest.raises(ShapeError, match="every target"):
        step(good, good * 0 - 1)
    model.carry(model.start(N + 1))
    with pytest.raises(ShapeError, match=r"call reset_state\(\)"):
        step(good, good)
    assert all(torch.equal(p, q) for p, q in zip(model.params, before, strict=True))


def test_ignored_targets_are_left_out() -> None:
    xs = IDS[: N * T].reshape(N, T)
    ts = np.where(np.arange(T) % 2, xs, -1)
    model = lm(dropout=0)
    loss, _ = DeviceStep(lm(dropout=0), SGD(0.1))(xs, ts)
    assert loss == pytest.approx(model.forward(xs, ts), rel=1e-6)


class Recorder:
    """Stands for the GPU: what is recorded is not done, and doing it runs it from the first line to the last."""

    def __init__(self) -> None:
        self.recorded = self.replayed = 0

    def __call__(self, compute: Callable[[], None]) -> Callable[[], None]:
        self.recorded += 1

        def replay() -> None:
            self.replayed += 1
            compute()

        return replay


def test_a_step_is_recorded_after_a_few_blocks_and_then_replayed(device_step: Any) -> None:
    recorder, models = Recorder(), [lm() for _ in range(2)]
    expected = fit(models[0], Adam(0.01))
    device_step(lambda *options: GraphStep(*options, record=recorder))
    assert_allclose(fit(models[1], Adam(0.01)), expected, rtol=1e-5)
    assert recorder.recorded == 1
    assert recorder.replayed == len(expected) - WARM_UP
    assert_same(*models)


def test_another_shape_is_recorded_again() -> None:
    recorder = Recorder()
    step = GraphStep(lm(), SGD(0.1), record=recorder)
    for shape in ((N, T), (2, 4)):
        for _ in range(WARM_UP + 2):
            block = IDS[: shape[0] * shape[1]].reshape(shape)
            step.model.reset_state()
            step(block, block)
    assert (recorder.recorded, recorder.replayed) == (2, 4)


def test_a_step_that_cannot_be_recorded_runs_unrecorded(device_step: Any) -> None:
    models, steps = [lm() for _ in range(2)], []

    def fails(compute: Callable[[], None]) -> Any:
        compute.__self__.model.rnn_layer.h = None  # type: ignore[attr-defined]
        raise RuntimeError("operation not permitted when stream is capturing")

    def make(*options: Any) -> GraphStep:
        steps.append(GraphStep(*options, record=fails))
        return steps[0]

    expected = fit(models[0], SGD(0.1))
    device_step(make)
    assert_allclose(fit(models[1], SGD(0.1)), expected, rtol=2e-6)
    assert "not permitted" in steps[0].failure


def test_which_models_have_a_device_step() -> None:
    adaptive = RecurrentLM(V, 6, 8, adaptive=(5, 10), rng=np.random.default_rng(0), backend=Backend("torch"))
    for model in (adaptive, SimpleRnnlm(V, 6, 8), RecurrentLM(V, 6, 8), object()):
        assert not can_use_device_step(model)
        assert type(training_step(model, SGD(0.1))) is TrainingStep
    assert can_use_device_step(lm())
    assert type(training_step(lm(), SGD(0.1))) is TrainingStep  # on a CPU there is nothing to record


@pytest.mark.parametrize("share", [1.0, 0.5])
def test_the_average_equals_that_of_the_ordinary_step(device_step: Any, share: float) -> None:
    averages = []
    for replayed in (False, True):
        if replayed:
            device_step(lambda *options: GraphStep(*options, record=Recorder()))
        trainer = RnnlmTrainer(lm(), SGD(0.1, weight_decay=0.5))
        trainer.averaging = Tail(share)
        trainer.fit(IDS[:-1], IDS[1:], 2, N, T)
        raw = [p.clone() for p in trainer.model.params]
        with trainer.averaging.applied(trainer.model.params):
            averages.append([p.clone() for p in trainer.model.params])
        assert trainer.averaging.totals[0].dtype == torch.float64
        assert all(torch.equal(p, q) for p, q in zip(trainer.model.params, raw, strict=True))
        assert not torch.equal(averages[-1][0], raw[0])
    for p, q in zip(*averages, strict=True):
        assert_allclose(p, q, rtol=1e-4, atol=1e-6)


@needs_gpu
@pytest.mark.parametrize("precision", ["float32", "bf16"])
@pytest.mark.parametrize("cell", ["rnn", "lstm", "gru"])
def test_a_recorded_step_equals_the_ordinary_one(
    monkeypatch: pytest.MonkeyPatch, cell: str, precision: str
) -> None:
    models = [lm(cell, device="cuda", precision=precision) for _ in range(2)]
    found = fit(models[0], Adam(0.01, weight_decay=1.0))
    step = training_step(models[0], Adam(0.01))
    assert isinstance(step, GraphStep)
    for _ in range(WARM_UP + 2):
        step(IDS[: N * T].reshape(N, T), IDS[: N * T].reshape(N, T))
    assert step.failure == ""
    monkeypatch.setattr(trainer_module, "training_step", TrainingStep)
    expected = fit(models[1], Adam(0.01, weight_decay=1.0))
    assert_allclose(found, expected, rtol=1e-2 if precision == "bf16" else 1e-4)
