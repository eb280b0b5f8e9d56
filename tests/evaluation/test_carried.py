"""Lines that go on from one another."""

import math

import numpy as np
import pytest

from elman.evaluation.carried import CarriedLines
from elman.evaluation.perplexity import evaluate
from elman.evaluation.scoring import LineScore, score_lines
from elman.evaluation.surprisal import TokenReader
from every_kind import KINDS, word_model
from tiny import STORY, text_model

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
def test_it_does_not_matter_how_many_lines_are_given_at_a_time(kind: str) -> None:
    given = word_model(kind)
    whole, parts = CarriedLines(given), CarriedLines(given)
    together = [score.nll_nats for score in whole.score(LINES)]
    apart = [score.nll_nats for line in LINES for score in parts.score([line])]
    assert together == pytest.approx(apart, rel=1e-12)
    assert list(parts.score([])) == []


@pytest.mark.parametrize(("kind", "alike"), [("recurrent", False), ("window", False), ("n-gram", True)])
def test_only_a_model_that_remembers_across_lines_scores_them_otherwise(kind: str, alike: bool) -> None:
    given = word_model(kind)
    carried = [score.nll_nats for score in CarriedLines(given).score(LINES)]
    afresh = [score.nll_nats for score in score_lines(given, LINES)]
    assert carried[0] == pytest.approx(afresh[0])
    assert np.allclose(carried, afresh) == alike


def test_an_impossible_line_does_not_keep_the_next_from_being_read() -> None:
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
