"""Figures of a recurrent language model: its layers, what it predicts at each word, and its loss."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from elman.errors import ConfigError
from elman.figures.drawing import SMALL, WIDTH, Drawing, Figure, Kind
from elman.layers.recurrent import TimeDenseRecurrence
from elman.layers.rwkv_block import TimeRWKVBlock
from elman.layers.selective import TimeSelective
from elman.models.recurrent import RecurrentLM

MOST_STEPS = 8


def network(model: RecurrentLM, *, lang: str | None = None) -> Figure:
    """Draw the layers of a recurrent language model with their weights and the shapes between them."""
    V, D, H, cell = model.vocab_size, model.wordvec_size, model.output_size, model.cell.upper()
    K = len(model.rnn_layers)
    parts = [("Embedding", f"W ({V}, {D})", f"({D},)")] if D else []
    parts += [(cell, _weights(model, k), f"({H},)") for k in range(K)]
    parts += [("Affine", f"W ({H}, {V}), b ({V},)", f"({V},)"), ("Softmax", "", "P(w_{t+1} | w_0 … w_t)")]
    about = (
        "The layers of the language model, from the word up: "
        + ", ".join(name for name, _, _ in parts)
        + ".",
        "언어 모델의 계층, 아래 단어에서 위로: " + ", ".join(name for name, _, _ in parts) + ".",
    )
    drawing = Drawing(100 + 76 * len(parts), ("The language model", "언어 모델"), about, lang)
    bottom = 60 + 76 * len(parts)
    drawing.text((230, bottom + 24), "w_t")
    drawing.arrow((230, bottom + 10), (230, bottom - 32))
    for k, (name, weights, shape) in enumerate(parts):
        y = bottom - 56 - 76 * k
        box = drawing.box((230, y), (170, 44), name)
        end = (230.0, y - 54)
        drawing.text((246, y - 38), shape, "soft", size=SMALL, anchor="start")
        if name == cell:
            drawing.line([box.top, (230, y - 36)], "forward")
            drawing.arrow((230, y - 36), end)
            drawing.arrow((230, y - 36), (110, y - 36), (110, y), box.left)
            drawing.dot((230, y - 36))
            drawing.text((98, y - 18), "h", "forward", size=SMALL)
        else:
            drawing.arrow(box.top, end)
        drawing.text((328, y), weights, "soft", size=SMALL, anchor="start")
    return drawing.finish()


def _weights(model: RecurrentLM, k: int) -> str:
    layer = model.rnn_layers[k].recurrence
    if isinstance(layer, TimeRWKVBlock):
        return f"Wr, Wk, Wv, Wo ({layer.D}, {layer.D})"
    if isinstance(layer, TimeSelective):
        return f"Wx ({layer.D}, {layer.Wx.shape[1]})"
    if not isinstance(layer, TimeDenseRecurrence):
        return f"Wx ({layer.projection.D}, {len(layer.b)})"
    shape = f"({', '.join(map(str, layer.Wh.shape))})"
    Wx = layer.projection.Wx
    return f"Wh {shape}" if Wx is None else f"Wx ({Wx.shape[0]}, {Wx.shape[1]}), Wh {shape}"


def sentence(
    model: RecurrentLM, ids: NDArray[np.integer], words: Sequence[str], *, lang: str | None = None
) -> Figure:
    """Draw a model unrolled over a sentence, with the two most probable next words at each step.

    Args:
        model: a recurrent model.
        ids: the sentence (T,), T at most 8.
        words: the vocabulary: the word of each id.

    Raises:
        ConfigError: no step or more than eight.
    """
    ids = np.asarray(ids)
    T = len(ids)
    if not 1 <= T <= MOST_STEPS:
        raise ConfigError(f"a figure holds 1 to {MOST_STEPS} steps, got {T}")
    predictions = []
    state = model.start(1)
    for token in ids:
        state = model.feed(np.array([[token]]), state)
        probabilities = np.exp(model.next_log_probs(state)[0])  # (V,)
        predictions.append([(words[v], float(probabilities[v])) for v in np.argsort(-probabilities)[:2]])
    said = ", ".join(
        f"{words[i]} → {best[0][0]} {best[0][1]:.2f}" for i, best in zip(ids, predictions, strict=True)
    )
    about = (
        f"The most probable next word after each word: {said}.",
        f"각 단어 다음에 올 가장 확률 높은 단어: {said}.",
    )
    drawing = Drawing(430, ("The model over a sentence", "문장을 읽는 모델"), about, lang)
    cell = model.cell.upper()
    rows = [
        ("Softmax", 130.0),
        ("Affine", 195.0),
        (cell, 260.0),
        ("Embedding" if model.wordvec_size else "one-hot", 325.0),
    ]
    step = (WIDTH - 100) / T
    wide = min(44.0, step - 14)
    for name, y in rows:
        drawing.text((90, y), name, "soft", size=SMALL, anchor="end")
    for t, (token, best) in enumerate(zip(ids, predictions, strict=True)):
        x = 98 + step * (t + 0.5)
        for k, (name, y) in enumerate(rows):
            drawing.box((x, y), (wide, 36), look="marked" if name == "Softmax" else "layer")
            drawing.arrow((x, y + 47 if k < 3 else y + 36), (x, y + 18), width=1.5)
            if name == cell and t:
                drawing.arrow((x - step + wide / 2, y), (x - wide / 2, y), width=1.5)
        drawing.arrow((x, 112), (x, 100), width=1.5)
        for row, (word, p) in enumerate(best):
            kind: Kind = "ink" if row == 0 else "soft"
            y = 56 if row == 0 else 20
            drawing.text((x, y), word, kind, size=13, bold=row == 0, raw=True)
            drawing.text((x, y + 16), f"{p:.2f}", kind, size=13)
        drawing.text((x, 376 + (t % 2) * 20), words[token], size=SMALL, raw=True)
    drawing.text((90, 64), ("predicted", "예측"), "soft", size=SMALL, anchor="end")
    drawing.text((90, 28), ("second", "둘째"), "soft", size=SMALL, anchor="end")
    drawing.text((90, 376), ("read", "입력"), "soft", size=SMALL, anchor="end")
    return drawing.finish()


def mean_loss(
    model: RecurrentLM, xs: NDArray[np.integer], ts: NDArray[np.integer], *, lang: str | None = None
) -> Figure:
    """Draw the loss of a block as the mean of the losses of its T steps, with their values in nats.

    Args:
        model: a recurrent model; it is not changed.
        xs: ids that are read (T,), T at most 6.
        ts: the right next ids (T,).

    Raises:
        ConfigError: no step or more than six.
    """
    xs, ts = np.asarray(xs), np.asarray(ts)
    T = len(xs)
    if not 1 <= T <= 6:
        raise ConfigError(f"a figure holds 1 to 6 steps, got {T}")
    state = model.start(1)
    losses = []
    for x, t in zip(xs, ts, strict=True):
        state = model.feed(np.array([[x]]), state)
        losses.append(-float(model.next_log_probs(state)[0, t]))
    mean = float(np.mean(losses))
    about = (
        f"The loss of the block is the mean of its {T} losses: {mean:.2f} nats.",
        f"블록의 손실은 손실 {T}개의 평균인 {mean:.2f} nat이다.",
    )
    drawing = Drawing(330, ("The loss is a mean", "손실은 평균"), about, lang)
    step = (WIDTH - 20) / T
    middle = WIDTH / 2
    node = drawing.node((middle, 92), "+")
    drawing.arrow(node.top, (middle, 52))
    drawing.text((middle, 34), f"L = {mean:.2f}", bold=True)
    drawing.text((middle + 16, 62), f"÷ {T}", "soft", size=SMALL, anchor="start")
    for t, loss in enumerate(losses):
        x = 10 + step * (t + 0.5)
        box = drawing.box(
            (x, 210), (step - 16, 62), "Softmax", "marked", note=f"L_{t} = {loss:.2f}", font=SMALL
        )
        lean = (x - middle) / WIDTH * 36
        drawing.arrow(box.top, (middle + lean, 92 + (18**2 - lean**2) ** 0.5))
        drawing.arrow((x, 290), box.bottom)
        drawing.text((x, 306), f"h_{t}·W + b", "soft", size=SMALL)
    drawing.text((12, 24), ("in nats", "단위: nat"), "soft", size=SMALL, anchor="start")
    return drawing.finish()
