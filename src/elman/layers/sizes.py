"""The sizes that a cell which is a residual block by itself has besides D and H: those given, and the usual ones."""

from collections.abc import Mapping

from elman.errors import ConfigError

MOST_WIDTH = 64  # of a head, if it is not given


def completed(given: Mapping[str, int] | None, **usual: int) -> dict[str, int]:
    """Return the usual sizes, in their order, with those given instead.

    Raises:
        ConfigError: there is no size of a given name, or it is below 1.
    """
    given = given or {}
    for name, size in given.items():
        if name not in usual:
            raise ConfigError(f"unknown size {name!r}; choose from {', '.join(usual)}")
        if size < 1:
            raise ConfigError(f"the size {name} must be ≥ 1, got {size}")
    return {**usual, **given}


def head_width(width: int) -> int:
    """Return the usual width of a head: the largest divisor of the width of all heads that is at most `MOST_WIDTH`."""
    return max(part for part in range(1, min(width, MOST_WIDTH) + 1) if width % part == 0)
