"""Start the ranks of a training on this machine, by the launcher of PyTorch (torchrun), and wait for them.

``python -m elman.training.processes NUMBER ARGUMENT...`` is the launcher: it runs ``elman ARGUMENT...`` in NUMBER
processes, starts all of them again if one is lost, and passes Ctrl-C on. It is a process of its own because it handles
signals, which Python allows in a main thread only.
"""

import contextlib
import importlib.util
import logging
import os
import signal
import subprocess
import sys
import tempfile
import uuid
from pathlib import Path

from elman.environment import usable_cores
from elman.errors import ConfigError, MissingExtra, RunError
from elman.formats.model_file import LAST_NAME
from elman.training.interrupts import TrainingInterrupted
from elman.training.ranks import RANK, WORLD_SIZE
from elman.training.run_folder import load_checkpoint

MAX_RESTARTS = 3
INTERRUPTED = 130  # exit code after Ctrl-C


def check_processes(processes: int, callback: object) -> None:
    """Raise an error where no ``processes`` can be started.

    Raises:
        ConfigError: the number is below 1, there is a callback, or torchrun has started this process already.
        MissingExtra: PyTorch is not installed.
    """
    if processes < 1:
        raise ConfigError(f"`processes` must be an integer ≥ 1, got {processes}")
    if RANK in os.environ and WORLD_SIZE in os.environ:
        raise ConfigError(
            f"torchrun has started this process as one of {os.environ[WORLD_SIZE]}; leave out `processes`"
        )
    if callback is not None:
        raise ConfigError("other processes cannot call a `callback`; leave it out, or leave out `processes`")
    if importlib.util.find_spec("torch") is None:
        raise MissingExtra("PyTorch", "distributed")


def train_in_processes(folder: Path, processes: int, timeout: float, progress: bool) -> None:
    """Train the run in ``folder`` to its end in so many processes.

    Raises:
        TrainingInterrupted: Ctrl-C ended it; everything is saved.
        RunError: they ended with an error, which they have printed.
    """
    arguments = ["train", "--resume", str(folder), "--rank-timeout", f"{timeout:g}"]
    arguments += [] if progress else ["--quiet"]
    launcher = subprocess.Popen(
        [sys.executable, "-m", __name__, str(processes), *arguments], start_new_session=True
    )
    interrupted = False
    while True:
        try:
            code = launcher.wait()
            break
        except KeyboardInterrupt:
            launcher.send_signal(signal.SIGTERM if interrupted else signal.SIGINT)
            if interrupted:
                raise
            interrupted = True
        except BaseException:
            launcher.terminate()
            raise
    if interrupted:
        iteration = load_checkpoint(folder / LAST_NAME).training["progress"]["iteration"]
        raise TrainingInterrupted(folder, iteration)
    if code:
        raise RunError(
            f"the training in {processes} processes has failed; their messages are above. The last checkpoint is in "
            f"{folder}"
        )


def main() -> None:
    """Be the launcher."""
    number, *arguments = sys.argv[1:]
    logging.disable()  # torch's own reports; the ranks say what is wrong
    os.environ.setdefault("OMP_NUM_THREADS", str(max(1, usable_cores() // int(number))))
    from torch.distributed.elastic.multiprocessing import DefaultLogsSpecs, SignalException, Std
    from torch.distributed.elastic.multiprocessing.errors import ChildFailedError
    from torch.distributed.launcher.api import LaunchConfig, elastic_launch

    with tempfile.TemporaryDirectory() as logs:
        config = LaunchConfig(
            min_nodes=1,
            max_nodes=1,
            nproc_per_node=int(number),
            run_id=uuid.uuid4().hex,
            rdzv_backend="c10d",
            rdzv_endpoint="127.0.0.1:0",  # a port that is free
            local_addr="127.0.0.1",
            max_restarts=MAX_RESTARTS,
            logs_specs=DefaultLogsSpecs(
                log_dir=logs, redirects=Std.OUT
            ),  # the result is printed once, by the caller
        )
        try:
            elastic_launch(config, sys.executable)("-m", "elman", *arguments)
        except ChildFailedError:
            sys.exit(1)
        except SignalException:
            sys.exit(INTERRUPTED)


if __name__ == "__main__":
    with contextlib.suppress(KeyboardInterrupt):
        main()
