"""Results as text: tables with aligned columns for people, one line of JSON for programs."""

import json
import math
from collections.abc import Sequence
from typing import Any


def format_table(rows: Sequence[Sequence[str]], left: int = 1) -> str:
    """Return rows as aligned lines: the first ``left`` columns flush left, the others (numbers) flush right."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = []
    for row in rows:
        cells = [
            f"{cell:<{width}}" if k < left else f"{cell:>{width}}"
            for k, (cell, width) in enumerate(zip(row, widths, strict=True))
        ]
        lines.append("  ".join(cells).rstrip())
    return "\n".join(lines)


def to_json(values: dict[str, Any]) -> str:
    """Return one line of JSON; infinities and NaN, which JSON cannot hold, become null."""
    return json.dumps(_finite(values), ensure_ascii=False)


def _finite(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _finite(inner) for name, inner in value.items()}
    if isinstance(value, list):
        return [_finite(inner) for inner in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
