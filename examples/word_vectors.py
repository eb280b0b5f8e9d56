"""Look at what the word vectors of a small language model have learnt, though nobody told it any grammar.

Run ``python examples/word_vectors.py [--plot FILE]``. A GRU learns to predict the next word in the built-in world of
rooms. It has two vectors for each word: the row of the embedding matrix that it reads, and the column of the output
matrix that predicts the word. Two words read alike if the same words may follow them, and are predicted alike if they
may follow the same words. Similarity is the cosine of the angle between two vectors: 1 for one direction, 0 for right
angles.
"""

import argparse
from pathlib import Path

import numpy as np

from elman import Adam, RecurrentLM, RnnlmTrainer, Vocabulary, World, make_tokenizer
from elman.plots import COLOURS, MARKERS, new_figure, save

GROUPS = {
    "names": "Tom John Harry Mark Mary Ann Susan Lisa",
    "was …": "watching reading sleeping listening studying drinking playing talking writing",
    "… the room": "came walked ran entered",
    "The …": "dog cat phone clock window light",
}


def train(text, epochs, seed, wordvec=16, hidden=32):
    """Return a GRU language model trained on a text, and its words in the order of their ids."""
    tokens = make_tokenizer("word").tokens(text)
    vocabulary = Vocabulary(list(dict.fromkeys(tokens)))
    ids = vocabulary.encode(tokens)
    model = RecurrentLM(len(vocabulary), wordvec, hidden, "gru", rng=np.random.default_rng(seed))
    trainer = RnnlmTrainer(model, Adam(lr=0.005))
    trainer.fit(ids[:-1], ids[1:], max_epoch=epochs, max_grad=1.0, eval_interval=None)
    print(f"perplexity in the last epoch of training: {trainer.ppl_list[-1]:.2f}")
    return model, vocabulary.tokens


def cosines_of(vectors):
    """Return the cosines (V, V) between the rows of vectors (V, ·), measured from their mean."""
    units = vectors - vectors.mean(axis=0)
    units /= np.linalg.norm(units, axis=1, keepdims=True)
    return units @ units.T


def neighbours(cosines, tokens, word, top=3):
    """Return the words whose vectors are nearest to that of a word, with their cosines."""
    row = cosines[tokens.index(word)]
    best = [k for k in np.argsort(-row) if tokens[k] != word][:top]
    return ", ".join(f"{tokens[k]} {row[k]:.2f}" for k in best)


def cohesion(cosines, group):
    """Return the mean cosine of the words (ids) of a group with each other, and with all other words."""
    inside = cosines[np.ix_(group, group)]
    others = np.delete(cosines[group], group, axis=1)
    pairs = len(group) * (len(group) - 1)
    return (inside.sum() - len(group)) / pairs, others.mean()


def draw(path, tokens, vectors):
    """Draw the words of the groups in the plane in which their vectors vary most (principal components, by SVD)."""
    figure, axes = new_figure(scale="linear")
    groups = {name: [tokens.index(word) for word in words.split()] for name, words in GROUPS.items()}
    chosen = vectors[[id_ for group in groups.values() for id_ in group]]  # (words, H)
    _, _, directions = np.linalg.svd(chosen - chosen.mean(axis=0), full_matrices=False)
    for k, (name, group) in enumerate(groups.items()):
        points = (vectors[group] - chosen.mean(axis=0)) @ directions[:2].T  # (words, 2)
        axes.plot(*points.T, MARKERS[k], color=COLOURS[k], label=name)
        towards = 1 if points[:, 0].mean() < 0 else -1  # write towards the middle
        axes.annotate(
            GROUPS[name].replace(" ", "\n"),
            points.mean(axis=0),
            (towards * 28, 0),
            textcoords="offset points",
            ha="left" if towards > 0 else "right",
            va="center",
            color=COLOURS[k],
            fontsize=9,
        )
    axes.margins(y=0.25)
    axes.set_xlabel("first principal component")
    axes.set_ylabel("second principal component")
    axes.legend(frameon=False, loc="upper center", bbox_to_anchor=(0.5, 1.13), ncols=len(groups))
    save(figure, Path(path))


def main(arguments=None, words=200_000, epochs=2, seed=0):
    """Train, and print what is near what; return the cohesion of each group for both kinds of vectors."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "--plot", metavar="FILE", help="draw the vectors that predict the words, in two dimensions"
    )
    options = parser.parse_args(arguments)
    model, tokens = train(World().text(words, np.random.default_rng(seed)), epochs, seed)
    kinds = {"reads": model.weights["embedding"], "predicts": model.weights["output.W"].T}
    results = {}
    for kind, vectors in kinds.items():
        cosines = cosines_of(vectors)
        print(f"\nthe vectors that the model {kind}; nearest neighbours, and their cosines:")
        for word in ("Tom", "Mary", "watching", "came", "dog"):
            print(f"  {word:10}{neighbours(cosines, tokens, word)}")
        print(f"  {'mean cosine':20}{'in the group':>14}{'with all others':>17}")
        for name, members in GROUPS.items():
            found = cohesion(cosines, [tokens.index(word) for word in members.split()])
            results[kind, name] = found
            print(f"  {name:20}{found[0]:14.2f}{found[1]:17.2f}")
    if options.plot:
        draw(options.plot, tokens, kinds["predicts"])
    return results


if __name__ == "__main__":
    main()
