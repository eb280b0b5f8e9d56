"""Boolean expressions as trees: learn from expressions of up to 5 operators, and evaluate those of 20.

    true and not (false or true)   =   (true, (and, (not, (false, (or, true)))))   ->   false

The recursive network gets the brackets as a tree, and needs one step for each pair. The flat baseline, a GRU, reads the
same expression as a sequence of tokens with the brackets among them, and must count them itself.

Run it with ``python examples/recursive_trees.py``; it takes about 15 seconds.
"""

import numpy as np

from elman import Adam, Recursive, TimeAffine, TimeEmbedding, TimeGRU, TimeSoftmaxWithLoss, flatten_trees

PAD = 0
TOKENS = ["", "false", "true", "not", "and", "or", "(", ")"]
TRAINED_UP_TO = 5  # operators
LENGTHS = (5, 10, 15, 20)  # operators of the expressions for testing


def draw_expression(operators, rng):
    """Return a random expression with so many operators, as nested pairs, and its value."""
    if operators == 0:
        value = bool(rng.integers(2))
        return str(value).lower(), value
    if rng.random() < 0.25:
        tree, value = draw_expression(operators - 1, rng)
        return ("not", tree), not value
    on_the_left = rng.integers(operators)
    left, a = draw_expression(on_the_left, rng)
    right, b = draw_expression(operators - 1 - on_the_left, rng)
    if rng.random() < 0.5:
        return (left, ("and", right)), a and b
    return (left, ("or", right)), a or b


def draw_expressions(n, shortest, longest, rng):
    """Return n trees, and their values (n,) as 0 or 1."""
    drawn = [draw_expression(rng.integers(shortest, longest + 1), rng) for _ in range(n)]
    return [tree for tree, _ in drawn], np.array([int(value) for _, value in drawn])


def with_brackets(tree):
    """Return a tree as tokens with brackets."""
    return [tree] if isinstance(tree, str) else ["(", *with_brackets(tree[0]), *with_brackets(tree[1]), ")"]


class TreeModel:
    """Word vectors, `Recursive`, and the scores of false and true at the root."""

    def __init__(self, rng, H=16):
        def draw(rows, columns):
            return (rng.standard_normal((rows, columns)) / np.sqrt(rows)).astype(np.float32)

        self.embedding = TimeEmbedding(draw(len(TOKENS), H))
        self.recursive = Recursive(draw(H, H), draw(H, H), np.zeros(H, np.float32))
        self.affine = TimeAffine(draw(H, 2), np.zeros(2, np.float32))
        self.layers = [self.embedding, self.recursive, self.affine]

    def forward(self, trees):
        """Return the scores (1, number of trees, 2)."""
        leaves, pairs, self.roots = flatten_trees(trees)
        ids = np.array([[TOKENS.index(word) for word in leaves]])  # (1, L)
        self.nodes = self.recursive.forward(self.embedding.forward(ids)[0], pairs)  # (L + P, H)
        return self.affine.forward(self.nodes[self.roots][None])

    def backward(self, dscores):
        """Only the roots have a gradient of their own; it flows down from there."""
        dnodes = np.zeros_like(self.nodes)
        dnodes[self.roots] = self.affine.backward(dscores)[0]
        self.embedding.backward(self.recursive.backward(dnodes)[None])


class FlatModel:
    """The baseline: word vectors, a GRU, and the scores of false and true at its last step."""

    def __init__(self, rng, D=16, H=64):
        def draw(rows, columns):
            return (rng.standard_normal((rows, columns)) / np.sqrt(rows)).astype(np.float32)

        self.embedding = TimeEmbedding(draw(len(TOKENS), D))
        self.gru = TimeGRU(draw(D, 3 * H), draw(H, 3 * H), np.zeros(3 * H, np.float32))
        self.affine = TimeAffine(draw(H, 2), np.zeros(2, np.float32))
        self.layers = [self.embedding, self.gru, self.affine]

    def forward(self, trees):
        """Return the scores (1, number of trees, 2)."""
        rows = [[TOKENS.index(token) for token in with_brackets(tree)] for tree in trees]
        ids = np.full((len(rows), max(map(len, rows))), PAD)
        for n, row in enumerate(rows):
            ids[n, -len(row) :] = row  # padding comes first, so that the last step has read everything
        self.hs = self.gru.forward(self.embedding.forward(ids))  # (N, T, H)
        return self.affine.forward(self.hs[None, :, -1])

    def backward(self, dscores):
        """Only the last step has a gradient of its own."""
        dhs = np.zeros_like(self.hs)
        dhs[:, -1] = self.affine.backward(dscores)[0]
        self.embedding.backward(self.gru.backward(dhs))


def train(model, trees, values, rng, updates):
    """Train with Adam on random batches of 50; the learning rate falls to zero."""
    params = [p for layer in model.layers for p in layer.params]
    grads = [g for layer in model.layers for g in layer.grads]
    optimizer, loss = Adam(), TimeSoftmaxWithLoss()
    for k in range(updates):
        rows = rng.integers(len(trees), size=50)
        loss.forward(model.forward([trees[row] for row in rows]), values[None, rows])
        model.backward(loss.backward())
        optimizer.lr = 0.01 * (1 - k / updates)
        optimizer.update(params, grads)


def main(tree_updates=300, flat_updates=800):
    """Return the accuracy by model, and by the number of operators, of expressions that were not trained on."""
    rng = np.random.default_rng(0)
    trees, values = draw_expressions(3000, 1, TRAINED_UP_TO, rng)
    seen = {str(tree) for tree in trees}
    print("operators", *(f"{n:6}" for n in LENGTHS))
    found = {}
    for name, model, updates in (
        ("tree", TreeModel(rng), tree_updates),
        ("flat", FlatModel(rng), flat_updates),
    ):
        train(model, trees, values, rng, updates)
        for n in LENGTHS:
            test, answers = draw_expressions(500, n, n, np.random.default_rng(n))
            unseen = [k for k, tree in enumerate(test) if str(tree) not in seen]
            right = model.forward(test)[0].argmax(axis=1) == answers
            found[name, n] = float(right[unseen].mean())
        print(f"{name:9}", *(f"{found[name, n]:6.1%}" for n in LENGTHS))
    return found


if __name__ == "__main__":
    main()
