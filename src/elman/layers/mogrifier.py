"""Mogrifier LSTM: before each step, the input and the state gate each other, r times in turn.

    x, h = x_t, h_{t-1}
    k = 1, 3, …     s_k = 2σ(h·Q_k)     x ← s_k∘x
    k = 2, 4, …     s_k = 2σ(x·R_k)     h ← s_k∘h
    h_t, c_t = LSTM(x, h, c_{t-1})

    for k = r, …, 1, given the gradient dy of what round k returned, y = s_k∘u, where u was gated by v·W_k:
    dp_k = dy∘y∘(1 - ½s_k)     du = dy∘s_k     dv += dp_k·W_kᵀ     dW_k = Σ_t vᵀ·dp_k

A gate of 2σ is 1 where its product is 0, so that at first about half of the numbers grow and half shrink. What a word's
vector says thus depends on what has been read before it. The price is that x has to wait for h_{t-1}: x·Wx is
computed step by step. The gradients of all weights are still one product each.

The rounds alternate between Q1, R1, Q2, R2, …, one matrix each: the Qs are (H, D), the Rs (D, H). All other
weights are those of `elman.layers.lstm`.

Source: G. Melis, T. Kočiský and P. Blunsom, "Mogrifier LSTM", ICLR 2020.
"""

from collections.abc import Callable
from functools import partial

from elman.arrays import Array, as_rows, asarray, batch_major, contiguous, namespace, time_major, zeros
from elman.errors import ConfigError, ShapeError
from elman.layers.base import Weight, check_sequence, check_weights
from elman.layers.kernels import kernels_for
from elman.layers.lstm import TimeLSTM

ROUNDS = 4  # r of a new layer


class TimeMogrifierLSTM(TimeLSTM):
    """T steps of the cell: forward (N, T, D) -> (N, T, H), backward by truncated BPTT.

    ``rounds`` are the matrices Q1, R1, Q2, R2, … by name, as many as there are rounds, and two at least. The input is
    gated, so it must be word vectors: there is no ``Wx=None``. All else is as in TimeLSTM.

    Raises:
        ConfigError: Wx is None.
        ShapeError: a weight has another shape, or the names of the rounds are not Q1, R1, …
    """

    def __init__(
        self, Wx: Array | None, Wh: Array, b: Array, stateful: bool = False, **rounds: Array
    ) -> None:
        if Wx is None:
            raise _no_word_vectors()
        super().__init__(Wx, Wh, b, stateful)
        D, H = self.projection.D, self.H
        names = round_names(len(rounds))
        if set(names) != set(rounds) or len(names) < 2:
            raise ShapeError(
                f"TimeMogrifierLSTM: the rounds must be Q1, R1, Q2, …, two at least; got {', '.join(rounds) or 'none'}"
            )
        self.rounds = [rounds[name] for name in names]
        shapes = [(H, D) if name.startswith("Q") else (D, H) for name in names]
        check_weights(
            "TimeMogrifierLSTM", **dict(zip(names, zip(self.rounds, shapes, strict=True), strict=True))
        )
        self.round_grads = [zeros(shape, Wh) for shape in shapes]
        self.params += self.rounds
        self.grads += self.round_grads

    @classmethod
    def plan(cls, D: int, H: int) -> dict[str, Weight]:
        """Return the LSTM's weights, then Q1, R1, Q2 and R2. Raises ConfigError for a one-hot input (D = 0)."""
        if not D:
            raise _no_word_vectors()
        rounds = {
            name: Weight((H, D), H**-0.5) if name.startswith("Q") else Weight((D, H), D**-0.5)
            for name in round_names(ROUNDS)
        }
        return super().plan(D, H) | rounds

    def begin(self, xs: Array) -> Array:
        """Take xs (N, T, D), which may be filled later; return hs (N, T, H), which `forward_steps` fills."""
        D = self.projection.D
        check_sequence("xs", xs, D)
        N, T, _ = xs.shape
        self._xs = asarray(time_major(xs), self.b)  # (T, N, D)
        self._gated_xs = self._buffers.get("gated_xs", (T, N, D), self.b)
        return super().begin(batch_major(self._gated_xs))

    def _prepare(self, T: int, N: int, H: int) -> None:
        super()._prepare(T, N, H)
        # entry t is h_{t-1} after the last round; the LSTM's step writes h_t to entry t + 1, where it is gated next
        self._gated_hs = self._buffers.get("gated_hs", (T + 1, N, H), self.b)
        widths = [W.shape[1] for W in self.rounds]
        shapes = [(T, N, width) for width in widths]
        self._factors = [self._buffers.get(f"factors_{k}", s, self.b) for k, s in enumerate(shapes)]
        self._gated = [self._buffers.get(f"gated_{k}", s, self.b) for k, s in enumerate(shapes[:-2])]
        ends = (self._gated_xs, self._gated_hs[:-1])  # of the last round of each kind
        self._gated += ends if len(shapes) % 2 == 0 else ends[::-1]
        self._operands = [self._buffers.operand(f"round_{k}", W) for k, W in enumerate(self.rounds)]

    def forward_steps(self, first: int, last: int) -> None:
        """Do the steps first ≤ t < last: the rounds, then x·Wx + b, the gates, c_t and h_t, step by step."""
        kernels, matmul = kernels_for(self.b), namespace(self.b).matmul
        rounds = list(zip(self._operands, self._factors, self._gated, strict=True))
        for t in range(first, last):
            x_or_h, by = self._xs[t], self._hs[t]
            for W, factors, gated in rounds:
                matmul(by, W, out=factors[t])
                kernels.mogrify(factors[t], x_or_h, gated[t])
                x_or_h, by = by, gated[t]
            self.projection.forward_steps(t, t + 1)
            kernels.lstm_forward(
                t,
                t + 1,
                self._zs,
                self._product_Wh,
                self._gated_hs,
                self._cs,
                self._tanh_cs,
                self._gates,
                self._buffers,
            )
            self._hs[t + 1] = self._gated_hs[t + 1]

    def begin_backward(self, dhs: Array) -> Array:
        """Take dhs (N, T, H), which may be filled later; return dxs (N, T, D), which `backward_steps` fills."""
        dxs = super().begin_backward(dhs)
        self._dxs = time_major(dxs)  # (T, N, D)
        return dxs

    def _prepare_gradients(self, T: int, N: int, H: int) -> tuple[Array, Array]:
        self._d_products = [
            self._buffers.get(f"d_products_{k}", tuple(factors.shape), self.b)
            for k, factors in enumerate(self._factors)
        ]
        self._transposed = [contiguous(W.T) for W in self._operands]  # copies, as of Wh
        self._through = [
            self._buffers.get(f"through_{k}", (N, len(W)), self.b) for k, W in enumerate(self.rounds)
        ]
        return super()._prepare_gradients(T, N, H)

    def backward_steps(self, first: int, last: int) -> None:
        """Do the steps last > t ≥ first: dz_t and dc_{t-1}, then the rounds back to dx_t and dh_{t-1}, step by step."""
        kernels, xp, dh = kernels_for(self.b), namespace(self.b), self._flowing["h"]
        rounds = list(
            zip(self._transposed, self._factors, self._gated, self._d_products, self._through, strict=True)
        )
        for t in reversed(range(first, last)):
            kernels.lstm_backward(
                t,
                t + 1,
                self._dhs,
                self._cs,
                self._tanh_cs,
                self._gates,
                self._WhT,
                dh,
                self._flowing["c"],
                self._dzs,
                self._buffers,
            )
            self.projection.backward_steps(t, t + 1)
            d_gated, d_by = (dh, self._dxs[t]) if len(rounds) % 2 == 0 else (self._dxs[t], dh)
            for WT, factors, gated, d_products, through in reversed(rounds):
                kernels.mogrify_backward(factors[t], gated[t], d_gated, d_products[t])
                xp.matmul(d_products[t], WT, out=through)
                xp.add(d_by, through, out=d_by)
                d_gated, d_by = d_by, d_gated

    def _into_Wh(self) -> Array:
        return self._gated_hs[:-1]

    def weight_gradients(self) -> list[Callable[[], None]]:
        """Return the functions to call after the steps; they do not depend on each other."""
        rounds = [partial(self._write_round_gradient, k) for k in range(len(self.rounds))]
        return [*rounds, *super().weight_gradients()]

    def _write_round_gradient(self, k: int) -> None:
        by = self._gated[k - 1] if k else self._hs[:-1]
        namespace(self.b).matmul(as_rows(by).T, as_rows(self._d_products[k]), out=self.round_grads[k])


def round_names(r: int) -> list[str]:
    """Return the names of the matrices of r rounds: Q1, R1, Q2, …"""
    return [f"{'QR'[k % 2]}{k // 2 + 1}" for k in range(r)]


def _no_word_vectors() -> ConfigError:
    return ConfigError(
        "`cell='mogrifier'` gates the word vectors, but the input is one-hot (`wordvec=0`); set `wordvec`, to the "
        "width of the hidden state say"
    )
