"""What is compiled: with numba, unless switched off, functions for float32 NumPy arrays, at their first call."""

import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

from elman import numba_jit
from elman.errors import ConfigError
from support.loops import needs_numba, switch_jit


@pytest.fixture
def _checked_again() -> Iterator[None]:
    """Whether numba is available is checked once; here, before and after the test too."""
    numba_jit.is_available.cache_clear()
    yield
    numba_jit.is_available.cache_clear()


def python(code: str, **environment: str) -> list[str]:
    """Return the words that a new Python process prints."""
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout.split()


@pytest.mark.usefixtures("_checked_again")
def test_elman_compiled_0_switches_compilation_off(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ELMAN_COMPILED", "0")
    assert not numba_jit.is_available()
    assert numba_jit.jit(len) is len
    assert not numba_jit.can_jit(np.zeros(1, "f"))


@pytest.mark.usefixtures("_checked_again")
@pytest.mark.parametrize("variable", [None, "1"])
@pytest.mark.parametrize("installed", [True, False])
def test_otherwise_functions_are_compiled_if_numba_is_installed(
    monkeypatch: pytest.MonkeyPatch, variable: str | None, installed: bool
) -> None:
    if variable is None:
        monkeypatch.delenv("ELMAN_COMPILED", raising=False)
    else:
        monkeypatch.setenv("ELMAN_COMPILED", variable)
    looked_for: list[str] = []
    found = object() if installed else None
    monkeypatch.setattr(numba_jit.importlib.util, "find_spec", lambda name: looked_for.append(name) or found)
    assert numba_jit.is_available() == installed
    assert looked_for == ["numba"]


def test_numba_is_loaded_once_something_has_imported_it(monkeypatch: pytest.MonkeyPatch) -> None:
    switch_jit(monkeypatch, True)
    monkeypatch.delitem(sys.modules, "numba", raising=False)
    assert not numba_jit.is_loaded()
    monkeypatch.setitem(sys.modules, "numba", FakeNumba())
    assert numba_jit.is_loaded()
    switch_jit(monkeypatch, False)
    assert not numba_jit.is_loaded()


def test_float32_numpy_arrays_only(monkeypatch: pytest.MonkeyPatch) -> None:
    switch_jit(monkeypatch, True)
    assert numba_jit.can_jit(np.zeros(3, np.float32))
    for other in (np.zeros(3), np.zeros(3, np.float16), np.zeros(3, np.int32), np.float32(1), [1.0]):
        assert not numba_jit.can_jit(other)
    switch_jit(monkeypatch, False)
    assert not numba_jit.can_jit(np.zeros(3, np.float32))


class FakeNumba(ModuleType):
    """Stands for numba; ``cannot_cache``: there is no folder that can be written."""

    def __init__(self, cannot_cache: bool = False) -> None:
        super().__init__("numba")
        self.cannot_cache = cannot_cache
        self.options: list[dict[str, Any]] = []

    def njit(self, **options: Any) -> Any:
        self.options.append(options)
        if options.get("cache") and self.cannot_cache:
            raise RuntimeError("cannot cache function: no locator available for file")
        return Compiled


class Compiled:
    """A function "compiled" by the fake numba."""

    def __init__(self, function: Any) -> None:
        self.function = function

    def __call__(self, *args: Any) -> Any:
        return self.function(*args)


SOURCE = """
from elman.numba_jit import jit

@jit
def double(x):
    return 2 * x

@jit
def quadruple(x):
    return double(double(x))

other_name = double
"""


def module_of(source: str) -> dict[str, Any]:
    """Return the names that a module with this source has."""
    names: dict[str, Any] = {"__name__": "made_up"}
    exec(source, names)
    return names


def test_the_first_call_compiles_all_functions_of_the_module(monkeypatch: pytest.MonkeyPatch) -> None:
    numba = FakeNumba()
    monkeypatch.setitem(sys.modules, "numba", numba)
    switch_jit(monkeypatch, True)
    names = module_of(SOURCE)
    first = names["quadruple"]
    assert numba.options == []
    assert first(3) == 12
    assert len(numba.options) == 2
    assert isinstance(names["quadruple"], Compiled)
    assert isinstance(names["double"], Compiled)
    assert names["other_name"] is names["double"]
    assert first(3) == names["quadruple"](3) == 12
    assert len(numba.options) == 2


def test_several_threads_may_make_the_first_call(monkeypatch: pytest.MonkeyPatch) -> None:
    numba = FakeNumba()
    monkeypatch.setitem(sys.modules, "numba", numba)
    switch_jit(monkeypatch, True)
    first, results = module_of(SOURCE)["quadruple"], []
    start = threading.Barrier(4)

    def call() -> None:
        start.wait()
        results.append(first(1))

    threads = [threading.Thread(target=call) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert results == [4] * 4
    assert len(numba.options) == 2


def test_without_a_folder_for_the_cache_functions_are_compiled_in_every_process(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    numba = FakeNumba(cannot_cache=True)
    monkeypatch.setitem(sys.modules, "numba", numba)
    switch_jit(monkeypatch, True)
    assert module_of(SOURCE)["double"](1) == 2
    cached, not_cached = numba.options[:2]
    assert cached == {"cache": True, **not_cached}
    assert not_cached["nogil"] is True


def test_an_exact_function_keeps_the_order_of_its_sums(monkeypatch: pytest.MonkeyPatch) -> None:
    numba = FakeNumba()
    monkeypatch.setitem(sys.modules, "numba", numba)
    switch_jit(monkeypatch, True)
    fast, exact = module_of(SOURCE), module_of(SOURCE.replace("import jit", "import jit_exact as jit"))
    assert fast["double"](2) == exact["double"](2) == 4
    assert ["fastmath" in options for options in numba.options] == [True, True, False, False]


def test_without_numba_a_function_with_instructions_of_its_own_is_the_function(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    switch_jit(monkeypatch, False)
    assert numba_jit.jit_as(len, typed=lambda *types: pytest.fail("nothing is compiled")) is len


@needs_numba
def test_numba_is_not_imported_before_it_is_needed() -> None:
    show = "print('numba' in sys.modules)\n"
    make = "model = RecurrentLM(9, 4, 5, dtype=numpy.{})\n"
    train = "x = numpy.ones((1, 2), int)\nmodel.forward(x, x)\nmodel.backward()\n"
    begin = "import numpy, sys\nimport elman.training.optimizers\nfrom elman.models.recurrent import RecurrentLM\n"
    double, single = make.format("float64") + train + show, make.format("float32") + train + show
    assert python(begin + show + double + single) == ["False", "False", "True"]
    assert python(begin + single, ELMAN_COMPILED="0") == ["False"]


@pytest.mark.usefixtures("_checked_again")
@pytest.mark.parametrize(
    "error", [OSError("cannot load libllvmlite.so"), MemoryError(), ImportError("no llvmlite")]
)
def test_a_numba_that_cannot_be_loaded_is_one_line(monkeypatch: pytest.MonkeyPatch, error: Exception) -> None:
    class Finder:
        def find_spec(self, name: str, *_: Any) -> Any:
            if name == "numba":
                raise error

    monkeypatch.setattr(numba_jit, "is_available", lambda: True)
    monkeypatch.delitem(sys.modules, "numba", raising=False)
    monkeypatch.setattr(sys, "meta_path", [Finder(), *sys.meta_path])
    with pytest.raises(ConfigError, match=r"numba cannot be loaded .* ELMAN_COMPILED=0"):
        numba_jit.jit(lambda x: x)(1)


@needs_numba
def test_cached_code_is_compiled_again_when_a_file_changes_that_it_calls(tmp_path: Path) -> None:
    head = "from elman.numba_jit import jit\n"
    (tmp_path / "outer.py").write_text(
        f"{head}from inner import inner\n@jit\ndef outer(x):\n    return inner(x)\n"
    )
    program = "import outer; print(outer.outer(1)); print(sum(outer.outer.stats.cache_hits.values()))"
    printed = []
    for constant in (10, 10, 2000):
        (inner := tmp_path / "inner.py").write_text(f"{head}@jit\ndef inner(x):\n    return x + {constant}\n")
        os.utime(inner, (constant, constant))
        printed.append(python(program, PYTHONPATH=os.pathsep.join((str(tmp_path), *sys.path))))
    assert printed == [["11", "0"], ["11", "1"], ["2001", "0"]]


@needs_numba
def test_code_from_the_cache_computes_the_same_bits_as_new_code(tmp_path: Path) -> None:
    program = """
import zlib
import numpy as np
from elman.layers import TimeLSTM

rng = np.random.default_rng(0)
Wx, Wh, b, xs, dhs = (rng.standard_normal(s).astype("f") for s in ((16, 96), (24, 96), 96, (8, 5, 16), (8, 5, 24)))
layer = TimeLSTM(Wx, Wh, b)
print(*(zlib.crc32(np.ascontiguousarray(a)) for a in (layer.forward(xs), layer.backward(dhs), *layer.grads)))
"""
    new, cached = (python(program, NUMBA_CACHE_DIR=str(tmp_path)) for _ in range(2))
    assert new == cached
