"""Prefix trees: shared states change no score, for every kind of model."""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from numpy.testing import assert_allclose

from elman.errors import VocabularyError
from elman.evaluation.line_scores import score_line
from elman.models.mixture import Mixture
from elman.models.window_models import NPLM
from elman.rescoring.lm_scores import BATCH, carried_lm_scores, encode, lm_scores
from elman.rescoring.nbest import Candidate, Utterance
from elman.rescoring.rescorer import Rescorer
from elman.rescoring.tuning import Weights
from elman.text.vocabulary import Vocabulary
from elman.text_model import TextModel
from elman.workers import limited_threads, use_workers
from support.ngrams import sentence_model
from support.tiny import text_model

TEXTS = [
    ["tom was watching tv", "tom was in his room", "tom was watching", ""],
    ["mary said hi to tom ."],
    ["ann was asleep", "ann was asleep", "bob was asleep in the kitchen ."],
]


def window() -> TextModel:
    made = text_model()
    model = NPLM(len(made.vocabulary), 4, 5, window=3, rng=np.random.default_rng(2))
    return TextModel(model, made.tokenizer, made.vocabulary)


def mixture() -> TextModel:
    made = text_model()
    return TextModel(Mixture([made.model, window().model], [0.3, 0.7]), made.tokenizer, made.vocabulary)


KINDS: dict[str, Any] = {
    "lstm": lambda: text_model(cell="lstm", layers=2),
    "characters": lambda: text_model("char"),
    "3-gram": sentence_model,
    "window": window,
    "mixture": mixture,
}


@pytest.mark.parametrize("kind", KINDS)
def test_a_candidate_scores_what_its_line_scores(kind: str) -> None:
    model = KINDS[kind]()
    scores, work = lm_scores(model, [encode(model, texts) for texts in TEXTS])
    for texts, found in zip(TEXTS, scores, strict=True):
        assert_allclose(found, [score_line(model, text).ln_prob for text in texts], rtol=1e-5)
    assert work.tokens == sum(len(model.encode_line(text)[1]) for texts in TEXTS for text in texts)


def test_steps_are_the_nodes_of_the_trees() -> None:
    model = text_model()
    _, work = lm_scores(model, [encode(model, ["tom was in", "tom was .", "tom was ."])])
    assert (work.steps, work.tokens) == (6, 12)  # tom was {in . } and the two ends
    assert work.saved == 0.5


@pytest.mark.parametrize("workers", [1, 3])
def test_batches_do_not_change_scores(workers: int) -> None:
    model = text_model()
    many = [encode(model, texts) for texts in TEXTS] * (BATCH // 4)
    with limited_threads(0), use_workers(workers):
        scores, work = lm_scores(model, many)
    few, of_few = lm_scores(model, many[:3])
    assert work.tokens == of_few.tokens * (BATCH // 4)
    for found, same in zip(scores[-3:], few, strict=True):
        assert_allclose(found, same, rtol=1e-10)


def test_what_a_closed_vocabulary_lacks_is_impossible() -> None:
    model = text_model()
    each = encode(model, ["tom was zzz", "tom was ."])
    (found,), _ = lm_scores(model, [each])
    assert each.unknown.tolist() == [1, 0]
    assert found[0] == -math.inf
    assert math.isfinite(found[1])


def test_a_model_without_an_end_of_line_token_is_refused() -> None:
    made = text_model()
    without = TextModel(made.model, made.tokenizer, Vocabulary([*made.vocabulary.tokens[:-1], "x"]))
    without.vocabulary.eos_id = None
    with pytest.raises(VocabularyError, match="no token for the end of a line"):
        encode(without, ["tom"])


@pytest.mark.parametrize("workers", [1, 2, 3])
@pytest.mark.parametrize("kind", ["lstm", "3-gram", "mixture"])
def test_carried_candidates_score_what_they_score_in_one_text(kind: str, workers: int) -> None:
    model = KINDS[kind]()
    encoded = [encode(model, texts) for texts in TEXTS]
    best = [1, 0, 2]
    found: dict[int, Any] = {}

    def choose(place: int, ln_probs: Sequence[Any]) -> int:
        (found[place],) = ln_probs
        return best[place]

    with limited_threads(0), use_workers(workers):
        work = carried_lm_scores([(model, encoded)], [[0, 2], [1]], choose)
    alone, _ = lm_scores(model, encoded)
    assert_allclose(found[0], alone[0], rtol=1e-6)
    assert_allclose(found[1], alone[1], rtol=1e-6)
    before = model.encode_line(TEXTS[0][1])[1]
    for text, score in zip(TEXTS[2], found[2], strict=True):
        ids = model.encode_line(text)[1]
        state = model.model.feed(np.array([[model.start_id, *before]]), model.model.start())
        assert score == pytest.approx(
            float(model.model.target_log_probs(ids[None], state)[0].sum()), rel=1e-5
        )
    assert work.tokens == sum(len(ids) for each in encoded for ids in each.ids)


def test_the_candidate_that_is_carried_is_the_best_by_the_weights() -> None:
    model = text_model(cell="lstm")
    list_ = [
        Utterance("s-1", (Candidate(1, -1.0, "tom was asleep"), Candidate(2, -2.0, "mary was asleep"))),
        Utterance("s-2", (Candidate(1, -1.0, "tom said hi"),)),
    ]
    rescorer = Rescorer(model, list_)
    acoustic = rescorer.carried_table(Weights(0.0, 0.0)).lm
    by_words = [Utterance("s-1", list_[0].candidates[:1]), list_[1]]
    assert_allclose(
        acoustic[1, 0], Rescorer(model, by_words).carried_table(Weights(0.0, 0.0)).lm[1, 0], rtol=1e-6
    )
    turned = [Utterance("s-1", (Candidate(1, -3.0, "tom was asleep"), list_[0].candidates[1])), list_[1]]
    assert Rescorer(model, turned).carried_table(Weights(0.0, 0.0)).lm[1, 0] != acoustic[1, 0]
