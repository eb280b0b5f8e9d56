"""`elman` as a process of its own."""

import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import elman

NONE: Mapping[str, str] = {}


def started(
    *arguments: object, environment: Mapping[str, str] = NONE, **options: Any
) -> subprocess.Popen[Any]:
    """Start ``elman``, the one that is tested, with more variables in its environment."""
    return subprocess.Popen(
        [sys.executable, "-m", "elman", *map(str, arguments)],
        env={**os.environ, "PYTHONPATH": str(Path(elman.__file__).parents[1]), **environment},
        **options,
    )


def serving(*arguments: object, **options: Any) -> tuple[subprocess.Popen[bytes], str]:
    """Start ``elman serve`` and wait until it answers; return the process and its address."""
    process = started("serve", *arguments, stderr=subprocess.PIPE, **options)
    assert process.stderr is not None
    line = process.stderr.readline().decode()
    assert line.startswith("elman serves "), line
    return process, line.partition(" at ")[2].partition(";")[0]
