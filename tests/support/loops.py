"""The functions that numba compiles in both their forms: compiled, and the same source as plain Python."""

import importlib.util
from types import ModuleType
from typing import Any

import pytest

from elman import numba_jit
from elman.layers.kernels import numba as kernels
from elman.layers.kernels import tiles
from elman.training import step_kernels, update_kernels

CAN_COMPILE = numba_jit.is_available()


def plain(module: ModuleType) -> ModuleType:
    """Return a second copy of a module, whose functions are as they are without numba."""
    spec = importlib.util.spec_from_file_location(f"plain_{module.__name__}", str(module.__file__))
    assert spec is not None
    assert spec.loader is not None
    copy = importlib.util.module_from_spec(spec)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(numba_jit, "is_available", lambda: False)
        spec.loader.exec_module(copy)
    return copy


def switch_jit(patch: pytest.MonkeyPatch, on: bool) -> None:
    """Make layers and optimizers use the kernels for float32 arrays (compiled or not), or not use them."""
    patch.setattr(numba_jit, "is_available", lambda: on)


KERNELS: dict[str, Any] = {"plain": plain(kernels)}
TILES: dict[str, Any] = {"plain": plain(tiles)}
UPDATES: dict[str, Any] = {"plain": plain(update_kernels)}
STEPS: dict[str, Any] = {"plain": plain(step_kernels)}
if CAN_COMPILE:
    KERNELS["compiled"], UPDATES["compiled"], STEPS["compiled"] = kernels, update_kernels, step_kernels
    TILES["compiled"] = tiles

needs_numba = pytest.mark.skipif(not CAN_COMPILE, reason="numba is not in use")
