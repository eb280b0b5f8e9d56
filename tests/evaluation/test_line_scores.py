"""The probability of a line, and of many at once."""

import itertools
import math
from collections.abc import Iterator
from typing import Any

import hypothesis
import numpy as np
import pytest
from hypothesis import strategies as st

from elman.evaluation import line_scores
from elman.evaluation.line_scores import CarriedLines, LineScore, score_line, score_lines, windows
from elman.evaluation.perplexity import begin, evaluate
from elman.evaluation.surprisal import TokenReader
from elman.models.ngram.model import NgramModel
from elman.text.tokenizers import UnendedLine, make_tokenizer
from elman.text.vocabulary import Vocabulary
from elman.text_model import TextModel
from elman.workers import limited_threads, use_workers
from support.every_kind import KINDS, word_model
from support.tiny import STORY, small_lm, text_model


def test_a_line_has_the_probability_of_its_words_and_its_end() -> None:
    given = text_model()
    found = score_line(given, "tom was reading .")
    vocabulary = given.vocabulary
    ids = vocabulary.encode(["tom", "was", "reading", ".", "<eos>"])
    scores, _ = given.model.target_log_probs(ids[None], begin(given.model, vocabulary.eos_id))
    assert (found.tokens, found.unknown) == (5, 0)
    assert found.ln_prob == pytest.approx(float(scores.sum()), rel=1e-12)
    assert found.log10_prob == pytest.approx(found.ln_prob / math.log(10))
    assert found.perplexity == pytest.approx(math.exp(-found.ln_prob / 5))


def test_a_line_does_not_depend_on_those_before_it() -> None:
    given = text_model()
    first = score_line(given, "mary was asleep .")
    score_line(given, "tom was watching tv .")
    assert score_line(given, "mary was asleep .") == first


def test_the_lines_of_a_text_sum_to_the_text_where_the_past_is_a_line_end() -> None:
    """A 2-gram model that has read <eos> remembers nothing before it."""
    given = text_model()
    _, ids = given.encode(STORY)
    given.model = NgramModel.train(ids, len(given.vocabulary), 2)
    whole = evaluate(given.model, ids, eos=given.vocabulary.eos_id)
    lines = [score_line(given, line) for line in STORY.splitlines()]
    assert sum(line.nll_nats for line in lines) == pytest.approx(whole.nll_nats, rel=1e-12)
    assert sum(line.tokens for line in lines) == whole.tokens


def test_what_was_read_often_scores_above_what_was_not() -> None:
    given = text_model()
    _, ids = given.encode(STORY)
    given.model = NgramModel.train(ids, len(given.vocabulary), 3)
    natural, odd = (score_line(given, line) for line in ("tom was watching tv .", "tv watching was tom ."))
    assert natural.ln_prob > odd.ln_prob


def test_a_model_that_begins_with_the_empty_past_is_read_so() -> None:
    given = text_model()
    given.start = "empty"
    _, ids = given.encode_line("tom was reading .")
    scores, _ = given.model.target_log_probs(ids[None], given.model.start())
    assert score_line(given, "tom was reading .").ln_prob == pytest.approx(float(scores.sum()), rel=1e-12)


def test_an_empty_line_is_its_end_alone() -> None:
    given = text_model()
    found = score_line(given, "")
    assert found.tokens == 1
    expected = given.model.next_log_probs(begin(given.model, given.vocabulary.eos_id))
    assert found.ln_prob == pytest.approx(expected[0, given.vocabulary.eos_id])


def test_without_an_end_of_line_an_empty_line_has_no_token() -> None:
    given = text_model("char", "abcab")
    found = score_line(given, "")
    assert found == LineScore(0, 0, 0.0)
    assert found.ln_prob == 0
    assert math.isnan(found.perplexity)
    assert score_line(given, "ab").tokens == 2


def test_a_word_that_a_closed_vocabulary_lacks_makes_a_line_impossible() -> None:
    found = score_line(text_model(), "tom was yodelling .")
    assert (found.tokens, found.unknown) == (5, 1)
    assert found.ln_prob == found.log10_prob == -math.inf
    assert found.perplexity == math.inf


def test_an_open_vocabulary_scores_it_as_unknown() -> None:
    vocabulary = Vocabulary(["a", "b", "<unk>", "<eos>"], eos="<eos>")
    ids = np.array([0, 1, 2, 3] * 3)
    given = TextModel(NgramModel.train(ids, 4, 2), make_tokenizer("word"), vocabulary)
    found = score_line(given, "a yodelling b")
    assert (found.tokens, found.unknown) == (4, 1)
    assert math.isfinite(found.ln_prob)
    assert found == score_line(given, "a <unk> b")


def test_an_improbable_line_has_an_infinite_perplexity_and_no_error() -> None:
    assert LineScore(1, 0, 1e6).perplexity == math.inf
    assert LineScore(1, 0, 1e6).ln_prob == -1e6


# Many lines


def open_model(**options: Any) -> TextModel:
    """Words, with <unk>."""
    closed = text_model(**options)
    vocabulary = Vocabulary([*closed.vocabulary.tokens, "<unk>"], eos="<eos>")
    return TextModel(small_lm(len(vocabulary), **options), closed.tokenizer, vocabulary)


TEXT_MODELS = {
    "float64": text_model(cell="lstm", layers=2),
    "float32": open_model(cell="lstm", layers=2, dtype=np.float32),
    "characters": text_model("char", cell="gru"),
    "jamo": text_model("jamo"),
    "bytes": text_model("byte"),
    "no end of line": text_model("char", "abcab tomwasy"),
    "empty past": open_model(),
}
TEXT_MODELS["empty past"].start = "empty"
words = st.sampled_from(["tom", "was", "reading", ".", "mary", "in", "yodelling", "<unk>", "가"])
some_lines = st.lists(st.lists(words, max_size=20).map(" ".join), max_size=30)


@pytest.mark.slow
@pytest.mark.parametrize("name", TEXT_MODELS)
def test_many_lines_score_as_each_does(name: str) -> None:
    whole = TEXT_MODELS[name]
    tolerance = 1e-6 if name == "float32" else 1e-12

    @hypothesis.settings(max_examples=25, deadline=None)
    @hypothesis.given(some_lines, st.sampled_from([1, 2, 7, 1024]), st.sampled_from([1, 3]))
    @hypothesis.example([], 7, 1)
    @hypothesis.example(["tom was reading ."], 7, 3)
    @hypothesis.example(["tom " * 100, "", "mary", "", "was . " * 30], 1024, 1)
    @hypothesis.example(["tom was reading . " * n for n in range(1, 200)], 1024, 3)
    def check(lines: list[str], window: int, workers: int) -> None:
        with pytest.MonkeyPatch.context() as patch, limited_threads(0), use_workers(workers):
            patch.setattr(line_scores, "WINDOW_LINES", window)
            patch.setattr(line_scores, "BLOCK_TOKENS", 64)
            found = list(score_lines(whole, lines))
        expected = [score_line(whole, line) for line in lines]
        assert [(s.tokens, s.unknown) for s in found] == [(s.tokens, s.unknown) for s in expected]
        assert [s.nll_nats for s in found] == pytest.approx([s.nll_nats for s in expected], rel=tolerance)

    check()


def test_lines_come_out_as_they_go_in_and_are_not_all_read_first() -> None:
    read = 0

    def endless() -> Iterator[str]:
        nonlocal read
        for length in itertools.count():
            read += 1
            yield "tom " * (length % 50)

    given = text_model()
    found = list(itertools.islice(score_lines(given, endless()), 1500))
    assert [score.tokens for score in found] == [1 + k % 50 for k in range(1500)]
    assert read == 2 * line_scores.WINDOW_LINES


def test_long_lines_are_not_all_kept_in_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(line_scores, "WINDOW_CHARACTERS", 100)
    lines = iter(["tom " * 20] * 10)
    next(score_lines(text_model(), lines))
    assert len(list(lines)) == 8


def test_lines_that_arrive_in_groups_are_read_ahead_like_those_that_arrive_at_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(line_scores, "WINDOW_LINES", 10)
    monkeypatch.setattr(line_scores, "WINDOW_CHARACTERS", 100)
    lines = ["tom " * (30 * (k % 7 == 3)) + str(k) for k in range(47)]
    groups = (lines[first : first + 10] for first in range(0, 47, 10))
    assert list(windows(lines)) == [window for group in groups for window in windows(group)]


def test_lines_before_a_failure_are_scored() -> None:
    def failing() -> Iterator[str]:
        yield from ["tom was reading .", "", "mary"]
        raise OSError("the disk is gone")

    given = text_model()
    scores = score_lines(given, failing())
    assert [next(scores).tokens for _ in range(3)] == [5, 1, 2]
    with pytest.raises(OSError, match="the disk is gone"):
        next(scores)
    with pytest.raises(OSError, match="at once"):
        next(score_lines(given, fails_at_once()))


def fails_at_once() -> Iterator[str]:
    raise OSError("at once")
    yield ""


LINES = ["mary was reading .", "", "tom was asleep in the kitchen . bob yodelled", *STORY.splitlines(), "tom"]


@pytest.mark.parametrize("kind", KINDS)
def test_carried_lines_are_the_text_read_in_one_go(kind: str) -> None:
    given = word_model(kind)
    found = list(CarriedLines(given).score(LINES))
    ids = given.encode("\n".join(LINES), end=True)[1]
    whole = evaluate(given.model, ids, eos=given.start_id, unk=given.vocabulary.unk_id)
    assert sum(line.nll_nats for line in found) == pytest.approx(whole.nll_nats, rel=1e-9)
    assert (sum(line.tokens for line in found), sum(line.unknown for line in found)) == (
        whole.tokens,
        whole.unknown,
    )
    reader = TokenReader(given)
    for line, score in zip(LINES, found, strict=True):
        bits = sum(token.surprisal_bits for token in reader.read(line))
        assert score.nll_nats == pytest.approx(bits * math.log(2), rel=1e-9)


@pytest.mark.parametrize("kind", KINDS)
def test_the_number_of_lines_per_call_does_not_matter(kind: str) -> None:
    given = word_model(kind)
    whole, parts = CarriedLines(given), CarriedLines(given)
    together = [score.nll_nats for score in whole.score(LINES)]
    apart = [score.nll_nats for line in LINES for score in parts.score([line])]
    assert together == pytest.approx(apart, rel=1e-12)
    assert list(parts.score([])) == []


@pytest.mark.parametrize(("kind", "alike"), [("recurrent", False), ("window", False), ("n-gram", True)])
def test_only_a_model_that_remembers_across_lines_scores_them_differently(kind: str, alike: bool) -> None:
    given = word_model(kind)
    carried = [score.nll_nats for score in CarriedLines(given).score(LINES)]
    afresh = [score.nll_nats for score in score_lines(given, LINES)]
    assert carried[0] == pytest.approx(afresh[0])
    assert np.allclose(carried, afresh) == alike


def test_lines_after_an_impossible_line_are_read() -> None:
    given = word_model("recurrent", closed=True)
    first, second = CarriedLines(given).score(["tom was yodelling", "tom was asleep"])
    assert first == LineScore(4, 1, math.inf)
    without = list(CarriedLines(given).score(["tom was", "tom was asleep"]))
    assert second.nll_nats == pytest.approx(without[1].nll_nats)


def test_without_an_end_of_line_lines_run_into_one_another() -> None:
    given = text_model("char", "abcab")
    found = list(CarriedLines(given).score(["ab", "", "cab"]))
    assert [score.tokens for score in found] == [2, 0, 3]
    whole = evaluate(given.model, given.encode("abcab")[1])
    assert sum(score.nll_nats for score in found) == pytest.approx(whole.nll_nats)


def sentences_model() -> TextModel:
    given = text_model()
    _, ids = given.encode(STORY)
    given.model = NgramModel.train(ids, len(given.vocabulary), 3, eos=given.vocabulary.eos_id)
    return given


def test_an_n_gram_model_scores_a_line_the_same_alone_and_among_others() -> None:
    given = sentences_model()
    lines = [
        *STORY.splitlines(),
        "",
        "tom",
        "an unheard word",
        "tom was tom was tom was tom was tom was tom .",
    ]
    assert list(score_lines(given, lines)) == [score_line(given, line) for line in lines]
    for line in lines:
        assert given.score(line) == pytest.approx(score_line(given, line).log10_prob, rel=1e-12)
        parts = [log10_prob for log10_prob, _, _ in given.full_scores(line)]
        assert given.score(line) == pytest.approx(math.fsum(parts), rel=1e-12)


@pytest.mark.parametrize(
    "extra", ["tom <eos> mary", "tom\nmary", "tom\rmary", b"tom was", UnendedLine("tom was")]
)
def test_lines_that_end_otherwise_are_encoded_one_by_one(extra: str | bytes) -> None:
    given = sentences_model()
    lines = ["mary was asleep .", extra, "", "\ufefftom"]
    found = given.encode_lines(lines)
    assert [ids.tolist() for ids in found] == [given.encode_line(line)[1].tolist() for line in lines]
    assert [given.line_ids(line).tolist() for line in lines] == [ids.tolist() for ids in found]
