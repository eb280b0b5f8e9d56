"""Compiled training steps of a small Elman network: a whole block in one call, and its update in another.

For a small model a call from Python costs as much as what it computes. The equations are those of the layers, and so
are the compiled functions for the pointwise work. Plain Python, which `elman.numba_jit` compiles. N sequences, T steps,
K = T·N rows in time-major order, D input width (0: one-hot), H hidden width, V words.
"""

import numpy as np

from elman.arrays import Array
from elman.layers.kernels.numba import (
    add_rows_unsorted,
    differentiate_rows,
    exp_scores,
    rnn_step_backward,
    tanh,
)
from elman.layers.kernels.products import product
from elman.numba_jit import jit
from elman.training.update_kernels import adagrad, sgd

REFUSED = -1  # in place of the number of distinct ids: an id or a target is out of range, or no target counts


@jit
def copy(source: Array, out: Array) -> None:
    """out = source, (N, H) each: quick to compile, while an assignment of arrays takes numba seconds."""
    N, H = source.shape
    for n in range(N):
        for j in range(H):
            out[n, j] = source[n, j]


@jit
def take(W: Array, ids: Array, out: Array) -> None:
    """out[k] = W[ids[k]] for ids (K,)."""
    K, D = out.shape
    for k in range(K):
        row, vector = out[k], W[ids[k]]
        for d in range(D):
            row[d] = vector[d]


@jit
def rnn_step_biased(z: Array, b: Array, h: Array) -> None:
    """h (N, H) holds h_{t-1}·Wh; make it tanh of that plus z plus b."""
    N, H = h.shape
    for n in range(N):
        for j in range(H):
            h[n, j] = tanh(h[n, j] + z[n, j] + b[j])


@jit
def weigh(xs: Array, ts: Array, V: int, ignored: int, ids: Array, targets: Array, weights: Array) -> int:
    """Write ids, targets (K,) and 1 or, for an ignored target, 0 as weights; return how many count.

    The result is 0, too, if an id or a target is not in [0, V).
    """
    N, T = xs.shape
    count = 0
    for t in range(T):
        for n in range(N):
            k, x, target = t * N + n, xs[n, t], ts[n, t]
            counted = target != ignored
            if x < 0 or x >= V or (counted and (target < 0 or target >= V)):
                return 0
            count += counted
            ids[k] = x
            targets[k] = target if counted else 0
            weights[k] = counted
    return count


@jit
def sum_rows(rows: Array, out: Array) -> None:
    """out (G,) = Σ rows (K, G)."""
    K, G = rows.shape
    for j in range(G):
        out[j] = rows[0, j]
    for k in range(1, K):
        for j in range(G):
            out[j] += rows[k, j]


@jit
def square(flat: Array) -> Array:
    """Return Σ g² of g (n,)."""
    total = np.float32(0)
    for j in range(len(flat)):
        total += flat[j] * flat[j]
    return np.float64(total)


@jit
def rnn_gradients(
    xs: Array,
    ts: Array,
    ignored: int,
    dout: float,
    params: Array,
    grads: Array,
    flat_grads: Array,
    used: Array,
    state: Array,
    work: Array,
) -> tuple[float, float, int]:
    """Write the gradients of dout·(mean loss) of the block xs -> ts (N, T) and the state after it.

    Args:
        xs, ts: ids; ``ignored`` marks a target that does not count.
        params, grads: word vectors (V, D) or, with D = 0, (V, H); Wx (D, H), Wh (H, H), b (H,); W (H, V), b (V,).
        flat_grads: all gradients but the first, (n,) each.
        used: the rows of the word vectors' gradient that are not zero now; an array (V,) for those that will be;
            V times False.
        state: h before the block, h after it, and the gradient of the first, (N, H) each.
        work: ids and targets (2, K); numbers (4, K); arrays (K, D), (K, H), (N + K, H), (K, V), (K, H).

    Return the mean loss in nats, Σg² over all gradients, and the number of distinct ids, or `REFUSED`.
    """
    E, Wx, Wh, b, W, b_out = params
    dE, dWx, dWh, db, dW, db_out = grads
    rows_before, rows, seen = used
    h_before, h_after, dh = state
    ids_and_targets, numbers, vectors, zs, hs, scores, dhs = work
    N, T = xs.shape
    K, D, H, V = N * T, len(Wx), len(Wh), len(b_out)
    ids, targets = ids_and_targets[0], ids_and_targets[1]
    weights, chosen, maxima, sums = numbers[0], numbers[1], numbers[2], numbers[3]
    count = weigh(xs, ts, V, ignored, ids, targets, weights)
    if not count:
        return 0.0, 0.0, REFUSED

    take(E, ids, vectors if D else zs)
    if D:
        product(vectors, Wx, zs)
    copy(h_before, hs[:N])
    for t in range(0, K, N):
        h = hs[t + N : t + 2 * N]
        product(hs[t : t + N], Wh, h)
        rnn_step_biased(zs[t : t + N], b, h)
    copy(hs[K:], h_after)

    inputs, outputs = hs[:K], hs[N:]
    product(outputs, W, scores)
    exp_scores(scores, b_out, targets, chosen, maxima, sums)
    loss = 0.0
    for k in range(K):
        loss += weights[k] * (np.log(sums[k]) + maxima[k] - chosen[k])
        weights[k] *= dout / count
        sums[k] = weights[k] / sums[k]
    for v in range(V):
        db_out[v] = 0
    differentiate_rows(scores, sums, targets, weights, db_out)
    product(scores, W.T, dhs)
    product(outputs.T, scores, dW)

    dzs = zs
    for n in range(N):
        for j in range(H):
            dh[n, j] = 0
    for t in range(K - N, -1, -N):
        dz = dzs[t : t + N]
        rnn_step_backward(dhs[t : t + N], hs[t + N : t + 2 * N], dh, dz)
        product(dz, Wh.T, dh)
    product(inputs.T, dzs, dWh)
    sum_rows(dzs, db)
    if D:
        product(vectors.T, dzs, dWx)
        product(dzs, Wx.T, vectors)
    for i in rows_before:
        for d in range(dE.shape[1]):
            dE[i, d] = 0
    distinct = add_rows_unsorted(dE, ids, vectors if D else dzs, seen, rows)

    total = 0.0
    for k in range(len(flat_grads)):
        total += square(flat_grads[k])
    for k in range(distinct):
        total += square(dE[rows[k]])
    return loss / count, total, distinct


@jit
def sgd_all(
    tables: Array, rows: Array, params: Array, grads: Array, scale: Array, limit: Array, rate: Array
) -> None:
    """Update these rows of a parameter and its gradient, ``tables``, and all of flat ``params`` by ``grads``."""
    E, dE = tables
    for i in rows:
        sgd(E[i], dE[i], scale, limit, rate)
    for k in range(len(params)):
        sgd(params[k], grads[k], scale, limit, rate)


@jit
def adagrad_all(
    tables: Array,
    rows: Array,
    params: Array,
    grads: Array,
    sums: Array,
    scale: Array,
    limit: Array,
    rate: Array,
    eps: Array,
) -> None:
    """Do what `sgd_all` does, for AdaGrad; its state is the third of ``tables``, and ``sums``."""
    E, dE, s = tables
    for i in rows:
        adagrad(E[i], dE[i], s[i], scale, limit, rate, eps)
    for k in range(len(params)):
        adagrad(params[k], grads[k], sums[k], scale, limit, rate, eps)
