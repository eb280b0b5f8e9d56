"""Wait for what other threads and processes do. The limits only turn a hang into a failure."""

import time
from collections.abc import Callable
from typing import Any

LONG = 120.0  # seconds: more than anything takes, even on a machine that is busy


def wait_until(condition: Callable[[], Any], what: str, seconds: float = LONG) -> Any:
    """Wait until a condition holds and return its value."""
    end = time.monotonic() + seconds
    while not (value := condition()):
        assert time.monotonic() < end, f"not within {seconds:g} s: {what}"
        time.sleep(0.01)
    return value
