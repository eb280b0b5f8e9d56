"""The gradient that flows back through the steps of a recurrent network, for every place where truncation may cut it.

In truncated backpropagation through time (BPTT) the gradient of a block ends at the block's borders. What arrives at
step t depends on where its block ends, not on where it begins, so that one backward pass per possible end gives the
gradients of every block size.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from elman.inspection.network import Network, target_gradient
from elman.layers.recurrent import StatefulLayer
from elman.models.recurrent import RecurrentLM

Norms = NDArray[np.float64]


@dataclass(frozen=True)
class GradientFlow:
    """Norms of the gradients with respect to h_t of one layer at L steps, (L + 1, L) each.

    In a residual block h_t is the output of the cell: no later step reads that of the block.
    Row e < L is for a block that ends at step e: the gradient of the losses of steps 0 to e. Row L is for the loss of
    the last step alone. ``arriving`` is ‖dh_t‖, the sum of what comes from above at step t and what flows back from
    step t + 1; ``above`` and ``flowing`` are the norms of the two.

    ``through`` is the state whose gradient flows from step to step. Where it is not h, because the next step reads
    another state only (c of an SRU, s of Mamba), ``flowing`` is the gradient with respect to that state, and
    ``arriving`` is ‖(dh_t, dc_t)‖.
    """

    above: Norms
    flowing: Norms
    arriving: Norms
    through: str

    def block_norms(self, time_size: int) -> Norms:
        """Return ‖dh_t‖ (L,) where the gradient is cut after every ``time_size`` steps."""
        L = self.arriving.shape[1]
        steps = np.arange(L)
        ends = np.minimum((steps // time_size + 1) * time_size, L) - 1
        found: Norms = self.arriving[ends, steps]
        return found


def gradient_flow(model: RecurrentLM, ids: NDArray[np.integer], first: int = 0) -> list[GradientFlow]:
    """Return the flow of the gradient in each layer, the bottom one first, as a model reads ids (first + L + 1,).

    The loss is the mean of the losses of L steps, of which step t reads ``ids[first + t]`` and predicts the id after
    it. The ids before are read first; no gradient flows back to them. The model is not changed. The work is that of
    about L passes over L steps.
    """
    ids = np.asarray(ids, np.intp)
    network = Network(model)
    if first:
        network.read(ids[:first])
    states = [layer.carried() for layer in network.layers]
    L, inputs, targets = len(ids) - first - 1, ids[first:-1], ids[first + 1 :]
    hs = network.read(inputs).copy()  # (L, H)
    above = np.stack(
        [
            -target_gradient(model, network, h, int(target))[1] / L
            for h, target in zip(hs, targets, strict=True)
        ]
    )  # (L, H)
    counted = np.concatenate([np.tri(L), np.eye(L)[-1:]])  # (L + 1, L): which losses count in a row
    dhs = (counted[:, :, None] * above).astype(hs.dtype)  # (L + 1, L, H)
    xs = np.repeat(network.weights["embedding"][inputs][None], L + 1, axis=0)  # (L + 1, L, D)
    for layer, state in zip(network.layers, states, strict=True):
        layer.reset_state()
        if first:  # L + 1 times the state that came in
            layer.carry({name: np.repeat(np.asarray(h), L + 1, axis=0) for name, h in state.items()})
        xs = layer.forward(xs)
    found = []
    for layer in reversed(network.layers):
        dxs, cell = layer.begin_backward(dhs), layer.recurrence
        reaching = cell.dhs  # (L + 1, L, H): dhs itself, or what a residual block fills step by step
        through = flowing_state(cell)
        flowing = np.zeros_like(reaching)  # (L + 1, L, H), where it is h that flows
        norms = np.zeros(reaching.shape[:2])  # (L + 1, L); a state may be too wide to keep that of every step
        for t in reversed(range(L)):
            layer.backward_steps(t, t + 1)
            layer.end_backward()
            if t:
                flow = getattr(cell, f"d{through}")  # (L + 1, width)
                norms[:, t - 1] = _norms(flow)
                if through == "h":
                    flowing[:, t - 1] = flow
        of_both = _norms(reaching + flowing) if through == "h" else np.hypot(_norms(reaching), norms)
        found.append(GradientFlow(_norms(reaching), norms, of_both, through))
        dhs = dxs
    return found[::-1]


def flowing_state(cell: StatefulLayer) -> str:
    """Return the name of the state whose gradient flows back from step to step: h unless no step reads it."""
    name: str = getattr(cell, "recurrent_state", "h")
    return name


def _norms(gradients: NDArray[np.floating]) -> Norms:
    """Return the norms of gradients (…, H), in float64 so that small ones do not underflow."""
    norms: Norms = np.linalg.norm(gradients.astype(np.float64), axis=-1)
    return norms
