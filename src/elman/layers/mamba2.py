"""Mamba-2: a residual block around a state space layer, with a gate and a norm after it.

    n = RMSNorm(x)∘g          y = state space layer(n)          out = x + (RMSNorm(y∘silu(n·Wg))∘g_inner)·Wo

It is `elman.layers.residual.TimeResidualBlock` with `elman.layers.state_space.TimeStateSpace` as the cell and one more
norm, in groups of heads, forward and backward. At first the heads forget at different rates, as in the paper: -A
between 1 and 16, Δ between 0.001 and 0.1 on a logarithmic scale; but both are spread evenly instead of drawn.

Source: T. Dao and A. Gu, "Transformers are SSMs: generalized models and efficient algorithms through structured state
space duality", ICML 2024.
"""

from collections.abc import Mapping

import numpy as np

from elman.arrays import Array
from elman.errors import ConfigError
from elman.layers.base import Weight
from elman.layers.residual import TimeResidualBlock
from elman.layers.sizes import MOST_WIDTH, completed, head_width
from elman.layers.state_space import TimeStateSpace

EPS = 1e-5  # of the norms
KERNEL = 4  # steps of the convolution
A_RANGE = (1.0, 16.0)
DT_RANGE = (1e-3, 1e-1)
GOLDEN = (5**0.5 - 1) / 2


def spread_dt_bias(width: int) -> Array:
    """Return biases (width,) with which Δ = softplus(bias) covers `DT_RANGE` evenly on a logarithmic scale."""
    fractions = (np.arange(width) + 0.5) * GOLDEN % 1  # neighbours, whose A are close, differ much
    least, most = np.log(DT_RANGE)
    return np.log(np.expm1(np.exp(least + (most - least) * fractions)))


class TimeMamba2(TimeResidualBlock):
    """xs (N, T, D) -> ys (N, T, D): the block; ``h`` is the output at the last step.

    The states of `TimeStateSpace` are carried as s and conv.

    Args:
        gain, Wg, Wo: g (D,), (D, H) and (H, D).
        Wx, conv, conv_b, Wdt, dt_b, A_log, skip: see `TimeStateSpace`.
        inner_gain: g_inner (H,).
        last_gain: the gain (D,) of a norm after all, for the last block of a model.
        stateful: whether the states are carried from block to block.

    Raises:
        ShapeError: the shapes of the weights do not go together.
    """

    of_cell = ""
    recurrent_state = "s"

    def __init__(
        self,
        gain: Array,
        Wx: Array,
        conv: Array,
        conv_b: Array,
        Wdt: Array,
        dt_b: Array,
        A_log: Array,
        skip: Array,
        Wg: Array,
        inner_gain: Array,
        Wo: Array,
        last_gain: Array | None = None,
        stateful: bool = False,
    ) -> None:
        cell = TimeStateSpace(Wx, conv, conv_b, Wdt, dt_b, A_log, skip, Wg.shape[1], stateful)
        super().__init__(
            cell, gain, Wg, Wo, last_gain=last_gain, inner_gain=inner_gain, eps=EPS, groups=cell.G
        )

    @classmethod
    def plan(  # type: ignore[override]
        cls, D: int, H: int, layers: int = 1, k: int = 0, sizes: Mapping[str, int] | None = None
    ) -> dict[str, Weight]:
        """Return the weights of a block by the names of the constructor's arguments.

        Args:
            D, H: the width of the block, and that of all heads together.
            layers, k: the number of blocks, as for `TimeResidualBlock.plan`, and which one it is.
            sizes: head, state, groups and kernel, where they are not to be the largest divisor of H up to
                `MOST_WIDTH`, H up to `MOST_WIDTH`, 1 and `KERNEL`.

        Raises:
            ConfigError: the sizes do not go together, or there is another one.
        """
        usual = {"head": head_width(H), "state": min(H, MOST_WIDTH), "groups": 1, "kernel": KERNEL}
        P, S, G, K = completed(sizes, **usual).values()
        if H % P or (H // P) % G:
            raise ConfigError(
                f"hidden {H} is not {G} groups of heads of width {P}; it must be a multiple of {G * P}"
            )
        heads, C = H // P, H + 2 * G * S
        gain = Weight((D,), start=1.0, scalable=False)
        least, most = A_RANGE
        logs = np.log(least + (most - least) * (np.arange(heads) + 0.5) / heads).reshape(G, heads // G)
        plan = {
            "gain": gain,
            "Wx": Weight((D, C), D**-0.5),
            "conv": Weight((K, C), K**-0.5),
            "conv_b": Weight((C,)),
            "Wdt": Weight((D, heads), D**-0.5),
            "dt_b": Weight((heads,), start=spread_dt_bias(heads), scalable=False),
            "A_log": Weight((G, heads // G), start=logs, scalable=False),
            "skip": Weight((heads,), start=1.0, scalable=False),
            "Wg": Weight((D, H), D**-0.5),
            "inner_gain": Weight((H,), start=1.0, scalable=False),
            "Wo": Weight((H, D), (2 * layers * H) ** -0.5),
        }
        return {**plan, "last_gain": gain} if k == layers - 1 else plan
