"""The slow, obvious form of every layer in float64: one sequence and one step at a time, as in the equations.

It shares no code with src/elman, so that a mistake would have to be made twice to go unnoticed.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]


def sigmoid(z: Floats) -> Floats:
    return 1 / (1 + np.exp(-z))


def one_hot(ids: NDArray[Any], V: int) -> Floats:
    return np.eye(V)[ids]


def rnn(xs: Floats, Wx: Floats, Wh: Floats, b: Floats, h0: Floats | None = None) -> Floats:
    """xs (N, T, D) -> hs (N, T, H)."""
    N, T, _ = xs.shape
    hs = np.zeros((N, T, len(Wh)))
    for n in range(N):
        h = np.zeros(len(Wh)) if h0 is None else h0[n]
        for t in range(T):
            h = np.tanh(h @ Wh + xs[n, t] @ Wx + b)
            hs[n, t] = h
    return hs


def lstm(
    xs: Floats, Wx: Floats, Wh: Floats, b: Floats, h0: Floats | None = None, c0: Floats | None = None
) -> tuple[Floats, Floats]:
    """xs (N, T, D) -> hs, cs (N, T, H); gates in the order i, f, g, o."""
    N, T, _ = xs.shape
    hs, cs = np.zeros((N, T, len(Wh))), np.zeros((N, T, len(Wh)))
    for n in range(N):
        h = np.zeros(len(Wh)) if h0 is None else h0[n]
        c = np.zeros(len(Wh)) if c0 is None else c0[n]
        for t in range(T):
            i, f, g, o = np.split(h @ Wh + xs[n, t] @ Wx + b, 4)
            c = sigmoid(f) * c + sigmoid(i) * np.tanh(g)
            h = sigmoid(o) * np.tanh(c)
            hs[n, t], cs[n, t] = h, c
    return hs, cs


def gru(
    xs: Floats, Wx: Floats, Wh: Floats, b: Floats, b_h: Floats | None = None, h0: Floats | None = None
) -> Floats:
    """xs (N, T, D) -> hs (N, T, H); gates in the order r, z, n; b_h (H,) is inside the reset."""
    N, T, _ = xs.shape
    hs = np.zeros((N, T, len(Wh)))
    for n in range(N):
        h = np.zeros(len(Wh)) if h0 is None else h0[n]
        for t in range(T):
            xr, xz, xn = np.split(xs[n, t] @ Wx + b, 3)
            hr, hz, hn = np.split(h @ Wh, 3)
            r, z = sigmoid(xr + hr), sigmoid(xz + hz)
            new = np.tanh(xn + r * (hn if b_h is None else hn + b_h))
            h = (1 - z) * new + z * h
            hs[n, t] = h
    return hs


class RnnStep:
    """One sequence, one step: x (D,), h (H,)."""

    def __init__(self, Wx: Floats, Wh: Floats, b: Floats) -> None:
        self.Wx, self.Wh, self.b = Wx, Wh, b

    def forward(self, x: Floats, h: Floats) -> tuple[Floats, ...]:
        self.x, self.h = x, h
        self.h_next = np.tanh(h @ self.Wh + x @ self.Wx + self.b)
        return (self.h_next,)

    def backward(self, dh_next: Floats) -> tuple[Floats, tuple[Floats, ...], tuple[Floats, ...]]:
        dz = dh_next * (1 - self.h_next**2)
        return self.Wx @ dz, (self.Wh @ dz,), (np.outer(self.x, dz), np.outer(self.h, dz), dz)


class LstmStep(RnnStep):
    def forward(self, x: Floats, h: Floats, c: Floats) -> tuple[Floats, ...]:
        zi, zf, zg, zo = np.split(h @ self.Wh + x @ self.Wx + self.b, 4)
        self.x, self.h, self.c = x, h, c
        self.i, self.f, self.g, self.o = sigmoid(zi), sigmoid(zf), np.tanh(zg), sigmoid(zo)
        self.c_next = self.f * c + self.i * self.g
        return self.o * np.tanh(self.c_next), self.c_next

    def backward(
        self, dh_next: Floats, dc_next: Floats
    ) -> tuple[Floats, tuple[Floats, ...], tuple[Floats, ...]]:
        i, f, g, o = self.i, self.f, self.g, self.o
        do = dh_next * np.tanh(self.c_next)
        dc = dc_next + dh_next * o * (1 - np.tanh(self.c_next) ** 2)
        di, df, dg = dc * g, dc * self.c, dc * i
        dz = np.concatenate([di * i * (1 - i), df * f * (1 - f), dg * (1 - g**2), do * o * (1 - o)])
        return self.Wx @ dz, (self.Wh @ dz, dc * f), (np.outer(self.x, dz), np.outer(self.h, dz), dz)


class GruStep:
    def __init__(self, Wx: Floats, Wh: Floats, b: Floats, b_h: Floats | None = None) -> None:
        self.Wx, self.Wh, self.b, self.b_h = Wx, Wh, b, b_h

    def forward(self, x: Floats, h: Floats) -> tuple[Floats, ...]:
        xr, xz, xn = np.split(x @ self.Wx + self.b, 3)
        hr, hz, hn = np.split(h @ self.Wh, 3)
        self.x, self.h = x, h
        self.r, self.z = sigmoid(xr + hr), sigmoid(xz + hz)
        self.inside = hn if self.b_h is None else hn + self.b_h
        self.new = np.tanh(xn + self.r * self.inside)
        return ((1 - self.z) * self.new + self.z * h,)

    def backward(self, dh_next: Floats) -> tuple[Floats, tuple[Floats, ...], tuple[Floats, ...]]:
        r, z, new = self.r, self.z, self.new
        dnew, dz, dh = dh_next * (1 - z), dh_next * (self.h - new), dh_next * z
        dxn = dnew * (1 - new**2)
        dr, dinside = dxn * self.inside, dxn * r
        dxr, dxz = dr * r * (1 - r), dz * z * (1 - z)
        dx_side, dh_side = np.concatenate([dxr, dxz, dxn]), np.concatenate([dxr, dxz, dinside])
        grads = (np.outer(self.x, dx_side), np.outer(self.h, dh_side), dx_side)
        if self.b_h is not None:
            grads += (dinside,)
        return self.Wx @ dx_side, (dh + self.Wh @ dh_side,), grads


def backward_through_time(
    Step: Any, weights: list[Floats], xs: Floats, dhs: Floats, *states: Floats
) -> tuple[Floats, list[Floats], list[Floats]]:
    """Return dxs, the gradient of every weight, and that of every incoming state (h, then c; (N, H) each)."""
    N, T, _ = xs.shape
    dxs = np.zeros_like(xs)
    grads = [np.zeros_like(w) for w in weights]
    dstates = [np.zeros_like(s) for s in states]
    for n in range(N):
        steps, state = [], tuple(s[n] for s in states)
        for t in range(T):
            steps.append(Step(*weights))
            state = steps[t].forward(xs[n, t], *state)
        dstate = [np.zeros_like(s) for s in state]
        for t in reversed(range(T)):
            dstate[0] = dstate[0] + dhs[n, t]
            dxs[n, t], dstate_before, step_grads = steps[t].backward(*dstate)
            dstate = list(dstate_before)
            for total, grad in zip(grads, step_grads, strict=True):
                total += grad
        for whole, row in zip(dstates, dstate, strict=True):
            whole[n] = row
    return dxs, grads, dstates


def recursive(leaves: Floats, pairs: Any, Wl: Floats, Wr: Floats, b: Floats) -> Floats:
    """leaves (L, H), pairs (P, 2) of node numbers -> all nodes (L + P, H), one parent at a time."""
    nodes = list(leaves)
    for left, right in pairs:
        nodes.append(np.tanh(nodes[left] @ Wl + nodes[right] @ Wr + b))
    return np.array(nodes)


def recursive_backward(
    leaves: Floats, pairs: Any, dnodes: Floats, Wl: Floats, Wr: Floats, b: Floats
) -> tuple[Floats, list[Floats]]:
    """Return the gradient of the leaves (L, H) and of every weight, for that of all nodes (L + P, H)."""
    nodes, dhs = recursive(leaves, pairs, Wl, Wr, b), dnodes.copy()
    dWl, dWr, db = np.zeros_like(Wl), np.zeros_like(Wr), np.zeros_like(b)
    for k in reversed(range(len(pairs))):
        (left, right), parent = pairs[k], len(leaves) + k
        dz = dhs[parent] * (1 - nodes[parent] ** 2)
        dWl += np.outer(nodes[left], dz)
        dWr += np.outer(nodes[right], dz)
        db += dz
        dhs[left] += Wl @ dz
        dhs[right] += Wr @ dz
    return dhs[: len(leaves)], [dWl, dWr, db]


def embedding(ids: NDArray[Any], W: Floats) -> Floats:
    """ids (N, T) -> (N, T, D)."""
    return np.array([[W[k] for k in row] for row in ids])


def embedding_backward(ids: NDArray[Any], dout: Floats, W: Floats) -> Floats:
    """Return dW (V, D) for dout (N, T, D)."""
    dW = np.zeros_like(W)
    for n, row in enumerate(ids):
        for t, k in enumerate(row):
            dW[k] += dout[n, t]
    return dW


def affine(xs: Floats, W: Floats, b: Floats) -> Floats:
    """xs (N, T, H) -> (N, T, V)."""
    return np.array([[x @ W + b for x in row] for row in xs])


def affine_backward(xs: Floats, dout: Floats, W: Floats) -> tuple[Floats, Floats, Floats]:
    """Return dxs (N, T, H), dW (H, V), db (V,) for dout (N, T, V)."""
    dxs, dW, db = np.zeros_like(xs), np.zeros_like(W), np.zeros(W.shape[1])
    for n, t in np.ndindex(*xs.shape[:2]):
        dxs[n, t] = W @ dout[n, t]
        dW += np.outer(xs[n, t], dout[n, t])
        db += dout[n, t]
    return dxs, dW, db


def softmax_cross_entropy(xs: Floats, ts: NDArray[Any], ignore_label: int = -1) -> tuple[float, Floats]:
    """Return the mean -ln P(target) of the counted positions, and its gradient (N, T, V)."""
    losses, dxs = [], np.zeros_like(xs)
    for n, t in np.ndindex(*ts.shape):
        if ts[n, t] == ignore_label:
            continue
        powers = np.exp(xs[n, t] - xs[n, t].max())
        probs = powers / powers.sum()
        losses.append(-np.log(probs[ts[n, t]]))
        dxs[n, t] = probs
        dxs[n, t, ts[n, t]] -= 1
    return float(np.mean(losses)), dxs / len(losses)


def adaptive_softmax(
    xs: Floats,
    ts: NDArray[Any],
    head: list[Floats],
    tails: list[list[Floats]],
    ranks: NDArray[Any],
    ignore_label: int = -1,
) -> tuple[float, Floats, list[Floats]]:
    """Return the mean -ln P(target) of the counted positions, dxs (N, T, H), and the gradient of every weight.

    One position at a time: the head's entry of the target, and the target's entry of its cluster.
    """
    C = head[1].size - len(tails)
    weights = [*head, *(weight for tail in tails for weight in tail)]
    dxs, grads, losses = np.zeros_like(xs), [np.zeros_like(w) for w in weights], []
    for n, t in np.ndindex(*ts.shape):
        if ts[n, t] == ignore_label:
            continue
        place, x = int(ranks[ts[n, t]]), xs[n, t]
        loss, entry = 0.0, place
        if place >= C:
            place, k = place - C, 0
            while place >= tails[k][2].size:
                place, k = place - tails[k][2].size, k + 1
            entry = C + k
            P, W, b = tails[k]
            loss, dz, dW, db = _one_softmax(x @ P, W, b, place)
            dP = np.outer(x, dz)
            for grad, part in zip(grads[2 + 3 * k : 5 + 3 * k], (dP, dW, db), strict=True):
                grad += part
            dxs[n, t] += P @ dz
        of_head, dx, dW, db = _one_softmax(x, *head, entry)
        losses.append(loss + of_head)
        grads[0] += dW
        grads[1] += db
        dxs[n, t] += dx
    return float(np.mean(losses)), dxs / len(losses), [grad / len(losses) for grad in grads]


def _one_softmax(x: Floats, W: Floats, b: Floats, target: int) -> tuple[float, Floats, Floats, Floats]:
    """Return -ln P(target) for one x (H,), and the gradients of x, W and b."""
    powers = np.exp(x @ W + b)
    dscores = powers / powers.sum()
    loss = -float(np.log(dscores[target]))
    dscores[target] -= 1
    return loss, W @ dscores, np.outer(x, dscores), dscores


def mingru(xs: Floats, Wx: Floats, b: Floats) -> Floats:
    """xs (N, T, D) -> hs (N, T, H) from zeros; gates in the order z, n."""
    N, T, _ = xs.shape
    hs = np.zeros((N, T, len(b) // 2))
    for n in range(N):
        h = np.zeros(len(b) // 2)
        for t in range(T):
            zz, zn = np.split(xs[n, t] @ Wx + b, 2)
            z, candidate = sigmoid(zz), np.where(zn >= 0, zn + 0.5, sigmoid(zn))
            h = (1 - z) * h + z * candidate
            hs[n, t] = h
    return hs


def fpool(xs: Floats, Wx: Floats, b: Floats) -> Floats:
    """xs (N, T, D) -> hs (N, T, H) from zeros; gates in the order z, n."""
    N, T, _ = xs.shape
    hs = np.zeros((N, T, len(b) // 2))
    for n in range(N):
        h = np.zeros(len(b) // 2)
        for t in range(T):
            zz, zn = np.split(xs[n, t] @ Wx + b, 2)
            z = sigmoid(zz)
            h = (1 - z) * h + z * np.tanh(zn)
            hs[n, t] = h
    return hs


def rms_norm(xs: Floats, gain: Floats, eps: float = 1e-6) -> Floats:
    """xs (N, T, D) -> ns (N, T, D), row by row."""
    ns = np.empty_like(xs)
    for n, t in np.ndindex(*xs.shape[:2]):
        x = xs[n, t]
        ns[n, t] = gain * x / np.sqrt(np.mean(x**2) + eps)
    return ns


def residual_block(
    xs: Floats,
    cell: Callable[[Floats], Floats],
    gain: Floats,
    Wg: Floats,
    Wo: Floats,
    mlp: tuple[Floats, Floats, Floats, Floats] | None = None,
    last_gain: Floats | None = None,
) -> Floats:
    """xs (N, T, D) -> ys (N, T, D); ``cell`` maps ns (N, T, D) to hs (N, T, H), ``mlp`` is g₂, W1, W2 and W3."""

    def silu(u: Floats) -> Floats:
        return u * sigmoid(u)

    ns = rms_norm(xs, gain)
    ys = xs + (cell(ns) * silu(ns @ Wg)) @ Wo
    if mlp is not None:
        gain2, W1, W2, W3 = mlp
        ms = rms_norm(ys, gain2)
        ys = ys + (silu(ms @ W1) * (ms @ W2)) @ W3
    return ys if last_gain is None else rms_norm(ys, last_gain)


def minlstm(xs: Floats, Wx: Floats, b: Floats) -> Floats:
    """xs (N, T, D) -> hs (N, T, H) from zeros; gates in the order f, i, n."""
    N, T, _ = xs.shape
    hs = np.zeros((N, T, len(b) // 3))
    for n in range(N):
        h = np.zeros(len(b) // 3)
        for t in range(T):
            zf, zi, zn = np.split(xs[n, t] @ Wx + b, 3)
            f, i, candidate = sigmoid(zf), sigmoid(zi), np.where(zn >= 0, zn + 0.5, sigmoid(zn))
            h = f / (f + i) * h + i / (f + i) * candidate
            hs[n, t] = h
    return hs


def qrnn(xs: Floats, Wx: Floats, b: Floats) -> Floats:
    """xs (N, T, D) -> hs (N, T, H) from zeros; gates in the order z, f, o, each of two inputs."""
    N, T, D = xs.shape
    hs = np.zeros((N, T, len(b) // 3))
    for n in range(N):
        c, x_before = np.zeros(len(b) // 3), np.zeros(D)
        for t in range(T):
            zz, zf, zo = np.split(x_before @ Wx[:D] + xs[n, t] @ Wx[D:] + b, 3)
            c = sigmoid(zf) * c + (1 - sigmoid(zf)) * np.tanh(zz)
            hs[n, t] = sigmoid(zo) * c
            x_before = xs[n, t]
    return hs


def sru(xs: Floats, Wx: Floats, v: Floats, b: Floats) -> Floats:
    """xs (N, T, D) -> hs (N, T, H) from zeros; products in the order f, r, u, and p where D ≠ H."""
    N, T, _ = xs.shape
    H = len(v) // 2
    hs = np.zeros((N, T, H))
    for n in range(N):
        c = np.zeros(H)
        for t in range(T):
            zf, zr, u, *p = np.split(xs[n, t] @ Wx + b, len(b) // H)
            f, r = sigmoid(zf + v[:H] * c), sigmoid(zr + v[H:] * c)
            c = f * c + (1 - f) * u
            hs[n, t] = r * np.tanh(c) + (1 - r) * (p[0] if p else np.sqrt(3) * xs[n, t])
    return hs


def rglru(xs: Floats, Wx: Floats, decay: Floats, b: Floats) -> Floats:
    """xs (N, T, D) -> hs (N, T, H) from zeros; products in the order r, i, and u where D ≠ H."""
    N, T, _ = xs.shape
    H = len(decay)
    hs = np.zeros((N, T, H))
    for n in range(N):
        h = np.zeros(H)
        for t in range(T):
            zr, zi, *u = np.split(xs[n, t] @ Wx + b, len(b) // H)
            a = np.exp(-8 * np.log(1 + np.exp(decay)) * sigmoid(zr))
            h = a * h + np.sqrt(1 - a**2) * sigmoid(zi) * (u[0] if u else xs[n, t])
            hs[n, t] = h
    return hs


def mogrifier(xs: Floats, Wx: Floats, Wh: Floats, b: Floats, **rounds: Floats) -> Floats:
    """xs (N, T, D) -> hs (N, T, H) from zeros; rounds Q1 (H, D), R1 (D, H), Q2, …; gates in the order i, f, g, o."""
    N, T, _ = xs.shape
    hs = np.zeros((N, T, len(Wh)))
    for n in range(N):
        h, c = np.zeros(len(Wh)), np.zeros(len(Wh))
        for t in range(T):
            x = xs[n, t]
            for k in range(1, len(rounds) + 1):
                if k % 2:
                    x = 2 * sigmoid(h @ rounds[f"Q{(k + 1) // 2}"]) * x
                else:
                    h = 2 * sigmoid(x @ rounds[f"R{k // 2}"]) * h
            i, f, g, o = np.split(h @ Wh + x @ Wx + b, 4)
            c = sigmoid(f) * c + sigmoid(i) * np.tanh(g)
            h = sigmoid(o) * np.tanh(c)
            hs[n, t] = h
    return hs


def layer_norm(x: Floats, gain: Floats, bias: Floats, eps: float = 1e-5) -> Floats:
    """x (D,) -> (D,)."""
    centred = x - np.mean(x)
    return centred / np.sqrt(np.mean(centred**2) + eps) * gain + bias


def rwkv7(xs: Floats, blocks: list[dict[str, Floats]]) -> Floats:
    """xs (N, T, D) -> the output (N, T, D) of a stack of blocks, given the weights of each."""
    ys = np.zeros(xs.shape)
    for n in range(len(xs)):
        outputs, first_values = xs[n], None
        for p in blocks:
            outputs, values = _rwkv7_block(outputs, first_values, p)
            first_values = values if first_values is None else first_values
        ys[n] = outputs
    return ys


def _rwkv7_block(xs: Floats, first_values: Any, p: dict[str, Floats]) -> tuple[Floats, Floats]:
    """xs (T, D) -> the output and the values v of every step, (T, D) each."""
    T, D = xs.shape
    heads, d = p["r_k"].shape
    S, last_att, last_ffn = np.zeros((heads, d, d)), np.zeros(D), np.zeros(D)
    ys, values = np.zeros((T, D)), np.zeros((T, D))
    for t in range(T):
        x = xs[t]
        if "ln0_gain" in p:
            x = layer_norm(x, p["ln0_gain"], p["ln0_bias"])
        n = layer_norm(x, p["ln1_gain"], p["ln1_bias"])
        mixed = {c: n + (last_att - n) * p[f"x_{c}"] for c in "rwkvag"}
        last_att = n
        r, k, v = mixed["r"] @ p["Wr"], mixed["k"] @ p["Wk"], mixed["v"] @ p["Wv"]
        w = np.exp(-np.exp(-0.5) * sigmoid(p["w0"] + np.tanh(mixed["w"] @ p["w1"]) @ p["w2"]))
        a = sigmoid(p["a0"] + mixed["a"] @ p["a1"] @ p["a2"])
        g = sigmoid(mixed["g"] @ p["g1"]) @ p["g2"]
        if first_values is not None:
            v = v + (first_values[t] - v) * sigmoid(p["v0"] + mixed["v"] @ p["v1"] @ p["v2"])
        values[t] = v
        added = np.zeros(D)
        for h in range(heads):
            at = slice(h * d, (h + 1) * d)
            kappa = k[at] * p["k_k"][at]
            kappa = kappa / np.sqrt(kappa @ kappa)
            key = k[at] * (1 + (a[at] - 1) * p["k_a"][at])
            S[h] = S[h] @ np.diag(w[at]) - np.outer(S[h] @ kappa, kappa * a[at]) + np.outer(v[at], key)
            y = layer_norm(S[h] @ r[at], p["group_gain"][at], p["group_bias"][at], 64e-5)
            added[at] = y + np.sum(r[at] * key * p["r_k"][h]) * v[at]
        x = x + (added * g) @ p["Wo"]
        n = layer_norm(x, p["ln2_gain"], p["ln2_bias"])
        k = (n + (last_ffn - n) * p["ffn_k"]) @ p["ffn_Wk"]
        last_ffn = n
        x = x + np.maximum(k, 0) ** 2 @ p["ffn_Wv"]
        ys[t] = layer_norm(x, p["last_gain"], p["last_bias"]) if "last_gain" in p else x
    return ys, values


def rwkv4(xs: Floats, blocks: list[dict[str, Floats]]) -> Floats:
    """xs (N, T, D) -> the output (N, T, D) of a stack of blocks; the means are over all steps, by their definition."""
    ys = np.zeros(xs.shape)
    for n in range(len(xs)):
        outputs = xs[n]
        for p in blocks:
            outputs = _rwkv4_block(outputs, p)
        ys[n] = outputs
    return ys


def _rwkv4_block(xs: Floats, p: dict[str, Floats]) -> Floats:
    T, D = xs.shape
    last_att, last_ffn, ys = np.zeros(D), np.zeros(D), np.zeros((T, D))
    keys, values = np.zeros((T, D)), np.zeros((T, D))
    for t in range(T):
        x = xs[t]
        if "ln0_gain" in p:
            x = layer_norm(x, p["ln0_gain"], p["ln0_bias"])
        n = layer_norm(x, p["ln1_gain"], p["ln1_bias"])
        mixed = {c: n + (last_att - n) * p[f"x_{c}"] for c in "rkv"}
        last_att = n
        keys[t], values[t] = mixed["k"] @ p["Wk"], mixed["v"] @ p["Wv"]
        weights = [np.exp(keys[i] - (t - 1 - i) * np.exp(p["decay"])) for i in range(t)]
        weights.append(np.exp(keys[t] + p["first"]))
        mean = sum(w * v for w, v in zip(weights, values, strict=False)) / sum(weights)
        x = x + (sigmoid(mixed["r"] @ p["Wr"]) * mean) @ p["Wo"]
        n = layer_norm(x, p["ln2_gain"], p["ln2_bias"])
        k = (n + (last_ffn - n) * p["ffn_k"]) @ p["ffn_Wk"]
        r = (n + (last_ffn - n) * p["ffn_r"]) @ p["ffn_Wr"]
        last_ffn = n
        x = x + sigmoid(r) * (np.maximum(k, 0) ** 2 @ p["ffn_Wv"])
        ys[t] = layer_norm(x, p["last_gain"], p["last_bias"]) if "last_gain" in p else x
    return ys


def silu(z: Floats) -> Floats:
    return z * sigmoid(z)


def causal_convolution(us: Floats, W: Floats, b: Floats, before: Floats) -> Floats:
    """us (T, C), before (K - 1, C), W (K, C) -> silu of the sums (T, C), for one sequence."""
    whole, K = np.concatenate((before, us)), len(W)
    return np.array([silu(b + (whole[t : t + K] * W).sum(axis=0)) for t in range(len(us))])


def mamba2(
    xs: Floats,
    gain: Floats,
    Wx: Floats,
    conv: Floats,
    conv_b: Floats,
    Wdt: Floats,
    dt_b: Floats,
    A_log: Floats,
    skip: Floats,
    Wg: Floats,
    inner_gain: Floats,
    Wo: Floats,
    last_gain: Floats | None = None,
    s0: Floats | None = None,
    conv0: Floats | None = None,
) -> tuple[Floats, dict[str, Floats]]:
    """xs (N, T, D) -> ys (N, T, D), and the last states s (N, H·S) and conv (N, (K - 1)·C)."""
    (N, T, _), (G, R), H, K, C = xs.shape, A_log.shape, Wg.shape[1], *conv.shape
    S, P = (C - H) // (2 * G), H // (G * R)
    ns, ys = rms_norm(xs, gain, 1e-5), xs.copy()
    states = np.zeros((N, G * R, P, S)) if s0 is None else s0.reshape(N, G * R, P, S).copy()
    inputs = np.zeros((N, K - 1, C)) if conv0 is None else conv0.reshape(N, K - 1, C)
    after = np.zeros((N, K - 1, C))
    for n in range(N):
        us = ns[n] @ Wx
        vs = causal_convolution(us, conv, conv_b, inputs[n])
        after[n] = np.concatenate((inputs[n], us))[T:]
        for t in range(T):
            dt = np.log(1 + np.exp(ns[n, t] @ Wdt + dt_b))
            y = np.zeros(H)
            for head in range(G * R):
                group = head // R
                x = vs[t, head * P : (head + 1) * P]
                B = vs[t, H + group * S : H + (group + 1) * S]
                c = vs[t, H + (G + group) * S : H + (G + group + 1) * S]
                a = np.exp(-dt[head] * np.exp(A_log[group, head % R]))
                states[n, head] = a * states[n, head] + dt[head] * np.outer(x, B)
                y[head * P : (head + 1) * P] = states[n, head] @ c + skip[head] * x
            gated = (y * silu(ns[n, t] @ Wg)).reshape(G, H // G)
            normed = gated / np.sqrt((gated**2).mean(axis=1, keepdims=True) + 1e-5)
            ys[n, t] += (normed.reshape(H) * inner_gain) @ Wo
    last = {"s": states.reshape(N, -1), "conv": after.reshape(N, -1)}
    return ys if last_gain is None else rms_norm(ys, last_gain, 1e-5), last


def mamba(
    xs: Floats,
    gain: Floats,
    Wx: Floats,
    conv: Floats,
    conv_b: Floats,
    Wr: Floats,
    Wbc: Floats,
    Wdt: Floats,
    dt_b: Floats,
    A_log: Floats,
    skip: Floats,
    Wg: Floats,
    Wo: Floats,
    last_gain: Floats | None = None,
    s0: Floats | None = None,
    conv0: Floats | None = None,
) -> tuple[Floats, dict[str, Floats]]:
    """xs (N, T, D) -> ys (N, T, D), and the last states s (N, S·H) and conv (N, (K - 1)·H)."""
    (N, T, _), (S, H), K = xs.shape, A_log.shape, len(conv)
    ns, ys = rms_norm(xs, gain, 1e-5), xs.copy()
    states = np.zeros((N, S, H)) if s0 is None else s0.reshape(N, S, H).copy()
    inputs = np.zeros((N, K - 1, H)) if conv0 is None else conv0.reshape(N, K - 1, H)
    after = np.zeros((N, K - 1, H))
    for n in range(N):
        us = ns[n] @ Wx
        vs = causal_convolution(us, conv, conv_b, inputs[n])
        after[n] = np.concatenate((inputs[n], us))[T:]
        for t in range(T):
            x = vs[t]
            B, C = np.split(x @ Wbc, 2)
            dt = np.log(1 + np.exp(x @ Wr @ Wdt + dt_b))
            y = np.zeros(H)
            for j in range(H):
                states[n, :, j] = np.exp(-dt[j] * np.exp(A_log[:, j])) * states[n, :, j] + dt[j] * x[j] * B
                y[j] = C @ states[n, :, j] + skip[j] * x[j]
            ys[n, t] += (y * silu(ns[n, t] @ Wg)) @ Wo
    last = {"s": states.reshape(N, -1), "conv": after.reshape(N, -1)}
    return ys if last_gain is None else rms_norm(ys, last_gain, 1e-5), last
