"""Results as JSON."""

import json
import math
from typing import Any


def to_json(values: dict[str, Any]) -> str:
    """Return one line of JSON, with null for what JSON cannot hold: infinities and what is not a number."""
    finite = {k: None if isinstance(v, float) and not math.isfinite(v) else v for k, v in values.items()}
    return json.dumps(finite, ensure_ascii=False)
