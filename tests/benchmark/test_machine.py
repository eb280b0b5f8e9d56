"""The description of the machine, on Linux and where less can be found out."""

import os
import subprocess
import sys

import pytest

from elman import environment as own
from elman.benchmark import machine


@pytest.mark.parametrize(
    ("environment", "threads"),
    [
        ({"OPENBLAS_NUM_THREADS": "3", "OMP_NUM_THREADS": "5"}, 3),
        ({"OMP_NUM_THREADS": "5"}, 5),
        ({"OMP_NUM_THREADS": "many"}, 7),
        ({"OMP_NUM_THREADS": "0"}, 7),
        ({}, 7),
    ],
)
def test_the_environment_limits_the_threads(
    monkeypatch: pytest.MonkeyPatch, environment: dict[str, str], threads: int
) -> None:
    monkeypatch.setattr(own, "usable_cores", lambda: 7)
    for name in machine.THREAD_VARIABLES:
        monkeypatch.delenv(name, raising=False)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    assert own.allowed_threads() == threads


def test_a_process_gets_its_number_of_threads(monkeypatch: pytest.MonkeyPatch) -> None:
    environment = machine.with_threads(4)
    for name in machine.THREAD_VARIABLES:
        monkeypatch.setenv(name, environment[name])
    assert own.allowed_threads() == 4


def test_the_description_is_complete() -> None:
    found = machine.describe()
    assert found["cores"] >= 1
    assert all(found.values())


def test_what_windows_lacks_is_unknown(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("getloadavg", "sched_getaffinity", "sysconf"):
        monkeypatch.delattr(os, name, raising=False)
    monkeypatch.setattr(machine.Path, "is_file", lambda path: False)  # no /proc
    found = machine.describe()
    assert (found["load when begun"], found["vector units"]) == ("unknown", "unknown")
    assert found["cores"] >= 1
    assert machine.busy_seconds() is None


def test_no_module_needs_what_windows_lacks() -> None:
    code = (
        "import sys\n"
        "for name in ('resource', 'fcntl', 'pwd', 'grp', 'termios'):\n"
        "    sys.modules[name] = None\n"
        "import elman.benchmark.machine, elman.benchmark.measurement, elman.benchmark.worker, elman.benchmark.ours\n"
        "import elman.training.run, elman.training.ngram_run, elman.text_model, elman.cli\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_the_default_kernels_are_looked_up_only_where_the_environment_overrides_them(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    blas = own.numpy_blas()
    monkeypatch.delenv(machine.CORETYPE, raising=False)
    assert machine.own_kernels() is None
    if blas.get("internal_api") == "openblas":
        monkeypatch.setenv(machine.CORETYPE, "Haswell")
        assert machine.own_kernels() not in (None, "None")


def test_the_peak_of_memory_includes_what_was_freed() -> None:
    code = (
        "import numpy as np\n"
        "from elman.benchmark.machine import peak_mb\n"
        "before = peak_mb()\n"
        "np.ones(8 << 20)\n"
        "print(peak_mb() - before)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert float(done.stdout) == pytest.approx(64, rel=0.1)
