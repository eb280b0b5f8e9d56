"""Figures of one recurrent cell: its loop, the shapes of its products, and its computation graph."""

import numpy as np

from elman.errors import ConfigError
from elman.figures.drawing import SMALL, Box, Drawing, Figure, Point
from elman.layers import RNN
from elman.layers.recurrent import TimeRecurrence

THICKEST = 9.0  # width of the arrow of the largest gradient


def loop(layer: TimeRecurrence, *, lang: str | None = None) -> Figure:
    """Draw a recurrent layer upwards: its output is the next layer's input, and its own next input."""
    D, H, name = layer.D, layer.H, type(layer).__name__.removeprefix("Time")
    about = (
        f"The {name} layer reads x_t ({D} numbers) and its own last output h_(t-1) ({H} numbers), and returns h_t, "
        "which branches: one copy goes up, one goes back into the layer.",
        f"{name} 계층은 x_t(수 {D}개)와 자신의 이전 출력 h_(t-1)(수 {H}개)을 읽고 h_t를 낸다. h_t는 분기하여 하나는 "
        "위로, 하나는 계층 자신에게 돌아간다.",
    )
    drawing = Drawing(320, ("A layer with a loop", "순환하는 계층"), about, lang)
    box = drawing.box((250, 180), (150, 60), name)
    branch = drawing.dot((250, 90))
    drawing.arrow((250, 280), box.bottom)
    drawing.line([box.top, (250, 90)], "forward")
    drawing.arrow((250, 90), (250, 34))
    drawing.arrow((branch.x, branch.y), (400, 90), (400, 180), box.right)
    drawing.text((250, 298), "x_t")
    drawing.text((266, 262), f"(N, {D})", "soft", size=SMALL, anchor="start")
    drawing.text((250, 20), "h_t")
    drawing.text((266, 60), f"(N, {H})", "soft", size=SMALL, anchor="start")
    drawing.text((412, 135), "h_{t−1}", anchor="start")
    drawing.text((412, 157), f"(N, {H})", "soft", size=SMALL, anchor="start")
    drawing.text((236, 90), ("branch (copy)", "분기(복사)"), "soft", size=SMALL, anchor="end")
    return drawing.finish()


def shapes(cell: RNN, batch_size: int, *, lang: str | None = None) -> Figure:
    """Draw h_{t-1}·Wh + x_t·Wx + b as matrices with their shapes."""
    (D, H), N = cell.params[0].shape, batch_size
    about = (
        f"h_(t-1) ({N}, {H}) times Wh ({H}, {H}) plus x_t ({N}, {D}) times Wx ({D}, {H}) plus b ({H},) is ({N}, {H}).",
        f"h_(t-1) ({N}, {H})와 Wh ({H}, {H})의 곱, x_t ({N}, {D})와 Wx ({D}, {H})의 곱, "
        f"b ({H},)의 합은 ({N}, {H})이다.",
    )
    drawing = Drawing(330, ("Shapes of the products", "행렬 곱의 형상"), about, lang)
    unit = 88 / max(D, H, N)

    def matrix(x: float, y: float, name: str, rows: int, columns: int) -> Box:
        box = drawing.box((x, y), (max(22.0, unit * columns), max(22.0, unit * rows)), look="forward")
        drawing.text((x, y), name)
        size = f"({rows}, {columns})" if name != "b" else f"({columns},)"
        drawing.text((x, y + 64), size, "soft", size=SMALL)
        return box

    for y, (state, weight, rows) in ((80, ("h_{t−1}", "Wh", H)), (220, ("x_t", "Wx", D))):
        matrix(70, y, state, N, rows)
        drawing.text((134, y), "·")
        matrix(200, y, weight, rows, H)
    drawing.text((135, 158), "+")
    drawing.text((272, 150), "+")
    matrix(330, 150, "b", 1, H)
    drawing.text((392, 150), "=")
    matrix(460, 150, "", N, H)
    drawing.arrow((460, 120), (460, 80))
    drawing.text((472, 100), "tanh", "soft", size=SMALL, anchor="start")
    drawing.text((460, 62), "h_t")
    return drawing.finish()


def cell_graph(
    cell: str | RNN, N: int, D: int, H: int, *, backward: bool = False, seed: int = 0, lang: str | None = None
) -> Figure:
    """Draw the computation graph of one step of the RNN cell, with the shapes on its edges.

    With ``backward`` the gradients run back along the edges, and the width of an arrow is the norm of its gradient,
    measured with random inputs (of ``seed``) and a random dh_t. The gradient of b is the sum over the batch.

    Args:
        cell: "rnn", whose weights are then drawn from ``seed``, or a cell with weights of these sizes.
        N: batch size.
        D: width of the input.
        H: width of the hidden state.

    Raises:
        ConfigError: the cell is not an RNN of these sizes.
    """
    rng = np.random.default_rng(seed)
    if cell == "rnn":
        weights = rng.standard_normal((D, H)) / D**0.5, rng.standard_normal((H, H)) / H**0.5, np.zeros(H)
        cell = RNN(*weights)
    if not isinstance(cell, RNN) or cell.params[0].shape != (D, H):
        raise ConfigError(f"cell must be 'rnn' or an RNN of D={D} and H={H}, got {cell!r}")
    return _backward_graph(cell, N, rng, lang) if backward else _forward_graph(N, D, H, lang)


# the places of the graph's nodes, from left to right
_MATMUL_H, _MATMUL_X, _REPEAT = (190.0, 80.0), (190.0, 190.0), (190.0, 290.0)
_PLUS, _PLUS_B, _TANH, _BRANCH = (295.0, 80.0), (295.0, 190.0), (395.0, 80.0), (455.0, 80.0)


def _nodes(drawing: Drawing) -> tuple[Box, ...]:
    """Draw the nodes of the cell: two products, the repeated bias, two sums, tanh."""
    products = [drawing.box(at, (88, 36), "MatMul", "outlined", font=SMALL) for at in (_MATMUL_H, _MATMUL_X)]
    repeat = drawing.box(_REPEAT, (88, 36), "Repeat", "outlined", font=SMALL)
    sums = [drawing.node(at, "+") for at in (_PLUS, _PLUS_B)]
    return (*products, repeat, *sums, drawing.box(_TANH, (64, 36), "tanh", "outlined", font=SMALL))


def _forward_graph(N: int, D: int, H: int, lang: str | None) -> Figure:
    about = (
        "Computation graph of one step: h_(t-1) times Wh, plus x_t times Wx, plus b repeated for the batch; then tanh; "
        "h_t branches.",
        "한 시각의 계산 그래프: h_(t-1)과 Wh의 곱, x_t와 Wx의 곱, 배치만큼 되풀이한 b를 더한 뒤 tanh를 거친다. "
        "그 결과인 h_t가 분기한다.",
    )
    drawing = Drawing(335, ("One step, forward", "한 시각의 순전파"), about, lang)
    product_h, product_x, repeat, plus, plus_b, tanh = _nodes(drawing)
    for y, state, size, weight, shape, box in (
        (80, "h_{t−1}", f"(N, {H})", "Wh", f"({H}, {H})", product_h),
        (190, "x_t", f"(N, {D})", "Wx", f"({D}, {H})", product_x),
    ):
        drawing.text((26, y), state)
        drawing.arrow((48, y), box.left)
        drawing.text((92, y - 12), size, "soft", size=SMALL)
        drawing.arrow((190, y - 46), box.top)
        drawing.text((190, y - 58), weight)
        drawing.text((208, y - 57), shape, "soft", size=SMALL, anchor="start")
    drawing.text((26, 290), "b")
    drawing.arrow((48, 290), repeat.left)
    drawing.text((92, 278), f"({H},)", "soft", size=SMALL)
    drawing.arrow(product_h.right, plus.left)
    drawing.arrow(product_x.right, plus_b.left)
    drawing.arrow(repeat.right, (295, 290), plus_b.bottom)
    drawing.text((303, 250), f"(N, {H})", "soft", size=SMALL, anchor="start")
    drawing.arrow(plus_b.top, plus.bottom)
    drawing.arrow(plus.right, tanh.left)
    drawing.text((303, 130), f"(N, {H})", "soft", size=SMALL, anchor="start")
    drawing.line([tanh.right, _BRANCH], "forward")
    drawing.dot(_BRANCH)
    drawing.arrow(_BRANCH, (455, 28))
    drawing.arrow(_BRANCH, (520, 80))
    drawing.text((468, 24), ("h_t, up", "h_t, 위로"), anchor="start", size=SMALL)
    drawing.text((552, 100), ("h_t, to step t+1", "h_t, 다음 시각"), size=SMALL, anchor="end")
    drawing.text((470, 124), f"N = {N}, H = {H}", "soft", size=SMALL)
    return drawing.finish()


def _backward_graph(cell: RNN, N: int, rng: np.random.Generator, lang: str | None) -> Figure:
    (D, H) = cell.params[0].shape
    x, h_prev, dh_next = (
        rng.standard_normal((N, D)),
        np.tanh(rng.standard_normal((N, H))),
        rng.standard_normal((N, H)),
    )
    h_next = cell.forward(x, h_prev)
    dx, dh_prev = cell.backward(dh_next)
    dWx, dWh, db = cell.grads
    dz = dh_next * (1 - h_next * h_next)
    norms = {"dh_t": dh_next, "dz": dz, "dx": dx, "dh": dh_prev, "dWx": dWx, "dWh": dWh, "db": db}
    norm = {name: float(np.linalg.norm(value)) for name, value in norms.items()}
    largest = max(norm.values())
    about = (
        f"The gradients of one step: ‖dh_t‖ = {norm['dh_t']:.2f} passes tanh (‖dz‖ = {norm['dz']:.2f}) and both sums "
        f"unchanged; db is its sum over the batch of {N}, dWx = x_tᵀ·dz, dWh = h_(t-1)ᵀ·dz.",
        f"한 시각의 기울기: ‖dh_t‖ = {norm['dh_t']:.2f}가 tanh를 거쳐(‖dz‖ = {norm['dz']:.2f}) 덧셈 노드를 그대로 "
        f"통과한다. db는 배치 {N}개에 대한 합, dWx = x_tᵀ·dz, dWh = h_(t-1)ᵀ·dz이다.",
    )
    drawing = Drawing(335, ("One step, backward", "한 시각의 역전파"), about, lang)
    product_h, product_x, repeat, plus, plus_b, tanh = _nodes(drawing)

    def flow(name: str, *points: Point) -> None:
        drawing.arrow(*points, kind="backward", width=max(1.2, THICKEST * norm[name] / largest))

    def named(at: Point, label: str, name: str) -> None:
        drawing.text(at, label, "backward", size=SMALL)
        drawing.text((at[0], at[1] + 18), f"{norm[name]:.2f}", "soft", size=SMALL)

    flow("dh_t", (540, 80), (tanh.right[0] + 2, 80))
    named((500, 106), "dh_t", "dh_t")
    drawing.text((548, 40), ("from above + from t+1", "위에서 + t+1에서"), "soft", size=SMALL, anchor="end")
    flow("dz", tanh.left, plus.right)
    named((342, 106), "dz", "dz")
    flow("dz", plus.left, product_h.right)
    flow("dz", plus.bottom, plus_b.top)
    flow("dz", plus_b.left, product_x.right)
    flow("dz", plus_b.bottom, (295, 290), repeat.right)
    for box, before, weight, grad in ((product_h, "dh", "dWh", "dWh"), (product_x, "dx", "dWx", "dWx")):
        flow(before, box.left, (44, box.y))
        flow(grad, box.top, (190, box.y - 44))
        drawing.text((172, box.y - 40), weight, "backward", size=SMALL, anchor="end")
        drawing.text((208, box.y - 40), f"{norm[grad]:.2f}", "soft", size=SMALL, anchor="start")
    named((34, 106), "dh_{t−1}", "dh")
    named((34, 216), "dx_t", "dx")
    flow("db", repeat.left, (44, 290))
    drawing.text((24, 290), "db", "backward", size=SMALL)
    drawing.text((92, 314), f"{norm['db']:.2f}", "soft", size=SMALL)
    drawing.text(
        (318, 290), ("db = Σ over the batch", "db = 배치에 대한 Σ"), "backward", size=SMALL, anchor="start"
    )
    drawing.text(
        (318, 190), ("+ passes it on unchanged", "+는 그대로 흘려보낸다"), "soft", size=SMALL, anchor="start"
    )
    drawing.text((374, 140), "dz = dh_t∘(1 − h_t^2)", "soft", size=SMALL, anchor="start")
    drawing.text(
        (548, 322), ("width and number: ‖gradient‖", "굵기와 수: ‖기울기‖"), "soft", size=SMALL, anchor="end"
    )
    return drawing.finish()
