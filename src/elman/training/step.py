"""One training step: forward, backward, one gradient for each shared parameter, norm, clip, update.

`TrainingStep` is the step for any model. It reads the loss and the norm on the host before the update.

`DeviceStep` is the same step without any reading by the host: ids, dropout masks, the learning rate, the weight decay
and the carried state are first copied into arrays that stay where they are, and after that nothing depends on the
contents of an array. `GraphStep` records such a step as a CUDA graph, and replays it for every further block. A step of
a small recurrent model is thousands of short kernels, and starting them one by one from Python takes longer than
running them; a graph starts them all at once, but it needs everything at the same addresses every time.

`training_step` chooses between them.
"""

import math
import sys
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, Literal

from numpy.typing import NDArray

from elman.arrays import Array, Buffers, as_ids, is_torch, namespace, no_host_sync, zeros
from elman.layers.base import check_state
from elman.layers.dropout import TimeDropout, dropouts_of
from elman.layers.output import TimeAffineSoftmaxWithLoss
from elman.layers.softmax import check_targets
from elman.models.base import checked_ids
from elman.models.recurrent import RecurrentLM
from elman.training.optimizers import Optimizer
from elman.workers import run_parallel, split_evenly

Rows = list[Array | None]
Merged = tuple[list[Array], list[Array], Rows]
Check = Callable[[float, float], None]
Record = Callable[[Callable[[], None]], Callable[[], None]]
MIN_PART = 1 << 19  # numbers, fewer than which are not worth another thread
WARM_UP = 3  # blocks before the recording, so that every buffer exists and every kernel is chosen


class TrainingStep:
    """Trains a model on one block per call.

    Args:
        model: has ``forward(xs, ts)``, ``backward(dout)``, ``params`` and ``grads``; ``grad_rows`` if some are sparse.
        optimizer: updates the parameters.
        max_grad: clip the gradients to this global norm.
        max_value: clip every gradient entry to [-max_value, max_value].
        reduction: take the gradient of the mean loss over a block's tokens, or of the sum.
        check: called with the loss and the norm before the update; raises to prevent it.
    """

    def __init__(
        self,
        model: Any,
        optimizer: Optimizer,
        max_grad: float | None = None,
        max_value: float | None = None,
        reduction: Literal["mean", "sum"] = "mean",
        check: Check = lambda loss, norm: None,
    ) -> None:
        self.model, self.optimizer = model, optimizer
        self.max_grad, self.max_value, self.reduction = max_grad, max_value, reduction
        self.check = check

    def __call__(self, xs: NDArray[Any], ts: NDArray[Any]) -> tuple[float, float]:
        """Train on xs -> ts (N, T); return the mean loss in nats and the gradient's norm before clipping.

        Raises:
            VocabularyError, ShapeError: an id or a target is out of range; nothing has been done.
        """
        self.begin([ts])
        self.add(xs, ts)
        return self.finish()

    def begin(self, targets: Sequence[NDArray[Any]]) -> None:
        """Begin an update on blocks with these targets, (N, T) each: here on one."""

    def add(self, xs: NDArray[Any], ts: NDArray[Any]) -> None:
        """Compute the gradient of the block xs -> ts (N, T)."""
        self._loss, self._gradient = self.differentiate(xs, ts)

    def finish(self) -> tuple[float, float]:
        """Update the parameters; return the mean loss in nats and the gradient's norm before clipping."""
        return float(self._loss), self.update(float(self._loss), self._gradient)

    def update(self, loss: float, merged: Merged) -> float:
        """Check the loss, clip the gradient and update; return the gradient's norm before clipping."""
        params, grads, rows = merged
        norm = global_norm(grads, rows)
        self.check(loss, norm)
        scale = norm_scale(norm, self.max_grad)
        self.optimizer.update(params, grads, rows, scale=scale, limit=self.max_value)
        return norm

    def differentiate(self, xs: Array, ts: Array) -> tuple[Any, Merged]:
        """Run forward and backward; return the loss, and parameters, gradients and rows with each parameter once."""
        model = self.model
        loss = model.forward(xs, ts)
        model.backward(float(math.prod(ts.shape)) if self.reduction == "sum" else 1.0)
        rows = getattr(model, "grad_rows", None) or [None] * len(model.grads)
        return loss, merge_shared(model.params, model.grads, rows)


class DeviceStep(TrainingStep):
    """`TrainingStep` for a `RecurrentLM` on torch tensors that the host does not interrupt; equal up to rounding.

    If the loss or the gradient is not finite, no gradient reaches the weights. ``check`` is called after the update.
    All rows of the word vectors are updated, whether the block has used them or not.
    """

    def __init__(self, *options: Any) -> None:
        super().__init__(*options)
        weight = self.model.params[0]
        self._buffers = Buffers()
        self._rate, self._shrinkage = zeros((), weight), zeros((), weight)
        self._loss_and_norm = zeros((2,), weight)  # (2,)
        self._ids: dict[str, Array] = {}

    def add(self, xs: NDArray[Any], ts: NDArray[Any]) -> None:
        """Train on the block xs -> ts (N, T)."""
        self.prepare(xs, ts)
        self.run()

    def finish(self) -> tuple[float, float]:
        """Return the mean loss in nats and the gradient's norm before clipping."""
        loss, norm = self._loss_and_norm.tolist()
        self.check(loss, norm)
        return loss, norm

    def prepare(self, xs: NDArray[Any], ts: NDArray[Any]) -> None:
        """Do the host's part for the block xs -> ts (N, T): check, copy, and draw the dropout masks."""
        V = self.model.vocab_size
        check_targets(ts.reshape(-1), self.model.loss_layer.ignore_label, V)
        self._copy_ids("xs", checked_ids(xs, len(xs), V))
        self._copy_ids("ts", ts)
        self._draw_masks(*xs.shape)
        self._rate.fill_(self.optimizer.next_rate())
        self._shrinkage.fill_(self.optimizer.shrinkage)
        for name, fixed, rnn in self._states(len(xs)):
            carried = getattr(rnn, name)
            if carried is None:
                fixed[...] = 0
            elif carried is not fixed:
                check_state(name, carried, *fixed.shape)
                fixed[...] = carried
        self.use_fixed_states(len(xs))

    def run(self) -> None:
        """Do the device's part."""
        self.compute()

    def compute(self) -> None:
        """Compute and update; leave the loss and the norm, and the state for the next block, in fixed arrays."""
        xs, ts = self._ids["xs"], self._ids["ts"]
        with no_host_sync():
            loss, (params, grads, _) = self.differentiate(xs, ts)
            self._loss_and_norm[0], self._loss_and_norm[1] = loss, device_norm(grads)
            self._clip(grads)
            self.optimizer.apply(params, grads, self._rate, limit=self.max_value, shrinkage=self._shrinkage)
            for name, fixed, rnn in self._states(len(xs)):
                fixed[...] = getattr(rnn, name)
        self.use_fixed_states(len(xs))

    def use_fixed_states(self, N: int) -> None:
        """Make the layers carry their states in the fixed arrays."""
        for name, fixed, rnn in self._states(N):
            setattr(rnn, name, fixed)

    def _states(self, N: int) -> list[tuple[str, Array, Any]]:
        """Return the name, the fixed array (N, H) and the layer of each carried state."""
        weight = self.model.params[0]
        return [
            (name, self._buffers.get(f"{k} {name}", (N, width), weight), rnn)
            for k, rnn in enumerate(self.model.rnn_layers)
            for name, width in rnn.state_widths.items()
        ]

    def _copy_ids(self, name: str, ids: NDArray[Any]) -> None:
        """Copy ids (N, T) into the fixed array ``name``."""
        on_device = as_ids(ids, self.model.params[0])
        if name in self._ids and self._ids[name].shape == on_device.shape:
            self._ids[name].copy_(on_device)
        else:
            self._ids[name] = on_device

    def _draw_masks(self, N: int, T: int) -> None:
        """Draw the masks of this block in the order of the layers, as their `begin` would."""
        width, like = self.model.wordvec_size, self.model.params[0]
        for layer in self.model.layers:
            if layer in self.model.rnn_layers:
                width = self.model.output_size
            for dropout in dropouts_of(layer):
                if not (dropout.train_flg and dropout.ratio):
                    continue
                if isinstance(dropout, TimeDropout):
                    dropout.draw((N, T, width), like)
                else:
                    dropout.draw(like)

    def _clip(self, grads: Sequence[Array]) -> None:
        """Scale all gradients if their norm exceeds max_grad; set them to zero if the loss or norm is not finite."""
        xp = namespace(self._loss_and_norm)
        finite = xp.isfinite(self._loss_and_norm).all()
        for g in grads:
            g.masked_fill_(~finite, 0)
        if self.max_grad is not None:
            scale = (self.max_grad / (self._loss_and_norm[1] + 1e-6)).clamp(max=1).masked_fill(~finite, 1)
            for g in grads:
                g *= scale


class GraphStep(DeviceStep):
    """`DeviceStep`, recorded after a few blocks and replayed from then on; not recorded if that fails."""

    def __init__(self, *options: Any, record: "Record | None" = None) -> None:
        super().__init__(*options)
        self._record = record if record is not None else record_on_gpu
        self._replay: Callable[[], None] | None = None
        self._shape: tuple[int, ...] | None = None
        self._blocks = 0  # of this shape
        self.failure: str = ""  # why the step could not be recorded

    def run(self) -> None:
        """Do the device's part: operation by operation at first, then by replaying the recording."""
        shape = tuple(self._ids["xs"].shape)
        if shape != self._shape:
            self._shape, self._replay, self._blocks = shape, None, 0
        self._blocks += 1
        if self._replay is None and self._blocks > WARM_UP and not self.failure:
            self._try_to_record()
        if self._replay is None:
            self.compute()
        else:
            self._replay()

    def _try_to_record(self) -> None:
        try:
            self._replay = self._record(self.compute)
        except RuntimeError as error:  # torch raises it for an operation that cannot be recorded
            self.failure = str(error)
        self.use_fixed_states(len(self._ids["xs"]))


def record_on_gpu(compute: Callable[[], None]) -> Callable[[], None]:
    """Record what ``compute`` does on the GPU, without doing it; return a function that does it."""
    cuda = sys.modules["torch"].cuda
    graph = cuda.CUDAGraph()
    with cuda.graph(graph):
        compute()
    return graph.replay  # type: ignore[no-any-return]


def training_step(model: Any, *options: Any) -> TrainingStep:
    """Return the step for a model, with the options of `TrainingStep`: a `GraphStep` on a GPU, if the model has one."""
    on_gpu = can_use_device_step(model) and model.params[0].device.type == "cuda"
    return GraphStep(model, *options) if on_gpu else TrainingStep(model, *options)


def can_use_device_step(model: Any) -> bool:
    """Return whether `DeviceStep` can train a model: no array in it may have a shape that depends on the ids."""
    return (
        isinstance(model, RecurrentLM)
        and isinstance(model.loss_layer, TimeAffineSoftmaxWithLoss)
        and is_torch(model.params[0])
    )


def merge_shared(
    params: Sequence[Array], grads: Sequence[Array], rows: Sequence[Array | None]
) -> tuple[list[Array], list[Array], Rows]:
    """Return the lists with every parameter once; the gradients of one that occurs again (by ``is``) are summed.

    The sum is a new array: a layer that keeps its gradient sparse clears only the rows that it wrote itself.
    """
    if len({id(p) for p in params}) == len(params):
        return list(params), list(grads), list(rows)
    place: dict[int, int] = {}
    merged: Merged = ([], [], [])
    for p, g, r in zip(params, grads, rows, strict=True):
        k = place.get(id(p))
        if k is None:
            place[id(p)] = len(merged[0])
            for items, item in zip(merged, (p, g, r), strict=True):
                items.append(item)
        else:
            merged[1][k] = merged[1][k] + g
            merged[2][k] = None
    return merged


def global_norm(grads: Sequence[Array], rows: Sequence[Array | None]) -> float:
    """Return √Σg² over all gradients; for a gradient with ``rows``, only those rows are read."""
    total = sum(_square((g if r is None else g[r]).reshape(-1)) for g, r in zip(grads, rows, strict=True))
    return math.sqrt(total) if total >= 0 else math.nan


def _square(flat: Array) -> float:
    """Return Σg² of g (n,)."""
    dot, parts = namespace(flat).dot, split_evenly(len(flat), MIN_PART)
    if len(parts) == 1:
        return float(dot(flat, flat))
    sums = [0.0] * len(parts)

    def add_up(k: int) -> None:
        sums[k] = float(dot(flat[parts[k]], flat[parts[k]]))

    run_parallel(*(partial(add_up, k) for k in range(len(parts))))
    return sum(sums)


def device_norm(grads: Sequence[Array]) -> Array:
    """Return √Σg² over all gradients, as a tensor () on their device."""
    xp = namespace(grads[0])
    squares = [xp.dot(flat, flat) for flat in (g.reshape(-1) for g in grads)]
    return xp.stack(squares).sum().sqrt()


def norm_scale(norm: float, max_grad: float | None) -> float:
    """Return the factor that brings gradients of this global norm down to max_grad; 1 if they are not above it.

    Source: R. Pascanu, T. Mikolov and Y. Bengio, ICML 2013.
    """
    return 1.0 if max_grad is None else min(1.0, max_grad / (norm + 1e-6))
