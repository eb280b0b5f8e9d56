"""The 100-line character model in its straightforward form, float32: column vectors, one character at a time."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from inputs import Inputs
from workloads import Workload


class MinCharRnn:
    """One-hot input, one RNN layer, AdaGrad, gradient entries clipped, loss summed over the block."""

    def __init__(self, workload: Workload, inputs: Inputs) -> None:
        w = inputs.weights
        self.Wxh, self.Whh, self.Why = (w[name].T.copy() for name in ("embedding", "0.Wh", "output.W"))
        self.bh, self.by = w["0.b"][:, None].copy(), w["output.b"][:, None].copy()
        self.params = [self.Wxh, self.Whh, self.Why, self.bh, self.by]
        self.memory = [np.zeros_like(p) for p in self.params]
        self.data, self.workload, self.p = inputs.ids.tolist(), workload, 0
        self.h = np.zeros((workload.H, 1), np.float32)

    def loss_and_grads(self, inputs: list[int], targets: list[int]) -> tuple[float, list[NDArray[Any]]]:
        xs, hs, ps = {}, {-1: self.h.copy()}, {}
        loss = 0.0
        for t, x in enumerate(inputs):
            xs[t] = np.zeros((self.workload.V, 1), np.float32)
            xs[t][x] = 1
            hs[t] = np.tanh(np.dot(self.Wxh, xs[t]) + np.dot(self.Whh, hs[t - 1]) + self.bh)
            ys = np.dot(self.Why, hs[t]) + self.by
            ps[t] = np.exp(ys) / np.sum(np.exp(ys))
            loss -= np.log(ps[t][targets[t], 0])
        dWxh, dWhh, dWhy, dbh, dby = grads = [np.zeros_like(p) for p in self.params]
        dh_next = np.zeros_like(self.h)
        for t in reversed(range(len(inputs))):
            dy = np.copy(ps[t])
            dy[targets[t]] -= 1
            dWhy += np.dot(dy, hs[t].T)
            dby += dy
            dh = np.dot(self.Why.T, dy) + dh_next
            dz = (1 - hs[t] * hs[t]) * dh
            dbh += dz
            dWxh += np.dot(dz, xs[t].T)
            dWhh += np.dot(dz, hs[t - 1].T)
            dh_next = np.dot(self.Whh.T, dz)
        for grad in grads:
            np.clip(grad, -self.workload.clip_value, self.workload.clip_value, out=grad)
        self.h = hs[len(inputs) - 1]
        return float(loss), grads

    def step(self) -> float:
        """Train on the next block and return its loss a character."""
        T = self.workload.T
        if self.p + T + 1 >= len(self.data):
            self.p, self.h = 0, np.zeros_like(self.h)
        block = self.data[self.p : self.p + T + 1]
        loss, grads = self.loss_and_grads(block[:-1], block[1:])
        for param, grad, memory in zip(self.params, grads, self.memory, strict=True):
            memory += grad * grad
            param += -self.workload.lr * grad / np.sqrt(memory + 1e-8)
        self.p += T
        return loss / T

    def run(self, steps: int) -> tuple[list[float], int]:
        return [self.step() for _ in range(steps)], steps * self.workload.T
