"""Kernels for float32 NumPy arrays, compiled by numba: the pointwise work of a step in one pass over the arrays.

NumPy goes over the arrays once for every operation, which for a step of a small model costs more than the product
before it. These loops go over them once: the equations are those of the layer files, unit by unit.

First come the kernels, as in `elman.layers.kernels.numpy`, of which `packed` is in `elman.layers.kernels.tiles`; then
the compiled functions that they call (sequences n, units j, words v). Those are plain Python, which
`elman.numba_jit` compiles.
"""

import numpy as np

from elman.arrays import Array, Buffers
from elman.layers.kernels.numpy import NORM_EPS, NOTHING
from elman.layers.kernels.tiles import add_product, can_multiply, multiply
from elman.layers.kernels.tiles import packed as packed
from elman.numba_jit import jit

COLUMNS = 4096  # of a reduced output matrix that are multiplied together
_ZERO, _HALF, _ONE, _TWO = np.float32(0), np.float32(0.5), np.float32(1), np.float32(2)
_LOG2_E = np.float32(1.4426950408889634)
_LN2_HIGH, _LN2_LOW = np.float32(0.693145751953125), np.float32(1.428606820309417e-06)  # ln 2 in two parts
_LOWEST, _HIGHEST = np.float32(-87), np.float32(88)  # exp of what lies outside leaves float32
# (eʳ - 1 - r) / r² for |r| ≤ ½·ln 2, and (tanh(x)/x - 1) / x² in x² for |x| ≤ 0.625: polynomials fitted at the
# zeros of Chebyshev's; the relative errors of exp and tanh are below 3e-7, three units in the last place
_E0, _E1, _E2, _E3, _E4 = (np.float32(c) for c in (0.5, 0.16666577, 0.04166646, 0.00836318, 0.00139336))
_T0, _T1, _T2, _T3, _T4 = (
    np.float32(c) for c in (-0.33333329, 0.13332782, -0.0538525, 0.02100364, -0.00610495)
)
_SMALL = np.float32(0.625)
_NORM_EPS, _NOTHING = np.float32(NORM_EPS), np.float32(NOTHING)
_TINY = np.float32(1e-30)  # products below are 0: denormal numbers are slow


def rnn_forward(first: int, last: int, zs: Array, Wh: Array, hs: Array) -> None:
    """hs[t + 1] = tanh(hs[t]·Wh + zs[t]): zs (T, N, H), Wh (H, H), hs (T + 1, N, H)."""
    if can_multiply(hs.shape[1], Wh):
        rnn_steps(zs[first:last], Wh, hs[first : last + 1])
        return
    for h_prev, z, h in zip(hs[first:last], zs[first:last], hs[first + 1 : last + 1], strict=True):
        np.matmul(h_prev, Wh, out=h)
        rnn_step(z, h)


def rnn_backward(first: int, last: int, dhs: Array, hs: Array, WhT: Array, dh: Array, dzs: Array) -> None:
    """dzs[t] = (dh + dhs[t])∘(1 - hs[t + 1]²), then dh = dzs[t]·Whᵀ: dhs, dzs (T, N, H), dh (N, H)."""
    if can_multiply(hs.shape[1], WhT):
        rnn_steps_backward(dhs[first:last], hs[first : last + 1], WhT, dh, dzs[first:last])
        return
    for t in reversed(range(first, last)):
        rnn_step_backward(dhs[t], hs[t + 1], dh, dzs[t])
        np.matmul(dzs[t], WhT, out=dh)


def lstm_forward(
    first: int,
    last: int,
    zs: Array,
    Wh: Array,
    hs: Array,
    cs: Array,
    tanh_cs: Array,
    gates: Array,
    buffers: Buffers,
) -> None:
    """Write the gates i, f, g, o (T, N, 4H) of hs[t]·Wh + zs[t], and from them c_t, tanh(c_t) and h_t."""
    if can_multiply(hs.shape[1], Wh):
        span, states = slice(first, last), slice(first, last + 1)
        lstm_steps(zs[span], Wh, hs[states], cs[states], tanh_cs[span], gates[span])
        return
    for t in range(first, last):
        gate = gates[t]
        np.matmul(hs[t], Wh, out=gate)
        lstm_step(zs[t], cs[t], gate, cs[t + 1], tanh_cs[t], hs[t + 1])


@jit
def lstm_word(
    x: Array, Wx: Array, Wh: Array, b: Array, h: Array, c: Array, new_h: Array, new_c: Array, work: Array
) -> None:
    """Write the h and c (1, H) that follow h and c after the input x (D,); ``work`` is (3, 4H)."""
    z, gates, tanh_c = work[:1], work[1:2], work[2:, : h.shape[1]]
    z[0] = b
    add_product(x, Wx, z[0])
    gates[0] = 0
    add_product(h[0], Wh, gates[0])
    lstm_step(z, c, gates, new_c, tanh_c, new_h)


def lstm_backward(
    first: int,
    last: int,
    dhs: Array,
    cs: Array,
    tanh_cs: Array,
    gates: Array,
    WhT: Array,
    dh: Array,
    dc: Array,
    dzs: Array,
    buffers: Buffers,
) -> None:
    """Carry dh + dhs[t] and dc (N, H) back through the gates into dzs[t] (N, 4H), and on to dh and dc of t - 1."""
    if can_multiply(cs.shape[1], WhT):
        span = slice(first, last)
        lstm_steps_backward(dhs[span], gates[span], cs[span], tanh_cs[span], WhT, dh, dc, dzs[span])
        return
    for t in reversed(range(first, last)):
        dz = dzs[t]
        lstm_step_backward(dhs[t], gates[t], cs[t], tanh_cs[t], dh, dc, dz)
        np.matmul(dz, WhT, out=dh)


def gru_forward(
    first: int,
    last: int,
    zs: Array,
    Wh: Array,
    b_h: Array | None,
    hs: Array,
    products: Array,
    ns: Array,
    buffers: Buffers,
) -> None:
    """Write r, z and a (T, N, 3H) over the products hs[t]·Wh, and from them the candidate n_t and h_t."""
    if b_h is None:
        b_h = buffers.once("no b_h", lambda: np.zeros(hs.shape[2], hs.dtype))  # (H,)
    if can_multiply(hs.shape[1], Wh):
        span = slice(first, last)
        gru_steps(zs[span], Wh, b_h, hs[first : last + 1], products[span], ns[span])
        return
    for t in range(first, last):
        product, h_prev = products[t], hs[t]
        np.matmul(h_prev, Wh, out=product)
        gru_step(zs[t], b_h, h_prev, product, ns[t], hs[t + 1])


def gru_backward(
    first: int,
    last: int,
    dhs: Array,
    hs: Array,
    products: Array,
    ns: Array,
    WhT: Array,
    dh: Array,
    towards_x: Array,
    towards_h: Array,
    buffers: Buffers,
) -> None:
    """Carry dh + dhs[t] (N, H) back to towards_x[t] and towards_h[t] (N, 3H), and on to dh of t - 1.

    Those are the gradients of x_t·Wx + b and of h_{t-1}·Wh.
    """
    through_z = buffers.get("through_z", (hs.shape[1], hs.shape[2]), hs)
    if can_multiply(hs.shape[1], WhT):
        span = slice(first, last)
        gru_steps_backward(
            dhs[span],
            products[span],
            ns[span],
            hs[span],
            WhT,
            dh,
            towards_x[span],
            towards_h[span],
            through_z,
        )
        return
    for t in reversed(range(first, last)):
        d_product = towards_h[t]
        gru_step_backward(dhs[t], products[t], ns[t], hs[t], dh, towards_x[t], d_product, through_z)
        np.matmul(d_product, WhT, out=dh)
        np.add(dh, through_z, out=dh)


def scan(first: int, last: int, a: Array, b: Array, states: Array) -> None:
    """states[t + 1] = a[t]∘states[t] + b[t]: a and b (T, N, H), states (T + 1, N, H)."""
    scan_steps(a[first:last], b[first:last], states[first : last + 1])


def scan_backward(first: int, last: int, a: Array, ds: Array, deltas: Array, flow: Array) -> None:
    """deltas[t] = ds[t] + flow, then flow = a[t]∘deltas[t], from the last step to the first; flow is (N, H).

    ds and deltas (T, N, H) may be the same.
    """
    scan_steps_backward(a[first:last], ds[first:last], deltas[first:last], flow)


def sru_scan(first: int, last: int, zs: Array, v: Array, fs: Array, cs: Array) -> None:
    """fs[t] = σ(z_f + v_f∘cs[t]), cs[t + 1] = fs[t]∘cs[t] + (1 - fs[t])∘u: fs (T, N, H), cs (T + 1, N, H).

    zs[t] (N, 3H or 4H) holds z_f, z_r and u, v (2H,) holds v_f and v_r.
    """
    sru_steps(zs[first:last], v, fs[first:last], cs[first : last + 1])


@jit
def pool(us: Array, positive: bool, z: Array, n: Array, states: Array) -> None:
    """z = σ(u_z), n = tanh(u_n) or, if ``positive``, g(u_n) (see `elman.layers.mingru`), and the moving average of n.

    That is states[t + 1] = (1 - z)∘states[t] + z∘n: states (T + 1, N, H), z and n (T, N, H). us (T, N, 2H) holds u_z
    and u_n, and is work space afterwards.
    """
    T, N, H = z.shape
    for t in range(T):
        for k in range(N):
            u_z, u_n, z_row, n_row = us[t, k, :H], us[t, k, H:], z[t, k], n[t, k]
            before, after = states[t, k], states[t + 1, k]
            if positive:
                for j in range(H):
                    n_row[j] = sigmoid(min(u_n[j], _ZERO)) + max(u_n[j], _ZERO)
            else:
                for j in range(H):
                    n_row[j] = tanh(u_n[j])
            for j in range(H):
                z_row[j] = sigmoid(u_z[j])
                after[j] = before[j] + z_row[j] * (n_row[j] - before[j])


def pool_backward(
    dhs: Array, states: Array, z: Array, n: Array, positive: bool, flow: Array, dus: Array, buffers: Buffers
) -> None:
    """dz = δ∘(n - h_{t-1})∘z∘(1 - z) and dn = δ∘z∘n', with δ = dhs[t] + flow, then flow = (1 - z)∘δ, step by step.

    dus (T, N, 2H) holds dz and dn, flow is (N, H), and the others are as in `pool`.
    """
    pool_steps_backward(dhs, states, z, n, positive, flow, dus)


def rwkv7_backward(
    first: int,
    last: int,
    r: Array,
    w: Array,
    k: Array,
    v: Array,
    kappa: Array,
    a: Array,
    kept: Array,
    chunk: int,
    dys: Array,
    dS: Array,
    dr: Array,
    dw: Array,
    dk: Array,
    dv: Array,
    dkappa: Array,
    da: Array,
    buffers: Buffers,
) -> None:
    """Carry dys and dS back into the gradients of r, w, k, v, κ and a, (T, N, heads·d) each, and dS of ``first``.

    The states are computed again from ``kept``, which `rwkv7_forward` wrote.
    """
    d = dS.shape[2]
    states = buffers.get("states", (chunk + 1, d, d), dS)  # of one head at a time
    rows = buffers.get("rows", (3, d), dS)
    of_recurrence, gradients = (r, w, k, v, kappa, a), (dr, dw, dk, dv, dkappa, da)
    rwkv7_steps_backward(first, last, *of_recurrence, kept, chunk, dys, dS, *gradients, states, rows)


@jit
def norm(x: Array, gain: Array, scales: Array, out: Array, eps: float = NORM_EPS) -> None:
    """out = x·r∘gain row by row, scales = r = 1/√(mean(x²) + ε): x and out (K, D), gain (D,), scales (K,)."""
    K, D = x.shape
    for k in range(K):
        row, squares = x[k], _ZERO
        for d in range(D):
            squares += row[d] * row[d]
        r = _ONE / np.sqrt(squares / np.float32(D) + np.float32(eps))
        scales[k] = r
        for d in range(D):
            out[k, d] = row[d] * r * gain[d]


def norm_backward(
    x: Array,
    gain: Array,
    scales: Array,
    dout: Array,
    besides: Array,
    dx: Array,
    dgain: Array,
    buffers: Buffers,
) -> None:
    """dx = besides + r·(d - x̂·mean(d∘x̂)), dgain += Σ dout∘x̂, where x̂ = x·r and d = dout∘gain: all (K, D).

    ``besides`` is the gradient that reaches x on another way; it may be dx.
    """
    norm_rows_backward(x, gain, scales, dout, besides, dx, dgain)


def gate(h: Array, u: Array, sigma: Array, out: Array) -> None:
    """sigma = σ(u) and out = h∘u∘σ(u): arrays of one shape."""
    gate_numbers(h.reshape(-1), u.reshape(-1), sigma.reshape(-1), out.reshape(-1))


def gate_backward(d: Array, h: Array, u: Array, sigma: Array, du: Array) -> None:
    """Turn d, the gradient of the output, into that of h, d∘u∘σ; du = d∘h∘(σ + u∘σ∘(1 - σ)): arrays of one shape."""
    gate_numbers_backward(*(array.reshape(-1) for array in (d, h, u, sigma, du)))


@jit
def mogrify(products: Array, values: Array, gated: Array) -> None:
    """Turn products (N, W) into factors 2σ(product), in place, and write gated = factors∘values."""
    N, W = products.shape
    for n in range(N):
        for j in range(W):
            factor = _TWO * sigmoid(products[n, j])
            products[n, j] = factor
            gated[n, j] = factor * values[n, j]


@jit
def mogrify_backward(factors: Array, gated: Array, d_gated: Array, d_products: Array) -> None:
    """Write d_products = d_gated∘gated∘(1 - ½factors), and over d_gated (N, W) d_values = d_gated∘factors."""
    N, W = factors.shape
    for n in range(N):
        for j in range(W):
            d, factor = d_gated[n, j], factors[n, j]
            d_products[n, j] = d * gated[n, j] * (_ONE - _HALF * factor)
            d_gated[n, j] = d * factor


@jit
def convolve(
    first: int, last: int, before: Array, us: Array, W: Array, b: Array, sigmas: Array, vs: Array
) -> None:
    """vs[t] = silu(b + Σ_k W[k]∘us[t - K + 1 + k]) for these steps, and sigmas the σ of the sum.

    us, sigmas and vs are (T, N, C), W is (K, C); ``before`` (K - 1, N, C) are the inputs of the steps before 0.
    """
    K, C = W.shape
    for t in range(first, last):
        for n in range(us.shape[1]):
            v, sigma = vs[t, n], sigmas[t, n]
            for j in range(C):
                v[j] = b[j]
            for k in range(K):
                s, of_weight = t - K + 1 + k, W[k]
                u = us[s, n] if s >= 0 else before[s + K - 1, n]
                for j in range(C):
                    v[j] += of_weight[j] * u[j]
            for j in range(C):
                sigma[j] = sigmoid(v[j])
                v[j] *= sigma[j]


@jit
def convolve_backward(
    first: int, last: int, dvs: Array, vs: Array, sigmas: Array, W: Array, dsums: Array, dus: Array
) -> None:
    """Write dsums, the gradients of the sums, and dus of these steps, (T, N, C) each; later steps are done."""
    (K, C), (T, N) = W.shape, vs.shape[:2]
    for t in range(last - 1, first - 1, -1):
        for n in range(N):
            dsum, du, v, sigma, dv = dsums[t, n], dus[t, n], vs[t, n], sigmas[t, n], dvs[t, n]
            for j in range(C):
                dsum[j] = dv[j] * (sigma[j] + v[j] * (_ONE - sigma[j]))
                du[j] = _ZERO
            for k in range(min(K, T - t)):
                after, of_weight = dsums[t + k, n], W[K - 1 - k]
                for j in range(C):
                    du[j] += of_weight[j] * after[j]


def decays(logs: Array, out: Array) -> None:
    """out[..., i, j] = exp(Σ logs[k] over j < k ≤ i), 0 for j > i: logs (Q, …), out (…, Q, Q)."""
    Q = len(logs)
    decay_rows(np.exp(logs).reshape(Q, -1), out.reshape(-1, Q, Q))


@jit
def step_states(decay: Array, x: Array, B: Array, C: Array, states: Array, out: Array) -> None:
    """states = decay·states + x·Bᵀ, then out = states·C, for one step.

    decay is (N, G, R), x and out (N, G, R, P), B and C (N, G, S), states (N, G, R·P, S).
    """
    N, G, R, P = x.shape
    for n in range(N):
        for g in range(G):
            b, c = B[n, g], C[n, g]
            for r in range(R):
                a = decay[n, g, r]
                for p in range(P):
                    row, value, total = states[n, g, r * P + p], x[n, g, r, p], _ZERO
                    for s in range(len(b)):
                        row[s] = a * row[s] + value * b[s]
                        total += row[s] * c[s]
                    out[n, g, r, p] = total


@jit
def selective_scan(dt: Array, x: Array, B: Array, C: Array, A: Array, state: Array, y: Array) -> None:
    """state = exp(dt[t]∘A)∘state + B[t]·(dt[t]∘x[t])ᵀ and y[t] = C[t]·state, for all steps.

    dt, x and y are (Q, N, H), B and C (Q, N, S), A is (S, H), state (N, S, H).
    """
    (Q, N, H), S = x.shape, len(A)
    for t in range(Q):
        for n in range(N):
            dt_row, x_row, y_row = dt[t, n], x[t, n], y[t, n]
            for j in range(H):
                y_row[j] = _ZERO
            for s in range(S):
                row, a, b, c = state[n, s], A[s], B[t, n, s], C[t, n, s]
                for j in range(H):
                    row[j] = exp(dt_row[j] * a[j]) * row[j] + dt_row[j] * x_row[j] * b
                    y_row[j] += row[j] * c


def selective_scan_backward(
    dt: Array,
    x: Array,
    B: Array,
    C: Array,
    A: Array,
    before: Array,
    dy: Array,
    flow: Array,
    ddt: Array,
    dx: Array,
    dB: Array,
    dC: Array,
    dA: Array,
    buffers: Buffers,
) -> None:
    """Write ddt, dx (Q, N, H), dB and dC (Q, N, S), add to dA (S, H), and carry ``flow`` (N, S, H) back over all steps.

    ``before`` (N, S, H) is the state before the steps; those inside are computed again.
    """
    states = buffers.get("states", (len(x) + 1, *before.shape[1:]), before)  # (Q + 1, S, H), of one sequence
    selective_steps_backward(dt, x, B, C, A, before, dy, flow, ddt, dx, dB, dC, dA, states)


def score_rows(scores: Array, b: Array, targets: Array) -> tuple[Array, Array, Array]:
    """Turn products (K, V) into exp(score - maximum of its row), in place, the score being the product plus b (V,).

    Return the scores of the targets (0 for a target outside [0, V)), the maxima and the sums: (K,) each.
    """
    chosen, maxima, sums = (np.empty(len(scores), scores.dtype) for _ in range(3))  # (K,) each
    exp_scores(scores, b, targets, chosen, maxima, sums)
    return chosen, maxima, sums


@jit
def differentiate_rows(exps: Array, factors: Array, targets: Array, weights: Array, db: Array) -> None:
    """Turn exponentials (K, V) into (softmax - one-hot)·weight, in place, and add the rows to db (V,).

    An exponential times the factor (K,) of its row is softmax·weight. A target outside [0, V) has no one-hot entry.
    """
    K, V = exps.shape
    for k in range(K):
        row, factor, target = exps[k], factors[k], targets[k]
        for v in range(V):
            row[v] *= factor
        if 0 <= target < V:
            row[target] -= weights[k]
        for v in range(V):
            db[v] += row[v]


def reduced_product(rows: Array, values: Array, scales: Array, out: Array) -> None:
    """out = rows·W (K, V), for rows (K, H) and W (H, V) as the bits of bfloat16, or as int8 times scales (V,)."""
    if values.dtype == np.int8:
        int8_product(rows, values, scales, out)
    else:
        bfloat16_product(rows, values, out)


def add_rows(dW: Array, ids: Array, rows: Array, buffers: Buffers) -> Array:
    """dW[ids[k]] += rows[k] for rows (K, D); return the distinct ids, in ascending order."""
    seen = buffers.once("seen", lambda: np.zeros(len(dW), np.bool_))  # (V,)
    ids_found = buffers.once("distinct ids", lambda: np.empty(len(dW), np.intp))  # (V,)
    distinct = ids_found[: add_rows_unsorted(dW, ids, rows, seen, ids_found)]
    distinct.sort()
    return distinct


# The compiled functions


@jit
def from_bits(bits: Array) -> Array:
    """Return the float32 that has the bits of this integer."""
    return np.int32(bits).view(np.float32)


@jit
def exp(x: Array) -> Array:
    """Return eˣ = 2ⁿ·eʳ, n the integer nearest to x / ln 2: a form that vector units can follow."""
    y = min(max(x, _LOWEST), _HIGHEST)
    n = np.floor(y * _LOG2_E + _HALF)
    r = y - n * _LN2_HIGH - n * _LN2_LOW
    series = _ONE + r + r * r * (_E0 + r * (_E1 + r * (_E2 + r * (_E3 + r * _E4))))
    power = from_bits(np.int32((np.int32(n) + np.int32(127)) << np.int32(23)))
    return _ZERO if x < _LOWEST else series * power


@jit
def tanh(x: Array) -> Array:
    """Return tanh(x): its series where x is small, (e²ˣ - 1)/(e²ˣ + 1) elsewhere."""
    q = x * x
    series = x + x * q * (_T0 + q * (_T1 + q * (_T2 + q * (_T3 + q * _T4))))
    return series if abs(x) < _SMALL else _ONE - _TWO / (_ONE + exp(_TWO * x))


@jit
def sigmoid(x: Array) -> Array:
    """Return 1 / (1 + e⁻ˣ)."""
    return _ONE / (_ONE + exp(-x))


@jit
def add_rows_unsorted(dW: Array, ids: Array, rows: Array, seen: Array, distinct: Array) -> int:
    """dW[ids[k]] += rows[k] for rows (K, D); write the distinct ids and return how many they are.

    ``seen`` (V,) is false everywhere, before and after.
    """
    K, D = rows.shape
    count = 0
    for k in range(K):
        i = ids[k]
        if not seen[i]:
            seen[i] = True
            distinct[count] = i
            count += 1
        for d in range(D):
            dW[i, d] += rows[k, d]
    for k in range(count):
        seen[distinct[k]] = False
    return count


@jit
def from_bfloat16(bits: Array) -> Array:
    """Return the float32 whose upper half are these 16 bits."""
    return from_bits(np.int32(bits) << np.int32(16))


@jit
def bfloat16_product(rows: Array, W: Array, out: Array) -> None:
    """out (K, V) = rows (K, H) · W (H, V), the bits of bfloat16: `COLUMNS` of W at a time, which the cache holds."""
    (K, H), V = rows.shape, W.shape[1]
    eights = H - H % 8
    for first in range(0, V, COLUMNS):
        last = min(first + COLUMNS, V)
        for k in range(K):
            x, y = rows[k], out[k, first:last]
            y[:] = 0
            for h in range(0, eights, 8):
                x0, x1, x2, x3 = x[h], x[h + 1], x[h + 2], x[h + 3]
                x4, x5, x6, x7 = x[h + 4], x[h + 5], x[h + 6], x[h + 7]
                W0, W1 = W[h, first:last], W[h + 1, first:last]
                W2, W3 = W[h + 2, first:last], W[h + 3, first:last]
                W4, W5 = W[h + 4, first:last], W[h + 5, first:last]
                W6, W7 = W[h + 6, first:last], W[h + 7, first:last]
                for v in range(last - first):
                    y[v] += (
                        x0 * from_bfloat16(W0[v])
                        + x1 * from_bfloat16(W1[v])
                        + x2 * from_bfloat16(W2[v])
                        + x3 * from_bfloat16(W3[v])
                        + x4 * from_bfloat16(W4[v])
                        + x5 * from_bfloat16(W5[v])
                        + x6 * from_bfloat16(W6[v])
                        + x7 * from_bfloat16(W7[v])
                    )
            for h in range(eights, H):
                for v in range(last - first):
                    y[v] += x[h] * from_bfloat16(W[h, first + v])


@jit
def int8_product(rows: Array, W: Array, scales: Array, out: Array) -> None:
    """out (K, V) = rows (K, H) · W (H, V) ∘ scales (V,), W in int8: `COLUMNS` of it at a time."""
    (K, H), V = rows.shape, W.shape[1]
    eights = H - H % 8
    for first in range(0, V, COLUMNS):
        last = min(first + COLUMNS, V)
        for k in range(K):
            x, y = rows[k], out[k, first:last]
            y[:] = 0
            for h in range(0, eights, 8):
                x0, x1, x2, x3 = x[h], x[h + 1], x[h + 2], x[h + 3]
                x4, x5, x6, x7 = x[h + 4], x[h + 5], x[h + 6], x[h + 7]
                W0, W1 = W[h, first:last], W[h + 1, first:last]
                W2, W3 = W[h + 2, first:last], W[h + 3, first:last]
                W4, W5 = W[h + 4, first:last], W[h + 5, first:last]
                W6, W7 = W[h + 6, first:last], W[h + 7, first:last]
                for v in range(last - first):
                    y[v] += (
                        x0 * np.float32(W0[v])
                        + x1 * np.float32(W1[v])
                        + x2 * np.float32(W2[v])
                        + x3 * np.float32(W3[v])
                        + x4 * np.float32(W4[v])
                        + x5 * np.float32(W5[v])
                        + x6 * np.float32(W6[v])
                        + x7 * np.float32(W7[v])
                    )
            for h in range(eights, H):
                for v in range(last - first):
                    y[v] += x[h] * np.float32(W[h, first + v])
            for v in range(last - first):
                y[v] *= scales[first + v]


@jit
def rnn_step(z: Array, h: Array) -> None:
    """h (N, H) holds h_{t-1}·Wh; make it tanh of that plus z."""
    N, H = h.shape
    for n in range(N):
        for j in range(H):
            h[n, j] = tanh(h[n, j] + z[n, j])


@jit
def rnn_steps(zs: Array, Wh: Array, hs: Array) -> None:
    """hs[t + 1] = tanh(hs[t]·Wh + zs[t]) for all t: zs (T, N, H), hs (T + 1, N, H)."""
    for t in range(len(zs)):
        multiply(hs[t], Wh, hs[t + 1])
        rnn_step(zs[t], hs[t + 1])


@jit
def rnn_step_backward(dh_t: Array, h: Array, dh: Array, dz: Array) -> None:
    """dz = (dh + dh_t)∘(1 - h²), all (N, H)."""
    N, H = h.shape
    for n in range(N):
        for j in range(H):
            dz[n, j] = (dh[n, j] + dh_t[n, j]) * (_ONE - h[n, j] * h[n, j])


@jit
def rnn_steps_backward(dhs: Array, hs: Array, WhT: Array, dh: Array, dzs: Array) -> None:
    """From the last step to the first: dzs[t] = (dh + dhs[t])∘(1 - hs[t + 1]²), and dh = dzs[t]·Whᵀ."""
    for t in range(len(dhs) - 1, -1, -1):
        rnn_step_backward(dhs[t], hs[t + 1], dh, dzs[t])
        multiply(dzs[t], WhT, dh)


@jit
def lstm_step(z: Array, c_prev: Array, gates: Array, c: Array, tanh_c: Array, h: Array) -> None:
    """gates (N, 4H) holds h_{t-1}·Wh; make it i, f, g, o, and from them c, tanh(c) and h (N, H)."""
    N, H = c.shape
    for n in range(N):
        zi, zf, zg, zo = z[n, :H], z[n, H : 2 * H], z[n, 2 * H : 3 * H], z[n, 3 * H :]
        gi, gf, gg, go = gates[n, :H], gates[n, H : 2 * H], gates[n, 2 * H : 3 * H], gates[n, 3 * H :]
        for j in range(H):
            i, f, o = sigmoid(gi[j] + zi[j]), sigmoid(gf[j] + zf[j]), sigmoid(go[j] + zo[j])
            g = tanh(gg[j] + zg[j])
            gi[j], gf[j], gg[j], go[j] = i, f, g, o
            c[n, j] = f * c_prev[n, j] + i * g
            tanh_c[n, j] = tanh(c[n, j])
            h[n, j] = o * tanh_c[n, j]


@jit
def lstm_steps(zs: Array, Wh: Array, hs: Array, cs: Array, tanh_cs: Array, gates: Array) -> None:
    """Do all steps: zs and gates (T, N, 4H), hs and cs (T + 1, N, H), tanh_cs (T, N, H)."""
    for t in range(len(zs)):
        multiply(hs[t], Wh, gates[t])
        lstm_step(zs[t], cs[t], gates[t], cs[t + 1], tanh_cs[t], hs[t + 1])


@jit
def lstm_step_backward(
    dh_t: Array, gates: Array, c_prev: Array, tanh_c: Array, dh: Array, dc: Array, dz: Array
) -> None:
    """From dh, dh_t and dc (N, H) make dz (N, 4H), and of dc the gradient of c_{t-1}."""
    N, H = dh.shape
    for n in range(N):
        gi, gf, gg, go = gates[n, :H], gates[n, H : 2 * H], gates[n, 2 * H : 3 * H], gates[n, 3 * H :]
        zi, zf, zg, zo = dz[n, :H], dz[n, H : 2 * H], dz[n, 2 * H : 3 * H], dz[n, 3 * H :]
        for j in range(H):
            i, f, g, o, y = gi[j], gf[j], gg[j], go[j], tanh_c[n, j]
            through_h = dh[n, j] + dh_t[n, j]
            through_c = dc[n, j] + through_h * o * (_ONE - y * y)
            zi[j] = through_c * g * i * (_ONE - i)
            zf[j] = through_c * c_prev[n, j] * f * (_ONE - f)
            zg[j] = through_c * i * (_ONE - g * g)
            zo[j] = through_h * y * o * (_ONE - o)
            dc[n, j] = through_c * f


@jit
def lstm_steps_backward(
    dhs: Array, gates: Array, cs: Array, tanh_cs: Array, WhT: Array, dh: Array, dc: Array, dzs: Array
) -> None:
    """Do all steps, from the last to the first, with dh = dzs[t]·Whᵀ after each."""
    for t in range(len(dhs) - 1, -1, -1):
        lstm_step_backward(dhs[t], gates[t], cs[t], tanh_cs[t], dh, dc, dzs[t])
        multiply(dzs[t], WhT, dh)


@jit
def gru_step(z: Array, b_h: Array, h_prev: Array, products: Array, candidate: Array, h: Array) -> None:
    """products (N, 3H) holds h_{t-1}·Wh; make it r, z and a, and from them the candidate n and h (N, H)."""
    N, H = h.shape
    for n in range(N):
        xr, xz, xn = z[n, :H], z[n, H : 2 * H], z[n, 2 * H :]
        pr, pz, pa = products[n, :H], products[n, H : 2 * H], products[n, 2 * H :]
        for j in range(H):
            r, keep, a = sigmoid(pr[j] + xr[j]), sigmoid(pz[j] + xz[j]), pa[j] + b_h[j]
            new = tanh(xn[j] + r * a)
            pr[j], pz[j], pa[j] = r, keep, a
            candidate[n, j] = new
            h[n, j] = new + keep * (h_prev[n, j] - new)


@jit
def gru_steps(zs: Array, Wh: Array, b_h: Array, hs: Array, products: Array, ns: Array) -> None:
    """Do all steps: zs and products (T, N, 3H), hs (T + 1, N, H), ns (T, N, H)."""
    for t in range(len(zs)):
        multiply(hs[t], Wh, products[t])
        gru_step(zs[t], b_h, hs[t], products[t], ns[t], hs[t + 1])


@jit
def gru_step_backward(
    dh_t: Array,
    products: Array,
    candidate: Array,
    h_prev: Array,
    dh: Array,
    towards_x: Array,
    towards_h: Array,
    through_z: Array,
) -> None:
    """From dh and dh_t (N, H) make the gradients of x_t·Wx + b and of h_{t-1}·Wh (N, 3H), and dh∘z."""
    N, H = dh.shape
    for n in range(N):
        pr, pz, pa = products[n, :H], products[n, H : 2 * H], products[n, 2 * H :]
        xr, xz, xn = towards_x[n, :H], towards_x[n, H : 2 * H], towards_x[n, 2 * H :]
        hr, hz, hn = towards_h[n, :H], towards_h[n, H : 2 * H], towards_h[n, 2 * H :]
        for j in range(H):
            r, keep, a, new = pr[j], pz[j], pa[j], candidate[n, j]
            d = dh[n, j] + dh_t[n, j]
            dn = d * (_ONE - keep) * (_ONE - new * new)
            dz = d * (h_prev[n, j] - new) * keep * (_ONE - keep)
            dr = dn * a * r * (_ONE - r)
            xr[j], xz[j], xn[j] = dr, dz, dn
            hr[j], hz[j], hn[j] = dr, dz, dn * r
            through_z[n, j] = d * keep


@jit
def gru_steps_backward(
    dhs: Array,
    products: Array,
    ns: Array,
    hs: Array,
    WhT: Array,
    dh: Array,
    towards_x: Array,
    towards_h: Array,
    through_z: Array,
) -> None:
    """Do all steps, from the last to the first, with dh = towards_h[t]·Whᵀ + dh∘z after each."""
    N, H = dh.shape
    for t in range(len(dhs) - 1, -1, -1):
        gru_step_backward(dhs[t], products[t], ns[t], hs[t], dh, towards_x[t], towards_h[t], through_z)
        multiply(towards_h[t], WhT, dh)
        for n in range(N):
            for j in range(H):
                dh[n, j] += through_z[n, j]


@jit
def scan_steps(a: Array, b: Array, states: Array) -> None:
    """states[t + 1] = a[t]∘states[t] + b[t] for all t."""
    T, N, H = a.shape
    for t in range(T):
        for n in range(N):
            for j in range(H):
                states[t + 1, n, j] = a[t, n, j] * states[t, n, j] + b[t, n, j]


@jit
def scan_steps_backward(a: Array, ds: Array, deltas: Array, flow: Array) -> None:
    """From the last step to the first: deltas[t] = ds[t] + flow, and flow = a[t]∘deltas[t]."""
    T, N, H = a.shape
    for t in range(T - 1, -1, -1):
        for n in range(N):
            for j in range(H):
                deltas[t, n, j] = ds[t, n, j] + flow[n, j]
                flow[n, j] = a[t, n, j] * deltas[t, n, j]


@jit
def pool_steps_backward(
    dhs: Array, states: Array, z: Array, n: Array, positive: bool, flow: Array, dus: Array
) -> None:
    """From the last step to the first: dz, dn and the flow of `pool_backward`, row by row."""
    T, N, H = z.shape
    for t in range(T - 1, -1, -1):
        for k in range(N):
            dz, dn, dh, before = dus[t, k, :H], dus[t, k, H:], dhs[t, k], states[t, k]
            z_row, n_row, flow_row = z[t, k], n[t, k], flow[k]
            for j in range(H):
                delta, open_ = dh[j] + flow_row[j], z_row[j]
                flow_row[j] = delta * (_ONE - open_)
                dn[j] = delta * open_
                dz[j] = flow_row[j] * open_ * (n_row[j] - before[j])
            if positive:
                for j in range(H):
                    dn[j] *= _ONE if n_row[j] >= _HALF else n_row[j] * (_ONE - n_row[j])
            else:
                for j in range(H):
                    dn[j] *= _ONE - n_row[j] * n_row[j]


@jit
def norm_rows_backward(
    x: Array, gain: Array, scales: Array, dout: Array, besides: Array, dx: Array, dgain: Array
) -> None:
    """dx = besides + r·(d - x̂·mean(d∘x̂)), dgain += Σ dout∘x̂, row by row."""
    K, D = x.shape
    for k in range(K):
        row, d_row, r, total = x[k], dout[k], scales[k], _ZERO
        for d in range(D):
            part = d_row[d] * row[d] * r
            dgain[d] += part
            total += part * gain[d]
        along = total / np.float32(D) * r
        for d in range(D):
            dx[k, d] = besides[k, d] + r * (d_row[d] * gain[d] - row[d] * along)


@jit
def gate_numbers(h: Array, u: Array, sigma: Array, out: Array) -> None:
    """sigma = σ(u) and out = h·u·σ(u), number by number: (n,) each."""
    for j in range(len(u)):
        sigma[j] = sigmoid(u[j])
        out[j] = h[j] * u[j] * sigma[j]


@jit
def gate_numbers_backward(d: Array, h: Array, u: Array, sigma: Array, du: Array) -> None:
    """du = d·h·(σ + u·σ·(1 - σ)), then d = d·u·σ, number by number: (n,) each."""
    for j in range(len(u)):
        silu = u[j] * sigma[j]
        du[j] = d[j] * h[j] * (sigma[j] + silu * (_ONE - sigma[j]))
        d[j] *= silu


@jit
def sru_steps(zs: Array, v: Array, fs: Array, cs: Array) -> None:
    """fs[t] = σ(z_f + v_f∘cs[t]), and cs[t + 1] = fs[t]∘cs[t] + (1 - fs[t])∘u, for all t."""
    T, N, H = fs.shape
    for t in range(T):
        for n in range(N):
            z, u, f = zs[t, n, :H], zs[t, n, 2 * H : 3 * H], fs[t, n]
            before, after = cs[t, n], cs[t + 1, n]
            for j in range(H):
                f[j] = sigmoid(z[j] + v[j] * before[j])
                after[j] = u[j] + f[j] * (before[j] - u[j])


@jit
def rwkv4_forward(
    first: int,
    last: int,
    k: Array,
    v: Array,
    rate: Array,
    u: Array,
    a: Array,
    b: Array,
    p: Array,
    ys: Array,
) -> None:
    """Write y and the states a, b and p (T + 1, N, D) of each step: k, v and ys (T, N, D), rate and u (D,).

    See `elman.layers.rwkv4`.
    """
    _, N, D = k.shape
    for t in range(first, last):
        for n in range(N):
            for j in range(D):
                of_a, of_b, key, value = a[t, n, j], b[t, n, j], k[t, n, j], v[t, n, j]
                before = p[t, n, j] if of_b != _ZERO else _NOTHING
                q = max(before, key + u[j])
                kept, new = exp(before - q), exp(key + u[j] - q)
                ys[t, n, j] = (kept * of_a + new * value) / (kept * of_b + new)
                q = max(before - rate[j], key)
                kept, new = exp(before - rate[j] - q), exp(key - q)
                a[t + 1, n, j] = kept * of_a + new * value
                b[t + 1, n, j] = kept * of_b + new
                p[t + 1, n, j] = q


@jit
def rwkv4_backward(
    first: int,
    last: int,
    k: Array,
    v: Array,
    rate: Array,
    u: Array,
    a: Array,
    b: Array,
    p: Array,
    ys: Array,
    dys: Array,
    flow: Array,
    dk: Array,
    dv: Array,
    d_rate: Array,
    du: Array,
) -> None:
    """Carry dys and the flow of da and db (2, N, D) back into dk and dv; add to d_rate and du (D,)."""
    _, N, D = k.shape
    for t in range(last - 1, first - 1, -1):
        for n in range(N):
            for j in range(D):
                of_a, of_b, key, value = a[t, n, j], b[t, n, j], k[t, n, j], v[t, n, j]
                y, da, db = ys[t, n, j], flow[0, n, j], flow[1, n, j]
                before = p[t, n, j] if of_b != _ZERO else _NOTHING
                q = max(before, key + u[j])
                kept, new = exp(before - q), exp(key + u[j] - q)
                d_numerator = dys[t, n, j] / (kept * of_b + new)
                d_value = d_numerator * new
                d_key = d_value * (value - y)
                du[j] += d_key
                through, added = exp(before - rate[j] - p[t + 1, n, j]), exp(key - p[t + 1, n, j])
                dv[t, n, j] = d_value + da * added
                dk[t, n, j] = d_key + (da * value + db) * added
                da *= through
                db *= through
                d_rate[j] -= da * of_a + db * of_b
                flow[0, n, j] = da + d_numerator * kept
                flow[1, n, j] = db - d_numerator * kept * y


@jit
def rwkv7_step(w: Array, k: Array, v: Array, kappa: Array, b: Array, before: Array, after: Array) -> None:
    """Write after = before·diag(w) - (before·κ)bᵀ + v·kᵀ for one head: (d, d), which may be the same, and (d,) each."""
    d = len(w)
    for i in range(d):
        removed, value = _ZERO, v[i]
        for j in range(d):
            removed += before[i, j] * kappa[j]
        for j in range(d):
            after[i, j] = before[i, j] * w[j] - removed * b[j] + value * k[j]


@jit
def rwkv7_forward(
    first: int,
    last: int,
    r: Array,
    w: Array,
    k: Array,
    v: Array,
    kappa: Array,
    a: Array,
    S: Array,
    kept: Array,
    chunk: int,
    ys: Array,
) -> None:
    """S = S·diag(w) - (S·κ)(κ∘a)ᵀ + v·kᵀ and y = S·r, in each head: S (N, heads, d, d), all others (T, N, heads·d).

    Before every ``chunk``-th step S is copied to kept (chunks, N, heads, d, d). See `elman.layers.rwkv7`. One head is
    done after another, so that its S stays in the cache. It is transposed for that, (keys, values): then a vector unit
    adds up S·κ and S·r for many values at once.
    """
    N, heads, d, _ = S.shape
    state, removed, y = np.empty((d, d), np.float32), np.empty(d, np.float32), np.empty(d, np.float32)
    for n in range(N):
        for head in range(heads):
            at = slice(head * d, (head + 1) * d)
            transpose(S[n, head], state)
            for t in range(first, last):
                if t % chunk == 0:
                    transpose(state, kept[t // chunk, n, head])
                of_r, of_w, of_k, of_v = r[t, n, at], w[t, n, at], k[t, n, at], v[t, n, at]
                of_kappa, of_a = kappa[t, n, at], a[t, n, at]
                for i in range(d):
                    removed[i] = y[i] = _ZERO
                for j in range(d):
                    factor = of_kappa[j]
                    for i in range(d):
                        removed[i] += state[j, i] * factor
                for j in range(d):
                    decay, key, read, taken = of_w[j], of_k[j], of_r[j], of_kappa[j] * of_a[j]
                    for i in range(d):
                        value = state[j, i] * decay - removed[i] * taken + of_v[i] * key
                        state[j, i] = value
                        y[i] += value * read
                for i in range(d):
                    ys[t, n, head * d + i] = y[i]
            transpose(state, S[n, head])


@jit
def transpose(matrix: Array, out: Array) -> None:
    """out = matrixᵀ: (d, d) both."""
    d = len(matrix)
    for i in range(d):
        for j in range(d):
            out[j, i] = matrix[i, j]


@jit
def rwkv7_steps_backward(
    first: int,
    last: int,
    r: Array,
    w: Array,
    k: Array,
    v: Array,
    kappa: Array,
    a: Array,
    kept: Array,
    chunk: int,
    dys: Array,
    dS: Array,
    dr: Array,
    dw: Array,
    dk: Array,
    dv: Array,
    dkappa: Array,
    da: Array,
    states: Array,
    rows: Array,
) -> None:
    """Do the steps of `rwkv7_backward`, head after head: states (chunk + 1, d, d) and rows (3, d) are work space."""
    N, heads, d, _ = dS.shape
    b, db, from_removed = rows[0], rows[1], rows[2]
    for n in range(N):
        for head in range(heads):
            at = slice(head * d, (head + 1) * d)
            flow, end = dS[n, head], last
            while end > first:
                begin = (end - 1) // chunk * chunk
                states[0] = kept[begin // chunk, n, head]
                for t in range(begin, end):
                    of_kappa, of_a = kappa[t, n, at], a[t, n, at]
                    for j in range(d):
                        b[j] = of_kappa[j] * of_a[j]
                    before, after = states[t - begin], states[t - begin + 1]
                    rwkv7_step(w[t, n, at], k[t, n, at], v[t, n, at], of_kappa, b, before, after)
                stop = max(first, begin)
                for t in range(end - 1, stop - 1, -1):
                    of_r, of_w, of_k, of_v = r[t, n, at], w[t, n, at], k[t, n, at], v[t, n, at]
                    of_kappa, of_a, dy = kappa[t, n, at], a[t, n, at], dys[t, n, at]
                    d_r, d_w, d_k, d_v = dr[t, n, at], dw[t, n, at], dk[t, n, at], dv[t, n, at]
                    d_kappa, d_a = dkappa[t, n, at], da[t, n, at]
                    before, after = states[t - begin], states[t - begin + 1]
                    for j in range(d):
                        b[j] = of_kappa[j] * of_a[j]
                        d_r[j] = d_w[j] = d_k[j] = db[j] = from_removed[j] = _ZERO
                    for i in range(d):
                        value = removed = d_removed = _ZERO
                        for j in range(d):
                            ds = flow[i, j] + dy[i] * of_r[j]
                            flow[i, j] = ds
                            value += ds * of_k[j]
                            d_removed -= ds * b[j]
                            removed += before[i, j] * of_kappa[j]
                        d_v[i] = value
                        for j in range(d):
                            ds = flow[i, j]
                            d_r[j] += after[i, j] * dy[i]
                            d_w[j] += ds * before[i, j]
                            d_k[j] += ds * of_v[i]
                            db[j] -= ds * removed
                            from_removed[j] += d_removed * before[i, j]
                            flow[i, j] = ds * of_w[j] + d_removed * of_kappa[j]
                    for j in range(d):
                        d_kappa[j] = from_removed[j] + db[j] * of_a[j]
                        d_a[j] = db[j] * of_kappa[j]
                end = stop


@jit
def decay_rows(factors: Array, out: Array) -> None:
    """out[k, i, j] = the product of factors[:, k] over j < · ≤ i, 0 for j > i: factors (Q, K), out (K, Q, Q)."""
    Q, K = factors.shape
    for k in range(K):
        for i in range(Q):
            row, a = out[k, i], factors[i, k]
            for j in range(i):
                product = out[k, i - 1, j] * a
                row[j] = product if product > _TINY else _ZERO
            row[i] = _ONE
            for j in range(i + 1, Q):
                row[j] = _ZERO


@jit
def selective_steps_backward(
    dt: Array,
    x: Array,
    B: Array,
    C: Array,
    A: Array,
    before: Array,
    dy: Array,
    flow: Array,
    ddt: Array,
    dx: Array,
    dB: Array,
    dC: Array,
    dA: Array,
    states: Array,
) -> None:
    """Do what `selective_scan_backward` does, one sequence after another: states (Q + 1, S, H)."""
    (Q, N, H), S = x.shape, len(A)
    for n in range(N):
        states[0] = before[n]
        for t in range(Q):
            dt_row, x_row = dt[t, n], x[t, n]
            for s in range(S):
                row, after, a, b = states[t, s], states[t + 1, s], A[s], B[t, n, s]
                for j in range(H):
                    after[j] = exp(dt_row[j] * a[j]) * row[j] + dt_row[j] * x_row[j] * b
        for t in range(Q - 1, -1, -1):
            dt_row, x_row, dy_row, ddt_row, dx_row = dt[t, n], x[t, n], dy[t, n], ddt[t, n], dx[t, n]
            for j in range(H):
                ddt_row[j] = _ZERO
                dx_row[j] = _ZERO
            for s in range(S):
                row, after, delta = states[t, s], states[t + 1, s], flow[n, s]
                a, b, c, da = A[s], B[t, n, s], C[t, n, s], dA[s]
                of_b = of_c = _ZERO
                for j in range(H):  # several loops of few arrays: one of all would not be vectorised
                    of_c += after[j] * dy_row[j]
                for j in range(H):
                    delta[j] += c * dy_row[j]
                    of_b += delta[j] * dt_row[j] * x_row[j]
                for j in range(H):
                    dx_row[j] += b * delta[j]
                for j in range(H):
                    delta[j] *= exp(dt_row[j] * a[j])
                for j in range(H):
                    ddt_row[j] += delta[j] * row[j] * a[j]
                for j in range(H):
                    da[j] += delta[j] * row[j] * dt_row[j]
                dB[t, n, s] = of_b
                dC[t, n, s] = of_c
            for j in range(H):
                ddt_row[j] += x_row[j] * dx_row[j]
                dx_row[j] *= dt_row[j]


@jit
def maximum(row: Array) -> Array:
    """Return the maximum of row (V,), by comparing bits: compilers vectorise a maximum of integers only.

    Read as integers, floats ≥ 0 keep their order; negative ones come below them, in reversed order.
    """
    bits = row.view(np.int32)
    highest = lowest = bits[0]
    for v in range(len(bits)):
        highest = max(highest, bits[v])
    if highest >= 0:
        return from_bits(highest)
    for v in range(len(bits)):
        lowest = min(lowest, bits[v])
    return from_bits(lowest)


@jit
def exp_scores(scores: Array, b: Array, targets: Array, chosen: Array, maxima: Array, sums: Array) -> None:
    """Turn products (K, V) into exp(score - maximum of its row), the score being the product plus b.

    Write the maxima and the sums of the rows, and the scores of the targets, 0 for those outside [0, V); (K,) each.
    """
    K, V = scores.shape
    for k in range(K):
        row, target = scores[k], targets[k]
        for v in range(V):
            row[v] += b[v]
        chosen[k] = row[target] if 0 <= target < V else _ZERO
        maxima[k] = maximum(row)
        top, total = maxima[k], np.float32(0)
        for v in range(V):
            row[v] = exp(row[v] - top)
        for v in range(V):
            total += row[v]
        sums[k] = total
