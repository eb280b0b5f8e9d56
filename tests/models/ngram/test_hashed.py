"""The hash table of n-grams, compiled and as plain Python, against the sorted tables: equal to the last bit."""

import copy
import pickle
import threading
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_array_equal

from elman.errors import ShapeError, VocabularyError
from elman.evaluation.line_scores import score_line
from elman.kenlm_compat import Model
from elman.models.adaptive.cache import CachedModel
from elman.models.mixture import Mixture
from elman.models.ngram import hashed
from elman.models.ngram import model as model_module
from elman.models.ngram.levels import SortedNgrams
from elman.models.ngram.model import NgramModel
from elman.models.ngram.smoothing import kneser_ney
from elman.models.tokenized import use_hash_tables
from support.loops import CAN_COMPILE, plain, switch_jit
from support.ngrams import sentence_model

V = 6
FORMS: dict[str, Any] = {"plain": plain(hashed)}
if CAN_COMPILE:
    FORMS["compiled"] = hashed
every_form = pytest.mark.parametrize("form", FORMS.values(), ids=FORMS)
every_eos = pytest.mark.parametrize("eos", [None, 2])


@pytest.fixture(autouse=True)
def _integers_that_wrap() -> Iterator[None]:
    """Plain Python warns when the hash exceeds 64 bits, compiled code does not."""
    with np.errstate(over="ignore"):
        yield


@pytest.fixture(autouse=True)
def _at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Models make their table at the first call."""
    monkeypatch.setattr(model_module, "_WORTH_HASHING", 0)


def train(order: int, eos: int | None, tokens: int = 300, seed: int = 0) -> NgramModel:
    text = np.random.default_rng(seed).integers(0, V, tokens)
    return NgramModel.train(text, V, order, kneser_ney, eos)


def both(form: Any, model: NgramModel) -> tuple[SortedNgrams, Any]:
    args = (model.levels, model.vocab_size, model.eos)
    return SortedNgrams(*args), form.HashedNgrams(*args)


def assert_same(ours: Any, theirs: Any, ids: Any, lengths: Any, pasts: Any) -> None:
    args = np.array(ids, np.int64), np.array(lengths, np.int64), np.array(pasts, np.int64)
    for found, expected in zip(ours.read(*args), theirs.read(*args), strict=True):
        assert found.dtype == expected.dtype
        assert_array_equal(found, expected)


@every_form
@every_eos
@pytest.mark.parametrize("order", range(1, 11))
def test_texts_of_any_length_have_the_same_probabilities(form: Any, eos: int | None, order: int) -> None:
    rng = np.random.default_rng(order)
    theirs, ours = both(form, train(order, eos))
    lengths = [7, 0, 1, 30, 0]
    ids = rng.integers(0, V, sum(lengths))
    ids[[3, 20]] = -1  # unknown to a closed vocabulary
    pasts = rng.integers(-1, V + (eos is not None), (len(lengths), order - 1))
    assert_same(ours, theirs, ids, lengths, pasts)
    assert_same(ours, theirs, ids, lengths, pasts[:1])
    assert_same(ours, theirs, [], [0, 0], pasts[:1])
    assert_array_equal(ours.distributions(pasts), theirs.distributions(pasts))
    assert ours.distributions(pasts[:0]).shape == (0, V + (eos is not None))


@every_form
@settings(deadline=None, max_examples=30)
@given(data=st.data())
def test_any_model_and_text(form: Any, data: st.DataObject) -> None:
    texts = st.lists(st.integers(0, V - 1), min_size=1, max_size=20)
    order, eos = data.draw(st.integers(1, 4)), data.draw(st.sampled_from([None, 0, V - 1]))
    with np.errstate(over="ignore"):
        theirs, ours = both(form, NgramModel.train(np.array(data.draw(texts)), V, order, eos=eos))
        ids = data.draw(texts)
        assert_same(ours, theirs, ids, [len(ids)], [[-1] * (order - 1)])


@every_eos
def test_ngrams_that_share_a_slot_are_told_apart(monkeypatch: pytest.MonkeyPatch, eos: int | None) -> None:
    form = plain(hashed)
    monkeypatch.setattr(form, "_SPREAD", np.uint64(0))  # every n-gram begins at slot 0
    theirs, ours = both(form, train(3, eos, tokens=60))
    ids = np.random.default_rng(2).integers(0, V, 30)
    assert_same(ours, theirs, ids, [30], [[-1, -1]])


@every_form
def test_a_model_of_sentences_may_lack_their_start(form: Any) -> None:
    arrays = {
        "vocab_size": np.array([2]),
        "eos": np.array([1]),
        "1.keys": np.array([0, 1]),
        "1.weights": np.array([0.5, 0.25]),
        "1.backoffs": np.array([0.25]),
        "2.keys": np.array([0, 4]),
        "2.weights": np.array([0.5, 0.25]),
        "2.backoffs": np.array([0.5, 0.75]),
    }
    theirs, ours = both(form, NgramModel.from_arrays(arrays))
    assert_same(ours, theirs, [0, 1, 0, 0, 1, 1], [6], [[2]])


@every_form
def test_keys_of_a_large_vocabulary_fit(form: Any) -> None:
    large = 2**31 - 1
    text = np.array([large - 1, 0, large - 1, large - 2, 0, large - 1] * 3)
    theirs, ours = both(form, NgramModel.train(text, large, 6))
    assert_same(ours, theirs, text, [len(text)], [[-1] * 5])


def test_the_model_has_the_same_numbers_with_the_table(monkeypatch: pytest.MonkeyPatch) -> None:
    model = train(3, 2)
    ids = np.random.default_rng(3).integers(0, V, (2, 9))
    found = []
    for on in (False, True):
        switch_jit(monkeypatch, on)
        log_probs, state = model.target_log_probs(ids, model.start(2))
        found.append(
            (log_probs, model.next_log_probs(state), model.matched_lengths(ids, model.start(2)), state)
        )
    for without, with_table in zip(*found, strict=True):
        assert_array_equal(without, with_table) if isinstance(without, np.ndarray) else None
    assert found[0][-1] == found[1][-1]


def test_the_table_is_made_once_by_the_first_of_many_threads(monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[Any] = []
    begin = threading.Barrier(4)

    class Counted(hashed.HashedNgrams):
        def __init__(self, *args: Any) -> None:
            made.append(args)
            with np.errstate(over="ignore"):
                super().__init__(*args)

    monkeypatch.setattr(model_module, "HashedNgrams", Counted)
    switch_jit(monkeypatch, True)
    model, ids, results = train(3, None), np.arange(V)[None], []

    def read() -> None:
        begin.wait()
        with np.errstate(over="ignore"):
            results.append(model.target_log_probs(ids, model.start())[0])

    threads = [threading.Thread(target=read) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(made) == 1
    assert len(results) == 4
    for result in results:
        assert_array_equal(result, results[0])


@pytest.mark.parametrize(
    "copied", [copy.copy, copy.deepcopy, lambda model: pickle.loads(pickle.dumps(model))]
)
def test_a_copy_has_the_same_numbers(monkeypatch: pytest.MonkeyPatch, copied: Any) -> None:
    switch_jit(monkeypatch, True)
    model, ids = train(3, None), np.arange(V)[None]
    expected = model.target_log_probs(ids, model.start())[0]
    assert_array_equal(copied(model).target_log_probs(ids, model.start())[0], expected)


@pytest.mark.parametrize("closed", [False, True])
def test_a_line_of_words_has_the_score_of_its_tokens(monkeypatch: pytest.MonkeyPatch, closed: bool) -> None:
    """The words of a line, their ids and their probabilities, found in one call; with numba and without."""
    lines = [
        "tom was in the hall",
        " tom\t was ",
        "",
        "\n",
        "nobody was\nin",
        "tom\u3000was",
        "é",
        "tom\x1cwas",
    ]
    cases = [(line, bos, eos) for line in lines for bos in (False, True) for eos in (False, True)]
    found = []
    for on in (False, True):
        switch_jit(monkeypatch, on)
        model = sentence_model(min_count=1 if closed else 2)
        assert (model.vocabulary.unk_id is None) == closed
        model.model.use_hash_table()
        assert model.model.is_hashed == on
        scores = [model.score(*case) for case in cases]
        kenlm = Model(model)
        found.append(
            (scores, [score_line(model, line) for line in lines], [kenlm.score(*case) for case in cases])
        )
    assert found[0] == found[1]


def test_mixtures_and_caches_use_the_tables_of_their_members(monkeypatch: pytest.MonkeyPatch) -> None:
    switch_jit(monkeypatch, True)
    first, second = train(2, None), train(3, None)
    use_hash_tables(Mixture([CachedModel(first, 10, 0.1), second], [0.5, 0.5]))
    assert first.is_hashed
    assert second.is_hashed


@pytest.mark.parametrize("on", [False, True])
@every_eos
def test_texts_of_different_lengths_are_read_alone(
    monkeypatch: pytest.MonkeyPatch, on: bool, eos: int | None
) -> None:
    switch_jit(monkeypatch, on)
    model = train(3, eos)
    texts = [np.array(text, np.int32) for text in ([1, 2, 3], [], [4], [5, 5, 0, 1])]
    start = model.begin(2)
    log_probs = model.text_log_probs(np.concatenate(texts), [3, 0, 1, 4], start)
    expected = [model.target_log_probs(text[None], start)[0][0] for text in texts]
    assert_array_equal(log_probs, np.concatenate(expected))
    none_is_left = NgramModel.from_arrays({**model.to_arrays(), "1.backoffs": np.zeros(1)})
    assert np.isneginf(none_is_left.text_log_probs(np.array([-1]), [1], start)).all()
    with_unknown = model.text_log_probs(np.array([1, -1, 3]), [2, 1], start)
    assert_array_equal(np.isneginf(with_unknown), [False, True, False])
    assert with_unknown[0] == log_probs[0]


def test_texts_that_do_not_fit_are_refused() -> None:
    model = train(2, None)
    for lengths in ([1], [3, -1], []):
        with pytest.raises(ShapeError, match="must be ≥ 0 and sum to 2"):
            model.text_log_probs(np.zeros(2, int), lengths, model.start())
    for outside in (-2, V):
        with pytest.raises(VocabularyError, match=rf"\[0, {V}\), got {outside}"):
            model.text_log_probs(np.array([0, outside]), [2], model.start())


def test_the_start_of_a_sentence_is_what_start_and_feed_give() -> None:
    for eos in (None, 2):
        model = train(4, eos)
        assert model.begin(2) == model.feed(np.array([[2]]), model.start())
        assert model.begin(None) == model.start()
