"""What the machine is and allows."""

import subprocess
import sys

import pytest

from elman.bench import machine


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
def test_the_environment_says_how_many_threads_are_allowed(
    monkeypatch: pytest.MonkeyPatch, environment: dict[str, str], threads: int
) -> None:
    monkeypatch.setattr(machine, "usable_cores", lambda: 7)
    for name in machine.THREAD_VARIABLES:
        monkeypatch.delenv(name, raising=False)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    assert machine.allowed_threads() == threads


def test_a_process_gets_the_threads_it_is_to_have(monkeypatch: pytest.MonkeyPatch) -> None:
    environment = machine.with_threads(4)
    for name in machine.THREAD_VARIABLES:
        monkeypatch.setenv(name, environment[name])
    assert machine.allowed_threads() == 4


def test_the_description_is_plain_and_whole() -> None:
    found = machine.describe()
    assert found["cores"] >= 1
    assert all(found.values())


def test_the_kernels_of_numpys_own_choice_are_asked_for_only_where_they_are_held_back(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    blas = machine.numpy_blas()
    monkeypatch.delenv(machine.CORETYPE, raising=False)
    assert machine.own_kernels() is None
    if blas.get("internal_api") == "openblas":
        monkeypatch.setenv(machine.CORETYPE, "Haswell")
        assert machine.own_kernels() not in (None, "None")


def test_the_peak_of_memory_holds_what_was_held() -> None:
    code = (
        "import numpy as np\n"
        "from elman.bench.machine import peak_mb\n"
        "before = peak_mb()\n"
        "np.ones(8 << 20)\n"
        "print(peak_mb() - before)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert float(done.stdout) == pytest.approx(64, rel=0.1)
