"""Gradient clipping, and one gradient for each parameter that is shared.

One training step that a device can do by itself: forward, backward, norm, clip, update.

The ordinary step (`RnnlmTrainer`) looks at what it has computed on its way: at the ids, to check them and to count
those that differ; at the loss and the norm, to decide what comes next. Here the host does its part first, into
arrays that stay where they are (ids, dropout masks, the learning rate, the weight decay, the carried state), and
after that nothing depends on what an array holds. Such a step can be recorded once and replayed: see
`elman.training.step`.

A training step recorded once as a CUDA graph, and replayed for every block after that.

A step of a small recurrent model is thousands of short kernels, and starting them one by one from Python takes
longer than running them. A graph starts them all at once. Everything that a step reads and writes must lie at
the same addresses every time: that is what the layers' buffers and `DeviceStep` provide.
"""

import math
import sys
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, Literal

from numpy.typing import NDArray

from elman.arrays import Array, Buffers, as_ids, is_torch, namespace, unattended, zeros
from elman.layers.base import check_state
from elman.layers.dropout import TimeDropout
from elman.layers.output import TimeAffineSoftmaxWithLoss
from elman.layers.softmax import check_targets
from elman.models.base import checked_ids
from elman.models.recurrent import RecurrentLM
from elman.training.optimizers import Optimizer
from elman.workers import run_parallel, split_evenly

Rows = list[Array | None]
MIN_PART = 1 << 19  # numbers, fewer than which are not worth another thread


def merge_shared(
    params: Sequence[Array], grads: Sequence[Array], rows: Sequence[Array | None]
) -> tuple[list[Array], list[Array], Rows]:
    """Return the lists with every parameter once: a parameter that occurs again (by ``is``) adds its gradient.

    The sum is a new array: a layer that keeps its gradient sparse clears only the rows that it wrote itself.
    """
    if len({id(p) for p in params}) == len(params):
        return list(params), list(grads), list(rows)
    place: dict[int, int] = {}
    merged: tuple[list[Array], list[Array], Rows] = ([], [], [])
    for p, g, r in zip(params, grads, rows, strict=True):
        k = place.get(id(p))
        if k is None:
            place[id(p)] = len(merged[0])
            for held, item in zip(merged, (p, g, r), strict=True):
                held.append(item)
        else:
            merged[1][k] = merged[1][k] + g
            merged[2][k] = None
    return merged


def global_norm(grads: Sequence[Array], rows: Sequence[Array | None]) -> float:
    """Return √Σg² over all gradients; only the named rows are read where rows are named."""
    total = sum(_square((g if r is None else g[r]).reshape(-1)) for g, r in zip(grads, rows, strict=True))
    return math.sqrt(total) if total >= 0 else math.nan


def _square(flat: Array) -> float:
    """Return Σg² of g (n,)."""
    dot, parts = namespace(flat).dot, split_evenly(len(flat), MIN_PART)
    if len(parts) == 1:
        return float(dot(flat, flat))
    found = [0.0] * len(parts)

    def work(k: int) -> None:
        found[k] = float(dot(flat[parts[k]], flat[parts[k]]))

    run_parallel(*(partial(work, k) for k in range(len(parts))))
    return sum(found)


def norm_scale(norm: float, max_grad: float | None) -> float:
    """Return the factor that brings gradients of this global norm down to max_grad: 1 where they need none.

    Source: R. Pascanu, T. Mikolov and Y. Bengio, ICML 2013.
    """
    return 1.0 if max_grad is None else min(1.0, max_grad / (norm + 1e-6))


def can_step_alone(model: Any) -> bool:
    """Tell whether a model can be trained by `DeviceStep`: no shape within it may depend on the ids it reads."""
    return (
        isinstance(model, RecurrentLM)
        and isinstance(model.loss_layer, TimeAffineSoftmaxWithLoss)
        and is_torch(model.params[0])
    )


class DeviceStep:
    """Trains a model on torch tensors, one block a call; the same numbers as the ordinary step, but for rounding.

    Where the loss or the gradient is no finite number, no gradient reaches the weights. Every row of the word
    vectors is updated, whether the block has read it or not.
    """

    def __init__(
        self,
        model: RecurrentLM,
        optimizer: Optimizer,
        max_grad: float | None = None,
        max_value: float | None = None,
        reduction: Literal["mean", "sum"] = "mean",
    ) -> None:
        self.model, self.optimizer = model, optimizer
        self.max_grad, self.max_value, self.reduction = max_grad, max_value, reduction
        self._buffers = Buffers()
        weight = model.params[0]
        self._rate, self._shrinkage = zeros((), weight), zeros((), weight)
        self._found = zeros((2,), weight)  # loss and norm
        self._ids: dict[str, Array] = {}

    def __call__(self, xs: NDArray[Any], ts: NDArray[Any]) -> tuple[float, float]:
        """Train on xs -> ts (N, T); return the mean loss in nats and the gradient's norm before clipping.

        Raises:
            VocabularyError, ShapeError: an id or a target is out of range; nothing has been done.
        """
        self.prepare(xs, ts)
        self.run()
        loss, norm = self._found.tolist()
        return loss, norm

    def prepare(self, xs: NDArray[Any], ts: NDArray[Any]) -> None:
        """Do the host's part for the block xs -> ts (N, T)."""
        V = self.model.vocab_size
        check_targets(ts.reshape(-1), self.model.loss_layer.ignore_label, V)
        self._keep("xs", checked_ids(xs, len(xs), V))
        self._keep("ts", ts)
        self._draw_masks(*xs.shape)
        self._rate.fill_(self.optimizer.next_rate())
        self._shrinkage.fill_(self.optimizer.shrinkage)
        for name, place, rnn in self._states(len(xs)):
            carried = getattr(rnn, name)
            if carried is None:
                place[...] = 0
            elif carried is not place:
                check_state(name, carried, *place.shape)
                place[...] = carried
        self.rest_states(len(xs))

    def _keep(self, name: str, ids: NDArray[Any]) -> None:
        """Put ids (N, T) where the step finds them."""
        ids_there = as_ids(ids, self.model.params[0])
        if name in self._ids and self._ids[name].shape == ids_there.shape:
            self._ids[name].copy_(ids_there)
        else:
            self._ids[name] = ids_there

    def run(self) -> None:
        """Do the device's part."""
        self.compute()

    def compute(self) -> None:
        """Forward, backward, norm, clip and update; leave the loss and the norm, and the state for the next block."""
        model = self.model
        xs, ts = self._ids["xs"], self._ids["ts"]
        with unattended():
            loss = model.forward(xs, ts)
            model.backward(float(ts.shape.numel()) if self.reduction == "sum" else 1.0)
            params, grads, _ = merge_shared(model.params, model.grads, [None] * len(model.grads))
            self._found[0], self._found[1] = loss, norm(grads)
            self._scale(grads)
            self.optimizer.apply(params, grads, self._rate, limit=self.max_value, shrinkage=self._shrinkage)
            for name, place, rnn in self._states(len(xs)):
                place[...] = getattr(rnn, name)
        self.rest_states(len(xs))

    def rest_states(self, N: int) -> None:
        """Let the layers carry the state in the arrays that stay."""
        for name, place, rnn in self._states(N):
            setattr(rnn, name, place)

    def _states(self, N: int) -> list[tuple[str, Array, Any]]:
        """Return the name, the place (N, H) and the layer of everything that is carried."""
        H, weight = self.model.hidden_size, self.model.params[0]
        return [
            (name, self._buffers.get(f"{k} {name}", (N, H), weight), rnn)
            for k, rnn in enumerate(self.model.rnn_layers)
            for name in rnn.states
        ]

    def _draw_masks(self, N: int, T: int) -> None:
        width, like = self.model.wordvec_size, self.model.params[0]
        for layer in self.model.layers:
            if isinstance(layer, TimeDropout):
                if layer.train_flg and layer.ratio:
                    layer.draw((N, T, width), like)
                continue
            width = width if layer is self.model.embedding else self.model.hidden_size
            of_weights = getattr(layer, "dropout", None)
            if of_weights is not None and of_weights.train_flg:
                of_weights.draw(like)

    def _scale(self, grads: Sequence[Array]) -> None:
        """Scale all gradients where their norm exceeds max_grad; zero them all where it is no finite number."""
        xp = namespace(self._found)
        finite = xp.isfinite(self._found).all()
        for g in grads:
            g.masked_fill_(~finite, 0)
        if self.max_grad is not None:
            rate = (self.max_grad / (self._found[1] + 1e-6)).clamp(max=1).masked_fill(~finite, 1)
            for g in grads:
                g *= rate


def norm(grads: Sequence[Array]) -> Array:
    """Return √Σg² over all gradients, on their device."""
    xp = namespace(grads[0])
    squares = [xp.dot(flat, flat) for flat in (g.reshape(-1) for g in grads)]
    return xp.stack(squares).sum().sqrt()


WARM_UP = 3  # blocks trained on before the recording, so that every buffer is there and every kernel chosen

Record = Callable[[Callable[[], None]], Callable[[], None]]


def graph_step(model: Any, *options: Any) -> "GraphStep | None":
    """Return the step for a model on a GPU, with the options of `DeviceStep`; None for a model that has none."""
    if not can_step_alone(model) or model.params[0].device.type != "cuda":
        return None
    return GraphStep(model, *options)


class GraphStep(DeviceStep):
    """`DeviceStep`, recorded after a few blocks and replayed from then on; where that fails, it goes on as it is."""

    def __init__(self, *options: Any, record: "Record | None" = None) -> None:
        super().__init__(*options)
        self._record = record if record is not None else record_on_gpu
        self._replay: Callable[[], None] | None = None
        self._shape: tuple[int, ...] | None = None
        self._blocks = 0  # of this shape
        self.failure: str = ""  # why it could not be recorded

    def run(self) -> None:
        """Do the device's part, at first step by step, then by the recording."""
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
        except RuntimeError as error:  # what torch raises for an operation that cannot be recorded
            self.failure = str(error)
        self.rest_states(len(self._ids["xs"]))


def record_on_gpu(compute: Callable[[], None]) -> Callable[[], None]:
    """Record what ``compute`` does on the GPU, without doing it; return what does it."""
    cuda = sys.modules["torch"].cuda
    graph = cuda.CUDAGraph()
    with cuda.graph(graph):
        compute()
    return graph.replay  # type: ignore[no-any-return]
