"""Minimal pairs: what is right, what is a tie, and how sure one may be."""

import math
from typing import Any

import hypothesis
import numpy as np
import pytest
from hypothesis import strategies as st

from elman.errors import ConfigError
from elman.evaluation.pair_files import Pair
from elman.evaluation.pair_spelling import Spelling, spelling_for, split_word
from elman.evaluation.pairs import accuracies, over_all, score_pairs, wilson_interval
from elman.evaluation.scoring import score_line
from elman.models.cbow import CBOW
from elman.models.mixture import Mixture
from elman.models.text_model import TextModel
from elman.text.tokenizers import make_tokenizer
from elman.text.vocabulary import Vocabulary
from ngrams import sentence_model
from tiny import text_model

PAIRS = [
    Pair("tom was watching tv in his room .", "tom was tv watching in his room .", "order"),
    Pair("mary came into his room .", "mary came into room his .", "order"),
    Pair("ann was asleep .", "ann was asleep .", "same"),
]


def models() -> dict[str, TextModel]:
    """A model of every kind, of one vocabulary."""
    recurrent, counted = text_model(), sentence_model()
    V = len(recurrent.vocabulary)
    window = CBOW(V, 4, rng=np.random.default_rng(0))
    mixed = Mixture([recurrent.model, counted.model], [0.5, 0.5])
    kinds = {"recurrent": recurrent.model, "n-gram": counted.model, "window": window, "mixture": mixed}
    return {name: TextModel(m, counted.tokenizer, counted.vocabulary) for name, m in kinds.items()}


@pytest.mark.parametrize("kind", ["recurrent", "n-gram", "window", "mixture"])
def test_the_difference_is_that_of_the_lines(kind: str) -> None:
    given = models()[kind]
    for pair, found in zip(PAIRS, score_pairs(given, PAIRS), strict=True):
        good, bad = (score_line(given, sentence) for sentence in (pair.good, pair.bad))
        assert found.difference == pytest.approx(good.ln_prob - bad.ln_prob, rel=1e-6)
        assert found.right == (good.ln_prob > bad.ln_prob and pair.set != "same")


def test_a_model_of_the_text_prefers_its_sentences() -> None:
    order, same = accuracies(score_pairs(sentence_model(), PAIRS))
    assert (order.set, order.pairs, order.right, order.ties) == ("order", 2, 2, 0)
    assert (same.right, same.ties, same.accuracy) == (0, 1, 0)
    whole = over_all([order, same])
    assert (whole.set, whole.pairs, whole.right, whole.ties) == ("all", 3, 2, 1)
    assert whole.accuracy == pytest.approx(2 / 3)


def test_the_same_ids_are_a_tie_wherever_they_are_read() -> None:
    """In float32 the same line may be read in batches of other sizes, and differ in its last digits."""
    given = text_model(dtype=np.float32)
    long = " ".join(["tom was in his room ."] * 60)
    pairs = [Pair(long, long.replace(" ", "  "), "same"), *PAIRS[:2] * 40]
    assert next(score_pairs(given, pairs)).difference == 0


def test_the_order_of_a_sum_decides_nothing() -> None:
    counted = sentence_model(order=1)
    words = PAIRS[0].good.split()
    rng = np.random.default_rng(0)
    pairs = [Pair(" ".join(words), " ".join(rng.permutation(words)), "same") for _ in range(40)]
    (found,) = accuracies(score_pairs(counted, pairs))
    assert (found.ties, found.right) == (40, 0)


def test_pairs_with_unknown_words_are_counted_and_left_out() -> None:
    one = Pair("tom was here .", "tom was in his room .", "order")
    both = Pair("tom xx", "tom yy", "order")
    (closed,) = accuracies(score_pairs(sentence_model(), [PAIRS[0], one, both]))
    assert (closed.pairs, closed.right, closed.unknown, closed.ties) == (3, 1, 2, 1)
    assert closed.accuracy_known == 1
    (opened,) = accuracies(score_pairs(sentence_model(min_count=2), [one, both]))
    assert (opened.pairs, opened.unknown, opened.right_known, opened.ties) == (2, 2, 0, 1)
    assert math.isnan(opened.accuracy_known)
    assert opened.interval_known == (0, 1)


def test_a_longer_sentence_may_win_a_token() -> None:
    given = sentence_model()
    pair = Pair("tom was watching tv in his room .", "tom .", "length")
    (whole,), (a_token,) = (list(score_pairs(given, [pair], normalize=how)) for how in ("none", "token"))
    first, second = (score_line(given, sentence) for sentence in (pair.good, pair.bad))
    expected = first.ln_prob / first.tokens - second.ln_prob / second.tokens
    assert whole.difference < 0 < expected
    assert a_token.difference == pytest.approx(expected)


def test_wilsons_interval() -> None:
    """The values of R. G. Newcombe (1998), table I: 81 of 263, 15 of 148, 0 of 20, 1 of 29."""
    for right, n, low, high in (
        (81, 263, 0.2553, 0.3662),
        (15, 148, 0.0624, 0.1605),
        (0, 20, 0, 0.1611),
        (1, 29, 0.0061, 0.1718),
    ):
        assert wilson_interval(right, n) == pytest.approx((low, high), abs=1e-4)


@hypothesis.given(st.integers(1, 10**6), st.floats(0, 1))
def test_the_interval_holds_the_share(n: int, share: float) -> None:
    right = round(share * n)
    low, high = wilson_interval(right, n)
    assert 0 <= low <= right / n + 1e-12
    assert right / n - 1e-12 <= high <= 1
    mirrored = wilson_interval(n - right, n)
    assert mirrored == pytest.approx((1 - high, 1 - low), abs=1e-9)


def vocabulary(*tokens: str) -> Vocabulary:
    return Vocabulary([*tokens, "<unk>", "<eos>"], eos="<eos>")


@pytest.mark.parametrize(
    ("word", "tokens", "parts"),
    [
        ("room.", ("room", "."), "room ."),
        ("room.", ("room",), "room"),
        ("room.", ("room.", "room", "."), "room."),
        ("etc..", ("etc.", "."), "etc. ."),
        ('"room!"', ("room", '"'), '" room "'),
        ("hasn't.", ("has", "n't"), "has n't"),
        ("hasn't", ("hasn", "'t"), "hasn 't"),
        ("hasn't", ("hasn't", "n't"), "hasn't"),
        ("hasn't", ("has",), "hasn't"),
        ("xyz's", ("'s",), "xyz 's"),
        ("HASN'T", ("HAS", "N'T"), "HAS N'T"),
        ("<unk>.", ("a",), "<unk>"),
        ("—", ("a",), ""),
        (",", (",",), ","),
    ],
)
def test_a_word_is_cut_as_the_vocabulary_is(word: str, tokens: tuple[str, ...], parts: str) -> None:
    assert " ".join(split_word(word, vocabulary(*tokens))) == parts


def word_model(*tokens: str) -> Any:
    return TextModel(sentence_model().model, make_tokenizer("word"), vocabulary(*tokens))


def test_the_spelling_follows_the_vocabulary() -> None:
    assert spelling_for(word_model("has", "n't", "room")) == Spelling("lower", "split")
    assert spelling_for(word_model("HAS", "ROOM")) == Spelling("upper", "split")
    assert spelling_for(word_model("Has", "room.", "has")) == Spelling("asis", "asis")
    assert spelling_for(word_model("has"), "asis", "asis") == Spelling()
    assert spelling_for(text_model("char")).punctuation == "asis"
    with pytest.raises(ConfigError, match="the model's tokens are characters"):
        spelling_for(text_model("char"), punctuation="split")


def test_sentences_are_spelled_before_they_are_read() -> None:
    given = word_model("who", "left", "?")
    spelling = spelling_for(given)
    assert spelling.apply("Who left?", given.vocabulary) == "who left ?"
    assert Spelling().apply("Who left?", given.vocabulary) == "Who left?"
