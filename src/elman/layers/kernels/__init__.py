"""The inner loops of the layers: one module for NumPy arrays and torch tensors, one compiled by numba.

Both modules have the same functions with the same signatures. A layer asks `kernels_for` which one its arrays take,
calls it, and does not need to know which one it got.

The functions that go through time take whole blocks, time-major, and do the steps first ≤ t < last of them. ``hs``
and ``cs`` have one entry more than there are steps: hs[0] is the incoming state, hs[t + 1] that after step t.
``buffers`` are the layer's, in which a kernel keeps its work space.
"""

from types import ModuleType

from elman.arrays import Array
from elman.layers.kernels import numba, numpy
from elman.numba_jit import can_jit


def kernels_for(array: Array) -> ModuleType:
    """Return the module of kernels for arrays like this one: compiled for float32 NumPy arrays, if numba is there."""
    return numba if can_jit(array) else numpy
