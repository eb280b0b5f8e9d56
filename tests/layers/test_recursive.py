"""Recursive: a cell applied up binary trees, several of them at once."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal

import oracle
from elman.errors import ShapeError
from elman.gradcheck import check_gradients
from elman.layers import Layer, Recursive, TimeRNN, flatten_trees

H = 4
FOREST = [((0, 1), 4), ((2, 3), 5), 6]  # leaves are their own numbers


def weights(rng: np.random.Generator, dtype: Any = np.float64) -> list[Any]:
    """Draw Wl (H, H), Wr (H, H) and b (H,)."""
    return [(0.5 * rng.standard_normal(shape)).astype(dtype) for shape in ((H, H), (H, H), (H,))]


def random_pairs(rng: np.random.Generator, L: int, roots: int) -> list[list[int]]:
    """Join two random nodes without a parent until this many are left; left and right children are in any order."""
    free, pairs = list(range(L)), []
    while len(free) > roots:
        left, right = (free.pop(rng.integers(len(free))) for _ in range(2))
        pairs.append([left, right])
        free.append(L + len(pairs) - 1)
    return pairs


@settings(derandomize=True, deadline=None, max_examples=25, database=None)
@given(L=st.integers(1, 12), roots=st.integers(1, 3), seed=st.integers(0, 99))
def test_equals_the_oracle(L: int, roots: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    params, pairs = weights(rng), random_pairs(rng, L, roots)
    leaves, dnodes = rng.standard_normal((L, H)), rng.standard_normal((L + len(pairs), H))
    layer = Recursive(*params)
    assert_allclose(layer.forward(leaves, pairs), oracle.recursive(leaves, pairs, *params), rtol=1e-12)
    dleaves, grads = oracle.recursive_backward(leaves, pairs, dnodes, *params)
    for ours, theirs in zip([layer.backward(dnodes), *layer.grads], [dleaves, *grads], strict=True):
        assert_allclose(ours, theirs, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("L", [1, 2, 5])
def test_gradients_agree_with_differences(L: int) -> None:
    rng = np.random.default_rng(L)
    pairs = np.array(random_pairs(rng, L, 1)).reshape(-1, 2)
    report = check_gradients(Recursive(*weights(rng)), rng.standard_normal((L, H)), pairs)
    assert [row.name for row in report] == ["params[0]", "params[1]", "params[2]", "input"]
    assert report.passed, report


def test_a_tree_that_grows_to_the_left_is_a_recurrent_network() -> None:
    """h_t = tanh(h_{t-1}·Wl + x_t·Wr + b), from h_0 = the first leaf."""
    rng = np.random.default_rng(0)
    Wl, Wr, b = weights(rng)
    xs = rng.standard_normal((6, H))
    tree: Any = 0
    for t in range(1, 6):
        tree = (tree, t)
    _, pairs, _ = flatten_trees([tree])
    nodes = Recursive(Wl, Wr, b).forward(xs, pairs)
    rnn = TimeRNN(Wr, Wl, b, stateful=True)
    rnn.set_state(xs[:1])
    assert_allclose(nodes[6:], rnn.forward(xs[None, 1:])[0])


def test_trees_do_not_see_each_other() -> None:
    rng = np.random.default_rng(0)
    layer, vectors = Recursive(*weights(rng)), rng.standard_normal((7, H))
    ids, pairs, roots = flatten_trees(FOREST)
    together = layer.forward(vectors[ids], pairs)[roots].copy()
    for tree, expected in zip(FOREST, together, strict=True):
        ids, pairs, roots = flatten_trees([tree])
        assert_allclose(layer.forward(vectors[ids], pairs)[roots[0]], expected)


def test_parameters_stay_the_same_objects_and_arrays_are_kept() -> None:
    params = weights(np.random.default_rng(0), np.float32)
    layer = Recursive(*params)
    kept = [*params, *layer.grads]
    outs = []
    for _ in range(2):
        nodes = layer.forward(np.ones((3, H)), [(0, 1), (3, 2)])
        outs.append((nodes, layer.backward(np.ones((5, H)))))
    assert all(np.shares_memory(a, b) for a, b in zip(*outs, strict=True))
    assert all(a is b for a, b in zip([*layer.params, *layer.grads], kept, strict=True))
    assert {a.dtype for a in (*outs[0], *layer.grads)} == {np.dtype(np.float32)}
    assert isinstance(layer, Layer)


def test_backward_twice_gives_the_same_gradients_and_inputs_are_left_as_they_were() -> None:
    rng = np.random.default_rng(0)
    layer, leaves, dnodes = Recursive(*weights(rng)), rng.standard_normal((3, H)), rng.standard_normal((5, H))
    given = leaves.copy(), dnodes.copy()
    layer.forward(leaves, [(2, 0), (1, 3)])
    first, second = ([layer.backward(dnodes).copy(), *map(np.copy, layer.grads)] for _ in range(2))
    for one, other in zip([*first, *given], [*second, leaves, dnodes], strict=True):
        assert_array_equal(one, other)


@pytest.mark.parametrize(
    ("pairs", "message"),
    [
        (
            [(0, 1), (4, 2)],
            "pairs[1] makes node 4, whose children must be nodes from 0 to 3, got [4, 2]; "
            "list children before their parents",
        ),
        (
            [(0, -1)],
            "pairs[0] makes node 3, whose children must be nodes from 0 to 2, got [0, -1]; "
            "list children before their parents",
        ),
        ([(0, 1), (3, 1)], "in a tree a node has one parent, but node 1 is in 2 places: pairs[0, 1]"),
        ([(0, 0)], "in a tree a node has one parent, but node 0 is in 2 places: pairs[0]"),
        ([(0, 1, 2)], "pairs must be integers (P, 2), got int64 (1, 3)"),
        ([(0.0, 1.0)], "pairs must be integers (P, 2), got float64 (1, 2)"),
    ],
    ids=str,
)
def test_what_is_not_a_tree_is_an_error(pairs: Any, message: str) -> None:
    with pytest.raises(ShapeError) as error:
        Recursive(*weights(np.random.default_rng(0))).forward(np.zeros((3, H)), pairs)
    assert str(error.value) == message


def test_wrong_shapes_are_an_error() -> None:
    layer = Recursive(*weights(np.random.default_rng(0)))
    with pytest.raises(ShapeError, match=r"pairs must be integers \(P, 2\): "):
        layer.forward(np.zeros((3, H)), [(0, 1), (3,)])  # type: ignore[list-item]
    with pytest.raises(ShapeError, match=r"leaves must be \(L, 4\), got \(3, 5\)"):
        layer.forward(np.zeros((3, 5)), [])
    layer.forward(np.zeros((3, H)), [(0, 1)])
    with pytest.raises(ShapeError, match=r"the output's shape \(4, 4\), got \(3, 4\)"):
        layer.backward(np.zeros((3, H)))
    with pytest.raises(ShapeError, match=r"Recursive: Wr must be \(4, 4\), got \(4, 3\)"):
        Recursive(np.zeros((4, 4)), np.zeros((4, 3)), np.zeros(4))


def test_nested_pairs_become_lists() -> None:
    leaves, pairs, roots = flatten_trees([("a", ["b", "c"]), "d", (("e", "f"), ("g", "h"))])
    assert leaves == list("abcdefgh")
    assert_array_equal(pairs, [[1, 2], [0, 8], [4, 5], [6, 7], [10, 11]])
    assert_array_equal(roots, [9, 3, 12])
    leaves, pairs, roots = flatten_trees([])
    assert (leaves, pairs.shape, roots.shape) == ([], (0, 2), (0,))


def test_a_tree_may_be_deeper_than_the_recursion_of_python() -> None:
    tree: Any = 0
    for _ in range(5000):
        tree = (tree, 0)
    leaves, pairs, _ = flatten_trees([tree])
    assert (len(leaves), len(pairs)) == (5001, 5000)


def test_a_parent_of_three_is_an_error() -> None:
    with pytest.raises(ShapeError) as error:
        flatten_trees([("a", ("b", "c", "d"))])
    assert str(error.value) == "every parent must be a pair, got 3 parts: ('b', 'c', 'd')"
