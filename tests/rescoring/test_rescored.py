"""The results of rescoring as tables."""

import math

import numpy as np

from elman import NgramModel, TextModel, Vocabulary, make_tokenizer, rescore


def test_an_impossible_candidate_has_no_finite_total() -> None:
    vocabulary = Vocabulary(["a", "b", "<eos>"], eos="<eos>")  # closed: no <unk>
    model = NgramModel.train(np.array([0, 1, 2] * 20), 3, order=2, eos=2)
    lists = {"u1": [(-0.5, "a c"), (-1.0, "a b")]}
    found = rescore(
        TextModel(model, make_tokenizer("word"), vocabulary), lists, lm_weight=1.0, unknown="plain"
    )
    best, other = found.candidates
    assert (best.text, math.isfinite(best.score)) == ("a b", True)
    assert (other.lm, other.score) == (-math.inf, -math.inf)
