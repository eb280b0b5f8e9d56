"""Spelling of unknown words, and the case of a model."""

import math

import numpy as np
import pytest
from numpy.testing import assert_allclose

from elman.evaluation.scoring import score_line
from elman.rescoring.casing import Case, case_of
from elman.rescoring.nbest import Candidate, Utterance
from elman.rescoring.rescorer import Rescorer, Unknown
from elman.rescoring.spelling import Spelling
from elman.text.vocabulary import Vocabulary
from ngrams import sentence_model


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
    assert rescorer.unknown_words() == (1, 4)


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
