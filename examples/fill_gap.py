"""Fill gaps and label words with a bidirectional network, where the words to the right decide.

    Tom was reading a book in his room . ____ came in . The dog barked . Mary said hi to Tom .
    they said " come in " and left                  a nail of 6 " and a door

Who came in is said only later. And a quotation mark opens a quotation only if another one closes it; alone it means
inches. A network that reads from left to right must guess in both cases.

Run it with ``python examples/fill_gap.py``; it takes about 15 seconds.
"""

import numpy as np

from elman import Adam, TimeAffine, TimeBidirectional, TimeEmbedding, TimeGRU, TimeSoftmaxWithLoss, World

GAP = "____"
IGNORE = -1  # the label of a position that does not count
WORDS = ["they", "said", "come", "in", "and", "left", "a", "nail", "of", "6", "or", "the", "door"]


def gap_data(rng, tokens):
    """Return vocabulary, ids (n, T), labels (n, T) and lengths (n,): the word that each gap replaces is its label."""
    world = World("en", distractors=(0, 2))
    lines = [line.split() for line in world.text(tokens, rng).splitlines()]
    vocabulary = [*world.vocabulary, GAP]
    lengths = np.array([len(line) for line in lines])
    ids = np.zeros((len(lines), lengths.max()), dtype=int)  # what is behind a line's end is not read
    labels = np.full_like(ids, IGNORE)
    for n, line in enumerate(lines):
        ids[n, : len(line)] = [vocabulary.index(word) for word in line]
        gap = line.index(".") + 1  # the first word of the second sentence
        labels[n, gap], ids[n, gap] = ids[n, gap], len(vocabulary) - 1
    return vocabulary, ids, labels, lengths


def quote_data(rng, lines):
    """Return vocabulary, ids, labels and lengths: after a first mark, is a word inside a quotation (1) or not (0)?"""
    vocabulary = [*WORDS, '"']
    ids = rng.integers(len(WORDS), size=(lines, 12))
    labels = np.full_like(ids, IGNORE)
    for n in range(lines):
        start, end = np.sort(rng.choice(12, 2, replace=False))
        closed = rng.random() < 0.5
        ids[n, start] = len(WORDS)
        if closed:
            ids[n, end] = len(WORDS)
        labels[n, start + 1 : end] = closed
    return vocabulary, ids, labels, np.full(lines, 12)


class Tagger:
    """A label for every token: word vectors, a GRU in both directions or in one, scores of the labels."""

    def __init__(self, V, H, labels, both, rng):
        def draw(rows, columns):
            return (rng.standard_normal((rows, columns)) / np.sqrt(rows)).astype(np.float32)

        def gru(width):
            return TimeGRU(draw(H, 3 * width), draw(width, 3 * width), np.zeros(3 * width, np.float32))

        self.both = both
        recurrent = (
            TimeBidirectional(gru(H), gru(H)) if both else gru(2 * H)
        )  # 2H numbers a token in either case
        affine = TimeAffine(draw(2 * H, labels), np.zeros(labels, np.float32))
        self.layers = [TimeEmbedding(draw(V, H)), recurrent, affine]
        self.loss = TimeSoftmaxWithLoss(IGNORE)
        self.params = [p for layer in self.layers for p in layer.params]
        self.grads = [g for layer in self.layers for g in layer.grads]

    def scores(self, ids, lengths):
        """Return the scores of the labels (N, T, L) for ids (N, T)."""
        embedding, recurrent, affine = self.layers
        vectors = embedding.forward(ids)
        return affine.forward(
            recurrent.forward(vectors, lengths) if self.both else recurrent.forward(vectors)
        )

    def train(self, ids, labels, lengths, rng, updates):
        """Train with Adam on random batches of 50; the learning rate falls to zero."""
        optimizer = Adam()
        for k in range(updates):
            rows = rng.integers(len(ids), size=50)
            self.loss.forward(self.scores(ids[rows], lengths[rows]), labels[rows])
            gradient = self.loss.backward()
            for layer in reversed(self.layers):
                gradient = layer.backward(gradient)
            optimizer.lr = 0.01 * (1 - k / updates)
            optimizer.update(self.params, self.grads)

    def accuracy(self, ids, labels, lengths):
        """Return the fraction of the counted labels that have the highest score."""
        counted = labels != IGNORE
        return float((self.scores(ids, lengths).argmax(axis=2) == labels)[counted].mean())


def main(updates=200, tokens=60_000, lines=3000):
    """Return the accuracy on 500 other lines, by task and by whether the network reads in both directions."""
    found = {}
    rng = np.random.default_rng(0)
    for task, data in (("fill the gap", gap_data(rng, tokens)), ("inside quotes", quote_data(rng, lines))):
        vocabulary, *arrays = data
        for both in (True, False):
            rng = np.random.default_rng(1)
            labels = len(vocabulary) if task == "fill the gap" else 2
            tagger = Tagger(len(vocabulary), 32, labels, both, rng)
            tagger.train(*(array[500:] for array in arrays), rng, updates)
            found[task, both] = tagger.accuracy(*(array[:500] for array in arrays))
            name = "both directions" if both else "left to right"
            print(f"{task:13}  {name:15}  {found[task, both]:6.1%} right")
    return found


if __name__ == "__main__":
    main()
