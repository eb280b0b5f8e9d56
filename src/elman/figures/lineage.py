"""A figure of the recurrent cells from 1990 to 2025: what each changed, and whether its loop has a learnt matrix."""

from typing import NamedTuple

from elman.figures.drawing import SIZE, SMALL, Drawing, Figure, Label

ROW = 62.0  # from one cell to the next
FIRST = 104.0  # y of the first
DENSE, DIAGONAL, NAMES = 92.0, 126.0, 156.0  # x of the two kinds of cells, and of the texts


class Step(NamedTuple):
    """A cell of the figure; ``dense`` is whether h_{t-1} is multiplied by a matrix."""

    year: str
    name: Label
    changed: Label
    dense: bool = True


LINEAGE = (
    Step("1990", ("Elman network", "엘만 신경망"), ("reads its own last state", "자신의 이전 상태를 읽는다")),
    Step(
        "1997",
        "LSTM",
        ("adds to a cell state; since 2000 it can forget", "기억 셀에 더한다, 2000년부터는 잊기도 한다"),
    ),
    Step("2014", "GRU", ("two gates, no separate cell state", "게이트 두 개, 별도의 기억 셀이 없다")),
    Step(
        "2016", "QRNN", ("gates that see x_{t−1} and x_t only", "게이트가 x_{t−1}과 x_t만 본다"), dense=False
    ),
    Step(
        "2018",
        "SRU",
        ("gates also see their own unit; a highway for x_t", "게이트가 자기 유닛도 본다, x_t의 지름길"),
        dense=False,
    ),
    Step(
        "2020",
        "Mogrifier LSTM",
        ("x_t and h_{t−1} first gate each other", "먼저 x_t와 h_{t−1}이 서로를 조절한다"),
    ),
    Step(
        "2023",
        "RWKV-4",
        (
            "a mean of all values, slowly forgotten",
            "모든 값의 평균, 유닛마다 다른 속도로 잊는다",
        ),
        dense=False,
    ),
    Step(
        "2023",
        "Mamba",
        ("16 numbers a unit; x_t sets their decay", "유닛마다 수 16개, 감쇠의 빠르기를 x_t가 정한다"),
        dense=False,
    ),
    Step("2024", "RG-LRU", ("a decay that each unit learns", "유닛마다 감쇠율을 배운다"), dense=False),
    Step(
        "2024",
        "minGRU, minLSTM",
        ("the GRU and the LSTM with gates of x_t only", "게이트가 x_t만 보는 GRU와 LSTM"),
        dense=False,
    ),
    Step(
        "2024",
        "Mamba-2",
        ("one decay a head: many steps in one product", "헤드마다 감쇠 하나: 여러 시각을 곱 하나로"),
        dense=False,
    ),
    Step(
        "2025",
        "RWKV-7",
        ("a matrix of values by key, which x_t replaces", "키로 값을 찾는 행렬, x_t가 낡은 값을 바꾼다"),
        dense=False,
    ),
)


def lineage(*, lang: str | None = None) -> Figure:
    """Draw the cells below each other, by year, in two lines: those with a matrix in the loop, and those without."""
    about = (
        "Recurrent cells by year. With a learnt matrix in the loop: Elman network 1990, LSTM 1997, GRU 2014, Mogrifier "
        "LSTM 2020. Without: QRNN 2016, SRU 2018, RWKV-4 and Mamba 2023, RG-LRU, minGRU, minLSTM and Mamba-2 2024, "
        "RWKV-7 2025.",
        "연도별 순환 셀. 상태에 학습한 행렬을 곱하는 셀: 엘만 신경망 1990, LSTM 1997, GRU 2014, Mogrifier LSTM 2020. "
        "곱하지 않는 셀: QRNN 2016, SRU 2018, RWKV-4와 Mamba 2023, RG-LRU, minGRU, minLSTM, Mamba-2 2024, RWKV-7 2025.",
    )
    title = ("The lineage of recurrent cells", "순환 셀의 계보")
    drawing = Drawing(FIRST + ROW * len(LINEAGE) - 10, title, about, lang)
    drawing.dot((28, 26), "forward", 7)
    with_matrix = ("h_{t−1} is multiplied by a learnt matrix", "h_{t−1}에 학습한 행렬을 곱한다")
    drawing.text((44, 26), with_matrix, size=SMALL, anchor="start")
    drawing.dot((28, 52), "backward", 7)
    without = ("the past is scaled by gates instead", "그런 행렬 없이 게이트로 조절한다")
    drawing.text((44, 52), without, size=SMALL, anchor="start")
    ys = [FIRST + ROW * k for k in range(len(LINEAGE))]
    of_dense = [y for y, step in zip(ys, LINEAGE, strict=True) if step.dense]
    of_diagonal = [y for y, step in zip(ys, LINEAGE, strict=True) if not step.dense]
    branch = of_diagonal[0] - ROW / 2
    drawing.line([(DENSE, of_dense[0]), (DENSE, of_dense[-1])], "forward", 3)
    drawing.line([(DENSE, branch), (DIAGONAL, branch + ROW / 4), (DIAGONAL, of_diagonal[-1])], "backward", 3)
    for y, step in zip(ys, LINEAGE, strict=True):
        drawing.text((20, y), step.year, "soft", anchor="start")
        if step.dense:
            drawing.dot((DENSE, y), "forward", 8)
        else:
            drawing.dot((DIAGONAL, y), "backward", 8)
        drawing.text((NAMES, y - 9), step.name, size=SIZE, anchor="start", bold=True)
        drawing.text((NAMES, y + 13), step.changed, "soft", size=SMALL, anchor="start")
    return drawing.finish()
