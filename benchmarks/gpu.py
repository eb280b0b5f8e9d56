"""A GPU in under eight minutes: equal numbers, the recorded training step, and speed: ``python benchmarks/gpu.py``.

1. Numbers: training from the same weights on the same ids, with NumPy on the CPU and with torch on the device.
2. The recorded step: `GraphStep`, which replays a CUDA graph, against the step that computes one operation at a time.
3. Speed: the workloads D and E (`elman.benchmark.workloads`) and a larger LSTM, in float32 and bf16, against PyTorch's
   `nn.LSTM` (cuDNN's on a GPU) and the same with `torch.compile`. All train from the same weights on the same ids.

``--device cpu --quick`` runs everything but the recorded step on tiny sizes, to see that the script works; some
processors have no `nn.LSTM` in bf16, which is then left out. Text and weights are random. Needs the extra `torch`. The
exit status is 1 if a number differs or a measurement fails.
"""

import argparse
import contextlib
import statistics
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray

from elman.backend import NUMPY, Backend
from elman.benchmark.ours import make_model
from elman.benchmark.pytorch import Training
from elman.benchmark.workloads import WORKLOADS, Inputs, Workload, made_up
from elman.errors import ConfigError
from elman.matmul_precision import Precision
from elman.models.recurrent import RecurrentLM
from elman.training.optimizers import SGD, Adam
from elman.training.step import (
    WARM_UP,
    DeviceStep,
    GraphStep,
    Record,
    TrainingStep,
    record_on_gpu,
    training_step,
)
from tables import markdown

LIMIT = 420.0  # seconds after which no further measurement begins
CELLS = ("rnn", "lstm", "gru")
SOFTMAXES: dict[str, dict[str, Any]] = {
    "full": {},
    "full, tied weights": {"tie_weights": True},
    "adaptive": {"adaptive": (10, 30)},
}
PRECISIONS: tuple[Precision, ...] = ("float32", "bf16")
TOLERANCE = {"float64": 1e-9, "float32": 1e-4, "bf16": 1e-2}  # of numbers, relative
LOSS_TOLERANCE = {"float32": 1e-3, "bf16": 2e-2}  # of the first losses at full size, relative
V, H, N, T = 60, 16, 4, 6  # of the models whose numbers are compared
BLOCKS = WARM_UP + 3
LARGE = Workload(
    "large", "larger LSTM: V 10,000, 2×1024, N 64, T 35, SGD, clipped by norm", 10_000, 1024, 1024, 64, 35,
    layers=2, clip_norm=5.0,
)  # fmt: skip
ROUNDS = 3


class Checks:
    """What has failed, and how much time is left."""

    def __init__(self) -> None:
        self.failures: list[str] = []
        self.began = time.monotonic()

    @contextlib.contextmanager
    def attempt(self, what: str) -> Iterator[None]:
        """Note an exception within the block, whatever it is, so that what comes after is still measured."""
        try:
            yield
        except Exception as error:
            self.fail(f"{what}: {type(error).__name__}: {error}")

    def fail(self, message: str) -> None:
        self.failures.append(message)
        print(f"FAILED: {message}\n", flush=True)

    def difference(self, what: str, found: Any, expected: Any, tolerance: float) -> str:
        """Return the largest relative difference; it is a failure if it exceeds the tolerance."""
        largest = float(np.max(np.abs(np.divide(found, expected) - 1)))
        if not largest <= tolerance:  # NaN fails, too
            self.fail(f"{what}: the relative difference {largest:.1e} exceeds {tolerance:.0e}")
        return f"{largest:.1e}"

    def late(self, what: str) -> bool:
        """Return whether the time is over, and say what is left out for that reason."""
        if time.monotonic() - self.began < LIMIT:
            return False
        print(f"Left out, since {LIMIT:.0f} s have passed: {what}.\n")
        return True


# 1. Numbers


def small_model(cell: str, dtype: Any, backend: Backend, dropout: float = 0.0, **softmax: Any) -> RecurrentLM:
    rng = np.random.default_rng(1)
    return RecurrentLM(
        V, H, H, cell, 2, dropout, rng=rng, weight_scale=0.3, dtype=dtype, backend=backend, **softmax
    )


def numbers_of(model: RecurrentLM) -> NDArray[np.float64]:
    """Train on a few blocks; return losses, gradient norms, and then ln P of each token of a text."""
    ids = np.random.default_rng(0).integers(0, V, (N, BLOCKS * T + 1))
    step = TrainingStep(model, SGD(0.1), 0.5)
    found = [
        number
        for k in range(BLOCKS)
        for number in step(ids[:, k * T : (k + 1) * T], ids[:, k * T + 1 :][:, :T])
    ]
    log_probs, _ = model.target_log_probs(ids, model.start(N))
    return np.concatenate((found, log_probs.reshape(-1)))


def compare_numbers(device: str, checks: Checks) -> None:
    """Print how far torch on the device is from NumPy in float64, for every cell and softmax."""
    print("## Numbers: the largest relative difference from NumPy in float64\n")
    columns: dict[str, tuple[str, Any, Backend]] = {
        "NumPy float32": ("float32", np.float32, NUMPY),
        "torch float64": ("float64", np.float64, Backend("torch", device=device)),
        "torch float32": ("float32", np.float32, Backend("torch", device=device)),
        "torch bf16": ("bf16", np.float32, Backend("torch", "bf16", device)),
    }
    rows = []
    for cell in CELLS:
        for softmax, options in SOFTMAXES.items():
            expected = numbers_of(small_model(cell, np.float64, NUMPY, **options))
            row = [cell, softmax]
            for name, (precision, dtype, backend) in columns.items():
                what, cells = f"{cell}, {softmax}, {name}", len(row)
                with checks.attempt(what):
                    found = numbers_of(small_model(cell, dtype, backend, **options))
                    row.append(checks.difference(what, found, expected, TOLERANCE[precision]))
                row += ["failed"] * (cells + 1 - len(row))
            rows.append(row)
    print(markdown(["cell", "softmax", *columns], rows))
    print(
        f"Losses and gradient norms of {BLOCKS} blocks, then ln P of the tokens. The sampled softmax needs NumPy "
        "arrays, so there is nothing to compare.\n",
        flush=True,
    )


# 2. The recorded step


def losses_and_norms(step: TrainingStep) -> list[tuple[float, float]]:
    """Train on blocks of one length, then on blocks of another, which has to be recorded again."""
    rng = np.random.default_rng(0)
    blocks = [rng.integers(0, V, (2, N, length)) for length in (T, T - 2) for _ in range(BLOCKS)]
    return [step(xs, ts) for xs, ts in blocks]


def compare_recorded(device: str, checks: Checks, record: Record = record_on_gpu) -> None:
    """Print how far the recorded step is from the ordinary one, for every cell and precision."""
    rows = []
    for cell in CELLS:
        for precision in PRECISIONS:
            what = f"recorded step, {cell}, {precision}"
            with checks.attempt(what):
                ordinary, model = (
                    small_model(cell, np.float32, Backend("torch", precision, device), dropout=0.3)
                    for _ in range(2)
                )
                expected = losses_and_norms(TrainingStep(ordinary, Adam(0.01), 0.5))
                step = GraphStep(model, Adam(0.01), 0.5, record=record)
                found = losses_and_norms(step)
                if step.failure:
                    checks.fail(f"{what}: it could not be recorded: {step.failure}")
                difference = checks.difference(what, found, expected, TOLERANCE[precision])
                rows.append([cell, precision, "no" if step.failure else "yes", difference])
    print(markdown(["cell", "precision", "recorded", "largest relative difference"], rows), flush=True)


# 3. Speed


class Peer(Protocol):
    """One way to train a workload's model."""

    def step(self) -> float:
        """Train on the next block; return its mean loss in nats."""


class Elman:
    """elman on torch tensors: recorded on a GPU, or one operation at a time."""

    def __init__(
        self, workload: Workload, inputs: Inputs, precision: Precision, device: str, recorded: bool
    ) -> None:
        model = make_model(workload, inputs.weights, Backend("torch", precision, device))
        options = (model, SGD(workload.lr), workload.clip_norm)
        self._train = training_step(*options) if recorded else DeviceStep(*options)
        length = (len(inputs.ids) - 1) // workload.N
        self._xs, self._ts = (
            ids[: workload.N * length].reshape(workload.N, length)
            for ids in (inputs.ids[:-1], inputs.ids[1:])
        )
        self._place, self._T = 0, workload.T

    def step(self) -> float:
        if self._place + self._T > self._xs.shape[1]:
            self._place = 0
        block = slice(self._place, self._place + self._T)
        self._place += self._T
        loss, _ = self._train(self._xs[:, block], self._ts[:, block])
        if failure := getattr(self._train, "failure", ""):
            raise RuntimeError(f"the step could not be recorded: {failure}")
        return loss


def pytorch_peer(
    workload: Workload, inputs: Inputs, precision: Precision, device: str, compiler: str | None = None
) -> Training:
    """Return PyTorch's peer, compiled by this backend of `torch.compile` unless it is None."""
    autocast = partial(torch.autocast, device, dtype=torch.bfloat16)
    peer = Training(workload, inputs, autocast if precision == "bf16" else contextlib.nullcontext, device)
    if compiler is not None:
        peer.forward = torch.compile(peer.forward, backend=compiler, dynamic=False)  # type: ignore[method-assign]
    return peer


def pytorch_has_lstm(precision: Precision, device: str) -> bool:
    """Return whether `nn.LSTM` runs in this precision; on a CPU that depends on its instructions."""
    if precision == "float32" or device != "cpu":
        return True
    try:
        with torch.no_grad(), torch.autocast(device, dtype=torch.bfloat16):
            torch.nn.LSTM(1, 1)(torch.zeros((1, 1, 1)))
    except RuntimeError:
        return False
    return True


def lstm_dtype(peer: Peer, precision: Precision) -> str:
    """Return the type in which the peer's LSTM multiplies: autocast chooses float16 for cuDNN's, not bf16."""
    if not isinstance(peer, Training) or precision == "float32":
        return precision
    weight = peer.model.linear.weight
    with torch.no_grad(), peer.precision():
        hs, _ = peer.model.rnn(torch.zeros((1, 1, peer.workload.D), device=weight.device))
    return str(hs.dtype).removeprefix("torch.").replace("bfloat16", "bf16")


@dataclass
class Measured:
    """A peer and its measurements."""

    name: str
    precision: Precision
    peer: Peer
    first_losses: list[float]
    dtype: str
    seconds: list[float] = field(default_factory=list)  # of a block, by round


def synchronize(device: str) -> None:
    """Wait until the device has done everything."""
    if device == "cuda":
        torch.cuda.synchronize()


def time_calls(call: Callable[[], Any], seconds: float, device: str) -> float:
    """Return the seconds of a call, over about this time."""
    synchronize(device)
    calls, began = 0, time.perf_counter()
    while calls == 0 or time.perf_counter() - began < seconds:
        call()
        calls += 1
    synchronize(device)
    return (time.perf_counter() - began) / calls


def product_rate(precision: Precision, size: int, seconds: float, device: str) -> float:
    """Return the floating-point operations per second of products of two square matrices of this size."""
    dtype = torch.bfloat16 if precision == "bf16" else torch.float32
    a, b = (torch.randn(size, size, device=device).to(dtype) for _ in range(2))
    product = torch.empty_like(a)

    def multiply() -> None:
        torch.matmul(a, b, out=product)
        synchronize(device)

    multiply()
    return 2 * size**3 / time_calls(multiply, seconds, device)


def operations_per_token(inputs: Inputs) -> int:
    """Return the floating-point operations of the matrix products of training on a token: 6 for each weight."""
    return 6 * sum(w.size for name, w in inputs.weights.items() if name != "embedding" and w.ndim == 2)


def compare_speed(
    workload: Workload,
    device: str,
    compiler: str,
    seconds: float,
    rates: dict[Precision, float],
    checks: Checks,
) -> None:
    """Time all peers of a workload in turn, and print their table."""
    print(f"### {workload.name}: {workload.about}\n", flush=True)
    torch.compiler.reset()  # too many forms of one function would be left uncompiled
    inputs = made_up(workload)
    peers: dict[str, Callable[..., Peer]] = {
        "elman": partial(Elman, recorded=True),
        "elman, not recorded": partial(Elman, recorded=False),
        "PyTorch": pytorch_peer,
        "PyTorch, torch.compile": partial(pytorch_peer, compiler=compiler),
    }
    found: list[Measured] = []
    for precision in PRECISIONS:
        has_lstm = pytorch_has_lstm(precision, device)
        for name, make in peers.items():
            what = f"{workload.name}, {name}, {precision}"
            if checks.late(what):
                continue
            if "PyTorch" in name and not has_lstm:
                print(f"Left out, since PyTorch has no LSTM in {precision} for this processor: {what}.\n")
                continue
            with checks.attempt(what):
                peer = make(workload, inputs, precision, device)
                losses = [peer.step() for _ in range(BLOCKS)]
                found.append(Measured(name, precision, peer, losses, lstm_dtype(peer, precision)))
    for _ in range(ROUNDS):
        for each in found:
            with checks.attempt(f"{workload.name}, {each.name}, {each.precision}"):
                each.seconds.append(time_calls(each.peer.step, seconds / ROUNDS, device))
    rows = []
    for each in found:
        if not each.seconds:
            continue
        what = f"first losses of {workload.name}, {each.name}, {each.precision}"
        differ = checks.difference(
            what, each.first_losses, found[0].first_losses, LOSS_TOLERANCE[each.precision]
        )
        took = statistics.median(each.seconds)
        tokens = workload.N * workload.T / took
        rate = tokens * operations_per_token(inputs)
        figures = f"{1000 * took:.3g}", f"{tokens:,.0f}", f"{rate / 1e12:.3g}"
        rows.append(
            [each.name, each.precision, each.dtype, *figures, f"{rate / rates[each.precision]:.1%}", differ]
        )
    head = ["", "precision", "LSTM in", "ms a block", "tokens/s", "TFLOP/s", "share of peak", "first losses"]
    print(markdown(head, rows), flush=True)


def options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--device", choices=["cuda", "cpu"], default="cuda", help="default cuda")
    parser.add_argument("--quick", action="store_true", help="tiny sizes and short times")
    parser.add_argument("--seconds", type=float, help="of each measurement (default 3, with --quick 0.05)")
    given = parser.parse_args(arguments)
    try:
        Backend("torch", device=given.device)
    except ConfigError as error:
        parser.error(f"{error} (`--device cpu --quick` tries the script without one)")
    return given


def describe(device: str) -> str:
    if device == "cpu":
        return f"torch {torch.__version__} on the CPU, {torch.get_num_threads()} threads: no figure here is a GPU's."
    return (
        f"torch {torch.__version__}, CUDA {torch.version.cuda}, cuDNN {torch.backends.cudnn.version()} on "
        f"{torch.cuda.get_device_name()}. TF32 is off: float32 is float32 everywhere."
    )


def main(arguments: Sequence[str] | None = None) -> int:
    given = options(arguments)
    device, quick = given.device, given.quick
    checks = Checks()
    if device == "cuda":
        torch.backends.cudnn.allow_tf32 = torch.backends.cuda.matmul.allow_tf32 = False
    print(f"# GPU benchmark\n\n{describe(device)}\n", flush=True)
    compare_numbers(device, checks)

    print("## The recorded step: against the ordinary step on the same device\n")
    if device == "cuda":
        compare_recorded(device, checks)
    else:
        print("Skipped: a step is recorded on a GPU only.\n")

    print("## Speed: training\n")
    seconds = given.seconds or (0.05 if quick else 3.0)
    size = 256 if quick else 8192 if device == "cuda" else 1024
    rates = {precision: product_rate(precision, size, seconds / ROUNDS, device) for precision in PRECISIONS}
    print(
        f"The peak is the rate of products of two {size}×{size} matrices measured here: "
        + ", ".join(f"{rate / 1e12:.3g} TFLOP/s in {precision}" for precision, rate in rates.items())
        + ". TFLOP/s count the matrix products of forward and backward. The last column is the relative difference of "
        f"the first {BLOCKS} losses from the first row's.\n"
    )
    for workload in (WORKLOADS["D"], WORKLOADS["E"], LARGE):
        size_of = {"V": 200, "D": 16, "H": 16, "N": 4, "T": 5, "about": "tiny sizes"} if quick else {}
        compare_speed(
            replace(workload, **size_of), device, "eager" if quick else "inductor", seconds, rates, checks
        )
    print(f"{len(checks.failures)} checks failed." if checks.failures else "All checks passed.")
    return 1 if checks.failures else 0


if __name__ == "__main__":
    sys.exit(main())
