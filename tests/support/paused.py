"""``elman`` in a process that stops at a chosen point and waits: so a test knows what it interrupts, however slow.

``python paused.py POINT:NUMBER ARGUMENT...`` runs ``elman ARGUMENT...``. When the point is reached for the NUMBER-th
time, the process prints the point's name and waits for a line of standard input. The points:

* ``block``: a block has been trained on, and its metrics are not written yet;
* ``metrics``: a line of the metrics has been written;
* ``flush``: a file is written under its temporary name, and not yet on the disk;
* ``rename``: a file is complete, and has not got its name yet;
* ``checkpoint``: a checkpoint has been written.
"""

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import elman
from support.waiting import LONG


class Paused:
    """A process of ``elman`` that has reached its point."""

    def __init__(self, point: str, *arguments: object) -> None:
        paths = [str(Path(elman.__file__).parents[1]), str(Path(__file__).parents[1])]
        self.process = subprocess.Popen(
            [sys.executable, __file__, point, *map(str, arguments)],
            env={**os.environ, "PYTHONPATH": os.pathsep.join(paths)},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        assert self.process.stdout is not None
        hang = threading.Timer(LONG, self.process.kill)  # readline then returns, with nothing
        hang.start()
        try:
            reached = self.process.stdout.readline().strip()
        finally:
            hang.cancel()
        if reached != point.partition(":")[0]:
            self.process.kill()
            raise AssertionError(f"{point} was not reached: {self.process.communicate()[1]}")

    def kill(self) -> None:
        """End the process at this point, as a power cut would."""
        self.process.kill()
        self.process.communicate(timeout=LONG)

    def signal_and_continue(self, number: int) -> tuple[int, str]:
        """Send a signal, then let the process continue; return its exit code and its standard error."""
        self.process.send_signal(number)
        try:
            _, errors = self.process.communicate("\n", timeout=LONG)
        finally:
            self.process.kill()
        return self.process.returncode, errors


def main() -> None:
    """Be ``elman``, with a pause at the point that the first argument names."""
    from elman import files
    from elman.cli import main as run_elman
    from elman.formats.metrics_log import Metrics
    from elman.training import run
    from elman.training.progress import BlockDone

    chosen, number = sys.argv.pop(1).split(":")
    left = int(number)

    def reached(point: str) -> None:
        nonlocal left
        left -= point == chosen
        if point == chosen and left == 0:
            print(point, flush=True)
            sys.stdin.readline()

    def pausing(function: Callable[..., Any], before: str = "", after: str = "") -> Callable[..., Any]:
        def call(*arguments: Any, **named: Any) -> Any:
            reached(before)
            result = function(*arguments, **named)
            reached(after)
            return result

        return call

    record = run.TrainingRun._record

    def recording(self: Any, event: Any) -> None:
        if isinstance(event, BlockDone):
            reached("block")
        record(self, event)

    run.TrainingRun._record = recording  # type: ignore[method-assign]
    run.save_checkpoint = pausing(run.save_checkpoint, after="checkpoint")
    Metrics.write = pausing(Metrics.write, after="metrics")  # type: ignore[method-assign]
    files.os.fsync = pausing(os.fsync, before="flush")
    files.os.replace = pausing(os.replace, before="rename")
    if hasattr(signal, "SIGHUP"):
        signal.signal(signal.SIGHUP, signal.SIG_DFL)  # the tests themselves may run under nohup
    run_elman()


if __name__ == "__main__":
    main()
