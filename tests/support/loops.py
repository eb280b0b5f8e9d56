"""The loops that numba compiles, in both their forms: compiled, and the same source as plain Python."""

import importlib.util
from types import ModuleType
from typing import Any

import pytest

from elman import numba_jit as compiled
from elman.layers.kernels import numba as fused
from elman.training import update_kernels as fused_updates

LOOPS_ARE_COMPILED = compiled.available()


def plain(module: ModuleType) -> ModuleType:
    """Return a second copy of a module, whose functions are what they are without numba."""
    spec = importlib.util.spec_from_file_location(f"plain_{module.__name__}", str(module.__file__))
    assert spec is not None
    assert spec.loader is not None
    copy = importlib.util.module_from_spec(spec)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(compiled, "available", lambda: False)
        spec.loader.exec_module(copy)
    return copy


def switch_loops(patch: pytest.MonkeyPatch, on: bool) -> None:
    """Let layers and optimizers use the loops for float32 arrays, compiled or not; or not use them."""
    patch.setattr(compiled, "available", lambda: on)


FUSED: dict[str, Any] = {"plain": plain(fused)}
UPDATES: dict[str, Any] = {"plain": plain(fused_updates)}
if LOOPS_ARE_COMPILED:
    FUSED["compiled"], UPDATES["compiled"] = fused, fused_updates

needs_compiled_loops = pytest.mark.skipif(not LOOPS_ARE_COMPILED, reason="numba is not in use")
