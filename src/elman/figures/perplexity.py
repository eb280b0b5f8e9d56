"""Figures of perplexity: as a number of branches, and falling over the epochs."""

import math
from collections.abc import Mapping, Sequence

from elman.errors import ConfigError
from elman.figures.drawing import SMALL, WIDTH, Drawing, Figure, Kind, Point

KINDS: tuple[Kind, ...] = ("forward", "backward", "ink")  # of curves


def branches(probabilities: Sequence[float] = (0.8, 0.2), *, lang: str | None = None) -> Figure:
    """Draw perplexity as the number of equally probable branches that a probability of the right word amounts to.

    Raises:
        ConfigError: a probability that is not in (0, 1], or more than three of them.
    """
    if not 1 <= len(probabilities) <= 3 or not all(0.05 <= p <= 1 for p in probabilities):
        raise ConfigError(f"give 1 to 3 probabilities from 0.05 to 1, got {list(probabilities)}")
    said = ", ".join(f"{p:g} → {1 / p:.4g}" for p in probabilities)
    about = (
        f"Perplexity of a model that always gives the right word this probability: {said}.",
        f"정답 단어에 늘 이 확률을 주는 모델의 퍼플렉서티: {said}.",
    )
    drawing = Drawing(
        60 + 130 * len(probabilities),
        ("Perplexity is a number of branches", "퍼플렉서티는 분기 수"),
        about,
        lang,
    )
    for k, p in enumerate(probabilities):
        y, ppl = 95 + 130 * k, 1 / p
        drawing.text((16, y), f"P = {p:g}", anchor="start", bold=True)
        drawing.text(
            (16, y + 22), ("of the right word", "정답 단어의 확률"), "soft", size=SMALL, anchor="start"
        )
        drawing.dot((190, y), radius=6)
        whole, part = math.floor(ppl + 1e-9), ppl - math.floor(ppl + 1e-9)
        count = whole + (part > 1e-9)
        for i in range(count):
            end = (310.0, y + (i - (count - 1) / 2) * min(24.0, 96 / max(count, 1)))
            if i < whole:
                drawing.arrow((190, y), end, width=2.5)
            else:  # a fraction of a branch
                drawing.arrow((190, y), end, kind="soft", width=1.2, dashed=True)
                drawing.text((318, end[1]), f"{part:.2f}", "soft", size=SMALL, anchor="start")
        drawing.text((368, y), f"exp(−ln {p:g}) = {ppl:.4g}", anchor="start")
    drawing.text(
        (WIDTH / 2, 22),
        ("perplexity: equally probable branches", "퍼플렉서티: 확률이 같은 분기의 수"),
        bold=True,
    )
    return drawing.finish()


def perplexity_curve(
    curves: Mapping[str, Sequence[float]] | Sequence[float], *, lang: str | None = None
) -> Figure:
    """Draw perplexity falling over the epochs, on a logarithmic scale.

    Args:
        curves: perplexities in order, as in ``trainer.ppl_list``, or several such lists by name.

    Raises:
        ConfigError: a curve has fewer than two points or one that is not finite, or there are more than three curves.
    """
    named = dict(curves) if isinstance(curves, Mapping) else {"": curves}
    values = [value for curve in named.values() for value in curve]
    if not 1 <= len(named) <= 3 or any(len(curve) < 2 for curve in named.values()):
        raise ConfigError("give 1 to 3 curves of at least two points")
    if not all(0 < value < math.inf for value in values):
        raise ConfigError("perplexities must be finite and positive")
    last = max(map(len, named.values()))
    about = (
        f"Perplexity falls from {max(values):.4g} to {min(values):.3g} in {last} epochs.",
        f"퍼플렉서티가 {last}에폭 동안 {max(values):.4g}에서 {min(values):.3g}까지 떨어진다.",
    )
    drawing = Drawing(340, ("Perplexity falls", "퍼플렉서티의 감소"), about, lang)
    left, right, top, bottom = 70.0, WIDTH - 24, 40.0, 280.0
    low, high = math.log(min(values)) - 0.1, math.log(max(values)) + 0.1
    for tick in _ticks(math.exp(low), math.exp(high)):
        y = bottom - (math.log(tick) - low) / (high - low) * (bottom - top)
        drawing.line([(left, y), (right, y)], "soft", 0.4)
        drawing.text((left - 8, y), f"{tick:g}", "soft", size=SMALL, anchor="end")
    drawing.line([(left, top), (left, bottom)], "soft", 1.5)
    drawing.line([(left, bottom), (right, bottom)], "soft", 1.5)
    for tick in sorted({1, *(round(last * k / 4) for k in range(1, 5))} - {0}):
        x = left + (tick - 1) / (last - 1) * (right - left)
        drawing.line([(x, bottom), (x, bottom + 5)], "soft", 1.5)
        drawing.text((x, bottom + 18), str(tick), "soft", size=SMALL)
    for (name, curve), kind in zip(named.items(), KINDS, strict=False):
        points: list[Point] = [
            (
                left + k / (last - 1) * (right - left),
                bottom - (math.log(value) - low) / (high - low) * (bottom - top),
            )
            for k, value in enumerate(curve)
        ]
        drawing.line(points, kind, 2.5)
        drawing.text((points[-1][0] - 6, points[-1][1] - 16), name, kind, size=SMALL, anchor="end", raw=True)
    drawing.text(
        (left - 54, 20), ("perplexity (logarithmic)", "퍼플렉서티(로그 눈금)"), size=SMALL, anchor="start"
    )
    drawing.text(((left + right) / 2, bottom + 42), ("epoch", "에폭"), size=SMALL)
    return drawing.finish()


def _ticks(low: float, high: float) -> list[float]:
    """Return round numbers between two bounds for a logarithmic scale: 1, 2, 5, 10, 20, ..."""
    decades = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    return [
        digit * 10.0**decade
        for decade in decades
        for digit in (1, 2, 5)
        if low <= digit * 10.0**decade <= high
    ]
