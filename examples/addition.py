"""Learn to add two binary numbers bit by bit, from examples only, and find the unit that holds the carry.

Run ``python examples/addition.py [--plot FILE]``. At each step an RNN reads one bit of each number, the least
significant first, and predicts that bit of the sum. It is trained on numbers of 12 bits, and tested on numbers of 64:
what it has learnt is not a table of sums but the rule, and the rule needs a memory of one bit.
"""

import argparse
from pathlib import Path

import numpy as np

from elman import Adam, TimeAffine, TimeRNN, TimeSoftmaxWithLoss
from elman.inspection.units import correlations
from elman.plots import COLOURS, new_figure, save
from elman.training.step import TrainingStep
from elman.workers import limited_threads


class Adder:
    """TimeRNN → TimeAffine → softmax over the two values of a bit."""

    def __init__(self, H, rng):
        def weights(rows, columns):
            return (rng.standard_normal((rows, columns)) / np.sqrt(rows)).astype(np.float32)

        self.rnn = TimeRNN(weights(2, H), weights(H, H), np.zeros(H, np.float32))
        self.affine = TimeAffine(weights(H, 2), np.zeros(2, np.float32))
        self.loss = TimeSoftmaxWithLoss()
        self.params = self.rnn.params + self.affine.params
        self.grads = self.rnn.grads + self.affine.grads

    def scores(self, xs):
        """Return the scores (N, T, 2) of 0 and 1 for each bit of the sums; xs (N, T, 2) are the bits to add."""
        return self.affine.forward(self.rnn.forward(xs))

    def forward(self, xs, ts):
        """Return the loss in nats a bit; ts (N, T) are the bits of the sums."""
        return self.loss.forward(self.scores(xs), ts)

    def backward(self, dout=1.0):
        """Write the gradients of the weights."""
        self.rnn.backward(self.affine.backward(self.loss.backward(dout)))


def random_sums(N, bits, rng):
    """Return pairs of random numbers (N, T, 2), their sums (N, T) and the carries (N, T); T is bits + 1.

    The carry of a step is what that step hands to the next one.
    """
    xs = np.zeros((N, bits + 1, 2), np.float32)  # the last step has only a carry to write
    xs[:, :bits] = rng.integers(0, 2, (N, bits, 2))
    totals, carry = xs.sum(axis=2).astype(int), np.zeros(N, int)
    sums, carries = np.empty_like(totals), np.empty_like(totals)
    for t in range(bits + 1):
        total = totals[:, t] + carry
        sums[:, t], carries[:, t] = total % 2, total // 2
        carry = carries[:, t]
    return xs, sums, carries


def train(hidden, updates, rng, bits=12, batch_size=32):
    """Return an adder trained on random numbers, new ones for each update, and its last loss in nats a bit."""
    model = Adder(hidden, rng)
    step = TrainingStep(model, Adam(lr=0.01), max_grad=1.0)
    for _ in range(updates):
        xs, ts, _ = random_sums(batch_size, bits, rng)
        loss, _ = step(xs, ts)
    return model, loss


def draw(path, xs, sums, carries, unit, h):
    """Draw the unit h (T,) over the bits of one sum, above the bits themselves and the true carry."""
    figure, axes = new_figure(scale="linear")
    steps = range(len(sums))
    axes.step(
        steps,
        2 * carries - 1,
        where="mid",
        color=COLOURS[4],
        linewidth=6,
        alpha=0.5,
        label="carry: up 1, down 0",
    )
    axes.plot(steps, h, "o-", color=COLOURS[0], label=f"hidden unit {unit}")
    labels = [f"{int(a)}\n{int(b)}\n{s}" for (a, b), s in zip(xs, sums, strict=True)]
    axes.set_xticks(steps, labels, family="monospace")
    axes.set_xlabel("the two numbers and, below them, their sum; the least significant bit is on the left")
    axes.set_ylabel(f"value of unit {unit}")
    axes.legend(frameon=False, loc="upper center", bbox_to_anchor=(0.5, 1.15), ncols=2)
    save(figure, Path(path))


def main(arguments=None, hidden=16, updates=2000, seed=0):
    """Train, test on longer numbers and find the carry; return the fraction of exact sums, and the correlation."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "--plot", metavar="FILE", help="draw the unit that holds the carry over the bits of one sum"
    )
    options = parser.parse_args(arguments)
    rng = np.random.default_rng(seed)
    with limited_threads(0):  # one thread: the products are small
        model, loss = train(hidden, updates, rng)
        xs, sums, carries = random_sums(1000, 64, rng)
        exact = (model.scores(xs).argmax(axis=2) == sums).all(axis=1)  # (N,)
        hs = model.rnn.hs.copy()  # (N, T, H)
    found = correlations(hs.reshape(-1, hidden), carries.reshape(-1))
    unit = int(np.abs(found).argmax())
    print(f"trained on sums of 12-bit numbers: {loss:.5f} nats a bit")
    print(f"sums of 64-bit numbers that are exact in every bit: {exact.sum():,} of {len(exact):,}")
    print(f"unit {unit} holds the carry: correlation {found[unit]:+.3f}")
    if options.plot:
        xs, sums, carries = random_sums(1, 24, rng)
        model.scores(xs)
        draw(options.plot, xs[0], sums[0], carries[0], unit, model.rnn.hs[0, :, unit])
    return exact.mean(), abs(found[unit])


if __name__ == "__main__":
    main()
