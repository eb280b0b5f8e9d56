"""`elman` as a separate process, which is killed when it takes too long: a hang is a failure, never a wait."""

import contextlib
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import elman
from support.waiting import LONG

NONE: Mapping[str, str] = {}


def started(
    *arguments: object, environment: Mapping[str, str] = NONE, **options: Any
) -> subprocess.Popen[Any]:
    """Start the ``elman`` that is tested, with additional variables in its environment."""
    with interruptible():
        return subprocess.Popen(
            [sys.executable, "-m", "elman", *map(str, arguments)],
            env={**os.environ, "PYTHONPATH": str(Path(elman.__file__).parents[1]), **environment},
            **options,
        )


@contextlib.contextmanager
def interruptible() -> Iterator[None]:
    """Let Ctrl-C interrupt this process and those it starts, even where the tests run as a background job.

    Shells start such jobs with SIGINT ignored, which child processes inherit.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    earlier = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, earlier)


def kill_later(process: subprocess.Popen[Any], seconds: float = LONG) -> threading.Timer:
    """Kill a process that still runs after some seconds, so that reading from its pipes ends; return the timer."""
    timer = threading.Timer(seconds, process.kill)
    timer.daemon = True
    timer.start()
    return timer


def serving(*arguments: object, **options: Any) -> tuple[subprocess.Popen[bytes], str]:
    """Start ``elman serve`` and wait until it listens; return the process and its address."""
    process = started("serve", *arguments, stderr=subprocess.PIPE, **options)
    assert process.stderr is not None
    timer = kill_later(process)
    line = process.stderr.readline().decode()
    timer.cancel()
    assert line.startswith("elman serves "), line
    return process, line.partition(" at ")[2].partition(";")[0]
