"""The textbook's recurrent language model in its straightforward form, float32.

One cell object a step; every step's embedding gradient is a dense (V, D) array; minibatches are filled one
number at a time. The 100-line character model is in `min_char`.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from inputs import Inputs
from peers.min_char import MinCharRnn
from workloads import Workload

Floats = NDArray[np.float32]


class Embedding:
    def __init__(self, W: Floats) -> None:
        self.params, self.grads = [W], [np.zeros_like(W)]

    def forward(self, ids: NDArray[Any]) -> Floats:
        self.ids = ids
        return self.params[0][ids]

    def backward(self, dout: Floats) -> None:
        (dW,) = self.grads
        dW[...] = 0
        np.add.at(dW, self.ids, dout)


class TimeEmbedding:
    def __init__(self, W: Floats) -> None:
        self.params, self.grads = [W], [np.zeros_like(W)]

    def forward(self, xs: NDArray[Any]) -> Floats:
        N, T = xs.shape
        out = np.empty((N, T, self.params[0].shape[1]), np.float32)
        self.cells = []
        for t in range(T):
            cell = Embedding(self.params[0])
            out[:, t, :] = cell.forward(xs[:, t])
            self.cells.append(cell)
        return out

    def backward(self, dout: Floats) -> None:
        total: Any = 0
        for t, cell in enumerate(self.cells):
            cell.backward(dout[:, t, :])
            total += cell.grads[0]
        self.grads[0][...] = total


class RNN:
    def __init__(self, Wx: Floats, Wh: Floats, b: Floats) -> None:
        self.params = [Wx, Wh, b]
        self.grads = [np.zeros_like(p) for p in self.params]

    def forward(self, x: Floats, h_prev: Floats) -> Floats:
        Wx, Wh, b = self.params
        h_next: Floats = np.tanh(np.dot(h_prev, Wh) + np.dot(x, Wx) + b)
        self.cache = x, h_prev, h_next
        return h_next

    def backward(self, dh_next: Floats) -> tuple[Floats, Floats]:
        Wx, Wh, _ = self.params
        x, h_prev, h_next = self.cache
        dz = dh_next * (1 - h_next**2)
        dWx, dWh, db = self.grads
        dWx[...] = np.dot(x.T, dz)
        dWh[...] = np.dot(h_prev.T, dz)
        db[...] = dz.sum(axis=0)
        return np.dot(dz, Wx.T), np.dot(dz, Wh.T)


class TimeRNN:
    """Stateful: the last h goes into the next block."""

    def __init__(self, Wx: Floats, Wh: Floats, b: Floats) -> None:
        self.params = [Wx, Wh, b]
        self.grads = [np.zeros_like(p) for p in self.params]
        self.h: Floats | None = None

    def forward(self, xs: Floats) -> Floats:
        N, T, _ = xs.shape
        H = self.params[1].shape[0]
        hs = np.empty((N, T, H), np.float32)
        if self.h is None:
            self.h = np.zeros((N, H), np.float32)
        self.cells = []
        for t in range(T):
            cell = RNN(*self.params)
            self.h = cell.forward(xs[:, t, :], self.h)
            hs[:, t, :] = self.h
            self.cells.append(cell)
        return hs

    def backward(self, dhs: Floats) -> Floats:
        N, T, _ = dhs.shape
        dxs = np.empty((N, T, self.params[0].shape[0]), np.float32)
        dh: Any = 0
        totals: list[Any] = [0, 0, 0]
        for t in reversed(range(T)):
            dx, dh = self.cells[t].backward(dhs[:, t, :] + dh)
            dxs[:, t, :] = dx
            for i, grad in enumerate(self.cells[t].grads):
                totals[i] += grad
        for grad, total in zip(self.grads, totals, strict=True):
            grad[...] = total
        return dxs


class TimeAffine:
    def __init__(self, W: Floats, b: Floats) -> None:
        self.params = [W, b]
        self.grads = [np.zeros_like(W), np.zeros_like(b)]

    def forward(self, xs: Floats) -> Floats:
        N, T, H = xs.shape
        W, b = self.params
        self.xs = xs
        return (np.dot(xs.reshape(N * T, H), W) + b).reshape(N, T, -1)

    def backward(self, dout: Floats) -> Floats:
        N, T, H = self.xs.shape
        rows = dout.reshape(N * T, -1)
        self.grads[0][...] = np.dot(self.xs.reshape(N * T, H).T, rows)
        self.grads[1][...] = rows.sum(axis=0)
        return np.dot(rows, self.params[0].T).reshape(N, T, H)


class TimeSoftmaxWithLoss:
    def __init__(self) -> None:
        self.params: list[Floats] = []
        self.grads: list[Floats] = []

    def forward(self, xs: Floats, ts: NDArray[Any]) -> float:
        N, T, V = xs.shape
        scores, targets = xs.reshape(N * T, V), ts.reshape(N * T)
        scores = scores - scores.max(axis=1, keepdims=True)
        powers = np.exp(scores)
        probs = powers / powers.sum(axis=1, keepdims=True)
        self.cache = probs, targets, xs.shape
        return -float(np.log(probs[np.arange(N * T), targets]).sum()) / (N * T)

    def backward(self) -> Floats:
        dscores, targets, shape = self.cache
        dscores[np.arange(len(targets)), targets] -= 1
        dscores *= 1 / len(targets)
        return dscores.reshape(shape)


class Textbook:
    """The model, its batches and its SGD."""

    def __init__(self, workload: Workload, inputs: Inputs) -> None:
        w = {name: weight.copy() for name, weight in inputs.weights.items()}
        self.loss_layer = TimeSoftmaxWithLoss()
        self.layers: list[Any] = [
            TimeEmbedding(w["embedding"]),
            TimeRNN(w["0.Wx"], w["0.Wh"], w["0.b"]),
            TimeAffine(w["output.W"], w["output.b"]),
        ]
        self.params = [p for layer in self.layers for p in layer.params]
        self.grads = [g for layer in self.layers for g in layer.grads]
        self.xs, self.ts = inputs.ids[:-1], inputs.ids[1:]
        self.N, self.T, self.lr, self.time = workload.N, workload.T, workload.lr, 0

    def next_block(self) -> tuple[NDArray[Any], NDArray[Any]]:
        """Return inputs and targets (N, T); the time index advances once per step."""
        xs, ts = np.empty((self.N, self.T), np.int32), np.empty((self.N, self.T), np.int32)
        size = len(self.xs)
        offsets = [row * (size // self.N) for row in range(self.N)]
        for t in range(self.T):
            for row, offset in enumerate(offsets):
                xs[row, t] = self.xs[(offset + self.time) % size]
                ts[row, t] = self.ts[(offset + self.time) % size]
            self.time += 1
        return xs, ts

    def step(self) -> float:
        """Train on the next block and return its loss."""
        xs, ts = self.next_block()
        for layer in self.layers:
            xs = layer.forward(xs)
        loss = self.loss_layer.forward(xs, ts)
        dout = self.loss_layer.backward()
        for layer in reversed(self.layers):
            dout = layer.backward(dout)
        for p, g in zip(self.params, self.grads, strict=True):
            p -= self.lr * g
        return loss

    def run(self, steps: int) -> tuple[list[float], int]:
        return [self.step() for _ in range(steps)], steps * self.N * self.T


def build(workload: Workload, inputs: Inputs, variant: str) -> Textbook | MinCharRnn:
    return Textbook(workload, inputs) if workload.D else MinCharRnn(workload, inputs)
