"""Ctrl-C, or the stop button of a notebook, during training: the current block is finished and everything saved."""

import signal
import threading
from collections.abc import Callable
from pathlib import Path
from types import FrameType


class TrainingInterrupted(KeyboardInterrupt):
    """Ctrl-C or a notebook's stop button has ended a training; everything is saved in ``folder``."""

    def __init__(self, folder: Path, iteration: int) -> None:
        self.folder, self.iteration = folder, iteration
        super().__init__(
            f"stopped and saved after iteration {iteration}; continue with elman.open_run({str(folder)!r}).resume()"
        )


class Interrupts:
    """Within the block the first Ctrl-C calls ``stop``, and a second one raises KeyboardInterrupt at once.

    ``seen`` says whether there was one. A program that handles Ctrl-C itself keeps its handler; threads other than the
    main one are never interrupted by it.
    """

    def __init__(self, stop: Callable[[], None]) -> None:
        self._stop = stop
        self._installed = False
        self.seen = False

    def __enter__(self) -> "Interrupts":
        in_main_thread = threading.current_thread() is threading.main_thread()
        self._installed = in_main_thread and signal.getsignal(signal.SIGINT) is signal.default_int_handler
        if self._installed:
            signal.signal(signal.SIGINT, self._interrupted)
        return self

    def __exit__(self, *exception: object) -> None:
        if self._installed:
            signal.signal(signal.SIGINT, signal.default_int_handler)

    def _interrupted(self, number: int, frame: FrameType | None) -> None:
        if self.seen:
            raise KeyboardInterrupt
        self.seen = True
        self._stop()
