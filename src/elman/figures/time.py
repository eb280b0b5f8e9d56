"""Figures of a recurrent layer over T steps: unrolled, its gradients flowing back, and as one Time layer."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from elman.arrays import Array
from elman.errors import ConfigError
from elman.figures.drawing import SMALL, WIDTH, Drawing, Figure, Label, Point
from elman.figures.gradients import step_gradients
from elman.inspection.gradient_flow import gradient_flow
from elman.layers import TimeRNN
from elman.layers.recurrent import TimeRecurrence
from elman.models.recurrent import RecurrentLM

THICKEST = 10.0  # width of the arrow of the largest gradient
THINNEST = 0.8


def unrolled(
    model: RecurrentLM | TimeRecurrence, ids: Sequence[int | str], *, lang: str | None = None
) -> Figure:
    """Draw a recurrent layer unrolled over a sequence: as many columns as ids, all of them the same layer.

    Args:
        model: a recurrent model, whose first recurrent layer is drawn, or a Time layer.
        ids: what the columns read: ids or, more readable, words.

    Raises:
        ConfigError: there is nothing to read, or more than eight steps.
    """
    layer, T = _recurrent_layer(model), len(ids)
    if not 1 <= T <= 8:
        raise ConfigError(f"a figure holds 1 to 8 steps, got {T}")
    name = type(layer).__name__.removeprefix("Time")
    about = (
        f"The {name} layer unrolled over {T} steps. Every column is the same layer; h_t is copied: up, and right to "
        "the next step.",
        f"{T}시각에 걸쳐 펼친 {name} 계층. 모든 열은 같은 계층이다. h_t는 복사되어 위로, "
        "그리고 오른쪽 다음 시각으로 간다.",
    )
    drawing = Drawing(300, ("Unrolled over time", "시간 방향으로 펼친 모습"), about, lang)
    step = min(104.0, (WIDTH - 60) / T)
    first = (WIDTH - step * (T - 1)) / 2
    wide = min(66.0, step - 26)
    previous: Point = (max(14.0, first - 62), 150)
    for t, word in enumerate(ids):
        x = first + step * t
        box = drawing.box((x, 150), (wide, 48), name, font=SMALL)
        drawing.arrow((x, 226), box.bottom)
        drawing.text((x, 242), str(word), size=SMALL, raw=True)
        drawing.text((x, 266), f"x_{t}", "soft", size=SMALL)
        if t:
            corner = x - step / 2
            drawing.arrow(previous, (corner, 92), (corner, 150), box.left)
        else:
            drawing.arrow(previous, box.left)
            drawing.text((previous[0] + 6, 132), "h_{−1}", size=SMALL)
        previous = (x, 92)
        drawing.line([box.top, previous], "forward")
        drawing.arrow(previous, (x, 50))
        drawing.dot(previous)
        drawing.text((x, 36), f"h_{t}")
    drawing.text((16, 14), ("● branch: a copy", "● 분기: 복사"), "soft", size=SMALL, anchor="start")
    drawing.text(
        (WIDTH - 16, 288),
        ("one layer, the same weights", "한 계층, 같은 가중치"),
        "soft",
        size=SMALL,
        anchor="end",
    )
    return drawing.finish()


def bptt(
    model: RecurrentLM, ids: NDArray[np.integer], time_size: int | None = None, *, lang: str | None = None
) -> Figure:
    """Draw backpropagation through time over a sequence of ids; the width of a backward arrow is the norm of dh_t.

    Args:
        model: a recurrent model; the gradients of its top layer are measured, its weights and state stay as they are.
        ids: the sequence (L + 1,): L inputs, each with the next id as its target.
        time_size: where to cut the gradient (truncated BPTT); None for the whole sequence (full BPTT). The forward
            pass is never cut.

    Raises:
        ConfigError: the sequence has no step, or more than 40.
    """
    ids = np.asarray(ids)
    L = len(ids) - 1
    T = L if time_size is None else time_size
    if not 1 <= L <= 40 or T < 1:
        raise ConfigError(f"a figure holds 1 to 40 steps and blocks of at least 1, got {L} and {T}")
    norms = gradient_flow(model, ids)[-1].block_norms(T)  # (L,)
    blocks = -(-L // T)
    if time_size is None:
        title: Label = ("Backpropagation through the whole sequence", "전체 시퀀스의 BPTT")
        about: Label = (
            f"The gradient flows back through all {L} steps; ‖dh‖ is {norms[-1]:.2g} at the last step and "
            f"{norms[0]:.2g} at the first.",
            f"기울기가 {L}시각 전체를 거슬러 흐른다. ‖dh‖는 마지막 시각에서 {norms[-1]:.2g}, "
            f"첫 시각에서 {norms[0]:.2g}이다.",
        )
    else:
        title = ("Truncated backpropagation through time", "Truncated BPTT")
        about = (
            f"{L} steps in {blocks} blocks of {T}: the state is carried into the next block, the gradient is cut at "
            "every border.",
            f"{L}시각을 {T}시각짜리 블록 {blocks}개로 나눈다. 상태는 다음 블록으로 이어지고 기울기는 경계마다 끊긴다.",
        )
    drawing = Drawing(230, title, about, lang)
    step = (WIDTH - 40) / L
    largest = float(norms.max()) or 1.0
    wide = min(30.0, step * (0.6 if step > 34 else 0.35))
    xs = [20 + step * (t + 0.5) for t in range(L)]
    for t, x in enumerate(xs):
        drawing.box((x, 105), (wide, 44))
        if step > 34:
            drawing.text((x, 105), f"h_{{{t}}}", size=SMALL)
        drawing.line([(x, 127), (x, 140)], "forward", 1.5)
        drawing.line([(x, 70), (x, 83)], "forward", 1.5)
        if t:
            drawing.arrow((xs[t - 1] + wide / 2, 94), (x - wide / 2, 94), kind="forward", width=1.5)
            width = max(THINNEST, THICKEST * norms[t - 1] / largest)
            if t % T == 0:
                drawing.scissors((x - step / 2, 121), 7)
            elif step > 34 or t % T == 1:
                drawing.arrow((x - wide / 2, 117), (xs[t - 1] + wide / 2, 117), kind="backward", width=width)
            else:  # too narrow for a head at every step
                drawing.line([(x, 117), (xs[t - 1], 117)], "backward", width)
    for k in range(blocks):
        first, last = k * T, min(L, (k + 1) * T) - 1
        name = (f"block {k + 1}: {first}–{last}", f"블록 {k + 1}: {first}–{last}")
        drawing.bracket(xs[first] - wide / 2, xs[last] + wide / 2, 148, name if time_size else f"0 … {last}")
    drawing.text(
        (20, 24),
        ("forward: the state goes on", "순전파: 상태는 이어진다"),
        "forward",
        size=SMALL,
        anchor="start",
    )
    says = (
        ("backward: cut at the border", "역전파: 경계에서 끊긴다")
        if time_size
        else ("backward: to the start", "역전파: 처음까지")
    )
    drawing.text((WIDTH - 20, 24), says, "backward", size=SMALL, anchor="end")
    shown = range(0, L, max(1, -(-L // 6)))
    for t in shown:
        drawing.text((xs[t], 196), f"{norms[t]:.2g}", "soft", size=SMALL)
    drawing.text(
        (WIDTH - 20, 217),
        ("width and numbers: ‖dh_t‖", "굵기와 수: ‖dh_t‖"),
        "soft",
        size=SMALL,
        anchor="end",
    )
    return drawing.finish()


def time_layer(layer: TimeRecurrence, *, lang: str | None = None) -> Figure:
    """Draw a Time layer from outside: a block (N, T, D) in, (N, T, H) out, and the state that is carried through."""
    D, H, name = layer.D, layer.H, type(layer).__name__
    about = (
        f"{name} reads a block xs (N, T, {D}) and returns hs (N, T, {H}). If it is stateful, its last h is the first "
        "of the next block.",
        f"{name}은 블록 xs (N, T, {D})를 읽고 hs (N, T, {H})를 낸다. 상태를 유지하면 마지막 h가 "
        "다음 블록의 첫 h가 된다.",
    )
    drawing = Drawing(270, (f"{name} as one layer", f"한 계층으로 본 {name}"), about, lang)
    boxes = [drawing.box((x, 135), (150, 64), name) for x in (160, 400)]
    for k, box in enumerate(boxes):
        drawing.arrow((box.x, 215), box.bottom)
        drawing.arrow(box.top, (box.x, 55))
        drawing.text((box.x, 40), "hs")
        drawing.text((box.x + 14, 76), f"(N, T, {H})", "soft", size=SMALL, anchor="start")
        drawing.text((box.x, 231), "xs")
        drawing.text((box.x + 14, 196), f"(N, T, {D})", "soft", size=SMALL, anchor="start")
        drawing.text((box.x, 255), (f"block {k + 1}", f"블록 {k + 1}"), "soft", size=SMALL)
    drawing.arrow((24, 135), boxes[0].left)
    drawing.arrow(boxes[0].right, boxes[1].left)
    drawing.arrow(boxes[1].right, (540, 135))
    drawing.text((280, 117), "h")
    drawing.text((280, 156), f"(N, {H})", "soft", size=SMALL)
    drawing.text((52, 117), "h = 0", size=SMALL)
    drawing.text((514, 117), "layer.h", size=SMALL)
    return drawing.finish()


def time_gradients(layer: TimeRNN, xs: Array, dhs: Array, *, lang: str | None = None) -> Figure:
    """Draw the gradients inside TimeRNN: at step t, dh_t from above plus dh_next from the right.

    Args:
        layer: a TimeRNN; it is not changed.
        xs: its input (N, T, D), T at most 5.
        dhs: the gradient of its output (N, T, H).

    Raises:
        ConfigError: more than five steps.
    """
    T = xs.shape[1]
    if not 1 <= T <= 5:
        raise ConfigError(f"a figure holds 1 to 5 steps, got {T}")
    steps = step_gradients(layer, xs, dhs)
    norm = {name: [float(np.linalg.norm(value)) for value in values] for name, values in steps.items()}
    largest = max(map(max, norm.values()))
    about = (
        "Backward through TimeRNN: at every step the gradient from above, dh_t, and the one from the right, dh_next, "
        f"are added. What leaves to the left at step 0 is layer.dh, of norm {norm['flowing'][0]:.2f}.",
        "TimeRNN의 역전파: 각 시각에서 위에서 온 dh_t와 오른쪽에서 온 dh_next를 더한다. 0시각에서 왼쪽으로 나가는 것이 "
        f"layer.dh이며 노름은 {norm['flowing'][0]:.2f}이다.",
    )
    drawing = Drawing(338, ("The gradients of TimeRNN", "TimeRNN의 기울기"), about, lang)
    step = min(150.0, (WIDTH - 110) / T)
    middle = WIDTH / 2 + 30
    drawing.box((middle, 160), (step * T + 6, 150), look="outlined")

    def flow(name: str, t: int, *points: Point) -> None:
        drawing.arrow(*points, kind="backward", width=max(THINNEST, THICKEST * norm[name][t] / largest))

    for t in range(T):
        x = middle + step * (t - (T - 1) / 2)
        box = drawing.box((x - 12, 190), (min(84.0, step - 56), 44), "RNN", font=SMALL)
        plus = drawing.node((x - 12, 122), "+", 14)
        flow("above", t, (plus.x, 56), plus.top)
        drawing.text((plus.x, 22), f"dh_{t}", "backward", size=SMALL)
        drawing.text((plus.x, 42), f"{norm['above'][t]:.2f}", "soft", size=SMALL)
        flow("arriving", t, plus.bottom, box.top)
        flow("inputs", t, box.bottom, (box.x, 268))
        drawing.text((box.x, 284), f"dx_{t}", "backward", size=SMALL)
        drawing.text((box.x, 303), f"{norm['inputs'][t]:.2f}", "soft", size=SMALL)
        if t:
            corner = box.left[0] - (step - box.width) / 2
            flow("flowing", t, box.left, (corner, 190), (corner, 122), (plus.x - step + 14, 122))
            drawing.text((corner - 4, 208), f"{norm['flowing'][t]:.2f}", "soft", size=SMALL)
            if t == T - 1:
                drawing.text((corner - 6, 108), "dh_{next}", "backward", size=SMALL)
        else:
            flow("flowing", t, box.left, (22, 190))
            drawing.text((8, 166), "layer.dh", "backward", size=SMALL, anchor="start")
            drawing.text((30, 214), f"{norm['flowing'][t]:.2f}", "soft", size=SMALL)
    drawing.text(
        (WIDTH - 12, 322), ("width and numbers: norms", "굵기와 수: 노름"), "soft", size=SMALL, anchor="end"
    )
    return drawing.finish()


def time_layers(model: RecurrentLM, T: int = 4, *, lang: str | None = None) -> Figure:
    """Draw T layers of each kind, and the Time layers that compute the same as one.

    Raises:
        ConfigError: more than six steps.
    """
    if not 1 <= T <= 6:
        raise ConfigError(f"a figure holds 1 to 6 steps, got {T}")
    cell = model.cell.upper()
    V, D, H = model.vocab_size, model.wordvec_size, model.hidden_size
    rows: list[tuple[str, str, str]] = [
        ("Softmax", "TimeSoftmaxWithLoss", "loss"),
        ("Affine", "TimeAffine", f"(N, T, {V})"),
        (cell, f"Time{cell}", f"(N, T, {H})"),
        ("Embedding", "TimeEmbedding", f"(N, T, {D})"),
    ]
    about = (
        f"{T} Embedding, {cell}, Affine and Softmax layers side by side are four Time layers.",
        f"나란히 놓인 Embedding, {cell}, Affine, Softmax 계층 {T}개씩이 Time 계층 네 개가 된다.",
    )
    drawing = Drawing(340, ("Time layers", "Time 계층"), about, lang)
    step = 190 / T
    for k, (name, whole, shape) in enumerate(rows):
        y = 66 + 70 * k
        for t in range(T):
            x = 92 + step * (t + 0.5)
            drawing.box((x, y), (step - 14, 34))
            drawing.arrow((x, y + 44), (x, y + 18), width=1.5)
            if k == 0:
                drawing.arrow((x, y - 18), (x, y - 36), width=1.5)
            if name == cell and t:
                drawing.arrow((x - step + (step - 14) / 2, y), (x - (step - 14) / 2, y), width=1.5)
        drawing.text((88, y), name, "soft", size=SMALL, anchor="end")
        box = drawing.box((440, y), (206, 34), whole, font=SMALL)
        drawing.arrow((440, y + (52 if k < 3 else 46)), box.bottom)
        drawing.text((452, y - 27), shape, "soft", size=SMALL, anchor="start")
    drawing.arrow((440, 49), (440, 22))
    drawing.text((302, 174), "=", size=26)
    for t in range(T):
        drawing.text((92 + step * (t + 0.5), 328), f"w_{t}", size=SMALL)
    drawing.text((440, 328), "xs (N, T)", size=SMALL)
    return drawing.finish()


def _recurrent_layer(model: RecurrentLM | TimeRecurrence) -> TimeRecurrence:
    return model if isinstance(model, TimeRecurrence) else model.rnn_layer.recurrence
