"""JAX on the CPU: one jitted training step, `lax.scan` over time, the input products hoisted out of it."""

import os
from functools import partial
from typing import Any

if hasattr(os, "sched_setaffinity"):  # JAX takes as many threads as it may use cores
    os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[: int(os.environ["OMP_NUM_THREADS"])])

import jax
import jax.numpy as jnp
from jax import lax

from inputs import Inputs
from peers import NotHere
from workloads import Workload

Tree = Any  # a dictionary of arrays


def rnn(p: Tree, k: int, zs: Any, state: Any) -> tuple[Any, Any]:
    """zs (T, N, H) -> hs (T, N, H) and the last state."""

    def cell(h: Any, z: Any) -> tuple[Any, Any]:
        h = jnp.tanh(h @ p[f"{k}.Wh"] + z)
        return h, h

    state, hs = lax.scan(cell, state, zs)
    return hs, state


def lstm(p: Tree, k: int, zs: Any, state: Any) -> tuple[Any, Any]:
    """zs (T, N, 4H) -> hs (T, N, H) and the last state."""

    def cell(carry: Any, z: Any) -> tuple[Any, Any]:
        h, c = carry
        i, f, g, o = jnp.split(h @ p[f"{k}.Wh"] + z, 4, axis=1)
        c = jax.nn.sigmoid(f) * c + jax.nn.sigmoid(i) * jnp.tanh(g)
        h = jax.nn.sigmoid(o) * jnp.tanh(c)
        return (h, c), h

    state, hs = lax.scan(cell, state, zs)
    return hs, state


def loss_of(p: Tree, states: Any, xs: Any, ts: Any, workload: Workload) -> tuple[Any, Any]:
    """Return the loss of a block (N, T) and the states after it."""
    layer = rnn if workload.cell == "rnn" else lstm
    hs = p["embedding"][xs.T]  # (T, N, D), or (T, N, H) for one-hot input
    after = []
    for k, state in enumerate(states):
        zs = hs + p[f"{k}.b"] if k == 0 and not workload.D else hs @ p[f"{k}.Wx"] + p[f"{k}.b"]
        hs, state = layer(p, k, zs, state)
        after.append(state)
    scores = hs @ p["output.W"] + p["output.b"]
    chosen = jnp.take_along_axis(jax.nn.log_softmax(scores), ts.T[:, :, None], axis=2)
    return -(chosen.mean() if workload.reduction == "mean" else chosen.sum()), after


def clipped(grads: Tree, workload: Workload) -> Tree:
    if workload.clip_value is not None:
        return jax.tree.map(lambda g: jnp.clip(g, -workload.clip_value, workload.clip_value), grads)
    if workload.clip_norm is not None:
        norm = jnp.sqrt(sum(jnp.vdot(g, g) for g in jax.tree.leaves(grads)))
        rate = jnp.minimum(1, workload.clip_norm / (norm + 1e-6))
        return jax.tree.map(lambda g: g * rate, grads)
    return grads


def updated(p: Tree, grads: Tree, memory: Tree, workload: Workload) -> tuple[Tree, Tree]:
    """Return the parameters and the optimizer's memory after one step."""
    if workload.optimizer == "sgd":
        return jax.tree.map(lambda w, g: w - workload.lr * g, p, grads), memory
    if workload.optimizer == "adagrad":
        s = jax.tree.map(lambda s, g: s + g * g, memory, grads)
        return jax.tree.map(lambda w, g, s: w - workload.lr * g / jnp.sqrt(s + 1e-8), p, grads, s), s
    step, m, s = memory
    step = step + 1
    m = jax.tree.map(lambda m, g: 0.9 * m + 0.1 * g, m, grads)
    s = jax.tree.map(lambda s, g: 0.999 * s + 0.001 * g * g, s, grads)
    lr = workload.lr * jnp.sqrt(1 - 0.999**step) / (1 - 0.9**step)
    return jax.tree.map(lambda w, m, s: w - lr * m / (jnp.sqrt(s) + 1e-8), p, m, s), (step, m, s)


@partial(jax.jit, static_argnames="workload", donate_argnums=(0, 1, 2))
def train_step(p: Tree, memory: Tree, states: Any, xs: Any, ts: Any, workload: Workload) -> Any:
    (loss, states), grads = jax.value_and_grad(loss_of, has_aux=True)(p, states, xs, ts, workload)
    p, memory = updated(p, clipped(grads, workload), memory, workload)
    return loss, p, memory, states


class Training:
    def __init__(self, workload: Workload, inputs: Inputs) -> None:
        self.workload = workload
        self.p = {name: jnp.array(weight) for name, weight in inputs.weights.items()}
        zeros = partial(jax.tree.map, jnp.zeros_like)
        self.memory = {"sgd": None, "adagrad": zeros(self.p), "adam": (0, zeros(self.p), zeros(self.p))}[
            workload.optimizer
        ]
        length = (len(inputs.ids) - 1) // workload.N
        self.xs = inputs.ids[:-1][: workload.N * length].reshape(workload.N, length)
        self.ts = inputs.ids[1:][: workload.N * length].reshape(workload.N, length)
        self.place, self.states = 0, self.zero_states()

    def zero_states(self) -> list[Any]:
        def zeros() -> Any:
            return jnp.zeros((self.workload.N, self.workload.H))

        lstm_cell = self.workload.cell == "lstm"
        return [(zeros(), zeros()) if lstm_cell else zeros() for _ in range(self.workload.layers)]

    def step(self) -> float:
        """Train on the next block and return its mean loss."""
        workload = self.workload
        if self.place + workload.T > self.xs.shape[1]:
            self.place = 0
            if workload.wrap == "restart":
                self.states = self.zero_states()
        block = slice(self.place, self.place + workload.T)
        self.place += workload.T
        loss, self.p, self.memory, self.states = train_step(
            self.p, self.memory, self.states, self.xs[:, block], self.ts[:, block], workload
        )
        return float(loss) / (workload.N * workload.T if workload.reduction == "sum" else 1)

    def run(self, steps: int) -> tuple[list[float], int]:
        return [self.step() for _ in range(steps)], steps * self.workload.N * self.workload.T


def build(workload: Workload, inputs: Inputs, variant: str) -> Training:
    if workload.task != "train":
        raise NotHere("this peer only trains")
    return Training(workload, inputs)
