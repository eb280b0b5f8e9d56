"""Models with the same tokens in another order: the same probabilities, alone, in a mixture, and from a file."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.testing import assert_allclose

from elman.api.mix import mix
from elman.errors import VocabularyError
from elman.formats.renumbering import renumbered
from elman.models.mixture import Mixture
from elman.models.ngram.model import NgramModel
from elman.models.ngram.smoothing import kneser_ney
from elman.models.window_models import CBOW, NPLM
from elman.text.tokenizers import make_tokenizer
from elman.text.vocabulary import Vocabulary
from elman.text_model import TextModel, load
from support.tiny import ids_of_length, small_lm

TOKENS = ["c", "a", "<unk>", "e", "b", "<eos>", "d", "f", "g"]
V = len(TOKENS)
GIVEN = Vocabulary(TOKENS, eos="<eos>")
SORTED = Vocabulary(sorted(TOKENS), eos="<eos>")
LINES = ["a b c", "d e", "f g a a", "unseen b", "g f e d c b a"]
COUNTED = ids_of_length(300, V)
KINDS: dict[str, Callable[[], Any]] = {
    "lstm": lambda: small_lm(V, cell="lstm"),
    "gru, tied": lambda: small_lm(V, cell="gru", tie_weights=True, D=5),
    "adaptive": lambda: small_lm(V, adaptive=(2, 5), ranks=np.array([3, 1, 4, 0, 5, 2, 8, 6, 7])),
    "n-gram": lambda: NgramModel.train(COUNTED, V, 4, kneser_ney),
    "n-gram of sentences": lambda: NgramModel.train(COUNTED, V, 4, kneser_ney, eos=5),
    "cbow": lambda: CBOW(V, 4, rng=np.random.default_rng(0), weight_scale=0.5),
    "nplm": lambda: NPLM(V, 4, 5, window=2, rng=np.random.default_rng(0), weight_scale=0.5),
    "mixture": lambda: Mixture([small_lm(V), NgramModel.train(COUNTED, V, 3)], (0.3, 0.7)),
}


def text_model(model: Any, vocabulary: Vocabulary = GIVEN) -> TextModel:
    return TextModel(model, make_tokenizer("word"), vocabulary)


@pytest.mark.parametrize("kind", KINDS)
def test_the_probabilities_are_the_same_under_new_ids(kind: str) -> None:
    given = text_model(KINDS[kind]())
    moved = text_model(renumbered(given.model, GIVEN, SORTED), SORTED)
    exact = kind.startswith("n-gram")
    assert_allclose(moved.scores(LINES), given.scores(LINES), rtol=1e-12 if exact else 2e-5)
    new_ids = SORTED.encode(TOKENS)
    before = given.model.next_log_probs(given.begin_sentence())[0]
    after = moved.model.next_log_probs(moved.begin_sentence())[0]
    assert_allclose(after[new_ids], before, rtol=1e-12 if exact else 2e-5)
    there_and_back = text_model(renumbered(moved.model, SORTED, GIVEN))
    assert_allclose(there_and_back.scores(LINES), given.scores(LINES), rtol=1e-6)


def test_other_tokens_are_refused() -> None:
    with pytest.raises(VocabularyError, match="the same tokens"):
        renumbered(small_lm(V), GIVEN, Vocabulary([*TOKENS[:-1], "z"], eos="<eos>"))


@pytest.mark.parametrize("kind", KINDS)
def test_a_mixture_of_two_orders_is_the_mean_of_its_members(kind: str, tmp_path: Path) -> None:
    first = text_model(KINDS["n-gram"]())
    second = (
        text_model(KINDS[kind](), SORTED)
        if kind != "n-gram of sentences"
        else text_model(NgramModel.train(COUNTED, V, 4, kneser_ney, eos=SORTED.eos_id), SORTED)
    )
    mixed = mix({"first": first, "second": second}, LINES, tmp_path / "mix")
    assert mixed.model.vocabulary == GIVEN
    saved = load(tmp_path / "mix")
    for line in LINES:
        members = [m.surprisal(line, case="asis", punctuation="asis", per="token") for m in (first, second)]
        expected = [
            sum(w * row.probability for w, row in zip(mixed.weights, rows, strict=True))
            for rows in zip(*members, strict=True)
        ]
        for model in (mixed.model, saved):
            found = model.surprisal(line, case="asis", punctuation="asis", per="token")
            assert_allclose([row.probability for row in found], expected, rtol=2e-5)


def test_vocabularies_with_other_tokens_are_still_refused() -> None:
    first = text_model(KINDS["n-gram"]())
    other = replace(first, vocabulary=Vocabulary([*TOKENS[:-1], "z"], eos="<eos>"))
    with pytest.raises(VocabularyError, match="lacks 1 of the other's, such as 'g'"):
        mix({"first": first, "other": other}, LINES)
    unlike = replace(first, vocabulary=Vocabulary(sorted(TOKENS), unk="a", eos="<eos>"))
    with pytest.raises(VocabularyError, match="in a different order"):
        mix({"first": first, "unlike": unlike}, LINES)


def test_a_sorted_arpa_file_is_a_member(tmp_path: Path) -> None:
    model = text_model(NgramModel.train(COUNTED, V, 3, kneser_ney, eos=5))
    model.to_arpa(tmp_path / "a.arpa")
    lines = (tmp_path / "a.arpa").read_text("utf-8").split("\n")
    begin, end = lines.index("\\1-grams:") + 1, lines.index("\\2-grams:")
    unigrams = sorted(filter(None, lines[begin:end]), key=lambda line: line.split("\t")[1])
    (tmp_path / "b.arpa").write_text("\n".join([*lines[:begin], *unigrams, "", *lines[end:]]), "utf-8")
    assert load(tmp_path / "a.arpa").vocabulary != load(tmp_path / "b.arpa").vocabulary
    mixed = mix([tmp_path / "a.arpa", tmp_path / "b.arpa"], LINES)
    assert_allclose(mixed[0].perplexity, mixed[1].perplexity, rtol=1e-9)
    assert_allclose(mixed.perplexity, mixed[0].perplexity, rtol=1e-9)
