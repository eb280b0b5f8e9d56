"""Quasi-recurrent neural network (QRNN): a convolution over the last two inputs, and fo-pooling of its results.

    z, f, o = tanh(z_z), σ(z_f), σ(z_o)          z_· = x_{t-1}·W₀ + x_t·W₁ + b
    c_t = f∘c_{t-1} + (1 - f)∘z                  h_t = o∘c_t

    δ_t as in `elman.layers.diagonal`, ds_t = dh_t∘o, a_t = f
    dz_z = δ_t∘(1 - f)∘(1 - z²)                  dz_f = δ_t∘(c_{t-1} - z)∘f∘(1 - f)
    dz_o = dh_t∘h_t∘(1 - o)                      dx_t = dz_·,t·W₁ᵀ + dz_·,t+1·W₀ᵀ

The last input of a block is a carried state, x (N, D), so that blocks join as if they were one.
Wx (2D, 3H) holds W₀ above W₁; its columns, and b (3H,), hold z, f and o, each H wide.

Source: J. Bradbury et al., "Quasi-recurrent neural networks", ICLR 2017, with a filter width of 2.
"""

from elman.arrays import Array, batch_major, namespace
from elman.errors import ConfigError
from elman.layers.base import Weight, check_weights
from elman.layers.diagonal import TimeDiagonalRecurrence
from elman.layers.kernels.numpy import one_minus, sigmoid, tanh_slope

WIDTH = 2  # inputs that a product reads


class TimeQRNN(TimeDiagonalRecurrence):
    """T steps of the cell: forward (N, T, D) -> (N, T, H), backward by truncated BPTT.

    ``stateful=True`` carries h, c and the last input x into the next block. ``dh``, ``dc`` and ``dx`` are the gradients
    of the loss with respect to those that came in.

    Raises:
        ConfigError: Wx is None; a convolution needs word vectors.
    """

    gates = 3
    states = ("h", "c", "x")
    gate_names = ("z", "f", "o")
    keeps = (0.0, 1.0)
    recurrent_state = "c"

    def __init__(self, Wx: Array | None, b: Array, stateful: bool = False) -> None:
        if Wx is None:
            raise _needs_vectors()
        check_weights(type(self).__name__, Wx=(Wx, (Wx.shape[0] // WIDTH * WIDTH, b.shape[0])))
        super().__init__(Wx, b, stateful)
        self.D = Wx.shape[0] // WIDTH

    @classmethod
    def plan(cls, D: int, H: int) -> dict[str, Weight]:
        """Return Wx (2D, 3H) and b (3H,). Raises ConfigError for one-hot input, D = 0."""
        if not D:
            raise _needs_vectors()
        return super().plan(WIDTH * D, H)

    @classmethod
    def names_inside(cls) -> tuple[str, ...]:
        """Return h, c and the gates; x is an input."""
        return tuple(name for name in super().names_inside() if name != "x")

    @property
    def inside(self) -> dict[str, Array]:
        """The states h and c and the gates of the last `forward`: (N, T, H) each, valid as long as hs."""
        found = super().inside
        return {name: found[name] for name in self.names_inside()}

    @property
    def state_widths(self) -> dict[str, int]:
        """The width of each carried state by its name."""
        return {**super().state_widths, "x": self.D}

    def _read(self, xs: Array) -> Array:
        self._inputs, (T, N, D) = xs, xs.shape
        self._pairs = self._buffers.get("pairs", (T, N, WIDTH * D), self.b)  # x_{t-1} and x_t
        return self._pairs

    def _prepare(self, T: int, N: int, H: int) -> None:
        super()._prepare(T, N, H)
        self._a = self._gates[1]  # f

    def forward_steps(self, first: int, last: int) -> None:
        """Do the steps first ≤ t < last as in any linear recurrence, after putting their inputs in pairs."""
        xs, span = self._carried["x"], slice(first, last)  # (T + 1, N, D)
        xs[1:][span] = self._inputs[span]
        self._pairs[span, :, : self.D] = xs[span]
        self._pairs[span, :, self.D :] = self._inputs[span]
        super().forward_steps(first, last)

    def begin_backward(self, dhs: Array) -> Array:
        """Take dhs (N, T, H), which may be filled later; return dxs (N, T, D), which `backward_steps` fills."""
        super().begin_backward(dhs)
        self._dxs = self._buffers.get("dxs", tuple(self._inputs.shape), self.b)  # (T, N, D)
        return batch_major(self._dxs)

    def backward_steps(self, first: int, last: int) -> None:
        """Do the steps last > t ≥ first as in any linear recurrence, then add up what each input got from two steps."""
        super().backward_steps(first, last)
        span, D, flow = slice(first, last), self.D, self._flowing["x"]
        d_before, d_now = (self.projection.dxs[span, :, k * D : (k + 1) * D] for k in range(WIDTH))
        dxs = self._dxs[span]
        dxs[...] = d_now
        dxs[:-1] += d_before[1:]
        dxs[-1] += flow
        flow[...] = d_before[0]

    def coefficients(self, span: slice) -> None:
        """Write a = f and b = (1 - f)∘z."""
        xp, (z, f, o), b = namespace(self.b), self._gates[:, span], self._b[span]
        xp.tanh(self.product(span, 0), out=z)
        sigmoid(self.product(span, 1), out=f)
        sigmoid(self.product(span, 2), out=o)
        one_minus(f, out=b)
        xp.multiply(b, z, out=b)

    def output(self, span: slice) -> None:
        """Write h = o∘c."""
        o, c = self._gates[2, span], self._states[1:][span]
        namespace(o).multiply(o, c, out=self._hs[1:][span])

    def output_gradients(self, span: slice) -> Array:
        """Write dz_o; return dc = dh∘o."""
        xp, o, dh, (work, _) = namespace(self.b), self._gates[2, span], self._dhs[span], self.work(span)
        xp.multiply(dh, o, out=self._deltas[span])
        one_minus(o, out=work)
        xp.multiply(work, self._hs[1:][span], out=work)
        xp.multiply(work, dh, out=self.d_product(span, 2))
        return self._deltas

    def product_gradients(self, span: slice) -> None:
        """Write dz_z and dz_f."""
        xp, (z, f, _), (work, d) = namespace(self.b), self._gates[:, span], self.work(span)
        one_minus(f, out=d)
        xp.multiply(d, self._deltas[span], out=d)  # δ∘(1 - f)
        xp.subtract(self._states[span], z, out=work)
        xp.multiply(work, f, out=work)
        xp.multiply(work, d, out=self.d_product(span, 1))
        tanh_slope(z, out=work)
        xp.multiply(work, d, out=self.d_product(span, 0))


def _needs_vectors() -> ConfigError:
    return ConfigError(
        "`cell='qrnn'` convolves word vectors and takes no one-hot input (`wordvec=0`); set `wordvec`, to 100 say"
    )
