"""When loops are compiled: with numba, unless they are not wanted, and for float32 arrays of NumPy's."""

import os
import subprocess
import sys
from collections.abc import Iterator
from types import ModuleType
from typing import Any

import numpy as np
import pytest

from elman import numba_jit as compiled
from elman.layers.base import fused_loops
from support.loops import needs_compiled_loops, switch_loops


@pytest.fixture
def _asked_anew() -> Iterator[None]:
    """What is available is found out once; here, before and after the test."""
    compiled.available.cache_clear()
    yield
    compiled.available.cache_clear()


def python(code: str, **environment: str) -> list[str]:
    """Return the words that a process of its own prints."""
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout.split()


@pytest.mark.usefixtures("_asked_anew")
def test_elman_compiled_0_switches_the_loops_off(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ELMAN_COMPILED", "0")
    assert not compiled.available()
    assert compiled.compiled(len) is len
    assert not compiled.serves(np.zeros(1, "f"))
    assert fused_loops(np.zeros(1, "f")) is None


@pytest.mark.usefixtures("_asked_anew")
@pytest.mark.parametrize("wanted", [None, "1"])
@pytest.mark.parametrize("installed", [True, False])
def test_otherwise_they_are_there_where_numba_is(
    monkeypatch: pytest.MonkeyPatch, wanted: str | None, installed: bool
) -> None:
    if wanted is None:
        monkeypatch.delenv("ELMAN_COMPILED", raising=False)
    else:
        monkeypatch.setenv("ELMAN_COMPILED", wanted)
    asked: list[str] = []
    found = object() if installed else None
    monkeypatch.setattr(compiled.importlib.util, "find_spec", lambda name: asked.append(name) or found)
    assert compiled.available() == installed
    assert asked == ["numba"]


def test_they_serve_float32_arrays_of_numpys(monkeypatch: pytest.MonkeyPatch) -> None:
    switch_loops(monkeypatch, True)
    assert compiled.serves(np.zeros(3, np.float32))
    for other in (np.zeros(3), np.zeros(3, np.float16), np.zeros(3, np.int32), np.float32(1), [1.0]):
        assert not compiled.serves(other)
        assert fused_loops(other) is None
    switch_loops(monkeypatch, False)
    assert not compiled.serves(np.zeros(3, np.float32))


class ReadOnly(ModuleType):
    """numba where no folder can be written: it refuses to compile what it is to keep."""

    def __init__(self) -> None:
        super().__init__("numba")
        self.asked: list[dict[str, Any]] = []

    def njit(self, **options: Any) -> Any:
        self.asked.append(options)
        if options.get("cache"):
            raise RuntimeError("cannot cache function: no locator available for file")
        return lambda function: (function, "compiled")


def test_without_a_folder_for_the_machine_code_it_is_compiled_every_time(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    numba = ReadOnly()
    monkeypatch.setitem(sys.modules, "numba", numba)
    switch_loops(monkeypatch, True)
    assert compiled.compiled(len) == (len, "compiled")
    kept, not_kept = numba.asked
    assert kept == {"cache": True, **not_kept}
    assert not_kept["nogil"] is True


@needs_compiled_loops
def test_numba_is_not_imported_before_it_is_needed() -> None:
    tell = "print('numba' in sys.modules)\n"
    make = "model = RecurrentLM(9, 4, 5, dtype=numpy.{})\n"
    train = "x = numpy.ones((1, 2), int)\nmodel.forward(x, x)\nmodel.backward()\n"
    begin = "import numpy, sys\nfrom elman.models.recurrent import RecurrentLM\n"
    double, single = make.format("float64") + train + tell, make.format("float32") + train + tell
    assert python(begin + tell + double + single) == ["False", "False", "True"]
    assert python(begin + single, ELMAN_COMPILED="0") == ["False"]
