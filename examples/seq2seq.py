"""Sequence to sequence: an encoder reads digits, and a decoder writes them in reverse order.

    5 0 2 9 4   ->   4 9 2 0 5

All that the decoder knows of the digits is the encoder's last h, which becomes its first h (`set_state`). And all that
the encoder learns comes back the same way: `.dh` of the decoder is the gradient of that h. To see what it is worth, a
second model is trained without it.

Run it with ``python examples/seq2seq.py``; it takes about 10 seconds.

Source: I. Sutskever, O. Vinyals and Q. Le, "Sequence to sequence learning with neural networks", NeurIPS 2014.
"""

import numpy as np

from elman import Adam, TimeAffine, TimeEmbedding, TimeLSTM, TimeSoftmaxWithLoss

START = 10  # the id with which every answer starts; a digit is its own id
DIGITS = 5
LEARNING_RATE = 0.01


def make_data(rng):
    """Return all numbers of five digits in random order: the questions (100000, 5) and their answers as ids."""
    numbers = rng.permutation(10**DIGITS)
    questions = numbers[:, None] // 10 ** np.arange(DIGITS)[::-1] % 10
    return questions, questions[:, ::-1]


class Seq2seq:
    """An encoder TimeLSTM whose last h is the first h of a decoder TimeLSTM.

    ``taught=False`` keeps the gradient of that h from the encoder, whose weights then stay as they were drawn.
    """

    def __init__(self, V, D, H, rng, taught=True, dtype=np.float32):
        def draw(rows, columns):
            return (rng.standard_normal((rows, columns)) / np.sqrt(rows)).astype(dtype)

        def lstm(stateful):
            return TimeLSTM(draw(D, 4 * H), draw(H, 4 * H), np.zeros(4 * H, dtype), stateful)

        self.encoder = [TimeEmbedding(draw(V, D)), lstm(stateful=False)]
        self.decoder = [TimeEmbedding(draw(V, D)), lstm(stateful=True)]
        self.decoder.append(TimeAffine(draw(H, V), np.zeros(V, dtype)))
        self.loss = TimeSoftmaxWithLoss()
        layers = [*self.encoder, *self.decoder]
        self.params = [p for layer in layers for p in layer.params]
        self.grads = [g for layer in layers for g in layer.grads]
        self.taught = taught

    def encode(self, questions):
        """Read the questions (N, S), and hand the last h (N, H) to the decoder. Its c starts from zeros."""
        vectors, lstm = self.encoder
        self.hs = lstm.forward(vectors.forward(questions))  # (N, S, H)
        self.decoder[1].set_state(lstm.h)

    def decode(self, ids):
        """Return the scores (N, T, V) of what follows each of the ids (N, T)."""
        xs = ids
        for layer in self.decoder:
            xs = layer.forward(xs)
        return xs

    def forward(self, questions, answers):
        """Return the loss: at each step the decoder is given the right digits so far, and predicts the next."""
        self.encode(questions)
        starts = np.full_like(answers[:, :1], START)
        return self.loss.forward(self.decode(np.concatenate([starts, answers[:, :-1]], axis=1)), answers)

    def backward(self, dout=1.0):
        """Go back through the decoder, and from its incoming h into the last step of the encoder."""
        gradient = self.loss.backward(dout)
        for layer in reversed(self.decoder):
            gradient = layer.backward(gradient)
        dhs = np.zeros_like(self.hs)  # (N, S, H): the encoder's other outputs are not used
        if self.taught:
            dhs[:, -1] = self.decoder[1].dh
        vectors, lstm = self.encoder
        vectors.backward(lstm.backward(dhs))

    def answer(self, questions, length):
        """Return the most probable answers (N, length): each step reads what the step before has written."""
        self.encode(questions)
        written = [np.full(len(questions), START)]
        for _ in range(length):
            written.append(self.decode(written[-1][:, None])[:, 0].argmax(axis=1))
        return np.stack(written[1:], axis=1)


def train(model, questions, answers, rng, updates):
    """Train with Adam on random batches of 50; the learning rate falls to zero."""
    optimizer = Adam()
    for k in range(updates):
        rows = rng.integers(len(questions), size=50)
        model.forward(questions[rows], answers[rows])
        model.backward()
        optimizer.lr = LEARNING_RATE * (1 - k / updates)
        optimizer.update(model.params, model.grads)


def exact(model, questions, answers):
    """Return the fraction of answers that are right in every digit."""
    return float((model.answer(questions, answers.shape[1]) == answers).all(axis=1).mean())


def main(updates=1000, hidden=32):
    """Train with and without `.dh`; return the accuracy of each on 1,000 numbers outside the training data."""
    questions, answers = make_data(np.random.default_rng(0))
    accuracy = {}
    for taught in (True, False):
        rng = np.random.default_rng(1)
        model = Seq2seq(START + 1, 32, hidden, rng, taught)
        train(model, questions[1000:9000], answers[1000:9000], rng, updates)
        accuracy[taught] = exact(model, questions[:1000], answers[:1000])
        name = "taught through .dh" if taught else "left as drawn"
        print(f"encoder {name:18}  {accuracy[taught]:6.1%} right in every digit")
    return accuracy


if __name__ == "__main__":
    main()
