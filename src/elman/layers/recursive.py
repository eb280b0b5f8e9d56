"""Recursive network: the same cell applied up a binary tree, with backpropagation through structure.

    h_parent = tanh(h_left·Wl + h_right·Wr + b)

    dz       = dh_parent∘(1 - h_parent²)             tanh' = 1 - tanh²
    dh_left += dz·Wlᵀ                                dh_right += dz·Wrᵀ
    dWl      = Σ h_leftᵀ·dz                          dWr = Σ h_rightᵀ·dz        db = Σ dz, over all parents

A recurrent network is the special case of a tree that grows to the left: ((a b) c) d.

Sources: C. Goller and A. Küchler, "Learning task-dependent distributed representations by backpropagation through
structure", ICNN 1996; R. Socher, C. Lin, A. Ng and C. Manning, "Parsing natural scenes and natural language with
recursive neural networks", ICML 2011.
L leaves, P parents, H width of every node.
"""

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from elman.arrays import Array, Buffers, as_ids, namespace, to_numpy, zeros
from elman.errors import ShapeError
from elman.layers.base import check_gradient, check_weights
from elman.one_line import layer_line

_JOIN = object()  # stands for: both children are done, make their parent


class Recursive:
    """Vectors of all nodes of a tree, or of several, from its leaves: ``Wl`` (H, H), ``Wr`` (H, H), ``b`` (H,).

    The nodes are numbered: 0 … L - 1 are the leaves, L + k is the parent that the k-th pair of children makes.
    Children come before their parents. Several trees at once are several groups of nodes in the same list; nodes of the
    same height are computed in one product, whichever tree they belong to. `flatten_trees` makes the list from nested
    pairs.
    """

    def __init__(self, Wl: Array, Wr: Array, b: Array) -> None:
        H = Wl.shape[0]
        check_weights("Recursive", Wl=(Wl, (H, H)), Wr=(Wr, (H, H)), b=(b, (H,)))
        self.params = [Wl, Wr, b]
        self.grads = [zeros(tuple(p.shape), p) for p in self.params]
        self._buffers = Buffers()

    def __repr__(self) -> str:
        return layer_line(self, *self.params[0].shape)

    def forward(self, leaves: Array, pairs: Sequence[tuple[int, int]] | Array) -> Array:
        """Return the vectors of all nodes (L + P, H): the leaves, then the parents.

        Args:
            leaves: the vectors of the leaves (L, H), such as word vectors.
            pairs: the left and the right child of every parent (P, 2), as numbers of nodes.

        Raises:
            ShapeError: leaves has another width, or pairs is not a tree: a child comes after its parent, does not
                exist, or has two parents.
        """
        Wl, Wr, b = self.params
        H = Wl.shape[0]
        if leaves.ndim != 2 or leaves.shape[1] != H:
            raise ShapeError(f"leaves must be (L, {H}), got {tuple(leaves.shape)}")
        L = leaves.shape[0]
        children = _checked_pairs(pairs, L)  # (P, 2)
        self._children = as_ids(children, Wl)
        self._levels = [
            (as_ids(children[level, 0], Wl), as_ids(children[level, 1], Wl), as_ids(L + level, Wl))
            for level in _levels(children, L)
        ]
        nodes = self._buffers.get("nodes", (L + len(children), H), Wl)
        nodes[:L] = leaves
        for left, right, parent in self._levels:
            nodes[parent] = namespace(Wl).tanh(nodes[left] @ Wl + nodes[right] @ Wr + b)
        self._nodes, self._L = nodes, L
        return nodes

    def backward(self, dnodes: Array) -> Array:
        """Return the gradient of the leaves (L, H) for that of all nodes (L + P, H), and write those of the weights."""
        Wl, Wr, _ = self.params
        nodes, L = self._nodes, self._L
        check_gradient(dnodes, tuple(nodes.shape))
        dhs = self._buffers.get("dhs", tuple(nodes.shape), Wl)  # (L + P, H)
        dhs[...] = dnodes
        for left, right, parent in reversed(self._levels):
            h = nodes[parent]
            dhs[parent] *= 1 - h * h  # from here on it is dz
            dhs[left] += dhs[parent] @ Wl.T
            dhs[right] += dhs[parent] @ Wr.T
        dzs = dhs[L:]  # (P, H)
        dWl, dWr, db = self.grads
        dWl[...] = nodes[self._children[:, 0]].T @ dzs
        dWr[...] = nodes[self._children[:, 1]].T @ dzs
        db[...] = dzs.sum(axis=0)
        return dhs[:L]


def flatten_trees(trees: Iterable[Any]) -> tuple[list[Any], NDArray[np.intp], NDArray[np.intp]]:
    """Return the leaves, the pairs (P, 2) and the roots (number of trees,) of nested pairs, for `Recursive`.

    A tuple or list of two is a parent; anything else is a leaf. Leaves are numbered from left to right.

    >>> leaves, pairs, roots = flatten_trees([("not", ("very", "good")), ("bad", "film")])
    >>> leaves
    ['not', 'very', 'good', 'bad', 'film']
    >>> pairs.tolist(), roots.tolist()
    ([[1, 2], [0, 5], [3, 4]], [6, 7])

    Raises:
        ShapeError: a tuple or list does not hold two parts.
    """
    leaves: list[Any] = []
    pairs: list[tuple[int, int]] = []
    done: list[int] = []  # nodes without a parent so far; parents are -1, -2, … until all leaves are counted
    todo = list(trees)[::-1]  # a stack, because a long sentence would be too deep for Python's recursion
    while todo:
        part = todo.pop()
        if part is _JOIN:
            right, left = done.pop(), done.pop()
            pairs.append((left, right))
            done.append(-len(pairs))
        elif isinstance(part, (tuple, list)):
            if len(part) != 2:
                raise ShapeError(f"every parent must be a pair, got {len(part)} parts: {part!r:.80}")
            todo += [_JOIN, part[1], part[0]]
        else:
            done.append(len(leaves))
            leaves.append(part)

    def numbered(nodes: Any) -> NDArray[np.intp]:
        """Replace -1, -2, … by L, L + 1, …."""
        ids = np.array(nodes, dtype=np.intp)
        return np.where(ids < 0, len(leaves) - 1 - ids, ids)

    return leaves, numbered(pairs).reshape(-1, 2), numbered(done)


def _checked_pairs(pairs: Any, L: int) -> NDArray[np.intp]:
    """Return pairs as an array (P, 2), once it is certain that they make trees."""
    try:
        given = to_numpy(pairs)
    except ValueError as error:  # lists of different lengths
        raise ShapeError(f"pairs must be integers (P, 2): {error}") from None
    if given.size == 0:
        return np.zeros((0, 2), dtype=np.intp)
    if given.ndim != 2 or given.shape[1] != 2 or not np.issubdtype(given.dtype, np.integer):
        raise ShapeError(f"pairs must be integers (P, 2), got {given.dtype} {given.shape}")
    children: NDArray[np.intp] = given.astype(np.intp)
    parents = L + np.arange(len(children))  # (P,)
    wrong = (children < 0) | (children >= parents[:, None])  # (P, 2)
    if wrong.any():
        k = int(wrong.any(axis=1).argmax())
        raise ShapeError(
            f"pairs[{k}] makes node {L + k}, whose children must be nodes from 0 to {L + k - 1}, "
            f"got {children[k].tolist()}; list children before their parents"
        )
    used, times = np.unique(children, return_counts=True)
    if times.max() > 1:
        node = int(used[times.argmax()])
        owners = np.flatnonzero((children == node).any(axis=1)).tolist()
        raise ShapeError(
            f"in a tree a node has one parent, but node {node} is in {times.max()} places: pairs{owners}"
        )
    return children


def _levels(children: NDArray[np.intp], L: int) -> list[NDArray[np.intp]]:
    """Return the parents of each height, from the lowest to the highest, as indices of pairs."""
    heights = [0] * L
    for left, right in children.tolist():
        heights.append(1 + max(heights[left], heights[right]))
    of_parents = np.array(heights[L:], dtype=np.intp)  # (P,)
    return [np.flatnonzero(of_parents == height) for height in range(1, max(heights, default=0) + 1)]
