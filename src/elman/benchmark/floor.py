"""The floor: the matrix products of a workload alone, into preallocated arrays, as fast as NumPy's BLAS computes them.

Every product uses the fastest memory layout of its operands (as they are, or transposed), and all of them the
fastest number of threads, as measured on this machine.
"""

import itertools
import time

import numpy as np
from threadpoolctl import ThreadpoolController

from elman.benchmark.workloads import Inputs, Peer, Workload
from elman.environment import allowed_threads

TRIAL_SECONDS = 0.5
SEQUENCES_OF_LINES, STEPS_OF_LINES = 64, 22  # a batch of PTB's lines, of their mean length
BLOCKS = {"lines": (SEQUENCES_OF_LINES, STEPS_OF_LINES), "words": (1, 1)}


def shapes(workload: Workload, N: int, T: int) -> list[tuple[int, int, int, int]]:
    """Return (times, m, k, n) of every product (m, k)·(k, n) of one block, with the backward ones if it trains."""
    G = workload.H * {"rnn": 1, "lstm": 4}[workload.cell]
    H, V, rows = workload.H, workload.V, N * T
    train = workload.task == "train"
    found = []
    for layer in range(workload.layers):
        D = workload.D if layer == 0 else H
        if D:
            found.append((1, rows, D, G))  # zs = xs·Wx
        found.append((T, N, H, G))  # h·Wh
        if train:
            found += [(T, N, G, H), (1, H, rows, G)]  # dz·Whᵀ, dWh
            if D:
                found += [(1, D, rows, G), (1, rows, G, D)]  # dWx, dxs
    found.append((1, rows, H, V))  # scores
    if train:
        found += [(1, H, rows, V), (1, rows, V, H)]  # dW, dhs
    return found


class Product:
    """One product of a block, repeated ``times`` on different rows, in its fastest layout."""

    def __init__(self, times: int, m: int, k: int, n: int) -> None:
        self.outs = np.empty((times, m, n), np.float32)
        layouts = itertools.product(*(((times, m, k), (times, k, m)), ((k, n), (n, k))))
        timed = []
        for a_shape, b_shape in layouts:
            left, right = np.ones(a_shape, np.float32), np.ones(b_shape, np.float32)
            self.left = left if a_shape[1] == m else left.swapaxes(1, 2)
            self.right = right if b_shape[0] == k else right.T
            timed.append((min(self._seconds() for _ in range(3)), self.left, self.right))
        _, self.left, self.right = min(timed, key=lambda layout: layout[0])

    def _seconds(self) -> float:
        began = time.perf_counter()
        self()
        return time.perf_counter() - began

    def __call__(self) -> None:
        """Compute the product."""
        for a, out in zip(self.left, self.outs, strict=True):
            np.matmul(a, self.right, out=out)


class Floor:
    """All products of a workload's block, repeated."""

    def __init__(self, workload: Workload) -> None:
        N, T = BLOCKS.get(workload.task, (workload.N, workload.T))
        self.tokens = N * T
        self.products = [Product(*shape) for shape in shapes(workload, N, T)]
        self.controller = ThreadpoolController()
        self.threads = min(sorted({1, allowed_threads()}), key=self._seconds)

    def _seconds(self, threads: int) -> float:
        """Return the time of a block on this number of threads: the lower quartile of many tries."""
        self.threads = threads
        found: list[float] = []
        ends = time.perf_counter() + TRIAL_SECONDS
        while not found or time.perf_counter() < ends:
            began = time.perf_counter()
            self.run(1)
            found.append(time.perf_counter() - began)
        return sorted(found)[len(found) // 4]

    def run(self, steps: int) -> tuple[list[float], int]:
        """Compute the products of this number of blocks; see `Peer`."""
        with self.controller.limit(limits=self.threads, user_api="blas"):
            for _ in range(steps):
                for product in self.products:
                    product()
        return [], steps * self.tokens


def build(workload: Workload, inputs: Inputs) -> Peer:
    """Make the peer for a workload; the inputs do not matter."""
    return Floor(workload)
