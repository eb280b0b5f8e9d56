"""Figures of what a model sees: two words on each side, the words to the left, a window of k words."""

from collections.abc import Sequence

from elman.errors import ConfigError
from elman.figures.drawing import SMALL, WIDTH, Box, Drawing, Figure, Label, text_width
from elman.models.window_models import CBOW, NPLM
from elman.text.rooms import World

GAP = 12  # between two words


def cbow_windows(words: Sequence[str], target: int, window: int = 2, *, lang: str | None = None) -> Figure:
    """Draw CBOW's window around a word: ``window`` words on each side, and on the left side only.

    Raises:
        ConfigError: the words do not reach ``window`` places to both sides of the target.
    """
    if not window <= target < len(words) - window:
        raise ConfigError(f"target {target} needs {window} words on each side; there are {len(words)} words")
    about = (
        f"The target word {words[target]!r} is predicted from {window} words on each side; as a language model, from "
        f"{window} words on the left only.",
        f"목표 단어 {words[target]!r}를 왼쪽과 오른쪽 {window}단어씩에서 예측한다. 언어 모델로 쓸 때는 왼쪽 "
        f"{window}단어에서만 예측한다.",
    )
    drawing = Drawing(345, ("CBOW's windows", "CBOW의 윈도"), about, lang)
    left = [-k for k in range(window, 0, -1)]
    both = [*left, *range(1, window + 1)]
    rows: list[tuple[float, list[int], Label]] = [
        (125, both, (f"{window} words on each side", f"왼쪽과 오른쪽 {window}단어씩")),
        (292, left, (f"{window} words on the left only", f"왼쪽 {window}단어만")),
    ]
    for y, offsets, name in rows:
        context = [target + offset for offset in offsets]
        drawing.text((16, y - 103), name, anchor="start", bold=True)
        boxes = _row_of_words(drawing, words, y, context, target)
        for k in context:
            near = 14 * (1 if k < target else -1) * (1 if abs(k - target) == 1 else 0.4)
            end = (boxes[target].top[0] - near, boxes[target].top[1])
            drawing.arc(boxes[k].top, end, 20 + 14 * abs(k - target))
        given = ", ".join(f"w_{{t{offset:+d}}}".replace("-", "−") for offset in offsets)
        drawing.text((WIDTH - 16, y - 103), f"P(w_t | {given})", anchor="end")
    return drawing.finish()


def left_context(words: Sequence[str], target: int, *, lang: str | None = None) -> Figure:
    """Draw P(w_t | w_1 … w_{t-1}): an arrow from every word to the left of the target.

    Raises:
        ConfigError: there is no word left of the target.
    """
    if not 0 < target < len(words):
        raise ConfigError(f"target must be 1 to {len(words) - 1}, got {target}")
    about = (
        f"A language model predicts {words[target]!r} from all {target} words to its left.",
        f"언어 모델은 {words[target]!r}를 그 왼쪽에 있는 단어 {target}개 모두에서 예측한다.",
    )
    drawing = Drawing(210, ("All words to the left", "왼쪽에 있는 모든 단어"), about, lang)
    boxes = _row_of_words(drawing, words[: target + 1], 140, range(target), target)
    for k in range(target):
        end = (boxes[target].top[0] - 20 + 30 * k / target, boxes[target].top[1])
        drawing.arc(boxes[k].top, end, 15 + 75 * (target - k) / target)
    for k, box in enumerate(boxes):
        drawing.text((box.x, 192), "w_t" if k == target else f"w_{{{k + 1}}}", "soft", size=SMALL)
    drawing.text((16, 22), "P(w_t | w_1 w_2 … w_{t−1})", anchor="start", bold=True)
    return drawing.finish()


def far_answer(line: str, window: int = 10, *, world: World | None = None, lang: str | None = None) -> Figure:
    """Draw a line of the world `rooms` whose last name was said many words ago, and a window that does not reach it.

    Raises:
        ConfigError: the line greets nobody whose name was said before.
        TextError: the world cannot say the line.
    """
    words = line.split()
    distances = (world or World()).distance(words)
    answer = int(distances.argmax())
    distance = int(distances[answer])
    if distance < 1:
        raise ConfigError(f"the line must greet a person who was named before, got {line!r}")
    clue = answer - distance
    about = (
        f"The answer {words[answer]!r} stands {distance} words back; a window of {window} words does not reach it.",
        f"정답 {words[answer]!r}은 {distance}단어 앞에 있다. {window}단어짜리 윈도는 거기까지 닿지 않는다.",
    )
    drawing = Drawing(195, ("The answer is far away", "정답은 멀리 있다"), about, lang)
    places = _wrapped(words[: answer + 1], top=48, step=56)
    for k in range(max(0, answer - window), answer):
        x, y, width = places[k]
        drawing.box((x, y), (width + GAP, 32), look="marked")
    for k, (x, y, width) in enumerate(places):
        if k in (clue, answer):
            drawing.box((x, y), (width + 14, 32), look="forward")
        drawing.text((x, y), "?" if k == answer else words[k], raw=True, bold=k in (clue, answer))
    (x0, y0, _), (x1, y1, _) = places[clue], places[answer]
    under = y1 + 44
    drawing.arrow(
        (x1, y1 + 18), (x1, under), (10, under), (10, y0 - 30), (x0, y0 - 30), (x0, y0 - 17), kind="backward"
    )
    drawing.text(
        ((x1 + 10) / 2, under + 17), (f"{distance} words back", f"{distance}단어 앞"), "backward", size=SMALL
    )
    named = drawing.say((f"a window of {window} words", f"{window}단어 윈도"))
    drawing.text((WIDTH - 16, under + 17), named, "soft", size=SMALL, anchor="end")
    drawing.box((WIDTH - 36 - text_width(named, SMALL), under + 17), (18, 16), look="marked")
    return drawing.finish()


def sum_or_concatenation(cbow: CBOW, nplm: NPLM, words: Sequence[str], *, lang: str | None = None) -> Figure:
    """Draw how two window models join k word vectors: CBOW's mean (k·D numbers become D) and NPLM's concatenation.

    The shapes are those of the models; ``words`` are the k words of the window.

    Raises:
        ConfigError: the models' windows differ from each other or from the words.
    """
    k = len(words)
    if not cbow.window == nplm.window == k:
        raise ConfigError(
            f"the windows must be as long as the words: {k}, got {cbow.window} and {nplm.window}"
        )
    D, H = nplm.wordvec_size, nplm.hidden_size
    about = (
        f"CBOW takes the mean of {k} word vectors of width {cbow.wordvec_size}: their order is lost. NPLM puts them "
        f"side by side, {k * D} numbers, and multiplies them by {k * D} × {H} weights.",
        f"CBOW는 너비 {cbow.wordvec_size}인 단어 벡터 {k}개의 평균을 내므로 순서가 사라진다. NPLM은 나란히 이어 붙인 "
        f"{k * D}개의 수에 가중치 {k * D} × {H}개를 곱한다.",
    )
    drawing = Drawing(330, ("Sum or concatenation", "합 또는 연결"), about, lang)
    for x, name in ((140, "CBOW"), (420, "NPLM")):
        drawing.text((x, 22), name, bold=True)
    spread, wide = 200 / k, 190 / k
    left = [drawing.box((40 + spread * (i + 0.5), 262), (spread - 12, 26)) for i in range(k)]
    plus = drawing.node((140, 175), "+")
    for box, word in zip(left, words, strict=True):
        drawing.text((box.x, 293), word, size=SMALL, raw=True)
        drawing.arrow(box.top, (140 + (box.x - 140) * 0.12, 195))
    mean = drawing.box((140, 90), (120, 44), "h", note=f"({cbow.wordvec_size},)")
    drawing.arrow(plus.top, mean.bottom)
    drawing.text((164, 140), ("÷ k", "÷ k"), "soft", size=SMALL, anchor="start")
    drawing.text(
        (140, 45), (f"{words[0]} {words[1]} = {words[1]} {words[0]}"), "backward", size=SMALL, raw=True
    )
    right = [drawing.box((420 - 95 + wide * (i + 0.5), 262), (wide - 12, 26)) for i in range(k)]
    joined = [drawing.box((420 - 95 + wide * (i + 0.5), 175), (wide, 30)) for i in range(k)]
    for low, high, word in zip(right, joined, words, strict=True):
        drawing.text((low.x, 293), word, size=SMALL, raw=True)
        drawing.arrow(low.top, high.bottom)
    hidden = drawing.box((420, 90), (120, 44), "h", note=f"({H},)")
    drawing.arrow((420, 160), hidden.bottom)
    drawing.text((440, 138), f"({k}·{D}, {H})", "soft", size=SMALL, anchor="start")
    drawing.text((420, 45), f"{words[0]} {words[1]} ≠ {words[1]} {words[0]}", "forward", size=SMALL, raw=True)
    drawing.text((140, 315), f"{k} × ({cbow.wordvec_size},)", "soft", size=SMALL)
    drawing.text((420, 315), f"{k} × ({D},) = ({k * D},)", "soft", size=SMALL)
    return drawing.finish()


def _row_of_words(
    drawing: Drawing, words: Sequence[str], y: float, context: Sequence[int], target: int
) -> list[Box]:
    """Draw words in a row: those of the context in boxes, the target as a question."""
    widths = [max(text_width(word), 22) for word in words]
    gap = min(26.0, (WIDTH - 40 - sum(widths)) / max(1, len(words) - 1))
    x = (WIDTH - sum(widths) - gap * (len(words) - 1)) / 2
    boxes = []
    for k, (word, width) in enumerate(zip(words, widths, strict=True)):
        at, size = (x + width / 2, y), (width + min(12, gap - 2), 32)
        if k == target:
            boxes.append(drawing.box(at, size, "?", "marked"))
            drawing.text((at[0], y + 31), word, "soft", size=SMALL, raw=True)
        elif k in context:
            boxes.append(drawing.box(at, size, word, "forward", raw=True))
        else:
            drawing.text(at, word, "soft", raw=True)
            boxes.append(Box(*at, *size))
        x += width + gap
    return boxes


def _wrapped(
    words: Sequence[str], top: float, step: float, margin: float = 28
) -> list[tuple[float, float, float]]:
    """Return the place and width of every word of a text that is wrapped to the figure's width."""
    places: list[tuple[float, float, float]] = []
    x, y = margin, top
    for word in words:
        width = max(text_width(word), 10)
        if x + width > WIDTH - margin:
            x, y = margin, y + step
        places.append((x + width / 2, y, width))
        x += width + GAP
    return places
