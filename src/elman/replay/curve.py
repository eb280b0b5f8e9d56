"""A run's metrics, thinned to what a screen can show."""

import math
from collections.abc import Sequence
from typing import Any

POINTS = 1000  # lines of a kind
SAMPLES = 60
SAMPLE_LENGTH = 1500  # characters


def thinned(lines: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return a run's metrics with a bounded number of lines of each kind, evenly chosen from the first to the last."""
    places: dict[str, list[int]] = {}
    for place, line in enumerate(lines):
        places.setdefault(line["kind"], []).append(place)
    kept = {place for kind, of_kind in places.items() for place in _spread(of_kind, _most(kind))}
    return [_short(line) for place, line in enumerate(lines) if place in kept]


def _most(kind: str) -> int:
    return SAMPLES if kind == "sample" else POINTS


def _spread(places: list[int], most: int) -> list[int]:
    if len(places) <= most:
        return places
    return [places[k * (len(places) - 1) // (most - 1)] for k in range(most)]


def _short(line: dict[str, Any]) -> dict[str, Any]:
    if line["kind"] == "sample" and len(line["text"]) > SAMPLE_LENGTH:
        return {**line, "text": line["text"][:SAMPLE_LENGTH] + " …"}
    return {name: None if _is_endless(value) else value for name, value in line.items()}


def _is_endless(value: Any) -> bool:
    """Tell whether JSON, unlike the metrics, has no such number."""
    return isinstance(value, float) and not math.isfinite(value)
