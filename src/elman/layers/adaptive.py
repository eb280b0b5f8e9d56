"""Adaptive softmax: an output layer for vocabularies of hundreds of thousands of words.

The words are sorted by falling frequency, and divided into a head of the C most frequent words and K tail clusters.
With h (H,) the hidden state, and for each tail cluster k a projection to d_k < H numbers:

    P(word of the head | h) = softmax(h·W + b)[word]            over C words and K clusters
    P(word of cluster k | h) = softmax(h·W + b)[C + k] · softmax(h·P_k·W_k + b_k)[word]

The probabilities are exact and sum to 1. For each row of a block the scores of the head are computed, and those of one
tail cluster if the target is in it: there are many rare words, but few rows need their scores.

Source: E. Grave, A. Joulin, M. Cissé, D. Grangier and H. Jégou, ICML 2017. The biases of the tails are an addition.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from elman.arrays import Array, as_ids, batch_major, namespace, time_major, zeros
from elman.errors import ShapeError
from elman.layers import output
from elman.layers.base import check_sequence, check_weights
from elman.layers.output import TimeAffineSoftmaxWithLoss
from elman.layers.softmax import IGNORE_LABEL, check_targets
from elman.one_line import layer_line, number_of

Head = tuple[Array, Array]
Tail = tuple[Array, Array, Array]


class AdaptiveWeights:
    """The weights of an adaptive softmax, and the position of each word in them.

    Args:
        head: W (H, C + K) and b (C + K,), for the C most frequent words and the K clusters.
        tails: K times P (H, d), W (d, V_k) and b (V_k,).
        ranks: the position (V,) of each id in the order of falling frequency; None: ids are in that order already.

    Raises:
        ShapeError: the weights do not fit together, or there are not V ranks.
    """

    def __init__(self, head: Head, tails: Sequence[Tail], ranks: Array | None = None) -> None:
        W, b = head
        H, entries = W.shape
        if not 0 < len(tails) < entries:
            raise ShapeError(
                f"a head of {entries} entries must hold at least 1 word and {len(tails)} clusters, at least 1"
            )
        check_weights("the head", b=(b, (entries,)))
        cutoffs = [entries - len(tails)]  # where each cluster begins, and V
        for k, (P, W_k, b_k) in enumerate(tails, 1):
            d, V_k = W_k.shape
            check_weights(f"tail cluster {k}", P=(P, (H, d)), b=(b_k, (V_k,)))
            cutoffs.append(cutoffs[-1] + V_k)
        self.head, self.tails = head, list(tails)
        self.vocab_size = cutoffs[-1]
        self.cutoffs = cutoffs[:-1]
        self.ranks = as_ids(np.arange(self.vocab_size) if ranks is None else ranks, W)
        check_weights("an adaptive softmax", ranks=(self.ranks, (self.vocab_size,)))

    def places(self, ids: Array) -> "Places":
        """Return the positions of the words with ids (R,)."""
        ranks = self.ranks[ids]  # (R,)
        clusters = sum(ranks >= cutoff for cutoff in self.cutoffs)  # (R,)
        in_head = namespace(ranks).where(clusters == 0, ranks, self.cutoffs[0] + clusters - 1)
        return Places(ranks, clusters, in_head)


@dataclass(frozen=True)
class Places:
    """The positions of R words, (R,) each: ranks, clusters (0: the head), and entries in the head."""

    ranks: Array
    clusters: Array
    in_head: Array


def log_probs(rows: Array, weights: AdaptiveWeights) -> Array:
    """Return ln P over the vocabulary, (R, V), for hidden rows (R, H): a new array."""
    C = weights.cutoffs[0]
    head = output.log_probs(rows, *weights.head)  # (R, C + K)
    parts = [head[:, :C]]
    for k, (P, W, b) in enumerate(weights.tails):
        parts.append(output.log_probs(rows @ P, W, b))  # (R, V_k)
        parts[-1] += head[:, C + k, None]
    return namespace(rows).concatenate(parts, axis=1)[:, weights.ranks]


def target_log_probs(rows: Array, targets: Array, weights: AdaptiveWeights) -> Array:
    """Return ln P(target) (R,) for hidden rows (R, H), without ever keeping R·V numbers."""
    places = weights.places(targets)
    chosen = output.target_log_probs(rows, places.in_head, *weights.head)
    for k, (first, (P, W, b)) in enumerate(zip(weights.cutoffs, weights.tails, strict=True), 1):
        (members,) = namespace(rows).where(places.clusters == k)
        if len(members):
            within = places.ranks[members] - first
            chosen[members] += output.target_log_probs(rows[members] @ P, within, W, b)
    return chosen


class TimeAdaptiveSoftmaxWithLoss:
    """(N, T, H) and targets (N, T) -> the mean loss in nats, by an adaptive softmax.

    Used like TimeAffineSoftmaxWithLoss: with ``train_flg``, `forward` computes the gradients of the scores too, and
    `backward`, called once after it, returns the gradients; without it `forward` computes the loss only. ``params`` are
    the head's W and b, then each tail's P, W and b.
    """

    def __init__(self, weights: AdaptiveWeights, ignore_label: int = IGNORE_LABEL) -> None:
        self.weights = weights
        self.head = TimeAffineSoftmaxWithLoss(*weights.head)
        self.tails = [_TailSoftmax(*tail) for tail in weights.tails]
        self.params, self.grads = [*self.head.params], [*self.head.grads]
        for tail in self.tails:
            self.params += tail.params
            self.grads += tail.grads
        self.ignore_label = ignore_label
        self.train_flg = True

    def __repr__(self) -> str:
        return layer_line(
            self, len(self.params[0]), self.weights.vocab_size, number_of(len(self.tails), "cluster")
        )

    @property
    def grad_rows(self) -> list[Array | None]:
        """For each of ``grads``: None (all rows), or no rows for a cluster that has no target in the block."""
        none = as_ids([], self.params[0])
        return [None] * 2 + [None if tail.touched else none for tail in self.tails for _ in tail.grads]

    def forward(self, xs: Array, ts: Array) -> float:
        """Return the mean of -ln P(target) over the counted positions.

        Raises:
            ShapeError: xs and ts do not go together, a target is out of range, or every position is ignored.
        """
        W = self.params[0]
        H = W.shape[0]
        check_sequence("xs", xs, H)
        N, T, _ = xs.shape
        if tuple(ts.shape) != (N, T):
            raise ShapeError(f"ts must be ({N}, {T}), got {tuple(ts.shape)}")
        rows = time_major(xs).reshape(T * N, H)  # (T·N, H)
        ids = time_major(as_ids(ts, W)).reshape(-1)  # (T·N,)
        targets, counted, count = check_targets(ids, self.ignore_label, self.weights.vocab_size)
        places = self.weights.places(targets)
        places.in_head[~counted] = self.head.ignore_label
        self._shape = (T, N, H)
        self.head.train_flg = self.train_flg
        loss = self.head.forward(rows[None], places.in_head[None])
        self.nlls = self.head.nlls + 0  # (T·N,), -ln P(target)
        for k, (first, tail) in enumerate(zip(self.weights.cutoffs, self.tails, strict=True), 1):
            (members,) = namespace(W).where((places.clusters == k) & counted)
            within = places.ranks[members] - first
            loss += tail.forward(rows, members, within, len(members) / count, self.train_flg)
            if len(members):
                self.nlls[members] += tail.softmax.nlls
        return loss

    def backward(self, dout: float = 1.0) -> Array:
        """Return dxs (N, T, H); scale it and the gradients of the weights by dout."""
        drows = self.head.backward(dout)[0]  # (T·N, H)
        for tail in self.tails:
            tail.backward(dout, drows)
        return batch_major(drows.reshape(self._shape))


class _TailSoftmax:
    """One tail cluster: those of the rows (R, H) whose target is in it, projected by P (H, d), then softmax."""

    def __init__(self, P: Array, W: Array, b: Array) -> None:
        self.softmax = TimeAffineSoftmaxWithLoss(W, b)
        self.params = [P, *self.softmax.params]
        self.grads = [zeros(tuple(P.shape), P), *self.softmax.grads]
        self.touched = (
            False  # whether the last training block had a target here; if not, the gradients are zero
        )

    def forward(self, rows: Array, members: Array, targets: Array, fraction: float, train_flg: bool) -> float:
        """Return this cluster's part of the mean loss; its members are that fraction of the counted rows."""
        own = rows[members]  # (members, H)
        if train_flg:
            if self.touched and not len(own):
                for grad in self.grads:
                    grad[...] = 0
            self.touched = len(own) > 0
            self._rows, self._members, self._fraction = own, members, fraction
        if not len(own):
            return 0.0
        self.softmax.train_flg = train_flg
        return fraction * self.softmax.forward((own @ self.params[0])[None], targets[None])

    def backward(self, dout: float, drows: Array) -> None:
        """Write the gradients of P, W and b, and add this cluster's part to drows (R, H)."""
        if not self.touched:
            return
        P, dP = self.params[0], self.grads[0]
        dprojected = self.softmax.backward(dout * self._fraction)[0]  # (members, d)
        namespace(P).matmul(self._rows.T, dprojected, out=dP)
        drows[self._members] += dprojected @ P.T
