"""A block through a stack of recurrent layers, with several threads at work.

A layer at one span of steps needs the same layer at the span before, and the layer below at the same span. So
layer 2 can be at a span while layer 1 is at the next, and the output layer at the rows that both have done: the
work moves through layers and time like a wave front.

Source of the idea: J. Appleyard, T. Kočiský and P. Blunsom, "Optimizing performance of recurrent neural networks
on GPUs" (2016).
"""

from collections.abc import Sequence
from functools import partial
from typing import Any

from elman.arrays import Array, is_torch
from elman.layers.dropout import TimeDropout
from elman.layers.output import TimeAffineSoftmaxWithLoss
from elman.layers.penalty import TimePenalty
from elman.layers.recurrent import TimeRecurrence
from elman.workers import Task, run_tasks, worker_count

SPANS_PER_HAND = 4  # few enough that a span's products stay large, many enough that no hand waits long


def applies(layers: Sequence[Any], loss_layer: Any) -> bool:
    """Tell whether several threads may work on these layers now, and these layers can be worked on in spans."""
    return (
        worker_count() > 1
        and all(isinstance(layer, TimeRecurrence | TimeDropout | TimePenalty) for layer in layers)
        and isinstance(loss_layer, TimeAffineSoftmaxWithLoss)
        and not is_torch(loss_layer.params[0])  # torch has threads of its own
    )


def spans(T: int) -> list[tuple[int, int]]:
    """Return (first, last) of the spans into which T steps are cut."""
    size = max(1, -(-T // (SPANS_PER_HAND * worker_count())))
    return [(t, min(t + size, T)) for t in range(0, T, size)]


def forward(layers: Sequence[Any], loss_layer: TimeAffineSoftmaxWithLoss, xs: Array, ts: Array) -> float:
    """Return the loss of xs (N, T, D) and ts (N, T), as calling one layer after another does."""
    N, T = ts.shape
    cut = spans(T)
    for layer in layers:
        xs = layer.begin(xs)
    loss_layer.begin(xs, ts)
    waves = _waves([[partial(layer.forward_steps, *span) for span in cut] for layer in layers])
    top = waves[-1]  # the last layer's tasks, span by span

    def fill_rows(last: int) -> list[Task]:
        return [task for task, (first, _) in zip(top, cut, strict=True) if first * N < last]

    run_tasks([*_in_order(waves), *loss_layer.tasks(after=fill_rows)])
    for layer in layers:
        layer.end()
    return loss_layer.end()


def read(layers: Sequence[Any], xs: Array) -> Array:
    """Return what the last layer makes of xs (N, T, D), as calling one layer after another does."""
    if len(layers) == 1 or worker_count() == 1 or is_torch(xs):
        for layer in layers:
            xs = layer.forward(xs)
        return xs
    cut = spans(xs.shape[1])
    for layer in layers:
        xs = layer.begin(xs)
    run_tasks(_in_order(_waves([[partial(layer.forward_steps, *span) for span in cut] for layer in layers])))
    for layer in layers:
        layer.end()
    return xs


def backward(layers: Sequence[Any], dxs: Array) -> Array:
    """Return the gradient of what went into the first layer, given that of what came out of the last."""
    upwards = list(reversed(layers))
    cut = list(reversed(spans(dxs.shape[1])))
    for layer in upwards:
        dxs = layer.begin_backward(dxs)
    waves = _waves([[partial(layer.backward_steps, *span) for span in cut] for layer in upwards])
    tasks = _in_order(waves)
    for layer, wave in zip(upwards, waves, strict=True):
        tasks += [Task(write, wave[-1:]) for write in layer.weight_gradients()]
    run_tasks(tasks)
    for layer in upwards:
        layer.end_backward()
    return dxs


def _waves(pieces: list[list[Any]]) -> list[list[Task]]:
    """Return a task for every piece [layer][span], after the same layer's span before and the layer's before it."""
    waves: list[list[Task]] = []
    for works in pieces:
        wave: list[Task] = []
        for k, work in enumerate(works):
            wave.append(Task(work, [*wave[-1:], *(below[k] for below in waves[-1:])]))
        waves.append(wave)
    return waves


def _in_order(waves: list[list[Task]]) -> list[Task]:
    """Return the tasks diagonal by diagonal."""
    placed = [
        (layer + span, layer, task) for layer, wave in enumerate(waves) for span, task in enumerate(wave)
    ]
    return [task for _, _, task in sorted(placed, key=lambda place: place[:2])]
