"""The unigram model of pieces, compared with the enumeration of all segmentations."""

import math
from itertools import combinations, pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from elman.text.subword_training import Lattice, train_unigram

PIECES = ["a", "b", "ab", "ba", "aba"]
WORDS = st.lists(st.text("ab", min_size=1, max_size=6), min_size=1, max_size=4)


def cuts_of(word: str) -> list[list[str]]:
    """All segmentations of a word into PIECES."""
    inner = range(1, len(word))
    places = [(0, *cut, len(word)) for n in range(len(word)) for cut in combinations(inner, n)]
    found = [[word[i:j] for i, j in pairwise(cut)] for cut in places]
    return [pieces for pieces in found if set(pieces) <= set(PIECES)]


@settings(deadline=None)
@given(WORDS, st.lists(st.floats(0.01, 1), min_size=5, max_size=5))
def test_sums_are_over_all_segmentations(words: list[str], probs: list[float]) -> None:
    P = dict(zip(PIECES, probs, strict=True))
    chances = [[math.prod(P[piece] for piece in cut) for cut in cuts_of(word)] for word in words]
    lattice = Lattice.of(words, PIECES)
    assert lattice.totals(np.array(probs)) == pytest.approx([sum(chance) for chance in chances])
    weights = np.arange(1.0, len(words) + 1)
    expected = dict.fromkeys(PIECES, 0.0)
    for word, weight, chance in zip(words, weights, chances, strict=True):
        for cut, p in zip(cuts_of(word), chance, strict=True):
            for piece in cut:
                expected[piece] += weight * p / sum(chance)
    assert lattice.expected(np.array(probs), weights) == pytest.approx(list(expected.values()))


def test_without_whole_a_piece_consists_of_other_pieces() -> None:
    probs = np.array([0.5, 0.25, 0.125, 0.125, 0.9])
    totals = Lattice.of(PIECES, PIECES, whole=False).totals(probs)
    assert totals == pytest.approx([0.5, 0.25, 0.125, 0.125, 0.5 * 0.25 * 0.5 + 0.125 * 0.5 + 0.5 * 0.125])


def test_frequent_words_become_pieces_and_probabilities_sum_to_one() -> None:
    counts = {"Ġhello": 50, "Ġhelp": 30, "Ġqx": 1, "Ġ" + "y" * 50: 100}
    found = dict(train_unigram(counts, 260))
    assert 256 < len(found) <= 260
    assert {"Ġhello", "Ġhelp"} <= set(found)
    assert not any("yy" in piece for piece in found)  # too long a word to learn from
    assert math.fsum(map(math.exp, found.values())) == pytest.approx(1)
    assert list(found.values()) == sorted(found.values(), reverse=True)
    assert len(train_unigram(counts, 256)) == 256
