"""Mamba: a residual block around a selective scan, with a gate after it.

    n = RMSNorm(x)∘g          y = selective scan(n)          out = x + (y∘silu(n·Wg))·Wo

It is `elman.layers.residual.TimeResidualBlock` with `elman.layers.selective_scan.TimeSelectiveScan` as the cell,
forward and backward. At first the S numbers of a unit decay at the rates 1 to S, and Δ is between 0.001 and 0.1, spread
evenly on a logarithmic scale, where the paper draws it.

Source: A. Gu and T. Dao, "Mamba: linear-time sequence modeling with selective state spaces" (2023).
"""

from collections.abc import Mapping

import numpy as np

from elman.arrays import Array
from elman.layers.base import Weight
from elman.layers.mamba2 import EPS, KERNEL, spread_dt_bias
from elman.layers.residual import TimeResidualBlock
from elman.layers.selective_scan import TimeSelectiveScan
from elman.layers.sizes import completed

STATE = 16  # numbers of state a unit
WIDTH_PER_RANK = 16  # of the block, for each of the numbers from which Δ follows


class TimeMamba(TimeResidualBlock):
    """xs (N, T, D) -> ys (N, T, D): the block; ``h`` is the output at the last step.

    The states of `TimeSelectiveScan` are carried as s and conv.

    Args:
        gain, Wg, Wo: g (D,), (D, H) and (H, D).
        Wx, conv, conv_b, Wr, Wbc, Wdt, dt_b, A_log, skip: see `TimeSelectiveScan`.
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
        Wr: Array,
        Wbc: Array,
        Wdt: Array,
        dt_b: Array,
        A_log: Array,
        skip: Array,
        Wg: Array,
        Wo: Array,
        last_gain: Array | None = None,
        stateful: bool = False,
    ) -> None:
        cell = TimeSelectiveScan(Wx, conv, conv_b, Wr, Wbc, Wdt, dt_b, A_log, skip, stateful)
        super().__init__(cell, gain, Wg, Wo, last_gain=last_gain, eps=EPS)

    @classmethod
    def plan(  # type: ignore[override]
        cls, D: int, H: int, layers: int = 1, k: int = 0, sizes: Mapping[str, int] | None = None
    ) -> dict[str, Weight]:
        """Return the weights of a block by the names of the constructor's arguments.

        Args:
            D, H: the width of the block, and the number of units.
            layers, k: the number of blocks, as for `TimeResidualBlock.plan`, and which one it is.
            sizes: state, rank and kernel, where they are not to be `STATE`, D / `WIDTH_PER_RANK` rounded up, and
                `KERNEL`.

        Raises:
            ConfigError: a size is below 1, or there is another one.
        """
        S, R, K = completed(sizes, state=STATE, rank=-(-D // WIDTH_PER_RANK), kernel=KERNEL).values()
        gain = Weight((D,), start=1.0, scalable=False)
        rates = np.repeat(np.log(np.arange(1, S + 1))[:, None], H, axis=1)  # (S, H)
        plan = {
            "gain": gain,
            "Wx": Weight((D, H), D**-0.5),
            "conv": Weight((K, H), K**-0.5),
            "conv_b": Weight((H,)),
            "Wr": Weight((H, R), H**-0.5),
            "Wbc": Weight((H, 2 * S), H**-0.5),
            "Wdt": Weight((R, H), R**-0.5),
            "dt_b": Weight((H,), start=spread_dt_bias(H), scalable=False),
            "A_log": Weight((S, H), start=rates, scalable=False),
            "skip": Weight((H,), start=1.0, scalable=False),
            "Wg": Weight((D, H), D**-0.5),
            "Wo": Weight((H, D), (2 * layers * H) ** -0.5),
        }
        return {**plan, "last_gain": gain} if k == layers - 1 else plan
