"""Results as tables and as JSON.

Tables for people: columns of even width.

Results as JSON.
"""

import json
import math
from collections.abc import Sequence
from typing import Any


def aligned(rows: Sequence[Sequence[str]], left: int = 1) -> str:
    """Return rows as lines: the first ``left`` columns flush left, the others, of numbers, flush right."""
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
    """Return one line of JSON, with null for what JSON cannot hold: infinities and what is not a number."""
    return json.dumps(_finite(values), ensure_ascii=False)


def _finite(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _finite(inner) for name, inner in value.items()}
    if isinstance(value, list):
        return [_finite(inner) for inner in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
