"""Run a stack of recurrent layers on a block with several threads.

The steps are cut into spans. A layer at one span needs the same layer at the span before, and the layer below at the
same span. So layer 2 can process a span while layer 1 processes the next, and the output layer the rows that both
have finished: the computation moves through layers and time like a wave front.

Source of the idea: J. Appleyard, T. Kočiský and P. Blunsom, "Optimizing performance of recurrent neural networks
on GPUs" (2016).
"""

from collections.abc import Sequence
from functools import partial
from typing import Any

from elman.arrays import Array, as_number, is_torch
from elman.layers.dropout import TimeDropout
from elman.layers.output import TimeAffineSoftmaxWithLoss
from elman.layers.penalty import TimePenalty
from elman.layers.recurrent import StatefulLayer
from elman.workers import Task, run_tasks, worker_count

SPANS_PER_WORKER = 4  # few enough for large products, many enough that no worker waits long


def applies(layers: Sequence[Any], loss_layer: Any) -> bool:
    """Return whether there are several workers, and these layers can be run span by span."""
    return (
        worker_count() > 1
        and all(isinstance(layer, StatefulLayer | TimeDropout | TimePenalty) for layer in layers)
        and not is_torch(loss_layer.params[0])  # torch has threads of its own
    )


def spans(T: int) -> list[tuple[int, int]]:
    """Return the bounds (first, last) of the spans into which T steps are cut; last is excluded."""
    size = max(1, -(-T // (SPANS_PER_WORKER * worker_count())))
    return [(t, min(t + size, T)) for t in range(0, T, size)]


def forward(layers: Sequence[Any], loss_layer: Any, xs: Array, ts: Array) -> float:
    """Return the loss of xs (N, T, D) and ts (N, T), as calling one layer after another does."""
    if not isinstance(loss_layer, TimeAffineSoftmaxWithLoss):  # one that needs all rows at once
        loss: float = as_number(loss_layer.forward(read(layers, xs), ts))
        return loss
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
    """Return the last layer's output for xs (N, T, D), as calling one layer after another does."""
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
    """Return the gradient of the first layer's input, given that of the last layer's output."""
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


def _waves(calls: list[list[Any]]) -> list[list[Task]]:
    """Return a task for every call [layer][span], after that of the span before and that of the layer before."""
    waves: list[list[Task]] = []
    for layer_calls in calls:
        wave: list[Task] = []
        for k, call in enumerate(layer_calls):
            wave.append(Task(call, [*wave[-1:], *(below[k] for below in waves[-1:])]))
        waves.append(wave)
    return waves


def _in_order(waves: list[list[Task]]) -> list[Task]:
    """Return the tasks diagonal by diagonal."""
    placed = [
        (layer + span, layer, task) for layer, wave in enumerate(waves) for span, task in enumerate(wave)
    ]
    return [task for _, _, task in sorted(placed, key=lambda place: place[:2])]
