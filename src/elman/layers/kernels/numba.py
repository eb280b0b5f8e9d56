"""The pointwise work of a step in one pass, for float32: the same equations as in the layer files, unit by unit.

NumPy goes over the arrays once for every operation, which for a step of a small model costs more than the
product before it. These loops go over them once. Every function is plain Python, compiled where numba is
installed (see `elman.numba_jit`) and otherwise not used; sequences n, units j, words v.
"""

import numpy as np

from elman.arrays import Array
from elman.numba_jit import compiled

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


@compiled
def from_bits(bits: Array) -> Array:
    """Return the float32 whose bits, read as a whole number, are these."""
    return np.int32(bits).view(np.float32)


@compiled
def exp(x: Array) -> Array:
    """Return eˣ = 2ⁿ·eʳ, n the whole number nearest to x / ln 2: a form that vector units can follow."""
    y = min(max(x, _LOWEST), _HIGHEST)
    n = np.floor(y * _LOG2_E + _HALF)
    r = y - n * _LN2_HIGH - n * _LN2_LOW
    series = _ONE + r + r * r * (_E0 + r * (_E1 + r * (_E2 + r * (_E3 + r * _E4))))
    power = from_bits(np.int32((np.int32(n) + np.int32(127)) << np.int32(23)))
    return _ZERO if x < _LOWEST else series * power


@compiled
def tanh(x: Array) -> Array:
    """Return tanh(x): its series where x is small, (e²ˣ - 1)/(e²ˣ + 1) elsewhere."""
    q = x * x
    series = x + x * q * (_T0 + q * (_T1 + q * (_T2 + q * (_T3 + q * _T4))))
    return series if abs(x) < _SMALL else _ONE - _TWO / (_ONE + exp(_TWO * x))


@compiled
def sigmoid(x: Array) -> Array:
    """Return 1 / (1 + e⁻ˣ)."""
    return _ONE / (_ONE + exp(-x))


@compiled
def add_rows(dW: Array, ids: Array, rows: Array, seen: Array, distinct: Array) -> int:
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


@compiled
def add_product(x: Array, W: Array, out: Array) -> None:
    """out (G,) += x (K,) · W (K, G), four rows of W at a time so that `out` is read and written less often."""
    K, G = W.shape
    fours = K - K % 4
    for k in range(0, fours, 4):
        x0, x1, x2, x3 = x[k], x[k + 1], x[k + 2], x[k + 3]
        W0, W1, W2, W3 = W[k], W[k + 1], W[k + 2], W[k + 3]
        for j in range(G):
            out[j] += x0 * W0[j] + x1 * W1[j] + x2 * W2[j] + x3 * W3[j]
    for k in range(fours, K):
        for j in range(G):
            out[j] += x[k] * W[k, j]


@compiled
def rnn_step(z: Array, h: Array) -> None:
    """h (N, H) holds h_{t-1}·Wh; make it tanh of that plus z."""
    N, H = h.shape
    for n in range(N):
        for j in range(H):
            h[n, j] = tanh(h[n, j] + z[n, j])


@compiled
def rnn_steps(zs: Array, Wh: Array, hs: Array) -> None:
    """hs[t + 1] = tanh(hs[t]·Wh + zs[t]) for all t: zs (T, N, H), hs (T + 1, N, H)."""
    T, N, H = zs.shape
    for t in range(T):
        for n in range(N):
            h = hs[t + 1, n]
            for j in range(H):
                h[j] = zs[t, n, j]
            add_product(hs[t, n], Wh, h)
            for j in range(H):
                h[j] = tanh(h[j])


@compiled
def rnn_step_backward(dh_t: Array, h: Array, dh: Array, dz: Array) -> None:
    """dz = (dh + dh_t)∘(1 - h²), all (N, H)."""
    N, H = h.shape
    for n in range(N):
        for j in range(H):
            dz[n, j] = (dh[n, j] + dh_t[n, j]) * (_ONE - h[n, j] * h[n, j])


@compiled
def rnn_steps_backward(dhs: Array, hs: Array, WhT: Array, dh: Array, dzs: Array) -> None:
    """From the last step to the first: dzs[t] = (dh + dhs[t])∘(1 - hs[t + 1]²), and dh = dzs[t]·Whᵀ."""
    T, N, H = dhs.shape
    for t in range(T - 1, -1, -1):
        rnn_step_backward(dhs[t], hs[t + 1], dh, dzs[t])
        for n in range(N):
            for j in range(H):
                dh[n, j] = 0
            add_product(dzs[t, n], WhT, dh[n])


@compiled
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


@compiled
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


@compiled
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


@compiled
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


@compiled
def maximum(row: Array) -> Array:
    """Return the maximum of row (V,), found among the numbers' bits: vector units follow whole numbers only.

    Read as whole numbers, floats of at least 0 keep their order; those below 0 come below, in reversed order.
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


@compiled
def score_rows(scores: Array, b: Array, targets: Array, chosen: Array, maxima: Array, sums: Array) -> None:
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


@compiled
def differentiate_rows(exps: Array, factors: Array, targets: Array, weights: Array, db: Array) -> None:
    """Turn exponentials (K, V) into (softmax - one-hot)·weight, and add the rows to db (V,)."""
    K, V = exps.shape
    for k in range(K):
        row, factor, target = exps[k], factors[k], targets[k]
        for v in range(V):
            row[v] *= factor
        if 0 <= target < V:
            row[target] -= weights[k]
        for v in range(V):
            db[v] += row[v]
