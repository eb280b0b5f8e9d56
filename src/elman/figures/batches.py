"""Figures of minibatches for truncated BPTT: which items a block holds, and the order in which blocks are processed."""

from typing import Any

from numpy.typing import NDArray

from elman.errors import ConfigError
from elman.figures.drawing import SMALL, WIDTH, Drawing, Figure


def blocks(streams: NDArray[Any], T: int, *, count: int = 2, lang: str | None = None) -> Figure:
    """Draw the first minibatches of T steps from N streams: a row a sequence, with its first and last item.

    Args:
        streams: what the sequences of the batch read, (N, length): ``np.arange(1000).reshape(2, 500)`` for a
            corpus of 1000 items and a batch of two.
        T: time steps in a block.
        count: how many minibatches to draw.

    Raises:
        ConfigError: more than four streams or three blocks, or streams shorter than the blocks.
    """
    if streams.ndim != 2 or not 1 <= len(streams) <= 4 or not 1 <= count <= 3 or streams.shape[1] < count * T:
        raise ConfigError(
            f"streams must be (N, length) with N at most 4 and room for {count} blocks of {T} (3 at most), got "
            f"{streams.shape}"
        )
    N, length = streams.shape
    about = (
        f"A batch of {N}: sequence i starts at offset i·{length}. "
        + " ".join(f"Minibatch {k + 1}: {_items(streams, k, T)}." for k in range(count)),
        f"배치 크기 {N}: 시퀀스 i는 오프셋 i·{length}에서 시작한다. "
        + " ".join(f"미니배치 {k + 1}: {_items(streams, k, T)}." for k in range(count)),
    )
    drawing = Drawing(84 + 74 * N, ("Minibatches", "미니배치"), about, lang)
    left, wide = 130.0, (WIDTH - 185) / count
    for i in range(N):
        y = 70 + 74 * i
        drawing.text((12, y - 9), (f"sequence {i}", f"시퀀스 {i}"), anchor="start", size=SMALL)
        drawing.text(
            (12, y + 11),
            (f"offset {streams[i, 0]}", f"오프셋 {streams[i, 0]}"),
            "soft",
            anchor="start",
            size=SMALL,
        )
        for k in range(count):
            x = left + wide * (k + 0.5)
            first, last = streams[i, k * T], streams[i, (k + 1) * T - 1]
            cell = (wide - 26) / T
            drawing.box((x, y), (wide - 22, 38), look="marked" if k == 0 else "layer")
            for t in range(1, T):
                edge = x - (wide - 26) / 2 + cell * t
                drawing.line([(edge, y + 12), (edge, y + 17)], "soft", 1)
            drawing.text((x, y - 3), f"{first} … {last}")
            end = x + (wide - 22) / 2
            drawing.arrow((end, y), (end + (22 if k < count - 1 else 28), y))
    for k in range(count):
        x = left + wide * (k + 0.5)
        drawing.text((x, 24), (f"minibatch {k + 1}", f"미니배치 {k + 1}"), bold=True, size=SMALL)
    drawing.text((WIDTH - 20, 70), "…", "soft")
    under = (f"→ h is carried on; each block has {T} steps", f"→ h가 이어진다. 블록마다 {T}시각")
    drawing.text((WIDTH - 12, 66 + 74 * N), under, "soft", size=SMALL, anchor="end")
    return drawing.finish()


def _items(streams: NDArray[Any], k: int, T: int) -> str:
    return ", ".join(f"{row[k * T]}–{row[(k + 1) * T - 1]}" for row in streams)


def block_order(T: int, count: int = 3, *, lang: str | None = None) -> Figure:
    """Draw the order of processing: forward and backward of block 1, then of block 2, and so on.

    Raises:
        ConfigError: more than four blocks.
    """
    if not 1 <= count <= 4 or T < 1:
        raise ConfigError(f"a figure holds 1 to 4 blocks of at least one step, got {count} of {T}")
    about = (
        "Each block is read forward, then backward, and the weights are updated; then comes the next block, which "
        "starts from the last state.",
        "블록마다 순전파, 역전파를 하고 가중치를 갱신한 뒤 다음 블록으로 간다. 다음 블록은 마지막 상태에서 시작한다.",
    )
    drawing = Drawing(96 + 78 * count, ("The order of processing", "처리 순서"), about, lang)
    wide = (WIDTH - 40) / count
    for k in range(count):
        x, y = 20 + wide * (k + 0.5), 62 + 78 * k
        left, right = x - wide / 2 + 14, x + wide / 2 - 14
        name = (f"block {k + 1}: {k * T}–{(k + 1) * T - 1}", f"블록 {k + 1}: {k * T}–{(k + 1) * T - 1}")
        drawing.box((x, y + 10), (wide + 4, 66), look="outlined")
        drawing.text((x, y - 10), name, size=SMALL)
        drawing.arrow((left, y + 9), (right, y + 9), width=3)
        drawing.arrow((right, y + 30), (left, y + 30), kind="backward", width=3)
        drawing.node((left, y + 9), str(2 * k + 1), 11, 13)
        drawing.node((right, y + 30), str(2 * k + 2), 11, 13)
        if k:
            corner = x - wide / 2
            drawing.arrow((corner + 18, y - 58), (corner + 18, y - 24), kind="soft", dashed=True)
            drawing.text(
                (corner + 30, y - 42), ("h, new weights", "h, 새 가중치"), "soft", size=SMALL, anchor="start"
            )
    drawing.text((20, 18), ("forward", "순전파"), "forward", size=SMALL, anchor="start")
    drawing.text((110, 18), ("backward", "역전파"), "backward", size=SMALL, anchor="start")
    drawing.text(
        (WIDTH - 20, 76 + 78 * count),
        ("time of computation ↓", "계산 순서 ↓"),
        "soft",
        size=SMALL,
        anchor="end",
    )
    return drawing.finish()
