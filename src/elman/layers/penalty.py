"""Penalties on what a recurrent layer hands out: the identity, whose gradient is not.

With h (N, T, H) a block's activations, the training goes down the gradient of the cross entropy plus

    α · Σ h²_{n,t,j} / (N·T·H)                              activation regularisation (AR)
    β · Σ_{t>1} (h_{n,t,j} - h_{n,t-1,j})² / (N·(T-1)·H)    temporal activation regularisation (TAR)

AR stands after the dropout of the last layer, whose h it reads as dropped and scaled; TAR stands before it. Steps are
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
    """Adds to the gradient of xs (N, T, H) that of ``dout`` · ``weight`` · mean, while ``train_flg``.

    ``dout``, to be set before `backward`, is what the loss is scaled by. The steps can be done in spans (see
    `elman.layers.recurrent`); forward there are none.
    """

    def __init__(self, weight: float) -> None:
        if not 0 <= weight < float("inf"):
            raise ConfigError(f"the weight of a penalty must be at least 0, got {weight}")
        self.params: list[Array] = []
        self.grads: list[Array] = []
        self.weight, self.dout = weight, 1.0
        self.train_flg = True
        self._buffers = Buffers()

    @abstractmethod
    def penalty(self) -> float:
        """Return what is added to the loss of the block that was read last: weight · mean."""

    @abstractmethod
    def backward_steps(self, first: int, last: int) -> None:
        """Do the steps last > t ≥ first."""

    def forward(self, xs: Array) -> Array:
        """Return xs (N, T, H)."""
        return self.begin(xs)

    def backward(self, dout: Array) -> Array:
        """Return the gradient (N, T, H) with the penalty's."""
        dxs = self.begin_backward(dout)
        self.backward_steps(0, dout.shape[1])
        return dxs

    def begin(self, xs: Array) -> Array:
        """Take xs (N, T, H), which need not be filled yet; return it."""
        self._xs = time_major(xs)
        return xs

    def forward_steps(self, first: int, last: int) -> None:
        """There is nothing to do."""
        return

    def end(self) -> None:
        """Nothing is carried to the next block."""
        return

    def begin_backward(self, dout: Array) -> Array:
        """Take dout (N, T, H), which need not be filled yet; return the gradient, which `backward_steps` fills."""
        T, N, H = self._xs.shape
        check_gradient(dout, (N, T, H))
        self._dout: Any = time_major(dout)
        if not self.train_flg:
            self._dxs = self._dout
            return dout
        self._dxs = self._buffers.get("dxs", (T, N, H), self._xs)
        self._work = self._buffers.get("work", (T, N, H), self._xs)
        return batch_major(self._dxs)

    def end_backward(self) -> None:
        """Nothing came in from the block before."""
        return

    def weight_gradients(self) -> list[Callable[[], None]]:
        """Return no pieces: there are no weights."""
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
        changes = self._xs[1:] - self._xs[:-1]
        added: float = self.weight * float((changes * changes).sum()) / max(1, (T - 1) * N * H)
        return added

    def backward_steps(self, first: int, last: int) -> None:
        """Do the steps last > t ≥ first; each but the first and the last of a block is compared with two."""
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
