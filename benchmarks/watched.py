"""A command under watch: when its training's first step was done, and how its memory grew (Linux)."""

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

STEP_DONE = b'"kind": "interval"'  # with --report-every 1 the first such line of metrics.jsonl
LOOK_EVERY = 0.005  # seconds


@dataclass
class Watched:
    """Seconds from the command's start, and peaks of its resident memory in MB.

    ``peak_mb`` is all of it, noted by the system; ``own_mb`` what the process itself has written, ``files_mb`` pages
    of files, which the system takes back when it needs room. These two are the highest that was seen.
    """

    first_step: float | None = None
    seconds: float = 0.0
    peak_mb: float = 0.0
    own_mb: float = 0.0
    files_mb: float = 0.0

    def look(self, process: int) -> None:
        """Note the memory of a process as it is now; nothing once it has ended."""
        try:
            lines = Path(f"/proc/{process}/status").read_text().splitlines()
        except OSError:
            return
        kb = {
            name: int(rest.split()[0])
            for name, _, rest in (line.partition(":") for line in lines)
            if rest.endswith(" kB")
        }
        if "VmHWM" in kb:  # not of a process that is just ending
            self.peak_mb = kb["VmHWM"] / 1024
            self.own_mb = max(self.own_mb, kb["RssAnon"] / 1024)
            self.files_mb = max(self.files_mb, (kb["RssFile"] + kb["RssShmem"]) / 1024)


def watch(
    command: Sequence[str], run: Path | None = None, environment: Mapping[str, str] | None = None
) -> Watched:
    """Run a command to its end; ``run`` is the folder of the training whose first step is waited for."""
    found = Watched()
    with tempfile.TemporaryFile() as said:
        began = time.perf_counter()
        process = subprocess.Popen(
            command, env={**os.environ, **(environment or {})}, stdout=said, stderr=said
        )
        while process.poll() is None:
            if run is not None and found.first_step is None and _step_done(run):
                found.first_step = time.perf_counter() - began
            found.look(process.pid)
            time.sleep(LOOK_EVERY)
        found.seconds = time.perf_counter() - began
        if process.returncode:
            said.seek(0)
            words = said.read().decode(errors="replace")
            raise SystemExit(f"{words}{' '.join(command)} ended with {process.returncode}")
    return found


def _step_done(run: Path) -> bool:
    try:
        return STEP_DONE in (run / "metrics.jsonl").read_bytes()
    except OSError:
        return False


def elman(*arguments: str) -> list[str]:
    """Return the command line of elman with this interpreter."""
    return [sys.executable, "-m", "elman", *arguments]
