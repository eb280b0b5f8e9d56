"""What the layers of Mamba and Mamba-2 share: a short convolution, then a linear recurrence that reads its own rates.

    u_t = n_t·Wx          v_t = silu(convolution of u over the last K steps)          x_t, the first H columns of v_t
    Δ_t = softplus(r_t + b_dt)              A = -exp(A_log)
    s_t = exp(Δ_t·A)∘s_{t-1} + Δ_t·x_t·B_tᵀ              y_t = s_t·C_t + skip∘x_t

How r, B and C follow from n or v, which Δ and A belong to which numbers of the state, and how many steps are done at a
time, a layer says itself. Only the state after the last step is kept. Backward, the states at the borders of chunks of
`chunk` steps are computed again, from the state that came in, and from each what is inside its chunk; so no more than
T / `chunk` states are ever held. The states are s, and the last inputs of the convolution, conv (N, (K - 1)·C).
"""

from abc import abstractmethod
from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import Any, ClassVar

from elman.arrays import Array, Buffers, batch_major, namespace, time_major, zeros
from elman.layers.base import check_gradient, check_sequence, check_state
from elman.layers.convolution import TimeConvolution
from elman.layers.kernels.numpy import sigmoid
from elman.layers.recurrent import StatefulLayer
from elman.layers.residual import TimeProduct


class TimeSelective(StatefulLayer):
    """T steps of such a layer: forward ns (N, T, D) -> ys (N, T, H), backward by truncated BPTT.

    A layer makes ``products``, which compute r from n or v, the last one r itself, defines ``state_shape`` and the
    abstract methods, and puts the gradients of dt_b, A_log and skip into ``_own_grads``.
    """

    recurrent_state: ClassVar[str] = "s"

    def __init__(
        self,
        Wx: Array,
        conv: TimeConvolution,
        products: Sequence[TimeProduct],
        own: Sequence[Array],
        state_shape: tuple[int, ...],
        stateful: bool,
    ) -> None:
        self.Wx, self.D = Wx, Wx.shape[0]
        self.dt_b, self.A_log, self.skip = own
        self.state_shape = state_shape  # of one sequence
        self.into_conv, self.conv_layer, self.products = TimeProduct(Wx), conv, list(products)
        self._own_grads = [zeros(tuple(weight.shape), weight) for weight in own]
        self._before_scan: list[Any] = [self.into_conv, conv, *products]
        self.params = [*(param for part in self._before_scan for param in part.params), *own]
        self.grads = [*(grad for part in self._before_scan for grad in part.grads), *self._own_grads]
        self.stateful = stateful
        self.reset_state()
        self.ds: Array | None = None
        self.dconv: Array | None = None
        self._buffers = Buffers()

    H: int
    chunk: int

    @property
    def state_widths(self) -> dict[str, int]:
        """The width of each carried state by its name."""
        width = 1
        for size in self.state_shape:
            width *= size
        return {"s": width, "conv": (self.conv_layer.K - 1) * self.conv_layer.C}

    def names_inside(self) -> tuple[str, ...]:
        """Return the names of what `inside` has: x, B and C after the convolution, Δ, and y before the gate."""
        return ("x", "B", "C", "dt", "y")

    @property
    def recurrence(self) -> "TimeSelective":
        """This layer."""
        return self

    @property
    def inside(self) -> dict[str, Array]:
        """What `names_inside` names, of the last `forward`: (N, T, width) each, valid as long as its output."""
        parts = (self._vs[..., : self.H], *self._B_and_C(), self._dts, self._ys)
        return dict(zip(self.names_inside(), map(batch_major, parts), strict=True))

    @property
    def dhs(self) -> Array:
        """The gradient (N, T, H) that the output received from above in the last `backward`."""
        return batch_major(self._dys)

    # Forward

    def begin(self, xs: Array) -> Array:
        """Take ns (N, T, D), which may be filled later; return ys (N, T, H), which `forward_steps` fills."""
        check_sequence("xs", xs, self.D)
        N, T, _ = xs.shape
        widths = self.state_widths
        states = {name: getattr(self, name) if self.stateful else None for name in widths}
        for name, state in states.items():
            if state is not None:
                check_state(name, state, N, widths[name])
        vs = self.conv_layer.begin(self.into_conv.begin(xs), states["conv"])  # (N, T, C)
        self._vs = time_major(vs)
        self._us = time_major(self._begin_products(xs, vs))  # r (T, N, …)
        self._dts = self._buffers.get("dts", tuple(self._us.shape), self.skip)
        self._ys = self._buffers.get("ys", (T, N, self.H), self.skip)
        self._state = self._buffers.get("s", (N, *self.state_shape), self.skip)
        self._incoming = states["s"]
        self._put_incoming(self._state)
        self._A = -namespace(self.A_log).exp(self.A_log)
        return batch_major(self._ys)

    def _put_incoming(self, state: Array) -> None:
        state[...] = 0 if self._incoming is None else self._incoming.reshape(state.shape)

    def forward_steps(self, first: int, last: int) -> None:
        """Do the steps first ≤ t < last: the products, the convolution and Δ, then chunk by chunk."""
        for part in self._before_scan:
            part.forward_steps(first, last)
        us, dts = self._us[first:last], self._dts[first:last]
        xp = namespace(dts)
        xp.add(us, self.dt_b, out=us)
        xp.logaddexp(us, us * 0, out=dts)  # softplus
        for span in self._chunks(first, last):
            self._scan(span)

    def end(self) -> None:
        """Keep copies of the last states for the next block: the buffers will be overwritten."""
        self.s = self._state.reshape(len(self._state), -1) + 0
        self.conv = self.conv_layer.last_inputs()

    def _chunks(self, first: int, last: int) -> list[slice]:
        """Cut these steps at the borders of the chunks, which are at multiples of ``chunk``."""
        borders = [first, *range(first - first % self.chunk + self.chunk, last, self.chunk), last]
        return [slice(a, b) for a, b in pairwise(borders)]

    # Backward

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
        dns = self.into_conv.begin_backward(self.conv_layer.begin_backward(self._dvs))
        self._dns = time_major(dns)
        self._begin_backward_products(batch_major(self._dus))
        return dns

    def _compute_borders(self, T: int) -> None:
        """Compute the states before the first step of every chunk again."""
        chunks = self._chunks(0, T)
        self._borders = self._buffers.get("borders", (len(chunks), *self._state.shape), self.skip)
        self._put_incoming(self._borders[0])
        for k, span in enumerate(chunks[:-1]):
            self._borders[k + 1] = self._borders[k]
            self._advance(span, self._borders[k + 1])

    def _state_before(self, t: int) -> Array:
        """Return the state before step t: that at the border of its chunk, advanced to t."""
        k, at = divmod(t, self.chunk)
        if not at:
            return self._borders[k]
        state = self._borders[k] + 0  # (N, …)
        self._advance(slice(t - at, t), state)
        return state

    def backward_steps(self, first: int, last: int) -> None:
        """Do the steps last > t ≥ first: chunk by chunk, then the products and the convolution."""
        for span in reversed(self._chunks(first, last)):
            self._scan_backward(span, self._state_before(span.start))
            self._through_softplus(span)
        self._backward_products_into_conv(first, last)
        self.conv_layer.backward_steps(first, last)
        self.into_conv.backward_steps(first, last)
        self._backward_products_into_input(first, last)

    def _through_softplus(self, span: slice) -> None:
        """Turn dΔ, in ``_dus``, into dr, and add it to the gradient of dt_b."""
        dus = self._dus[span]
        slopes = self._buffers.get("slopes", tuple(dus.shape), self.skip)
        sigmoid(self._us[span], out=slopes)
        dus *= slopes
        self._own_grads[0] += dus.sum(axis=(0, 1))

    def end_backward(self) -> None:
        """Keep copies of the gradients of the incoming states."""
        self.ds = self._flow.reshape(len(self._flow), -1) + 0
        self.dconv = self.conv_layer.input_gradients()

    def weight_gradients(self) -> list[Callable[[], None]]:
        """Return the functions to call after the steps; they do not depend on each other."""
        of_products = [
            write for part in (self.into_conv, *self.products) for write in part.weight_gradients()
        ]
        return [*of_products, self.conv_layer.write_gradients]

    # What a layer defines

    @abstractmethod
    def _begin_products(self, ns: Array, vs: Array) -> Array:
        """Begin the products from ns (N, T, D) and vs (N, T, C); return r (N, T, …)."""

    @abstractmethod
    def _B_and_C(self) -> tuple[Array, Array]:
        """Return B and C of the last `forward`, (T, N, width) each."""

    @abstractmethod
    def _scan(self, span: slice) -> None:
        """Write ys of these steps of one chunk, and the state after them over ``_state``."""

    @abstractmethod
    def _advance(self, span: slice, state: Array) -> None:
        """Write the state after these steps of one chunk over that before them."""

    @abstractmethod
    def _begin_backward_products(self, dus: Array) -> None:
        """Begin the products' backward pass with dr (N, T, …), which `_scan_backward` and softplus fill."""

    @abstractmethod
    def _scan_backward(self, span: slice, before: Array) -> None:
        """Write dΔ, in ``_dus``, dx, in ``_dvs``, and those of B and C of these steps after the state ``before``.

        The gradient of the state goes through ``_flow``; those of A_log and skip are added to ``_own_grads``.
        """

    @abstractmethod
    def _backward_products_into_conv(self, first: int, last: int) -> None:
        """Do the products that read v, and add their gradient to ``_dvs``."""

    @abstractmethod
    def _backward_products_into_input(self, first: int, last: int) -> None:
        """Do the products that read n, and add their gradient to ``_dns``."""
