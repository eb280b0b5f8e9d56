"""Spelling of unknown words, and the case of a model."""

import math

import numpy as np
import pytest
from numpy.testing import assert_allclose

from elman.evaluation.line_scores import score_line
from elman.evaluation.spelling import Case, case_of
from elman.rescoring.lm_scores import Unknown
from elman.rescoring.nbest import Candidate, Utterance
from elman.rescoring.rescorer import Rescorer
from elman.rescoring.tuning import IMPOSSIBLE, Weights
from elman.rescoring.unknown_words import Recurring, Spelling
from elman.text.vocabulary import Vocabulary
from support.ngrams import sentence_model
from support.tiny import text_model


def test_spellings_are_probabilities_of_strings() -> None:
    spelling = Spelling(Vocabulary(["aa", "ab", "b", "<unk>", "<eos>"], eos="<eos>"))
    strings = ["".join(s) for s in ("", "a", "b", "aa", "ab", "ba", "bb")]
    found = spelling.nll_nats(strings)
    total = sum(math.exp(-nll) for nll in found.values())
    assert 0.5 < total < 1
    assert found["ab"] < found["ba"]
    strange = spelling.nll_nats(["a", "a?"])
    assert strange["a?"] - strange["a"] == pytest.approx(math.log(0x110000))


def test_an_unknown_word_costs_its_spelling_too() -> None:
    model = sentence_model(min_count=2)
    texts = ["TOM WAS SINGING .", "TOM WAS XQZQX .", "TOM WAS IN ."]
    list_ = [Utterance("u", tuple(Candidate(k, 0.0, t) for k, t in enumerate(texts, 1)))]
    lines = [score_line(model, text.lower()) for text in texts]
    tables = {}
    kinds: tuple[Unknown, ...] = ("plain", "spelled")
    for kind in kinds:
        rescorer = Rescorer(model, list_, unknown=kind)
        assert rescorer.case == "lower"
        tables[kind] = rescorer.table().lm[0]
    assert [line.unknown for line in lines] == [1, 1, 0]
    assert_allclose(tables["plain"], [line.ln_prob for line in lines], rtol=1e-9)
    costs = Spelling(model.vocabulary).nll_nats(["singing", "xqzqx"])
    expected = tables["plain"] - np.array([costs["singing"], costs["xqzqx"], 0])
    assert_allclose(tables["spelled"], expected, rtol=1e-9)
    assert costs["xqzqx"] > costs["singing"]
    assert rescorer.unknown_words() == [1]
    assert rescorer.words() == 4


@pytest.mark.parametrize(
    ("tokens", "case"),
    [
        (["a", "bc", ".", "<unk>"], "lower"),
        (["A", "IT'S", "7"], "upper"),
        (["A", "b", "The"], "asis"),
        ([".", "7", "톰"], "asis"),
        ([*"abcdefghijklmnopqrs", "N"], "lower"),
    ],
)
def test_the_case_of_a_vocabulary_is_that_of_nearly_all_its_words(tokens: list[str], case: Case) -> None:
    assert case_of(Vocabulary([*tokens, "<eos>"], eos="<eos>")) == case


def test_several_models_score_the_mean_of_what_each_scores() -> None:
    texts = ["tom was asleep .", "mary was satom ."]
    list_ = [Utterance("u", tuple(Candidate(k, 0.0, t) for k, t in enumerate(texts, 1)))]
    models = [sentence_model(min_count=2), text_model("char"), text_model(cell="lstm")]
    each = [Rescorer(model, list_).table().lm for model in models[:2]]
    both = Rescorer(models[0], list_, others=models[1:2])
    assert_allclose(both.table().lm, (each[0] + each[1]) / 2, rtol=1e-9)
    assert both.work.tokens == sum(len(m.encode_line(text)[1]) for m in models[:2] for text in texts)
    each = [Rescorer(model, list_).carried_table(Weights(1.0, 0.0)).lm for model in models[:2]]
    assert_allclose(both.carried_table(Weights(1.0, 0.0)).lm, (each[0] + each[1]) / 2, rtol=1e-6)
    assert Rescorer(models[0], list_, others=models[2:]).table().lm[0, 1] == IMPOSSIBLE


def test_recurring_unknown_words_are_more_probable_and_probabilities_sum_to_1() -> None:
    nlls = {"ana": 9.0, "bo": 7.0}
    seen, fresh = Recurring(), Recurring(0.0)
    assert fresh.ln_prob("ana", 9.0) == -9.0
    assert seen.ln_prob("ana", 9.0) == pytest.approx(math.log(0.8) - 9.0)
    seen.add(["ana", "ana", "cy"])
    expected = 0.8 * math.exp(-9.0) + 0.2 * 2 / 4
    assert seen.ln_prob("ana", 9.0) == pytest.approx(math.log(expected))
    assert seen.ln_prob("bo", nlls["bo"]) == pytest.approx(math.log(0.8) - 7.0)
    assert seen.ln_prob("far", 2000.0) == pytest.approx(math.log(0.8) - 2000.0)
    fresh.add(["ana"])
    assert fresh.ln_prob("ana", 9.0) == -9.0


def test_a_recurring_name_of_a_speaker_is_more_probable() -> None:
    model = sentence_model(min_count=2)
    said = Candidate(1, 0.0, "tom was xqzqx .")
    list_ = [Utterance(name, (said,)) for name in ("a-1", "a-2", "b-1")]
    rescorer = Rescorer(model, list_)
    carried, alone = rescorer.carried_table(Weights(1.0, 0.0)).lm[:, 0], rescorer.table().lm[:, 0]
    assert carried[0] == pytest.approx(alone[0] + math.log(0.8))
    assert carried[2] == pytest.approx(carried[0])
    assert carried[1] > alone[0] + 10
    plain = Rescorer(model, list_, unknown="plain")
    assert_allclose(plain.carried_table(Weights(1.0, 0.0)).lm[0], plain.table().lm[0], rtol=1e-9)
