"""Minimal pairs: right pairs, ties, and confidence intervals."""

import json
import math
from pathlib import Path
from typing import Any

import hypothesis
import numpy as np
import pytest
from hypothesis import strategies as st

from elman.errors import ConfigError, TextError
from elman.evaluation.line_scores import score_line
from elman.evaluation.minimal_pairs import (
    Pair,
    accuracies,
    over_all,
    read_pairs,
    score_pairs,
    wilson_interval,
)
from elman.evaluation.spelling import Spelling, spelling_for, split_word
from elman.models.mixture import Mixture
from elman.models.window_models import CBOW
from elman.text.tokenizers import make_tokenizer
from elman.text.vocabulary import Vocabulary
from elman.text_model import TextModel
from support.ngrams import sentence_model
from support.tiny import text_model

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


def test_rounding_of_a_sum_is_a_tie() -> None:
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


def test_a_longer_sentence_may_win_per_token() -> None:
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


@hypothesis.settings(deadline=None)
@hypothesis.given(st.integers(1, 10**6), st.floats(0, 1))
def test_the_interval_contains_the_proportion(n: int, share: float) -> None:
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
def test_a_word_is_split_as_in_the_vocabulary(word: str, tokens: tuple[str, ...], parts: str) -> None:
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


def blimp(good: Any = "Ann left.", bad: Any = "Ann leave.", **fields: Any) -> str:
    return json.dumps({"sentence_good": good, "sentence_bad": bad, **fields})


def test_blimp_names_the_set_of_each_pair() -> None:
    lines = [blimp(UID="verbs", field="syntax"), "", blimp(phenomenon="other"), blimp()]
    found = list(read_pairs(lines, "some/file.jsonl"))
    assert [(pair.set, pair.line) for pair in found] == [("verbs", 1), ("other", 3), ("file", 4)]
    assert (found[0].good, found[0].bad) == ("Ann left.", "Ann leave.")
    assert next(read_pairs(lines, "file.jsonl", by="field")).set == "syntax"


def test_two_columns_are_one_set_with_or_without_a_header() -> None:
    rows = ["Ann left .\tAnn leave ."]
    expected = ("Ann left .", "Ann leave .", "verbs")
    for header in ([], ["good\tbad"], ["sentence_good\tsentence_bad"]):
        (pair,) = read_pairs(header + rows, "verbs.tsv")
        assert (pair.good, pair.bad, pair.set) == expected
        assert pair.line == len(header) + 1


def test_the_format_of_standard_input_follows_from_its_first_line() -> None:
    assert next(read_pairs(["", blimp()], "standard input")) == Pair(
        "Ann left.", "Ann leave.", "standard input", 2
    )
    assert next(read_pairs(["a\tb"], "standard input")).bad == "b"


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ('{"sentence_good": "a"', "is not valid JSON"),
        ("[" * 100_000, "is not valid JSON"),
        ("[1]", "is not a JSON object"),
        ('{"sentence_good": "a"}', "has no field 'sentence_bad'; it has sentence_good"),
        (blimp(bad=3), "a sentence must be a non-empty string, got 3"),
        (blimp(bad=" "), "a sentence must be a non-empty string, got ' '"),
        (blimp(bad="a\nb"), "must be on one line"),
        (blimp(bad="a\n"), "must be on one line"),
        (blimp(bad="\ud800"), "half a character"),
    ],
)
def test_errors_name_the_line(line: str, words: str) -> None:
    with pytest.raises(TextError) as error:
        list(read_pairs([blimp(), "", line], "verbs.jsonl"))
    assert str(error.value).startswith("verbs.jsonl: line 3")
    assert words in str(error.value)


@pytest.mark.parametrize(("line", "words"), [("a", "1 column"), ("a\tb\tc", "3 columns"), ("a\t", "got ''")])
def test_columns_must_be_two(line: str, words: str) -> None:
    with pytest.raises(TextError, match=r"verbs\.tsv: line 2.*" + words):
        list(read_pairs(["good\tbad", line], "verbs.tsv"))


def test_a_set_needs_its_field() -> None:
    with pytest.raises(TextError, match="line 1 has no field 'term'"):
        list(read_pairs([blimp()], "verbs.jsonl", by="term"))
    with pytest.raises(TextError, match="omit `by`"):
        list(read_pairs(["a\tb"], "verbs.tsv", by="term"))


@pytest.mark.parametrize("lines", [[], ["", " "], ["good\tbad"]])
def test_a_file_without_pairs_is_an_error(lines: list[str]) -> None:
    with pytest.raises(TextError, match="holds no pair"):
        list(read_pairs(lines, "verbs.tsv"))


def test_the_sets_of_blimp_are_read(data: Any) -> None:
    folder: Path = data("blimp")
    for path in sorted(folder.glob("*.jsonl")):
        pairs = list(read_pairs(path.read_text("utf-8").splitlines(), str(path)))
        assert len(pairs) == 1000
        assert {pair.set for pair in pairs} == {path.stem}
