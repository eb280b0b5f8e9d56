"""Which adaptation suits a model: ``python benchmarks/adaptation.py RUN --tune ptb``.

Reads the first tokens of a validation text with every learning rate and decay of a grid (dynamic evaluation, the
scaled step), then goes over sizes, θ and weights of a neural cache on top of the best of them, which needs no further
reading: the log probabilities and hidden states of the best are kept. Prints a table and the command line with the
best of all. What suits is found on validation text, and measured, once, on another.
"""

import argparse
import itertools
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from elman.errors import ElmanError
from elman.evaluation.perplexity import BLOCK, begin, perplexity_of
from elman.models.adaptive.cache import NeuralCache, has_hidden_states
from elman.models.adaptive.dynamic import DynamicModel
from elman.models.adaptive.learner import BLOCKS, mean_squares
from elman.text import datasets
from elman.text.corpus import encode_corpus
from elman.text_model import TextModel, load
from elman.workers import limited_threads

LRS = (0.0005, 0.001, 0.002, 0.003, 0.005)
DECAYS = (0.005, 0.01, 0.02)
SIZES = (500, 2000)
THETAS = (0.1, 0.2, 0.3, 0.5, 1.0)
WEIGHTS = (0.03, 0.05, 0.1, 0.15, 0.2, 0.3)


@dataclass(frozen=True)
class Reading:
    """What a model made of a text: ln P of each token (n,), and the h (n, H) that each was predicted from."""

    log_probs: NDArray[np.float64]
    hidden: NDArray[Any]

    @property
    def perplexity(self) -> float:
        """Per token."""
        return perplexity_of(-float(self.log_probs.mean()))


def read(model: Any, ids: NDArray[Any], eos: int | None) -> Reading:
    """Read ids (n,) as `evaluate` does."""
    state, scores, hidden = begin(model, eos), [], []
    for k in range(0, len(ids), BLOCK):
        found, states, state = model.target_log_probs_and_hidden(ids[None, k : k + BLOCK], state)
        scores.append(found[0].astype(np.float64))
        hidden.append(states[0])
    return Reading(np.concatenate(scores), np.concatenate(hidden))


def with_caches(model: DynamicModel, reading: Reading, ids: NDArray[Any]) -> Iterator[tuple[float, str]]:
    """Yield the perplexity with every neural cache of the grid, and the options that make it."""
    for size, theta in itertools.product(SIZES, THETAS):
        cache = NeuralCache(model, size, theta, 0.1)
        cached, known = (found[0] for found in cache._cached(ids[None], reading.hidden[None], len(ids)))
        for weight in WEIGHTS:
            lam = np.where(known, weight, 0)
            mixed = np.log((1 - lam) * np.exp(reading.log_probs) + lam * cached)
            options = f"--neural-cache {size} --theta {theta:g} --cache-weight {weight:g}"
            yield perplexity_of(-float(mixed.mean())), options


def encoded(text_model: TextModel, source: str, split: str, tokens: int) -> NDArray[np.intp]:
    """Return the known ids among the first tokens of a text."""
    corpus = encode_corpus(
        datasets.resolve(source, split),
        text_model.tokenizer,
        cache=None,
        vocabulary=text_model.vocabulary,
        max_tokens=tokens,
    )
    return corpus.ids[np.asarray(corpus.ids) >= 0].astype(np.intp)


def search(arguments: argparse.Namespace) -> None:
    """Print every combination tried, and the best."""
    text_model, block = load(arguments.run), arguments.block
    model, eos = text_model.model, text_model.start_id
    ids = encoded(text_model, arguments.tune, "valid", arguments.tokens)
    source = arguments.text or str(text_model.info.get("corpus"))
    squares = mean_squares(model, encoded(text_model, source, "train", block * BLOCKS + 1), block)
    print(f"{arguments.run}: {len(ids):,} tokens of {arguments.tune}, {block} tokens a step")
    tried: list[tuple[float, str, DynamicModel, Reading]] = []
    for lr, decay in itertools.product(LRS, DECAYS):
        dynamic = DynamicModel(model, lr, decay, block, squares, clip_norm=None)
        reading = read(dynamic, ids, eos)
        options = f"--dynamic --dynamic-block {block} --dynamic-lr {lr:g} --dynamic-decay {decay:g}"
        print(f"{reading.perplexity:10.3f}  {options}", flush=True)
        tried.append((reading.perplexity, options, dynamic, reading))
    best, options, dynamic, reading = min(tried, key=lambda each: each[0])
    if has_hidden_states(dynamic):
        cached = sorted(with_caches(dynamic, reading, ids))
        for perplexity, more in cached[:10]:
            print(f"{perplexity:10.3f}  {options} {more}")
        if cached[0][0] < best:
            options = f"{options} {cached[0][1]}"
    print(f"elman eval {arguments.run} {arguments.tune} {options}")


def main() -> int:
    """Run the search."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("run", help="a run of a recurrent model, or of one of a window")
    parser.add_argument(
        "--tune", required=True, help="the text to search on: a named corpus (its validation part) or a file"
    )
    parser.add_argument(
        "--text", help="the text for the mean squares (default: what the model was trained on)"
    )
    parser.add_argument(
        "--tokens", type=int, default=10_000, help="how many of its first tokens (default: 10000)"
    )
    parser.add_argument("--block", type=int, default=20, help="tokens a step (default: 20)")
    try:
        with limited_threads(0):
            search(parser.parse_args())
    except ElmanError as error:
        print(f"adaptation: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
