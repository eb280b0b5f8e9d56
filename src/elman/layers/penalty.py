"""Penalties on the activations of a recurrent layer: forward the identity, backward they add to the gradient.

With h (N, T, H) the activations of a block, training minimises the cross entropy plus

    α · Σ h²_{n,t,j} / (N·T·H)                              activation regularisation (AR)
    β · Σ_{t>1} (h_{n,t,j} - h_{n,t-1,j})² / (N·(T-1)·H)    temporal activation regularisation (TAR)

AR comes after the dropout of the last layer, so it sees the dropped and scaled h; TAR comes before it. Steps are
compared within a block. The loss that the model reports is the cross entropy alone.

Source: S. Merity, B. McCann and R. Socher, "Revisiting activation regularization for language RNNs" (2017); the
means over sequences, steps and units are those of the programs of S. Merity, N. S. Keskar and R. Socher, ICLR 2018.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Any

from elman.arrays import Array, Buffers, batch_major, namespace, time_major
from elman.errors import ConfigError
from elman.layers.base import check_gradient


class TimePenalty(ABC):
    """While ``train_flg``, adds the gradient of ``dout`` · ``weight`` · mean to that of xs (N, T, H).

    ``dout`` is the factor on the loss, to be set before `backward`. The backward steps can be done in spans (see
    `elman.layers.recurrent`); forward there is nothing to do.
    """

    def __init__(self, weight: float) -> None:
        if not 0 <= weight < float("inf"):
            raise ConfigError(f"the weight of a penalty must be finite and ≥ 0, got {weight}")
        self.params: list[Array] = []
        self.grads: list[Array] = []
        self.weight, self.dout = weight, 1.0
        self.train_flg = True
        self._buffers = Buffers()

    @abstractmethod
    def penalty(self) -> float:
        """Return what the penalty adds to the loss of the last block: weight · mean."""

    @abstractmethod
    def backward_steps(self, first: int, last: int) -> None:
        """Do the steps last > t ≥ first."""

    def forward(self, xs: Array) -> Array:
        """Return xs (N, T, H)."""
        return self.begin(xs)

    def backward(self, dout: Array) -> Array:
        """Return dout (N, T, H) plus the gradient of the penalty."""
        dxs = self.begin_backward(dout)
        self.backward_steps(0, dout.shape[1])
        return dxs

    def begin(self, xs: Array) -> Array:
        """Take xs (N, T, H), which may be filled later; return it."""
        self._xs = time_major(xs)  # (T, N, H)
        return xs

    def forward_steps(self, first: int, last: int) -> None:
        """Do nothing: forward the layer is the identity."""
        return

    def end(self) -> None:
        """Do nothing: no state is carried to the next block."""
        return

    def begin_backward(self, dout: Array) -> Array:
        """Take dout (N, T, H), which may be filled later; return the gradient, which `backward_steps` fills."""
        T, N, H = self._xs.shape
        check_gradient(dout, (N, T, H))
        self._dout: Any = time_major(dout)  # (T, N, H)
        if not self.train_flg:
            self._dxs = self._dout
            return dout
        self._dxs = self._buffers.get("dxs", (T, N, H), self._xs)
        self._work = self._buffers.get("work", (T, N, H), self._xs)
        return batch_major(self._dxs)

    def end_backward(self) -> None:
        """Do nothing: no state came in from the block before."""
        return

    def weight_gradients(self) -> list[Callable[[], None]]:
        """Return nothing to do: there are no weights."""
        return []


class TimeActivationPenalty(TimePenalty):
    """AR: α times the mean of h²; adds 2α·h / (N·T·H)."""

    def penalty(self) -> float:
        """Return what is added to the loss."""
        T, N, H = self._xs.shape
        added: float = self.weight * float((self._xs * self._xs).sum()) / (T * N * H)
        return added

    def backward_steps(self, first: int, last: int) -> None:
        """Do the steps last > t ≥ first."""
        if not self.train_flg:
            return
        span, (T, N, H) = slice(first, last), self._xs.shape
        xp, work = namespace(self._dxs), self._work[span]
        xp.multiply(self._xs[span], 2 * self.weight * self.dout / (T * N * H), out=work)
        xp.add(self._dout[span], work, out=self._dxs[span])


class TimeTemporalPenalty(TimePenalty):
    """TAR: β times the mean of (h_t - h_{t-1})²; adds 2β·(2h_t - h_{t-1} - h_{t+1}) / (N·(T-1)·H)."""

    def penalty(self) -> float:
        """Return what is added to the loss; 0 for a block of one step."""
        T, N, H = self._xs.shape
        changes = self._xs[1:] - self._xs[:-1]  # (T - 1, N, H)
        added: float = self.weight * float((changes * changes).sum()) / max(1, (T - 1) * N * H)
        return added

    def backward_steps(self, first: int, last: int) -> None:
        """Do the steps last > t ≥ first; all but the first and the last of a block are compared with two steps."""
        if not self.train_flg:
            return
        hs, span, (T, N, H) = self._xs, slice(first, last), self._xs.shape
        xp, work = namespace(self._dxs), self._work[span]
        work[...] = 0
        second, next_to_last = max(first, 1), min(last, T - 1)
        with_before, with_after = self._work[second:last], self._work[first:next_to_last]
        with_before += hs[second:last]
        with_before -= hs[second - 1 : last - 1]
        with_after += hs[first:next_to_last]
        with_after -= hs[first + 1 : next_to_last + 1]
        xp.multiply(work, 2 * self.weight * self.dout / max(1, (T - 1) * N * H), out=work)
        xp.add(self._dout[span], work, out=self._dxs[span])
