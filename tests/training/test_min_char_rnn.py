"""The recipe's trainer agrees with a slow, obvious form of the 100-line character model."""

import numpy as np
import pytest
from numpy.typing import NDArray

from elman import AdaGrad, RecurrentLM, RnnlmTrainer
from elman.training.progress import BlockDone, Event

H, T = 20, 25
TEXT = (
    "the cat sat on the mat and the dog sat on the cat while the rain fell on the roof of the red house . "
    * 3
)
Weights = tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]


def slow_losses(ids: NDArray[np.int64], weights: Weights, blocks: int) -> list[float]:
    """Return the loss of each block, summed over its characters: column vectors, one character at a time."""
    Wxh, Whh, Why = (w.copy() for w in weights)
    V = len(Why)
    bh, by = np.zeros(H), np.zeros(V)
    params = (Wxh, Whh, Why, bh, by)
    memory = [np.zeros_like(p) for p in params]
    losses, p, h = [], 0, np.zeros(H)
    for _ in range(blocks):
        if p + T + 1 >= len(ids):
            p, h = 0, np.zeros(H)
        inputs, targets = ids[p : p + T], ids[p + 1 : p + T + 1]
        hs, probs, loss = [h], [], 0.0
        for x, target in zip(inputs, targets, strict=True):
            hs.append(np.tanh(Wxh[:, x] + Whh @ hs[-1] + bh))
            exps = np.exp(Why @ hs[-1] + by)
            probs.append(exps / exps.sum())
            loss -= np.log(probs[-1][target])
        dWxh, dWhh, dWhy, dbh, dby = grads = [np.zeros_like(q) for q in params]
        dh_next = np.zeros(H)
        for t in reversed(range(T)):
            dy = probs[t].copy()
            dy[targets[t]] -= 1
            dz = (Why.T @ dy + dh_next) * (1 - hs[t + 1] ** 2)
            dWhy += np.outer(dy, hs[t + 1])
            dby += dy
            dbh += dz
            dWxh[:, inputs[t]] += dz
            dWhh += np.outer(dz, hs[t])
            dh_next = Whh.T @ dz
        for q, g, m in zip(params, grads, memory, strict=True):
            np.clip(g, -5, 5, out=g)
            m += g * g
            q -= 0.1 * g / np.sqrt(m + 1e-8)
        losses.append(loss)
        p, h = p + T, hs[-1]
    return losses


@pytest.mark.parametrize("seed", [0, 1])
def test_the_recipe_follows_the_rules_block_by_block(seed: int) -> None:
    # rounding grows about twofold a block, as in any chaotic system: so few blocks, and double precision
    rng = np.random.default_rng(seed)
    ids = np.unique(list(TEXT), return_inverse=True)[1]
    V = int(ids.max()) + 1
    Wxh, Whh, Why = (0.01 * rng.standard_normal(s) for s in ((H, V), (H, H), (V, H)))
    model = RecurrentLM(V, 0, H, dtype=np.float64, weight_scale=0.01)
    for name, weight in (("embedding", Wxh), ("0.Wh", Whh), ("output.W", Why)):
        model.weights[name][...] = weight.T
    losses: list[float] = []

    def watch(event: Event) -> None:
        if isinstance(event, BlockDone):
            losses.append(event.loss_nats * T)

    rules = {"max_value": 5.0, "reduction": "sum", "wrap": "restart"}
    blocks = 16  # the text is read a little more than once
    trainer = RnnlmTrainer(model, AdaGrad(0.1, eps=1e-8))
    trainer.fit(ids[:-1], ids[1:], 2, 1, T, max_iterations=blocks, on_event=watch, **rules)  # type: ignore[arg-type]
    np.testing.assert_allclose(losses, slow_losses(ids, (Wxh, Whh, Why), blocks), rtol=1e-8)
    assert (len(ids) - 1) // T < blocks
