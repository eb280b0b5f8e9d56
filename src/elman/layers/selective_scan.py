"""The selective scan of Mamba: every unit has S numbers of state, each of which decays at a rate of its own.

    r_t = (x_t·Wr)·Wdt            (B_t, C_t) = x_t·Wbc            x_t = v_t; see `elman.layers.selective`
    s_t = exp(Δ_t∘A)∘s_{t-1} + B_t·(Δ_t∘x_t)ᵀ              (S, H), A (S, H), Δ_t (H,)
    y_t = C_t·s_t + skip∘x_t

Backward, with δ_t = ds_t + C_t·dy_tᵀ, where ds_t comes from the step after, and a_t = exp(Δ_t∘A):

    dC_t = s_t·dy_t          dB_t = δ_t·(Δ_t∘x_t)          ds_{t-1} = δ_t∘a_t          dl_t = δ_t∘a_t∘s_{t-1}
    dΔ_t = Σ dl_t∘A + x_t∘(B_t·δ_t)          dx_t = Δ_t∘(B_t·δ_t) + skip∘dy_t, and what comes through r, B and C
    dA_log = A∘Σ_t dl_t∘Δ_t

Source: A. Gu and T. Dao, "Mamba: linear-time sequence modeling with selective state spaces" (2023).
"""

from elman.arrays import Array, as_rows, batch_major, namespace, time_major
from elman.errors import ShapeError
from elman.layers.base import check_weights
from elman.layers.convolution import TimeConvolution
from elman.layers.kernels import kernels_for
from elman.layers.residual import TimeProduct
from elman.layers.selective import TimeSelective
from elman.one_line import layer_line

CHUNK = 32  # steps


class TimeSelectiveScan(TimeSelective):
    """T steps of the layer: forward ns (N, T, D) -> ys (N, T, H), backward by truncated BPTT.

    Args:
        Wx: (D, H).
        conv, conv_b: the weights (K, H) and biases of the convolution.
        Wr, Wbc: (H, rank) and (H, 2·S).
        Wdt, dt_b: (rank, H) and (H,).
        A_log: (S, H).
        skip: (H,).
        stateful: whether the states are carried from block to block.

    Raises:
        ShapeError: the shapes of the weights do not go together.
    """

    def __init__(
        self,
        Wx: Array,
        conv: Array,
        conv_b: Array,
        Wr: Array,
        Wbc: Array,
        Wdt: Array,
        dt_b: Array,
        A_log: Array,
        skip: Array,
        stateful: bool = False,
    ) -> None:
        self.S, self.H = S, H = A_log.shape
        if Wx.ndim != 2 or Wx.shape[1] != H:
            raise ShapeError(f"TimeSelectiveScan: Wx must be (D, {H}), got {tuple(Wx.shape)}")
        check_weights(
            "TimeSelectiveScan",
            conv=(conv, (len(conv), H)),
            Wr=(Wr, (H, len(Wdt))),
            Wbc=(Wbc, (H, 2 * S)),
            Wdt=(Wdt, (len(Wdt), H)),
            dt_b=(dt_b, (H,)),
            skip=(skip, (H,)),
        )
        self.into_rank, self.into_bc, self.into_dt = TimeProduct(Wr), TimeProduct(Wbc), TimeProduct(Wdt)
        products = [self.into_rank, self.into_bc, self.into_dt]
        super().__init__(Wx, TimeConvolution(conv, conv_b), products, (dt_b, A_log, skip), (S, H), stateful)

    @property
    def chunk(self) -> int:  # type: ignore[override]
        """The steps of a chunk."""
        return CHUNK

    def __repr__(self) -> str:
        return layer_line(self, self.D, self.H, f"{self.S} numbers of state a unit")

    def _begin_products(self, ns: Array, vs: Array) -> Array:
        self._bcs = time_major(self.into_bc.begin(vs))  # (T, N, 2·S)
        return self.into_dt.begin(self.into_rank.begin(vs))

    def _B_and_C(self) -> tuple[Array, Array]:
        return self._bcs[..., : self.S], self._bcs[..., self.S :]

    def _inputs(self, span: slice) -> tuple[Array, Array, Array, Array]:
        """Return Δ and x (Q, N, H), B and C (Q, N, S) of these steps: views."""
        B, C = self._B_and_C()
        return self._dts[span], self._vs[span], B[span], C[span]

    def _scan(self, span: slice) -> None:
        ys = self._ys[span]
        inputs = self._inputs(span)
        kernels_for(ys).selective_scan(*inputs, self._A, self._state, ys)
        ys += self._vs[span] * self.skip

    def _advance(self, span: slice, state: Array) -> None:
        inputs = self._inputs(span)
        unused = self._buffers.get("unused", tuple(inputs[1].shape), self.skip)
        kernels_for(state).selective_scan(*inputs, self._A, state, unused)

    def _begin_backward_products(self, dus: Array) -> None:
        self._dbcs = self._buffers.get("dbcs", tuple(self._bcs.shape), self.skip)
        of_rank = self.into_rank.begin_backward(self.into_dt.begin_backward(dus))
        of_bc = self.into_bc.begin_backward(batch_major(self._dbcs))
        self._dvs_of_products = time_major(of_rank), time_major(of_bc)  # (T, N, H) each

    def _scan_backward(self, span: slice, before: Array) -> None:
        _, dA_log, dskip = self._own_grads
        dys, dvs, vs, dbcs = self._dys[span], self._dvs[span], self._vs[span], self._dbcs[span]
        dA = self._buffers.get("dA", (self.S, self.H), self.skip)
        dA[...] = 0
        kernels_for(vs).selective_scan_backward(
            *self._inputs(span),
            self._A,
            before,
            dys,
            self._flow,
            self._dus[span],
            dvs,
            dbcs[..., : self.S],
            dbcs[..., self.S :],
            dA,
            self._buffers,
        )
        dvs += self.skip * dys
        dskip += as_rows(dys * vs).sum(axis=0)
        dA_log += dA * self._A

    def _backward_products_into_conv(self, first: int, last: int) -> None:
        xp = namespace(self._dvs)
        for product in (self.into_dt, self.into_rank, self.into_bc):
            product.backward_steps(first, last)
        dvs = self._dvs[first:last]
        for dvs_of_product in self._dvs_of_products:
            xp.add(dvs, dvs_of_product[first:last], out=dvs)

    def _backward_products_into_input(self, first: int, last: int) -> None:
        return
