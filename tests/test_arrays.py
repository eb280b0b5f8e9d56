from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal

from elman import arrays


def test_numpy_arrays_belong_to_numpy() -> None:
    assert arrays.namespace(np.zeros(2)) is np
    assert not arrays.is_torch(np.zeros(2))


@pytest.mark.parametrize("make", [arrays.empty, arrays.zeros])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_new_arrays_have_the_dtype_of_another(make: Any, dtype: Any) -> None:
    made = make((2, 3), np.zeros(1, dtype=dtype))
    assert (made.shape, made.dtype) == ((2, 3), dtype)
    if make is arrays.zeros:
        assert not made.any()


def test_values_and_ids_are_converted() -> None:
    like = np.zeros(1, dtype=np.float32)
    assert arrays.asarray([1, 2.5], like).dtype == np.float32
    assert arrays.as_ids(np.array([1, 2], dtype=np.uint8), like).dtype == np.intp
    assert_array_equal(arrays.as_ids(range(3), like), [0, 1, 2])
    assert arrays.to_numpy(like) is like


def test_time_major_and_back_is_a_view() -> None:
    xs = np.arange(24.0).reshape(2, 3, 4)
    turned = arrays.time_major(xs)
    assert turned.flags.c_contiguous
    assert_array_equal(turned[1], xs[:, 1])
    assert_array_equal(arrays.batch_major(turned), xs)
    assert arrays.time_major(arrays.batch_major(turned)).ctypes.data == turned.ctypes.data


def test_arrays_of_numpy_are_their_own_operands() -> None:
    W = np.ones((2, 3), np.float32)
    assert arrays.Buffers().operand("W", W) is W


def test_contiguous_copies_only_what_is_not_so_already() -> None:
    W = np.arange(6.0).reshape(2, 3)
    assert arrays.contiguous(W) is W
    assert arrays.contiguous(W.T).flags.c_contiguous
    assert_array_equal(arrays.contiguous(W.T), W.T)


@settings(derandomize=True, deadline=None, max_examples=50, database=None)
@given(ids=st.lists(st.integers(0, 5), min_size=1, max_size=20), D=st.integers(1, 3))
def test_rows_are_taken_and_summed_by_id(ids: list[int], D: int) -> None:
    rng = np.random.default_rng(0)
    W, rows, names = rng.standard_normal((6, D)), rng.standard_normal((len(ids), D)), np.array(ids)
    out = np.empty((len(ids), D))
    arrays.take_rows(W, names, out)
    assert_array_equal(out, [W[k] for k in ids])

    distinct, sums = arrays.sum_rows_by_id(names, rows)
    assert distinct.tolist() == sorted(set(ids))
    for k, total in zip(distinct, sums, strict=True):
        assert_allclose(total, rows[names == k].sum(axis=0), atol=1e-12)
