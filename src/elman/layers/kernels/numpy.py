"""Kernels that work for NumPy arrays and torch tensors: one call of the array library for every operation.

All of them write into arrays that exist already, so that a loop over the steps allocates nothing. Backward, the
derivatives that do not depend on what flows back (1 - h², say) are computed for all steps at once, before the loop.
"""

from collections.abc import Sequence

import numpy as np

from elman.arrays import (
    Array,
    Buffers,
    as_ids,
    asarray,
    contiguous,
    in_double,
    namespace,
    one,
    sum_rows_by_id,
)
from elman.bfloat16 import widened

NORM_EPS = 1e-6  # ε of `norm`
NOTHING = -1e30  # the exponent of a sum without terms


def packed(W: Array, steps: int, rows: int, buffers: Buffers, name: str) -> Array:
    """Return W (K, G) in row-major order: the form that so many products of so many rows take fastest."""
    return contiguous(W)


def rnn_forward(first: int, last: int, zs: Array, Wh: Array, hs: Array) -> None:
    """hs[t + 1] = tanh(hs[t]·Wh + zs[t]): zs (T, N, H), Wh (H, H), hs (T + 1, N, H)."""
    xp = namespace(hs)
    for h_prev, z, h in zip(hs[first:last], zs[first:last], hs[first + 1 : last + 1], strict=True):
        xp.matmul(h_prev, Wh, out=h)
        xp.add(h, z, out=h)
        xp.tanh(h, out=h)


def rnn_backward(first: int, last: int, dhs: Array, hs: Array, WhT: Array, dh: Array, dzs: Array) -> None:
    """dzs[t] = (dh + dhs[t])∘(1 - hs[t + 1]²), then dh = dzs[t]·Whᵀ: dhs, dzs (T, N, H), dh (N, H)."""
    xp = namespace(hs)
    span, after = slice(first, last), hs[first + 1 : last + 1]
    dhs, dzs = dhs[span], dzs[span]
    xp.multiply(after, after, out=dzs)
    xp.subtract(one(dzs), dzs, out=dzs)  # tanh' = 1 - tanh²
    for t in reversed(range(last - first)):
        dz = dzs[t]
        xp.add(dh, dhs[t], out=dh)
        xp.multiply(dh, dz, out=dz)
        xp.matmul(dz, WhT, out=dh)


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
    xp, (N, H) = namespace(hs), hs.shape[1:]
    # σ(z) = ½·tanh(½z) + ½ makes one tanh serve all four gates: gate = tanh(z·slope)·slope + shift
    slope = buffers.once("slope", lambda: asarray(np.repeat([0.5, 0.5, 1.0, 0.5], H), hs))  # (4H,)
    shift = buffers.once("shift", lambda: asarray(np.repeat([0.5, 0.5, 0.0, 0.5], H), hs))  # (4H,)
    ig = buffers.get("ig", (N, H), hs)
    span, after = slice(first, last), slice(first + 1, last + 1)
    of_gates = (gates[span, :, k * H : (k + 1) * H] for k in range(4))
    steps = zip(  # which makes the views of a step faster than indices do
        hs[span], zs[span], gates[span], *of_gates, cs[span], cs[after], tanh_cs[span], hs[after], strict=True
    )
    for h_prev, z, gate, i, f, g, o, c_prev, c, tanh_c, h in steps:
        xp.matmul(h_prev, Wh, out=gate)
        xp.add(gate, z, out=gate)
        xp.multiply(gate, slope, out=gate)
        xp.tanh(gate, out=gate)
        xp.multiply(gate, slope, out=gate)
        xp.add(gate, shift, out=gate)
        xp.multiply(f, c_prev, out=c)
        xp.multiply(i, g, out=ig)
        xp.add(c, ig, out=c)
        xp.tanh(c, out=tanh_c)
        xp.multiply(o, tanh_c, out=h)


def lstm_word(
    x: Array, Wx: Array, Wh: Array, b: Array, h: Array, c: Array, new_h: Array, new_c: Array, work: Array
) -> None:
    """Write the h and c (1, H) that follow h and c after the input x (D,); ``work`` is (3, 4H)."""
    xp, H = namespace(h), h.shape[1]
    z = work[:1]
    xp.add(h @ Wh, x @ Wx + b, out=z)
    sigmoid(z[:, : 2 * H], out=z[:, : 2 * H])
    xp.tanh(z[:, 2 * H : 3 * H], out=z[:, 2 * H : 3 * H])
    sigmoid(z[:, 3 * H :], out=z[:, 3 * H :])
    i, f, g, o = (z[:, k * H : (k + 1) * H] for k in range(4))
    xp.add(f * c, i * g, out=new_c)
    xp.multiply(o, xp.tanh(new_c), out=new_h)


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
    xp, (T, N, H) = namespace(cs), tanh_cs.shape
    dc_dh = buffers.get("dc_dh", (T, N, H), cs)
    through_h = buffers.get("through_h", (N, H), cs)
    _lstm_derivatives(slice(first, last), cs, tanh_cs, gates, dzs, dc_dh, buffers)
    for t in reversed(range(first, last)):
        dz = dzs[t].reshape(N, 4, H)  # still ∂z_{i,f,g}/∂c and ∂z_o/∂h
        xp.add(dh, dhs[t], out=dh)
        xp.multiply(dh, dc_dh[t], out=through_h)
        xp.add(dc, through_h, out=dc)
        xp.multiply(dc[:, None, :], dz[:, :3], out=dz[:, :3])
        xp.multiply(dh, dz[:, 3], out=dz[:, 3])
        xp.multiply(dc, gates[t][:, H : 2 * H], out=dc)
        xp.matmul(dzs[t], WhT, out=dh)


def _lstm_derivatives(
    span: slice, cs: Array, tanh_cs: Array, gates: Array, dzs: Array, dc_dh: Array, buffers: Buffers
) -> None:
    """Write ∂z_{i,f,g}/∂c and ∂z_o/∂h of these steps to dzs, and ∂c/∂h to dc_dh."""
    xp, (T, N, H) = namespace(cs), dc_dh.shape
    unit, work = one(cs), buffers.get("work", (T, N, H), cs)[span]

    def sigmoid_part(out: Array, factor: Array, gate: Array) -> None:
        """out = factor · gate·(1 - gate)."""
        xp.subtract(unit, gate, out=work)
        xp.multiply(work, gate, out=work)
        xp.multiply(factor, work, out=out)

    def tanh_part(out: Array, factor: Array, gate: Array) -> None:
        """out = factor · (1 - gate²)."""
        xp.multiply(gate, gate, out=work)
        xp.subtract(unit, work, out=work)
        xp.multiply(factor, work, out=out)

    i, f, g, o = (gates[span, :, k * H : (k + 1) * H] for k in range(4))
    dzi, dzf, dzg, dzo = (dzs[span, :, k * H : (k + 1) * H] for k in range(4))
    sigmoid_part(dzi, g, i)
    sigmoid_part(dzf, cs[span], f)
    tanh_part(dzg, i, g)
    sigmoid_part(dzo, tanh_cs[span], o)
    tanh_part(dc_dh[span], o, tanh_cs[span])


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
    xp, H = namespace(hs), hs.shape[2]
    span, after = slice(first, last), slice(first + 1, last + 1)
    ranges = [slice(0, 2 * H), slice(0, H), slice(H, 2 * H), slice(2 * H, 3 * H)]  # r and z, r, z, a
    of_gates = (products[span, :, columns] for columns in ranges)
    of_zs = (zs[span, :, columns] for columns in (ranges[0], ranges[3]))
    steps = zip(hs[span], products[span], *of_gates, *of_zs, ns[span], hs[after], strict=True)
    for h_prev, product, rz, r, z, a, z_rz, z_n, n, h in steps:
        xp.matmul(h_prev, Wh, out=product)
        xp.add(rz, z_rz, out=rz)
        xp.multiply(rz, 0.5, out=rz)  # σ(z) = ½·tanh(½z) + ½
        xp.tanh(rz, out=rz)
        xp.multiply(rz, 0.5, out=rz)
        xp.add(rz, 0.5, out=rz)
        if b_h is not None:
            xp.add(a, b_h, out=a)
        xp.multiply(r, a, out=n)
        xp.add(n, z_n, out=n)
        xp.tanh(n, out=n)
        xp.subtract(h_prev, n, out=h)
        xp.multiply(h, z, out=h)
        xp.add(h, n, out=h)


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
    xp, (N, H) = namespace(hs), hs.shape[1:]
    through_z = buffers.get("through_z", (N, H), hs)
    _gru_derivatives(slice(first, last), hs, products, ns, towards_x, buffers)
    for t in reversed(range(first, last)):
        dx, d_product, product = towards_x[t], towards_h[t], products[t]
        r, z = product[:, :H], product[:, H : 2 * H]
        dzr, dzz, dzn = dx[:, :H], dx[:, H : 2 * H], dx[:, 2 * H :]  # still the derivatives
        xp.add(dh, dhs[t], out=dh)
        xp.multiply(dh, dzn, out=dzn)
        xp.multiply(dh, dzz, out=dzz)
        xp.multiply(dzn, dzr, out=dzr)
        d_product[:, : 2 * H] = dx[:, : 2 * H]
        xp.multiply(dzn, r, out=d_product[:, 2 * H :])
        xp.multiply(dh, z, out=through_z)
        xp.matmul(d_product, WhT, out=dh)
        xp.add(dh, through_z, out=dh)


def _gru_derivatives(
    span: slice, hs: Array, products: Array, ns: Array, towards_x: Array, buffers: Buffers
) -> None:
    """Write ∂z_n/∂z_r, ∂h/∂z_z and ∂h/∂z_n of these steps to towards_x, in this order."""
    xp, (T, N, H) = namespace(ns), ns.shape
    unit, minus = one(ns), buffers.get("minus", (T, N, H), ns)[span]
    r, z, a = (products[span, :, k * H : (k + 1) * H] for k in range(3))
    dzr, dzz, dzn = (towards_x[span, :, k * H : (k + 1) * H] for k in range(3))
    n, h_prev = ns[span], hs[span]
    xp.subtract(unit, z, out=minus)
    xp.multiply(n, n, out=dzn)
    xp.subtract(unit, dzn, out=dzn)
    xp.multiply(dzn, minus, out=dzn)  # (1 - z)·(1 - n²)
    xp.subtract(h_prev, n, out=dzz)
    xp.multiply(dzz, z, out=dzz)
    xp.multiply(dzz, minus, out=dzz)  # (h_{t-1} - n)·z·(1 - z)
    xp.subtract(unit, r, out=minus)
    xp.multiply(a, r, out=dzr)
    xp.multiply(dzr, minus, out=dzr)  # a·r·(1 - r)


def scan(first: int, last: int, a: Array, b: Array, states: Array) -> None:
    """states[t + 1] = a[t]∘states[t] + b[t]: a and b (T, N, H), states (T + 1, N, H)."""
    xp, span = namespace(a), slice(first, last)
    for gate, new, before, after in zip(
        a[span], b[span], states[span], states[first + 1 : last + 1], strict=True
    ):
        xp.multiply(gate, before, out=after)
        xp.add(after, new, out=after)


def scan_backward(first: int, last: int, a: Array, ds: Array, deltas: Array, flow: Array) -> None:
    """deltas[t] = ds[t] + flow, then flow = a[t]∘deltas[t], from the last step to the first; flow is (N, H).

    ds and deltas (T, N, H) may be the same.
    """
    xp = namespace(a)
    for t in reversed(range(first, last)):
        xp.add(ds[t], flow, out=deltas[t])
        xp.multiply(a[t], deltas[t], out=flow)


def pool(us: Array, positive: bool, z: Array, n: Array, states: Array) -> None:
    """z = σ(u_z), n = tanh(u_n) or, if ``positive``, g(u_n) (see `elman.layers.mingru`), and the moving average of n.

    That is states[t + 1] = (1 - z)∘states[t] + z∘n: states (T + 1, N, H), z and n (T, N, H). us (T, N, 2H) holds u_z
    and u_n, and is work space afterwards.
    """
    xp, H = namespace(z), z.shape[2]
    u_z, u_n = us[:, :, :H], us[:, :, H:]
    sigmoid(u_z, out=z)
    if positive:
        positive_candidate(u_n, out=n)
    else:
        xp.tanh(u_n, out=n)
    one_minus(z, out=u_z)
    xp.multiply(z, n, out=states[1:])
    for keep, before, after in zip(u_z, states[:-1], states[1:], strict=True):
        xp.multiply(keep, before, out=keep)
        xp.add(after, keep, out=after)


def pool_backward(
    dhs: Array, states: Array, z: Array, n: Array, positive: bool, flow: Array, dus: Array, buffers: Buffers
) -> None:
    """dz = δ∘(n - h_{t-1})∘z∘(1 - z) and dn = δ∘z∘n', with δ = dhs[t] + flow, then flow = (1 - z)∘δ, step by step.

    dus (T, N, 2H) holds dz and dn, flow is (N, H), and the others are as in `pool`.
    """
    xp, H = namespace(z), z.shape[2]
    dz, dn = dus[:, :, :H], dus[:, :, H:]
    keep, delta, work = (buffers.get(name, tuple(z.shape), z) for name in ("keep", "delta", "slope"))
    one_minus(z, out=keep)
    for t in reversed(range(z.shape[0])):
        xp.add(dhs[t], flow, out=delta[t])
        xp.multiply(keep[t], delta[t], out=flow)
    xp.multiply(delta, z, out=delta)
    xp.multiply(keep, delta, out=keep)
    xp.subtract(n, states[:-1], out=work)
    xp.multiply(work, keep, out=dz)
    if positive:
        positive_slope(n, out=work, work=keep)
    else:
        tanh_slope(n, out=work)
    xp.multiply(work, delta, out=dn)


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
    xp = namespace(ys)
    for t in range(first, last):
        before = _exponents(b[t], p[t])
        q = xp.maximum(before, k[t] + u)
        kept, new = xp.exp(before - q), xp.exp(k[t] + u - q)
        ys[t] = (kept * a[t] + new * v[t]) / (kept * b[t] + new)
        p[t + 1] = xp.maximum(before - rate, k[t])
        kept, new = xp.exp(before - rate - p[t + 1]), xp.exp(k[t] - p[t + 1])
        a[t + 1] = kept * a[t] + new * v[t]
        b[t + 1] = kept * b[t] + new


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
    xp = namespace(ys)
    da, db = flow
    for t in reversed(range(first, last)):
        before = _exponents(b[t], p[t])
        q = xp.maximum(before, k[t] + u)
        kept, new = xp.exp(before - q), xp.exp(k[t] + u - q)
        d_numerator = dys[t] / (kept * b[t] + new)
        dv[t] = d_numerator * new
        dk[t] = dv[t] * (v[t] - ys[t])
        du += dk[t].sum(axis=0)
        through, added = xp.exp(before - rate - p[t + 1]), xp.exp(k[t] - p[t + 1])
        dv[t] += da * added
        dk[t] += (da * v[t] + db) * added
        da *= through
        db *= through
        d_rate -= (da * a[t] + db * b[t]).sum(axis=0)
        da += d_numerator * kept
        db -= d_numerator * kept * ys[t]


def _exponents(b: Array, p: Array) -> Array:
    """Return p, but what is as good as -∞ where b is 0."""
    return p + NOTHING * (b == 0)


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

    Before every ``chunk``-th step S is copied to kept (chunks, N, heads, d, d). See `elman.layers.rwkv7`.
    """
    N, heads, d, _ = S.shape
    for t in range(first, last):
        if t % chunk == 0:
            kept[t // chunk] = S
        _rwkv7_step([x[t].reshape(N, heads, d) for x in (w, k, v, kappa, a)], S)
        ys[t] = namespace(S).matmul(S, r[t].reshape(N, heads, d, 1)).reshape(N, heads * d)


def _rwkv7_step(parts: Sequence[Array], S: Array) -> None:
    """Make S (N, heads, d, d) that of the next step, given its w, k, v, κ and a (N, heads, d)."""
    w, k, v, kappa, a = parts
    removed = namespace(S).matmul(S, kappa[..., None])  # (N, heads, d, 1)
    S *= w[:, :, None]
    S -= removed * (kappa * a)[:, :, None]
    S += v[..., None] * k[:, :, None]


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
    xp = namespace(dS)
    N, heads, d, _ = dS.shape
    states = buffers.get("states", (chunk + 1, *dS.shape), dS)  # states[j]: before step j of a chunk
    while last > first:
        begin = (last - 1) // chunk * chunk
        states[0] = kept[begin // chunk]
        for j, t in enumerate(range(begin, last)):
            states[j + 1] = states[j]
            _rwkv7_step([x[t].reshape(N, heads, d) for x in (w, k, v, kappa, a)], states[j + 1])
        for t in reversed(range(max(first, begin), last)):
            before, after = states[t - begin], states[t - begin + 1]
            of_r, of_w, of_k, of_v, of_kappa, of_a, dy = (
                x[t].reshape(N, heads, d, 1) for x in (r, w, k, v, kappa, a, dys)
            )
            dS += dy * of_r.swapaxes(2, 3)
            d_removed = -xp.matmul(dS, of_kappa * of_a)  # the gradient of S·κ, (N, heads, d, 1)
            db = -xp.matmul(dS.swapaxes(2, 3), xp.matmul(before, of_kappa))  # of κ∘a
            dkappa[t] = (xp.matmul(before.swapaxes(2, 3), d_removed) + db * of_a).reshape(N, heads * d)
            da[t] = (db * of_kappa).reshape(N, heads * d)
            dr[t] = xp.matmul(after.swapaxes(2, 3), dy).reshape(N, heads * d)
            dw[t] = (dS * before).sum(axis=2).reshape(N, heads * d)
            dk[t] = xp.matmul(dS.swapaxes(2, 3), of_v).reshape(N, heads * d)
            dv[t] = xp.matmul(dS, of_k).reshape(N, heads * d)
            dS *= of_w.swapaxes(2, 3)
            dS += d_removed * of_kappa.swapaxes(2, 3)
        last = max(first, begin)


def norm(x: Array, gain: Array, scales: Array, out: Array, eps: float = NORM_EPS) -> None:
    """out = x·r∘gain row by row, scales = r = 1/√(mean(x²) + ε): x and out (K, D), gain (D,), scales (K,)."""
    xp = namespace(x)
    xp.multiply(x, x, out=out)
    scales[...] = (out.sum(axis=1) / x.shape[1] + eps) ** -0.5
    xp.multiply(x, scales[:, None], out=out)
    xp.multiply(out, gain, out=out)


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
    xp, (K, D) = namespace(x), x.shape
    normed = buffers.get("normed", (K, D), x)  # x̂
    work = buffers.get("work", (K, D), x)
    xp.multiply(x, scales[:, None], out=normed)
    xp.multiply(dout, normed, out=work)
    dgain += work.sum(axis=0)
    xp.multiply(work, gain, out=work)  # d∘x̂
    means = work.sum(axis=1) / D  # (K,)
    xp.multiply(normed, means[:, None], out=normed)
    xp.multiply(dout, gain, out=work)
    xp.subtract(work, normed, out=work)
    xp.multiply(work, scales[:, None], out=work)
    xp.add(besides, work, out=dx)


def gate(h: Array, u: Array, sigma: Array, out: Array) -> None:
    """sigma = σ(u) and out = h∘u∘σ(u): arrays of one shape."""
    xp = namespace(u)
    sigmoid(u, out=sigma)
    xp.multiply(u, sigma, out=out)
    xp.multiply(out, h, out=out)


def gate_backward(d: Array, h: Array, u: Array, sigma: Array, du: Array) -> None:
    """Turn d, the gradient of the output, into that of h, d∘u∘σ; du = d∘h∘(σ + u∘σ∘(1 - σ)): arrays of one shape."""
    xp = namespace(u)
    one_minus(sigma, out=du)
    xp.multiply(du, u, out=du)
    xp.add(du, 1.0, out=du)  # 1 + u∘(1 - σ), which is silu' / σ
    xp.multiply(d, sigma, out=d)
    xp.multiply(du, d, out=du)
    xp.multiply(du, h, out=du)
    xp.multiply(d, u, out=d)


def sru_scan(first: int, last: int, zs: Array, v: Array, fs: Array, cs: Array) -> None:
    """fs[t] = σ(z_f + v_f∘cs[t]), cs[t + 1] = fs[t]∘cs[t] + (1 - fs[t])∘u: fs (T, N, H), cs (T + 1, N, H).

    zs[t] (N, 3H or 4H) holds z_f, z_r and u, v (2H,) holds v_f and v_r.
    """
    xp, H, span = namespace(zs), cs.shape[2], slice(first, last)
    steps = zip(
        zs[span, :, :H],
        zs[span, :, 2 * H : 3 * H],
        fs[span],
        cs[span],
        cs[first + 1 : last + 1],
        strict=True,
    )
    for z, u, f, before, after in steps:
        xp.multiply(before, v[:H], out=f)
        xp.add(f, z, out=f)
        xp.multiply(f, 0.5, out=f)  # σ(z) = ½·tanh(½z) + ½
        xp.tanh(f, out=f)
        xp.multiply(f, 0.5, out=f)
        xp.add(f, 0.5, out=f)
        xp.subtract(before, u, out=after)
        xp.multiply(after, f, out=after)
        xp.add(after, u, out=after)


def mogrify(products: Array, values: Array, gated: Array) -> None:
    """Turn products (N, W) into factors 2σ(product), in place, and write gated = factors∘values."""
    xp = namespace(products)
    xp.multiply(products, 0.5, out=products)  # 2σ(z) = tanh(½z) + 1
    xp.tanh(products, out=products)
    xp.add(products, 1.0, out=products)
    xp.multiply(products, values, out=gated)


def mogrify_backward(factors: Array, gated: Array, d_gated: Array, d_products: Array) -> None:
    """Write d_products = d_gated∘gated∘(1 - ½factors), and over d_gated (N, W) d_values = d_gated∘factors."""
    xp = namespace(factors)
    xp.multiply(factors, -0.5, out=d_products)
    xp.add(d_products, 1.0, out=d_products)
    xp.multiply(d_products, gated, out=d_products)
    xp.multiply(d_products, d_gated, out=d_products)
    xp.multiply(d_gated, factors, out=d_gated)


def convolve(
    first: int, last: int, before: Array, us: Array, W: Array, b: Array, sigmas: Array, vs: Array
) -> None:
    """vs[t] = silu(b + Σ_k W[k]∘us[t - K + 1 + k]) for these steps, and sigmas the σ of the sum.

    us, sigmas and vs are (T, N, C), W is (K, C); ``before`` (K - 1, N, C) are the inputs of the steps before 0.
    """
    xp, K, span = namespace(us), len(W), slice(first, last)
    out, work = vs[span], sigmas[span]
    xp.multiply(us[span], W[K - 1], out=out)
    for k in range(1, K):  # steps back
        inner = min(max(first, k), last)  # from here on the step lies in this block
        at, of_weight = first + K - 1 - k, W[K - 1 - k]
        xp.multiply(before[at : at + inner - first], of_weight, out=work[: inner - first])
        xp.multiply(us[inner - k : last - k], of_weight, out=work[inner - first :])
        xp.add(out, work, out=out)
    xp.add(out, b, out=out)
    sigmoid(out, out=work)
    xp.multiply(out, work, out=out)


def convolve_backward(
    first: int, last: int, dvs: Array, vs: Array, sigmas: Array, W: Array, dsums: Array, dus: Array
) -> None:
    """Write dsums, the gradients of the sums, and dus of these steps, (T, N, C) each; later steps are done."""
    xp, K, span, T = namespace(vs), len(W), slice(first, last), len(vs)
    dsum, du = dsums[span], dus[span]
    one_minus(sigmas[span], out=dsum)
    xp.multiply(dsum, vs[span], out=dsum)
    xp.add(dsum, sigmas[span], out=dsum)  # silu' = σ + silu∘(1 - σ)
    xp.multiply(dsum, dvs[span], out=dsum)
    xp.multiply(dsum, W[K - 1], out=du)
    for k in range(1, K):
        after = dsums[first + k : min(last + k, T)]
        du[: len(after)] += after * W[K - 1 - k]


def decays(logs: Array, out: Array) -> None:
    """out[..., i, j] = exp(Σ logs[k] over j < k ≤ i), 0 for j > i: logs (Q, …), out (…, Q, Q)."""
    xp = namespace(logs)
    sums = xp.cumsum(in_double(logs, logs), 0)  # (Q, …), in float64: differences of large sums follow
    rows = xp.moveaxis(sums, 0, -1)  # (…, Q)
    differences = rows[..., :, None] - rows[..., None, :]  # (…, Q, Q)
    out[...] = xp.exp(xp.clip(differences, None, 0.0))
    out *= xp.tril(xp.ones_like(out))


def step_states(decay: Array, x: Array, B: Array, C: Array, states: Array, out: Array) -> None:
    """states = decay·states + x·Bᵀ, then out = states·C, for one step.

    decay is (N, G, R), x and out (N, G, R, P), B and C (N, G, S), states (N, G, R·P, S).
    """
    N, G, R, P = x.shape
    heads = states.reshape(N, G, R, P, -1)  # (N, G, R, P, S)
    heads *= decay[..., None, None]
    heads += x[..., None] * B[:, :, None, None]
    out[...] = namespace(x).matmul(states, C[..., None]).reshape(N, G, R, P)


def selective_scan(dt: Array, x: Array, B: Array, C: Array, A: Array, state: Array, y: Array) -> None:
    """state = exp(dt[t]∘A)∘state + B[t]·(dt[t]∘x[t])ᵀ and y[t] = C[t]·state, for all steps.

    dt, x and y are (Q, N, H), B and C (Q, N, S), A is (S, H), state (N, S, H).
    """
    xp = namespace(x)
    for dt_t, x_t, B_t, C_t, y_t in zip(dt, x, B, C, y, strict=True):
        state *= xp.exp(dt_t[:, None] * A)
        state += B_t[..., None] * (dt_t * x_t)[:, None]
        y_t[...] = (C_t[:, None] @ state)[:, 0]


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
    xp = namespace(x)
    states = buffers.get("states", (len(x) + 1, *before.shape), before)  # (Q + 1, N, S, H)
    states[0] = before
    for t in range(len(x)):
        xp.exp(dt[t][:, None] * A, out=states[t + 1])
        states[t + 1] *= states[t]
        states[t + 1] += B[t][..., None] * (dt[t] * x[t])[:, None]
    for t in reversed(range(len(x))):
        dC[t] = (states[t + 1] @ dy[t][..., None])[..., 0]
        flow += C[t][..., None] * dy[t][:, None]
        dB[t] = (flow @ (dt[t] * x[t])[..., None])[..., 0]
        inputs = (B[t][:, None] @ flow)[:, 0]  # (N, H)
        flow *= xp.exp(dt[t][:, None] * A)
        dlogs = flow * states[t]  # (N, S, H)
        ddt[t] = (dlogs * A).sum(axis=1) + x[t] * inputs
        dx[t] = dt[t] * inputs
        dA += (dlogs * dt[t][:, None]).sum(axis=0)


def exp_rows(scores: Array) -> tuple[Array, Array]:
    """Turn scores (K, V) into exp(score - maximum of its row), in place; return the maxima and the sums, (K,) each.

    Subtracting the maximum prevents overflow. An exponential divided by its row's sum is a probability, and
    -ln P(target) is ln(sum) + maximum - score of the target.
    """
    xp = namespace(scores)
    maxima = xp.amax(scores, axis=1)  # (K,)
    xp.subtract(scores, maxima[:, None], out=scores)
    xp.exp(scores, out=scores)
    return maxima, scores.sum(axis=1)


def score_rows(scores: Array, b: Array, targets: Array) -> tuple[Array, Array, Array]:
    """Turn products (K, V) into exp(score - maximum of its row), in place, the score being the product plus b (V,).

    Return the scores of the targets (0 for a target outside [0, V)), the maxima and the sums: (K,) each.
    """
    xp, (K, V) = namespace(scores), scores.shape
    xp.add(scores, b, out=scores)
    within = (targets >= 0) & (targets < V)  # (K,)
    chosen = xp.where(within, scores[as_ids(range(K), scores), targets * within], 0)  # (K,)
    return chosen, *exp_rows(scores)


def differentiate_rows(exps: Array, factors: Array, targets: Array, weights: Array, db: Array) -> None:
    """Turn exponentials (K, V) into (softmax - one-hot)·weight, in place, and add the rows to db (V,).

    An exponential times the factor (K,) of its row is softmax·weight. A target outside [0, V) has no one-hot entry.
    """
    K, V = exps.shape
    namespace(exps).multiply(exps, factors[:, None], out=exps)
    within = (targets >= 0) & (targets < V)  # (K,)
    exps[as_ids(range(K), exps), targets * within] -= weights * within
    db += exps.sum(axis=0)


def reduced_product(rows: Array, values: Array, scales: Array, out: Array) -> None:
    """out = rows·W (K, V), for rows (K, H) and W (H, V) as the bits of bfloat16, or as int8 times scales (V,)."""
    if values.dtype == np.int8:
        np.matmul(rows, values.astype(np.float32), out=out)
        np.multiply(out, scales, out=out)
    else:
        np.matmul(rows, widened(values), out=out)


def add_rows(dW: Array, ids: Array, rows: Array, buffers: Buffers) -> Array:
    """dW[ids[k]] += rows[k] for rows (K, D); return the distinct ids, in ascending order."""
    distinct, sums = sum_rows_by_id(ids, rows)
    dW[distinct] += sums
    return distinct


# Functions of one number


def sigmoid(z: Array, out: Array) -> None:
    """out = σ(z) = ½·tanh(½z) + ½, which cannot overflow."""
    xp = namespace(z)
    xp.multiply(z, 0.5, out=out)
    xp.tanh(out, out=out)
    xp.multiply(out, 0.5, out=out)
    xp.add(out, 0.5, out=out)


def sigmoid_slope(gate: Array, out: Array) -> None:
    """out = gate∘(1 - gate), the derivative of σ where it is ``gate``."""
    xp = namespace(gate)
    xp.multiply(gate, gate, out=out)
    xp.subtract(gate, out, out=out)


def tanh_slope(y: Array, out: Array) -> None:
    """out = 1 - y², the derivative of tanh where it is ``y``."""
    namespace(y).multiply(y, y, out=out)
    one_minus(out, out=out)


def one_minus(gate: Array, out: Array) -> None:
    """out = 1 - gate."""
    namespace(gate).subtract(one(gate), gate, out=out)


def positive_candidate(u: Array, out: Array) -> None:
    """out = g(u) = max(u, 0) + σ(min(u, 0)); u is overwritten."""
    xp = namespace(u)
    xp.clip(u, None, 0.0, out=out)
    sigmoid(out, out)
    xp.clip(u, 0.0, None, out=u)
    xp.add(out, u, out=out)


def positive_slope(g: Array, out: Array, work: Array) -> None:
    """out = g'(u), given g(u): with m = min(g, ½), m - m², and ¾ more where g ≥ ½; choosing is slower than adding."""
    xp = namespace(g)
    xp.greater_equal(g, 0.5, out=work)
    xp.multiply(work, 0.75, out=work)
    xp.clip(g, None, 0.5, out=out)
    xp.add(work, out, out=work)
    xp.multiply(out, out, out=out)
    xp.subtract(work, out, out=out)
