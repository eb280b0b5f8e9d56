"""One training step that a device can do by itself: forward, backward, norm, clip, update.

The ordinary step (`RnnlmTrainer`) looks at what it has computed on its way: at the ids, to check them and to count
those that differ; at the loss and the norm, to decide what comes next. Here the host does its part first, into
arrays that stay where they are (ids, dropout masks, the learning rate, the weight decay, the carried state), and
after that nothing depends on what an array holds. Such a step can be recorded once and replayed: see
`elman.training.cuda_graph`.
"""

from collections.abc import Sequence
from typing import Any, Literal

from numpy.typing import NDArray

from elman.arrays import Array, Buffers, as_ids, is_torch, namespace, unattended, zeros
from elman.layers.base import check_state
from elman.layers.dropout import TimeDropout
from elman.layers.output import TimeAffineSoftmaxWithLoss
from elman.layers.softmax import check_targets
from elman.models.ids import checked_ids
from elman.models.rnnlm import RecurrentLM
from elman.training.clipping import merge_shared
from elman.training.optimizers import Optimizer


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
