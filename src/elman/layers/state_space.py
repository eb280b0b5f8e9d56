"""The state space layer of Mamba-2: in every head a matrix that decays by a scalar and takes in an outer product.

    (x_t, B_t, C_t) = v_t            r_t = n_t·Wdt            see `elman.layers.selective`
    s_t = exp(Δ_t·A)·s_{t-1} + Δ_t·x_t·B_tᵀ                   (P, S) for each head, whose Δ and A are single numbers
    y_t = s_t·C_t + skip·x_t                                  (P,) for each head

The heads come in G groups of R; those of a group share B and C, (S,) each. H = G·R·P. The columns of Wx
(D, H + 2·G·S) hold x, B and C. Blocks of several steps are done in chunks (see `elman.layers.chunks`), single steps as
the equations read. Backward, with l_t = Δ_t·A:

    dΔ_t = Σ x_t∘d(Δ_t·x_t) + A·dl_t        dA_log = A·Σ_t Δ_t·dl_t        dskip = Σ_t dy_t∘x_t

Source: T. Dao and A. Gu, "Transformers are SSMs: generalized models and efficient algorithms through structured state
space duality", ICML 2024.
"""

from elman.arrays import Array, contiguous, namespace, time_major
from elman.errors import ShapeError
from elman.layers.base import check_weights
from elman.layers.chunks import Chunk
from elman.layers.convolution import TimeConvolution
from elman.layers.kernels import kernels_for
from elman.layers.residual import TimeProduct
from elman.layers.selective import TimeSelective
from elman.one_line import layer_line, number_of

CHUNK = 64  # steps
AT_ONCE = 1 << 19  # numbers of L, over sequences and heads, that are handled at a time


class TimeStateSpace(TimeSelective):
    """T steps of the layer: forward ns (N, T, D) -> ys (N, T, H), backward by truncated BPTT.

    Args:
        Wx: (D, H + 2·G·S).
        conv, conv_b: the weights (K, H + 2·G·S) and biases of the convolution.
        Wdt, dt_b: (D, G·R) and (G·R,).
        A_log: (G, R).
        skip: (G·R,).
        H: the width of all heads together.
        stateful: whether the states are carried from block to block.

    Raises:
        ShapeError: the shapes of the weights do not go together.
    """

    def __init__(
        self,
        Wx: Array,
        conv: Array,
        conv_b: Array,
        Wdt: Array,
        dt_b: Array,
        A_log: Array,
        skip: Array,
        H: int,
        stateful: bool = False,
    ) -> None:
        self.G, self.R = A_log.shape
        heads, (D, C) = self.G * self.R, Wx.shape
        if H % heads or (C - H) % (2 * self.G) or C <= H:
            raise ShapeError(
                f"TimeStateSpace: {heads} heads in {self.G} groups do not fit Wx {tuple(Wx.shape)} and H = {H}; its "
                "columns must be H + 2·G·S, and H a multiple of the heads"
            )
        self.H, self.P, self.S = H, H // heads, (C - H) // (2 * self.G)
        check_weights(
            "TimeStateSpace",
            conv=(conv, (len(conv), C)),
            Wdt=(Wdt, (D, heads)),
            dt_b=(dt_b, (heads,)),
            skip=(skip, (heads,)),
        )
        self.into_dt = TimeProduct(Wdt)
        super().__init__(
            Wx,
            TimeConvolution(conv, conv_b),
            [self.into_dt],
            (dt_b, A_log, skip),
            (self.G, self.R * self.P, self.S),
            stateful,
        )

    @property
    def chunk(self) -> int:  # type: ignore[override]
        """The steps of a chunk."""
        return CHUNK

    def __repr__(self) -> str:
        return layer_line(
            self, self.D, self.H, number_of(self.G * self.R, "head"), f"states of {self.P}×{self.S}"
        )

    def _begin_products(self, ns: Array, vs: Array) -> Array:
        return self.into_dt.begin(ns)

    def _B_and_C(self) -> tuple[Array, Array]:
        H, GS = self.H, self.G * self.S
        return self._vs[..., H : H + GS], self._vs[..., H + GS :]

    def _scan(self, span: slice) -> None:
        ys = self._heads(self._ys[span])
        if span.stop - span.start == 1:
            self._step(span, ys[0])
        else:
            for part in self._parts(span):
                self._chunk(span, part, self._state).forward(ys[:, part])
        ys += self._heads(self._vs[span, :, : self.H]) * self._per_head(self.skip)

    def _step(self, span: slice, y: Array) -> None:
        """Do one step as the equations read: y (N, G, R, P)."""
        x, B, C = self._inputs(span, slice(None))
        dt = self._dts[span].reshape(*x.shape[1:-1])  # (N, G, R)
        decay = namespace(dt).exp(dt * self._A)
        kernels_for(dt).step_states(
            decay, x[0] * dt[..., None], contiguous(B[0]), contiguous(C[0]), self._state, y
        )

    def _parts(self, span: slice) -> list[slice]:
        """Cut the sequences such that L of these steps stays in the cache."""
        N, numbers = len(self._state), self.G * self.R * (span.stop - span.start) ** 2
        size = max(1, AT_ONCE // numbers)
        return [slice(n, min(n + size, N)) for n in range(0, N, size)]

    def _heads(self, rows: Array) -> Array:
        """Return (Q, N, H), whose rows are contiguous, as its (Q, N, G, R, P) view."""
        Q, N = rows.shape[:2]
        return rows.reshape(Q, N, self.G, self.R, self.P)

    def _per_head(self, weight: Array) -> Array:
        return weight.reshape(self.G, self.R, 1)

    def _inputs(self, span: slice, part: slice) -> tuple[Array, Array, Array]:
        """Return x (Q, N, G, R, P), B and C (Q, N, G, S) of these steps and sequences: views."""
        vs = self._vs[span, part]
        return self._heads(vs[..., : self.H]), *self._groups(vs)

    def _groups(self, vs: Array) -> tuple[Array, Array]:
        """Return the columns of B and C as views (Q, N, G, S)."""
        Q, N, _ = vs.shape
        H, GS = self.H, self.G * self.S
        B, C = (vs[..., at : at + GS].reshape(Q, N, self.G, self.S) for at in (H, H + GS))
        return B, C

    def _chunk(self, span: slice, part: slice, state: Array) -> Chunk:
        """Return these steps and sequences as a chunk after ``state``, of all sequences."""
        x, B, C = self._inputs(span, part)
        dts = self._dts[span, part].reshape(*x.shape[:-1])  # (Q, N, G, R)
        return Chunk(dts * self._A, x * dts[..., None], B, C, state[part], self._buffers)

    def _advance(self, span: slice, state: Array) -> None:
        for part in self._parts(span):
            self._chunk(span, part, state).advance()

    def _begin_backward_products(self, dus: Array) -> None:
        self._dns_of_dt = time_major(self.into_dt.begin_backward(dus))

    def _scan_backward(self, span: slice, before: Array) -> None:
        for part in self._parts(span):
            self._chunk_backward(span, part, before)

    def _chunk_backward(self, span: slice, part: slice, before: Array) -> None:
        _, dA_log, dskip = self._own_grads
        A, skip = self._A, self._per_head(self.skip)
        x, _, _ = self._inputs(span, part)
        dts = self._dts[span, part].reshape(*x.shape[:-1])  # (Q, N, G, R)
        dy, y = self._heads(self._dys[span, part]), self._heads(self._ys[span, part]) - skip * x
        dvs = self._dvs[span, part]
        dx = self._buffers.get("dx", tuple(x.shape), self.skip)
        dlogs = self._chunk(span, part, before).backward(dy, y, self._flow[part], dx, *self._groups(dvs))
        ddts = self._dus[span, part]
        ddts[...] = ((x * dx).sum(axis=-1) + dlogs * A).reshape(ddts.shape)
        self._heads(dvs[..., : self.H])[...] = dx * dts[..., None] + skip * dy
        dA_log += (dlogs * dts).sum(axis=(0, 1)) * A
        dskip += (dy * x).sum(axis=(0, 1, 4)).reshape(dskip.shape)

    def _backward_products_into_conv(self, first: int, last: int) -> None:
        return

    def _backward_products_into_input(self, first: int, last: int) -> None:
        self.into_dt.backward_steps(first, last)
        self._dns[first:last] += self._dns_of_dt[first:last]
