"""The probability of each next token of a sentence drawn from a weighted set."""

from collections import defaultdict
from collections.abc import Iterable, Mapping

from elman.text.rooms.grammar import Sentence


class Trie:
    """P(token | sentence so far) = weight of the sentences that go on so / weight of those that begin so.

    The sentences must be prefix-free: none is the beginning of another.
    """

    def __init__(self, weighted: Iterable[tuple[Sentence, float]]) -> None:
        below: dict[Sentence, dict[str, float]] = defaultdict(lambda: defaultdict(float))
        for sentence, weight in weighted:
            for end, token in enumerate(sentence):
                below[sentence[:end]][token] += weight
        self._next = {prefix: _shares(tokens) for prefix, tokens in below.items()}

    def next_tokens(self, prefix: Sentence) -> Mapping[str, float]:
        """Return the probability of each token that may follow; empty after a whole sentence."""
        return self._next.get(prefix, {})


def _shares(weights: Mapping[str, float]) -> dict[str, float]:
    total = sum(weights.values())
    return {token: weight / total for token, weight in weights.items()}
