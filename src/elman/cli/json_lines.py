"""Results as JSON."""

import json
import math
from typing import Any


def to_json(values: dict[str, Any]) -> str:
    """Return one line of JSON, with null for what JSON cannot hold: infinities and what is not a number."""
    return json.dumps(_finite(values), ensure_ascii=False)


def _finite(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _finite(inner) for name, inner in value.items()}
    if isinstance(value, list):
        return [_finite(inner) for inner in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
