"""The state space layer of Mamba-2: in every head a matrix that decays by a scalar and takes in an outer product.

    u_t = n_t·Wx                          (x_t, B_t, C_t) = silu(convolution of u over the last K steps)
    Δ_t = softplus(n_t·Wdt + b_dt)        A = -exp(A_log)        one number for each head
    s_t = exp(Δ_t·A)·s_{t-1} + Δ_t·x_t·B_tᵀ                      (P, S) for each head
    y_t = s_t·C_t + skip·x_t              (P,) for each head

The heads come in G groups of R; those of a group share B and C, (S,) each. H = G·R·P. The columns of Wx
(D, H + 2·G·S) hold x, B and C. Long blocks are done in chunks of `CHUNK` steps (see `elman.layers.chunks`), single
steps as the equations read. Only the state after the last step is kept. Backward, the states at the borders of the
chunks are computed again, from the state that came in, and from each what is inside its chunk:

    dΔ_t = Σ x_t∘d(Δ_t·x_t) + A·dl_t        dA_log = A·Σ_t Δ_t·dl_t        dskip = Σ_t dy_t∘x_t

where l_t = Δ_t·A. The states are s (N, H·S) and the last inputs of the convolution, conv (N, (K - 1)·(H + 2·G·S)).

Source: T. Dao and A. Gu, "Transformers are SSMs: generalized models and efficient algorithms through structured state
space duality", ICML 2024.
"""

from collections.abc import Callable
from itertools import pairwise
from typing import ClassVar

from elman.arrays import Array, Buffers, batch_major, namespace, time_major, zeros
from elman.errors import ShapeError
from elman.layers.base import check_gradient, check_sequence, check_state, check_weights
from elman.layers.chunks import Chunk
from elman.layers.convolution import TimeConvolution
from elman.layers.kernels import kernels_for
from elman.layers.kernels.numpy import sigmoid
from elman.layers.recurrent import StatefulLayer
from elman.layers.residual import TimeProduct
from elman.one_line import layer_line

CHUNK = 64  # steps
AT_ONCE = 1 << 19  # numbers of L, over sequences and heads, that are handled at a time


class TimeStateSpace(StatefulLayer):
    """T steps of the layer: forward ns (N, T, D) -> ys (N, T, H), backward by truncated BPTT.

    Args:
        Wx: (D, H + 2·G·S).
        conv, conv_b: the weights (K, H + 2·G·S) and biases of the convolution.
        Wdt, dt_b: (D, G·R) and (G·R,).
        A_log: (G, R).
        skip: (G·R,).
        stateful: whether the states are carried from block to block.

    Raises:
        ShapeError: the shapes of the weights do not go together.
    """

    recurrent_state: ClassVar[str] = "s"

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
        heads, (self.D, C) = self.G * self.R, Wx.shape
        if H % heads or (C - H) % (2 * self.G) or C <= H:
            raise ShapeError(
                f"TimeStateSpace: {heads} heads in {self.G} groups do not fit Wx {tuple(Wx.shape)} and H = {H}; its "
                "columns must be H + 2·G·S, and H a multiple of the heads"
            )
        self.H, self.P, self.S = H, H // heads, (C - H) // (2 * self.G)
        check_weights(
            "TimeStateSpace",
            conv=(conv, (len(conv), C)),
            Wdt=(Wdt, (self.D, heads)),
            dt_b=(dt_b, (heads,)),
            skip=(skip, (heads,)),
        )
        self.Wx = Wx
        self.into_conv, self.into_dt = TimeProduct(Wx), TimeProduct(Wdt)
        self.conv_layer = TimeConvolution(conv, conv_b)
        self.dt_b, self.A_log, self.skip = dt_b, A_log, skip
        own = [dt_b, A_log, skip]
        self._own_grads = [zeros(tuple(weight.shape), weight) for weight in own]
        with_weights = (self.into_conv, self.conv_layer, self.into_dt)
        self.params = [*(param for part in with_weights for param in part.params), *own]
        self.grads = [*(grad for part in with_weights for grad in part.grads), *self._own_grads]
        self.stateful = stateful
        self.reset_state()
        self.ds = self.dconv = None
        self._buffers = Buffers()

    @property
    def state_widths(self) -> dict[str, int]:
        """The width of each carried state by its name."""
        K, C = self.conv_layer.K, self.conv_layer.C
        return {"s": self.H * self.S, "conv": (K - 1) * C}

    def names_inside(self) -> tuple[str, ...]:
        """Return the names of what `inside` has: x, B and C after the convolution, Δ, and y before the gate."""
        return ("x", "B", "C", "dt", "y")

    @property
    def recurrence(self) -> "TimeStateSpace":
        """This layer."""
        return self

    def __repr__(self) -> str:
        return layer_line(self, self.D, self.H, f"{self.G * self.R} heads", f"states of {self.P}×{self.S}")

    @property
    def inside(self) -> dict[str, Array]:
        """What `names_inside` names, of the last `forward`: (N, T, width) each, valid as long as its output."""
        H, GS = self.H, self.G * self.S
        parts = (self._vs[..., :H], self._vs[..., H : H + GS], self._vs[..., H + GS :], self._dts, self._ys)
        return dict(zip(self.names_inside(), map(batch_major, parts), strict=True))

    @property
    def dhs(self) -> Array:
        """The gradient (N, T, H) that the output received from above in the last `backward`."""
        return batch_major(self._dys)

    def begin(self, xs: Array) -> Array:
        """Take ns (N, T, D), which may be filled later; return ys (N, T, H), which `forward_steps` fills."""
        check_sequence("xs", xs, self.D)
        N, T, _ = xs.shape
        widths = self.state_widths
        states = {name: getattr(self, name) if self.stateful else None for name in widths}
        for name, state in states.items():
            if state is not None:
                check_state(name, state, N, widths[name])
        self._vs = time_major(self.conv_layer.begin(self.into_conv.begin(xs), states["conv"]))  # (T, N, C)
        self._us = time_major(self.into_dt.begin(xs))  # (T, N, G·R)
        self._dts = self._buffers.get("dts", (T, N, self.G * self.R), self.skip)
        self._ys = self._buffers.get("ys", (T, N, self.H), self.skip)
        self._state = self._buffers.get("s", (N, self.G, self.R * self.P, self.S), self.skip)
        self._incoming = states["s"]
        self._put_incoming(self._state)
        return batch_major(self._ys)

    def _put_incoming(self, state: Array) -> None:
        state[...] = 0 if self._incoming is None else self._incoming.reshape(state.shape)

    def forward_steps(self, first: int, last: int) -> None:
        """Do the steps first ≤ t < last: the products, the convolution and Δ, then chunk by chunk."""
        self.into_conv.forward_steps(first, last)
        self.conv_layer.forward_steps(first, last)
        self.into_dt.forward_steps(first, last)
        us, dts = self._us[first:last], self._dts[first:last]
        xp = namespace(dts)
        xp.add(us, self.dt_b, out=us)
        xp.logaddexp(us, us * 0, out=dts)  # softplus
        for span in self._chunks(first, last):
            if span.stop - span.start == 1:
                self._step(span.start)
            else:
                for part in self._parts(span):
                    self._chunk(span, part, self._state).forward(self._heads(self._ys)[span, part])
        ys, x = self._heads(self._ys)[first:last], self._heads(self._vs[..., : self.H])[first:last]
        ys += x * self._per_head(self.skip)

    def end(self) -> None:
        """Keep copies of the last states for the next block: the buffers will be overwritten."""
        self.s = self._state.reshape(len(self._state), -1) + 0
        self.conv = self.conv_layer.last_inputs()

    def _step(self, t: int) -> None:
        """Do one step as the equations read."""
        N, (x, B, C) = len(self._state), self._inputs(slice(t, t + 1), slice(None))
        dt = self._dts[t].reshape(N, self.G, self.R)
        decay = namespace(dt).exp(dt * self._A())
        y = self._heads(self._ys)[t]
        kernels_for(dt).step_states(decay, x[0] * dt[..., None], B[0], C[0], self._state, y)

    def _A(self) -> Array:
        """Return A (G, R)."""
        return -namespace(self.A_log).exp(self.A_log)

    def _chunks(self, first: int, last: int) -> list[slice]:
        """Cut these steps at the borders of the chunks, which are at multiples of `CHUNK`."""
        borders = [first, *range(first - first % CHUNK + CHUNK, last, CHUNK), last]
        return [slice(a, b) for a, b in pairwise(borders)]

    def _parts(self, span: slice) -> list[slice]:
        """Cut the sequences such that L of these steps stays in the cache."""
        N, numbers = len(self._state), self.G * self.R * (span.stop - span.start) ** 2
        size = max(1, AT_ONCE // numbers)
        return [slice(n, min(n + size, N)) for n in range(0, N, size)]

    def _heads(self, rows: Array) -> Array:
        """Return (T, N, H), whose rows are contiguous, as its (T, N, G, R, P) view."""
        T, N = rows.shape[:2]
        return rows.reshape(T, N, self.G, self.R, self.P)

    def _per_head(self, weight: Array) -> Array:
        return weight.reshape(self.G, self.R, 1)

    def _inputs(self, span: slice, part: slice) -> tuple[Array, Array, Array]:
        """Return x (Q, N, G, R, P), B and C (Q, N, G, S) of these steps and sequences: views."""
        vs = self._vs[span, part]
        Q, N, _ = vs.shape
        H, GS = self.H, self.G * self.S
        B, C = (vs[..., at : at + GS].reshape(Q, N, self.G, self.S) for at in (H, H + GS))
        return vs[..., :H].reshape(Q, N, self.G, self.R, self.P), B, C

    def _chunk(self, span: slice, part: slice, state: Array) -> Chunk:
        """Return these steps and sequences as a chunk after ``state``, of all sequences."""
        x, B, C = self._inputs(span, part)
        dts = self._dts[span, part].reshape(*x.shape[:-1])  # (Q, N, G, R)
        return Chunk(dts * self._A(), x * dts[..., None], B, C, state[part], self._buffers)

    def begin_backward(self, dhs: Array) -> Array:
        """Take dys (N, T, H), which may be filled later; return dns (N, T, D), which `backward_steps` fills."""
        T, N, H = self._ys.shape
        check_gradient(dhs, (N, T, H))
        self._dys = time_major(dhs)  # (T, N, H)
        self._dvs = self._buffers.get("dvs", tuple(self._vs.shape), self.skip)
        self._dus = self._buffers.get("dus", tuple(self._us.shape), self.skip)
        self._flow = self._buffers.get("flow", tuple(self._state.shape), self.skip)
        self._flow[...] = 0
        for grad in self._own_grads:
            grad[...] = 0
        self._compute_borders(T)
        of_conv = self.into_conv.begin_backward(self.conv_layer.begin_backward(self._dvs))
        self._dns = time_major(of_conv), time_major(self.into_dt.begin_backward(batch_major(self._dus)))
        return of_conv

    def _compute_borders(self, T: int) -> None:
        """Compute the states before the first step of every chunk again."""
        chunks = self._chunks(0, T)
        self._borders = self._buffers.get("borders", (len(chunks), *self._state.shape), self.skip)
        self._put_incoming(self._borders[0])
        for k, span in enumerate(chunks[:-1]):
            self._borders[k + 1] = self._borders[k]
            for part in self._parts(span):
                self._chunk(span, part, self._borders[k + 1]).advance()

    def _state_before(self, t: int) -> Array:
        """Return the state before step t: that at the border of its chunk, advanced to t."""
        k, at = divmod(t, CHUNK)
        if not at:
            return self._borders[k]
        state = self._borders[k] + 0  # (N, G, R·P, S)
        self._chunk(slice(t - at, t), slice(None), state).advance()
        return state

    def backward_steps(self, first: int, last: int) -> None:
        """Do the steps last > t ≥ first: chunk by chunk, then the convolution and the products."""
        for span in reversed(self._chunks(first, last)):
            before = self._state_before(span.start)
            for part in self._parts(span):
                self._chunk_backward(span, part, before)
        self.conv_layer.backward_steps(first, last)
        self.into_conv.backward_steps(first, last)
        self.into_dt.backward_steps(first, last)
        dns, of_dt = self._dns
        dns[first:last] += of_dt[first:last]

    def _chunk_backward(self, span: slice, part: slice, before: Array) -> None:
        """Write the gradients of x, B, C and of what Δ comes from, and add to those of the weights."""
        d_dt_b, dA_log, dskip = self._own_grads
        xp, A, skip = namespace(self.skip), self._A(), self._per_head(self.skip)
        x, _, _ = self._inputs(span, part)
        Q, N, G, R, P = x.shape
        dts = self._dts[span, part].reshape(Q, N, G, R)
        dy, y = self._heads(self._dys[span, part]), self._heads(self._ys[span, part]) - skip * x
        dvs = self._dvs[span, part]
        H, GS = self.H, G * self.S
        dB, dC = (dvs[..., at : at + GS].reshape(Q, N, G, self.S) for at in (H, H + GS))
        dx = self._buffers.get("dx", (Q, N, G, R, P), self.skip)
        dlogs = self._chunk(span, part, before).backward(dy, y, self._flow[part], dx, dB, dC)
        into_dt = (x * dx).sum(axis=-1) + dlogs * A  # (Q, N, G, R)
        dvs[..., :H].reshape(Q, N, G, R, P)[...] = dx * dts[..., None] + skip * dy
        sigmas = self._buffers.get("sigmas", (Q, N, G * R), self.skip)
        sigmoid(self._us[span, part], out=sigmas)  # the derivative of softplus
        dus = self._dus[span, part]
        xp.multiply(into_dt.reshape(Q, N, G * R), sigmas, out=dus)
        d_dt_b += dus.sum(axis=(0, 1))
        dA_log += (dlogs * dts).sum(axis=(0, 1)) * A
        dskip += (dy * x).sum(axis=(0, 1, 4)).reshape(G * R)

    def end_backward(self) -> None:
        """Keep copies of the gradients of the incoming states."""
        self.ds = self._flow.reshape(len(self._flow), -1) + 0
        self.dconv = self.conv_layer.input_gradients()

    def weight_gradients(self) -> list[Callable[[], None]]:
        """Return the functions to call after the steps; they do not depend on each other."""
        return [
            *self.into_conv.weight_gradients(),
            *self.into_dt.weight_gradients(),
            self.conv_layer.write_gradients,
        ]
