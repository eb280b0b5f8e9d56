"""Just-in-time compilation with numba, where it is installed (the extra ``fast``) and $ELMAN_COMPILED is not 0.

The compiled functions are ordinary Python: without numba they run too, slowly. Importing a module of them does not
import numba; the first call of one of them does.
"""

import importlib.util
import os
import sys
import threading
from collections.abc import Callable, Iterable
from functools import cache, update_wrapper
from pathlib import Path
from typing import Any, TypeVar, cast

import numpy as np

from elman.errors import ConfigError

F = TypeVar("F", bound=Callable[..., Any])

# Sums may be taken in another order, as a vector unit needs; NaN and infinity keep their meaning (with "arcp"
# vectors would multiply by reciprocals, and x / infinity would be NaN).
_FAST_MATH = {"reassoc", "contract", "nsz"}
# Inlined, because code that has just been compiled would otherwise call another copy of a function than code from the
# cache does, one that was optimised on its own: a resumed run would have other last digits.
_OPTIONS: dict[str, Any] = {"nogil": True, "error_model": "numpy", "forceinline": True}


@cache
def is_available() -> bool:
    """Return whether numba is installed and not switched off. Does not import it."""
    return os.environ.get("ELMAN_COMPILED") != "0" and importlib.util.find_spec("numba") is not None


def is_loaded() -> bool:
    """Return whether numba is in use already, so that a short task need not wait for it to be imported."""
    return "numba" in sys.modules and is_available()


def can_jit(array: Any) -> bool:
    """Return whether compiled functions take arrays like this one: float32 NumPy arrays."""
    return isinstance(array, np.ndarray) and array.dtype == np.float32 and is_available()


def jit(function: F) -> F:
    """Compile ``function`` when it is first called, to run without the interpreter's lock. Without numba: no change.

    The machine code is cached on disk, next to this package or in the user's cache folder. It is compiled again when
    its own file changes, or one with a function that it calls.
    """
    return cast(F, _Jitted(function, fastmath=_FAST_MATH)) if is_available() else function


def jit_exact(function: F) -> F:
    """Do the same as `jit`, with every sum and product in the order of the source: NumPy's numbers to the last bit."""
    return cast(F, _Jitted(function)) if is_available() else function


def jit_as(function: F, typed: Callable[..., Any]) -> F:
    """Let compiled functions that call ``function`` run other instructions in its place. Without numba: no change.

    ``typed`` takes numba's typing context and the types of the arguments, and returns the signature and the function
    that builds the instructions: see `numba.extending.intrinsic`.
    """
    return cast(F, _Intrinsic(function, typed)) if is_available() else function


class _Jitted:
    """A function to be compiled at its first call, together with all such functions of its module.

    numba looks up the functions that a function calls when it compiles it. So they are all replaced in the module
    by their compiled form at once, and this object is not called any more.
    """

    _lock = threading.RLock()

    def __init__(self, function: Callable[..., Any], **options: Any) -> None:
        update_wrapper(self, function)
        self._function = function
        self._options = _OPTIONS | options
        self._compiled: Callable[..., Any] | None = None

    def __call__(self, *args: Any) -> Any:
        return self._compile()(*args)

    def _compile(self) -> Callable[..., Any]:
        with self._lock:
            if self._compiled is None:
                self._compiled = self._make()
                names = self._function.__globals__
                waiting = {name: value for name, value in names.items() if isinstance(value, _Jitted)}
                # one update, so that no thread sees one of them replaced and another not
                names.update({name: value._compile() for name, value in waiting.items()})
            return self._compiled

    def _make(self) -> Callable[..., Any]:
        return _njit(self._function, self._options)


class _Intrinsic(_Jitted):
    """A function whose instructions are built by another; only compiled functions call it."""

    def __init__(self, function: Callable[..., Any], typed: Callable[..., Any]) -> None:
        super().__init__(function)
        self._typed = typed

    def _make(self) -> Callable[..., Any]:
        from numba.extending import intrinsic

        return cast(Callable[..., Any], intrinsic(self._typed))


def _njit(function: Callable[..., Any], options: dict[str, Any]) -> Callable[..., Any]:
    try:
        import numba
    except (ImportError, OSError, MemoryError) as error:  # such as under a limit of memory
        reason = str(error).partition("\n")[0]
        raise ConfigError(
            f"numba cannot be loaded ({reason}); give the process more memory, or set the environment variable "
            "ELMAN_COMPILED=0 to run without it"
        ) from error
    try:
        compiled = numba.njit(cache=True, **options)(function)
    except RuntimeError:  # there is no folder to cache in
        return cast(Callable[..., Any], numba.njit(**options)(function))
    cached = getattr(getattr(compiled, "_cache", None), "_cache_file", None)
    if cached is not None:  # numba's own stamp is that of the function's file only
        cached._source_stamp = (cached._source_stamp, *_stamps(_files_called(function, {})))
    return cast(Callable[..., Any], compiled)


def _files_called(function: Callable[..., Any], found: dict[str, None]) -> dict[str, None]:
    """Add the files of a function and of all compiled functions that its module, and theirs, refer to."""
    file = function.__code__.co_filename
    if file not in found:
        found[file] = None
        for value in list(function.__globals__.values()):
            called = value._function if isinstance(value, _Jitted) else getattr(value, "py_func", None)
            if called is not None:
                _files_called(called, found)
    return found


def _stamps(files: Iterable[str]) -> list[tuple[str, float, int]]:
    """Return the name, the time of the last change and the size of each file."""
    paths = [path for path in map(Path, sorted(files)) if path.is_file()]
    return [(path.name, path.stat().st_mtime, path.stat().st_size) for path in paths]
