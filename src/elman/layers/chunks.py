"""A linear recurrence of matrices, some steps at a time in large products instead of step by step.

    s_t = a_t·s_{t-1} + x_t·B_tᵀ        y_t = s_t·C_t        a_t = exp(l_t), a number for each head

For the steps i of a chunk after the state s₀, with L_ij = a_{j+1}·…·a_i (j ≤ i, else 0), e_i = a_1·…·a_i and
w_j = L_Qj, where Q is the last step:

    y_i = Σ_j L_ij·(C_i·B_j)·x_j + e_i·s₀·C_i        s_Q = e_Q·s₀ + Σ_j w_j·x_j·B_jᵀ

No state between s₀ and s_Q is ever held. Backward, with F = ds_Q, M = L∘(C·Bᵀ) and dM = dy·xᵀ:

    dx = Mᵀ·dy + w∘(B·Fᵀ)        dC = Σ (dM∘L)·B + (e∘dy)·s₀        dB = Σ (dM∘L)ᵀ·C + (w∘x)·F
    ds₀ = e_Q·F + (e∘dy)ᵀ·C      dl_k = Σ_{i≥k} (dy_i·y_i - x_i·dx_i) + F·s_Q

where Σ is over the heads that share B and C.

Source: T. Dao and A. Gu, "Transformers are SSMs", ICML 2024 (the SSD algorithm).
"""

from dataclasses import dataclass

from elman.arrays import Array, Buffers, namespace
from elman.layers.kernels import kernels_for


def by_sequence(xs: Array) -> Array:
    """Return (Q, N, G, R, P) as its (N, G, R, Q, P) view, or (Q, N, G, S) as (N, G, Q, S)."""
    return namespace(xs).moveaxis(xs, 0, -2)


@dataclass
class Chunk:
    """Q steps of N sequences: of G groups, each of R heads of P rows, with a state of S columns.

    ``logs`` are l (Q, N, G, R), ``x`` (Q, N, G, R, P), ``B`` and ``C`` (Q, N, G, S), ``state`` s₀ (N, G, R·P, S).
    """

    logs: Array
    x: Array
    B: Array
    C: Array
    state: Array
    buffers: Buffers

    def _prepare(self) -> None:
        """Compute L, M, e and w."""
        xp, (Q, N, G, R) = namespace(self.x), self.logs.shape
        self.L = self.buffers.get("L", (N, G, R, Q, Q), self.x)
        kernels_for(self.x).decays(self.logs, self.L)
        self.e = xp.exp(xp.cumsum(self.logs, 0))  # (Q, N, G, R)
        self.w = xp.moveaxis(self.L[..., -1, :], -1, 0)  # (Q, N, G, R)
        pairs = by_sequence(self.C) @ by_sequence(self.B).swapaxes(-1, -2)  # (N, G, Q, Q)
        self.M = self.buffers.get("M", (N, G, R, Q, Q), self.x)
        xp.multiply(self.L, pairs[:, :, None], out=self.M)

    def _rows(self, xs: Array) -> Array:
        """Return (Q, N, G, R, P), which must be contiguous, as (N, G, Q, R·P)."""
        Q, N, G, R, P = self.x.shape
        return by_sequence(xs.reshape(Q, N, G, R * P))

    def _add_rows(self, rows: Array, factors: Array, out: Array) -> None:
        """out += factors∘rows: rows (N, G, Q, R·P), factors (Q, N, G, R), out (Q, N, G, R, P)."""
        Q, N, G, R, P = self.x.shape
        out += namespace(rows).moveaxis(rows, 2, 0).reshape(Q, N, G, R, P) * factors[..., None]

    def forward(self, y: Array) -> None:
        """Write y (Q, N, G, R, P), and s_Q over ``state``."""
        self._prepare()
        xp = namespace(self.x)
        y[...] = xp.moveaxis(self.M @ by_sequence(self.x), -2, 0)
        self._add_rows(by_sequence(self.C) @ self.state.swapaxes(-1, -2), self.e, y)
        self._go_on(self.e[-1])

    def advance(self) -> None:
        """Write s_Q over ``state``, and nothing else."""
        xp = namespace(self.x)
        sums = xp.cumsum(self.logs, 0)  # (Q, N, G, R)
        self.w = xp.exp(sums[-1:] - sums)
        self._go_on(xp.exp(sums[-1]))

    def _go_on(self, whole: Array) -> None:
        """Write s_Q over ``state``; ``whole`` is e_Q (N, G, R)."""
        weighted = self._rows(self.x * self.w[..., None]).swapaxes(-1, -2)  # (N, G, R·P, Q)
        added = weighted @ by_sequence(self.B)  # (N, G, R·P, S)
        self.heads(self.state)[...] *= whole[..., None, None]
        self.state += added

    def heads(self, state: Array) -> Array:
        """Return (N, G, R·P, S) as its (N, G, R, P, S) view."""
        N, G, R, P = self.x.shape[1:]
        return state.reshape(N, G, R, P, state.shape[-1])

    def backward(self, dy: Array, y: Array, flow: Array, dx: Array, dB: Array, dC: Array) -> Array:
        """Write dx (Q, N, G, R, P), dB and dC (Q, N, G, S), and ds₀ over ``flow`` (N, G, R·P, S); return dl.

        ``dy`` and ``y``, without what else was added to it, are (Q, N, G, R, P); ``flow`` comes in as F.
        """
        self._prepare()
        xp = namespace(self.x)
        dy_of_heads = by_sequence(dy)  # (N, G, R, Q, P)
        into_state = self._rows(dy * self.e[..., None])  # (N, G, Q, R·P)
        from_start = self._rows(self.x * self.w[..., None])  # (N, G, Q, R·P)
        B, C = by_sequence(self.B), by_sequence(self.C)  # (N, G, Q, S)
        dx[...] = 0
        self._add_rows(B @ flow.swapaxes(-1, -2), self.w, dx)
        kept = (self.heads(flow) * self.heads(self.state)).sum(axis=(-2, -1)) * self.e[-1]  # (N, G, R)
        tail = (self.x * dx).sum(axis=(0, -1)) + kept  # F·s_Q
        dx += xp.moveaxis(self.M.swapaxes(-1, -2) @ dy_of_heads, -2, 0)
        dM = self.M  # read for the last time above
        xp.multiply(dy_of_heads @ by_sequence(self.x).swapaxes(-1, -2), self.L, out=dM)
        d_pairs = dM.sum(axis=2)  # (N, G, Q, Q)
        dC[...] = xp.moveaxis(d_pairs @ B + into_state @ self.state, -2, 0)
        dB[...] = xp.moveaxis(d_pairs.swapaxes(-1, -2) @ C + from_start @ flow, -2, 0)
        self.heads(flow)[...] *= self.e[-1][..., None, None]
        flow += into_state.swapaxes(-1, -2) @ C
        d_sums = (dy * y - self.x * dx).sum(axis=-1)  # (Q, N, G, R)
        d_sums[-1] += tail
        return xp.flip(xp.cumsum(xp.flip(d_sums, (0,)), 0), (0,))
