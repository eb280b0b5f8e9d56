"""Modified Kneser-Ney smoothing, and models of sentences, against dictionaries of counts."""

import tracemalloc
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from elman.errors import ConfigError, ModelFileError, VocabularyError
from elman.models.ngram.counts import Counts, count_ngrams
from elman.models.ngram.model import NgramModel
from elman.models.ngram.smoothing import Smoothing, adjusted_counts, discounts, kneser_ney, witten_bell

V, EOS = 5, 2
START = V  # the symbol <s>
texts = st.lists(st.integers(0, V - 1), min_size=1, max_size=60)
pasts = st.lists(st.integers(0, V - 1), max_size=8)
orders = st.integers(1, 5)
Ngram = tuple[int, ...]


def sentences_of(text: list[int]) -> list[list[int]]:
    """The sentences of a text, each with <s> before it; the last may be unfinished."""
    sentences, begun = [], [START]
    for token in text:
        begun.append(token)
        if token == EOS:
            sentences.append(begun)
            begun = [START]
    return sentences if begun == [START] else [*sentences, begun]


def raw_counts(text: list[int], n: int) -> Counter[Ngram]:
    """How often each n-gram occurs within a sentence."""
    return Counter(tuple(s[i : i + n]) for s in sentences_of(text) for i in range(len(s) - n + 1))


def counts_by_hand(text: list[int], n: int, order: int) -> dict[Ngram, int]:
    """a(n-gram): its count if nothing is longer or precedes it, else how many symbols precede it."""
    longer = raw_counts(text, n + 1)
    counts = {}
    for ngram, count in raw_counts(text, n).items():
        if n == order or ngram[0] == START:
            counts[ngram] = count
        else:
            counts[ngram] = len({first for (first, *rest) in longer if tuple(rest) == ngram})
    counts.pop((START,), None)  # never predicted
    return counts


def discounts_by_hand(counts: dict[Ngram, int]) -> list[float]:
    """0, D1, D2, D3+ as Chen and Goodman write them."""
    n1, n2, n3, n4 = (sum(a == k for a in counts.values()) for k in (1, 2, 3, 4))
    if n1 and n2 and n3 and n4:
        Y = n1 / (n1 + 2 * n2)
        D = [1 - 2 * Y * n2 / n1, 2 - 3 * Y * n3 / n2, 3 - 4 * Y * n4 / n3]
        if min(D) > 0:
            return [0, *D]
    return [0, 0.5, 1, 1.5]


def kneser_ney_by_hand(text: list[int], past: Ngram, word: int, order: int) -> float:
    """P(word | past), by recursion over ever shorter pasts."""
    if len(past) >= order:
        return kneser_ney_by_hand(text, past[1:], word, order)
    counts = counts_by_hand(text, len(past) + 1, order)
    shorter = kneser_ney_by_hand(text, past[1:], word, order) if past else 1 / V
    followers = {ngram[-1]: a for ngram, a in counts.items() if ngram[:-1] == past}
    if not followers:
        return shorter
    D = discounts_by_hand(counts)
    total = sum(followers.values())
    a = followers.get(word, 0)
    backoff = sum(D[min(other, 3)] for other in followers.values()) / total
    return (a - D[min(a, 3)]) / total + backoff * shorter


def witten_bell_by_hand(text: list[int], past: Ngram, word: int, order: int) -> float:
    """P(word | past), by recursion over ever shorter pasts."""
    if len(past) >= order:
        return witten_bell_by_hand(text, past[1:], word, order)
    shorter = witten_bell_by_hand(text, past[1:], word, order) if past else 1 / V
    followers = {n[-1]: c for n, c in raw_counts(text, len(past) + 1).items() if n[:-1] == past}
    followers.pop(START, None)
    if not followers:
        return shorter
    return (followers.get(word, 0) + len(followers) * shorter) / (sum(followers.values()) + len(followers))


SMOOTHINGS: dict[Smoothing, Any] = {kneser_ney: kneser_ney_by_hand, witten_bell: witten_bell_by_hand}
smoothings = st.sampled_from(list(SMOOTHINGS))


@settings(deadline=None)
@given(text=texts, past=pasts, order=orders, smoothing=smoothings)
def test_every_probability_is_the_oracles(
    text: list[int], past: list[int], order: int, smoothing: Smoothing
) -> None:
    model = NgramModel.train(np.array(text), V, order, smoothing, EOS)
    state = model.feed(np.array([past], dtype=int), model.start())
    (sentence,) = sentences_of([*past, 0])[-1:]
    by_hand = SMOOTHINGS[smoothing]
    expected = [by_hand(text, tuple(sentence[:-1]), word, order) for word in range(V)]
    probabilities = np.exp(model.next_log_probs(state))
    np.testing.assert_allclose(probabilities, [expected], rtol=1e-12)
    assert probabilities.sum() == pytest.approx(1, abs=1e-12)


@settings(deadline=None, max_examples=30)
@given(seed=st.integers(0, 10**6), order=orders, past=pasts)
def test_a_text_large_enough_for_estimated_discounts(seed: int, order: int, past: list[int]) -> None:
    rng = np.random.default_rng(seed)
    text = rng.choice(V, 400, p=[0.5, 0.2, 0.15, 0.1, 0.05]).tolist()
    model = NgramModel.train(np.array(text), V, order, kneser_ney, EOS)
    state = model.feed(np.array([past], dtype=int), model.start())
    (sentence,) = sentences_of([*past, 0])[-1:]
    expected = [kneser_ney_by_hand(text, tuple(sentence[:-1]), word, order) for word in range(V)]
    np.testing.assert_allclose(np.exp(model.next_log_probs(state)), [expected], rtol=1e-12)


@settings(deadline=None)
@given(text=texts, past=pasts, order=orders, smoothing=smoothings, eos=st.sampled_from([None, EOS]))
def test_probabilities_sum_to_1_after_any_past(
    text: list[int], past: list[int], order: int, smoothing: Smoothing, eos: int | None
) -> None:
    large = 3 * V  # tokens that the text has not
    model = NgramModel.train(np.array(text), large, order, smoothing, eos)
    unseen = [(token * 7) % large for token in past]
    for ids in (past, unseen, past + unseen):
        log_probs = model.next_log_probs(model.feed(np.array([ids], dtype=int), model.start()))
        assert log_probs.shape == (1, large)
        assert np.isfinite(log_probs).all()
        assert np.exp(log_probs).sum() == pytest.approx(1, abs=1e-12)


@settings(deadline=None)
@given(text=texts, data=st.data(), order=orders)
def test_targets_are_what_next_gives_token_by_token(text: list[int], data: st.DataObject, order: int) -> None:
    sequences, steps = data.draw(st.integers(1, 3)), data.draw(st.integers(0, 8))
    size = sequences * steps
    drawn = data.draw(st.lists(st.integers(0, V - 1), min_size=size, max_size=size))
    ids = np.array(drawn, dtype=int).reshape(sequences, steps)
    model = NgramModel.train(np.array(text), V, order, kneser_ney, EOS)
    targets, end = model.target_log_probs(ids, model.start(sequences))
    state = model.start(sequences)
    for t in range(steps):
        row = model.next_log_probs(state)[np.arange(sequences), ids[:, t]]
        np.testing.assert_allclose(targets[:, t], row, rtol=1e-12)
        state = model.feed(ids[:, t : t + 1], state)
    assert state == end == model.feed(ids, model.start(sequences))
    assert hash(state) == hash(end)


def test_a_sentence_knows_nothing_of_the_one_before() -> None:
    model = NgramModel.train(np.array([0, 1, EOS, 3, EOS] * 3), V, 4, kneser_ney, EOS)
    begin = model.start()
    assert begin.past == ((-1, -1, START),)
    assert model.feed(np.array([[EOS]]), begin) == begin
    assert model.feed(np.array([[0, 1, EOS]]), begin) == begin
    assert model.feed(np.array([[0, EOS, 3]]), begin).past == ((-1, START, 3),)
    assert model.feed(np.array([[EOS, 0, 1, 3]]), begin).past == ((0, 1, 3),)
    assert NgramModel.train(np.arange(V), V, 1, kneser_ney, EOS).start().past == ((),)


def test_a_sentence_begins_as_sentences_began() -> None:
    text = np.array([0, 1, 1, 1, EOS, 0, 1, 1, EOS])
    model = NgramModel.train(text, V, 2, kneser_ney, EOS)
    after_end = model.next_log_probs(model.feed(np.array([[1, EOS]]), model.start()))[0]
    assert after_end.argmax() == 0
    assert np.exp(after_end[0]) > 0.5


def test_the_discounts_are_those_of_the_paper() -> None:
    counts = np.array([1, 1, 1, 1, 2, 2, 3, 4, 9, 0])  # n1 = 4, n2 = 2, n3 = n4 = 1, so Y = 1/2
    np.testing.assert_allclose(discounts(counts), [0, 0.5, 1.25, 1.0])


@pytest.mark.parametrize("counts", [[1, 2, 3], [1, 1, 1, 1, 2, 3, 4, 4, 4, 4], [5, 6], []])
def test_what_is_too_little_to_estimate_from_has_fixed_discounts(counts: list[int]) -> None:
    np.testing.assert_array_equal(discounts(np.array(counts, int)), [0, 0.5, 1, 1.5])


@given(text=texts, order=orders)
def test_adjusted_counts_are_a_dictionarys(text: list[int], order: int) -> None:
    levels = count_ngrams(np.array(text), V, order, EOS)
    for n, adjusted in enumerate(adjusted_counts(levels), 1):
        expected = counts_by_hand(text, n, order)
        assert sorted(adjusted[adjusted > 0]) == sorted(expected.values())


def assert_same_counts(some: list[Counts], others: list[Counts]) -> None:
    for a, b in zip(some, others, strict=True):
        np.testing.assert_array_equal(a.keys, b.keys)
        np.testing.assert_array_equal(a.counts, b.counts)
        assert (a.n_contexts, a.symbols, a.start) == (b.n_contexts, b.symbols, b.start)


@given(text=texts, order=orders, eos=st.sampled_from([None, EOS]), block=st.integers(1, 20))
def test_counting_block_by_block_is_counting_at_once(
    text: list[int], order: int, eos: int | None, block: int
) -> None:
    ids = np.array(text, np.uint8)
    assert_same_counts(count_ngrams(ids, V, order, eos, block), count_ngrams(ids, V, order, eos))


@pytest.mark.parametrize("eos", [None, 3])
def test_memory_grows_with_the_distinct_ngrams_and_not_with_the_text(tmp_path: Path, eos: int | None) -> None:
    T = 400_000
    (np.arange(T) % 50).astype(np.uint8).tofile(tmp_path / "ids")
    ids = np.memmap(tmp_path / "ids", np.uint8, "r")
    tracemalloc.start()
    levels = count_ngrams(ids, 50, 3, eos, block=2_000)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert levels[0].counts.sum() == T
    assert peak < T  # bytes: not one for each token


@given(text=texts, order=orders, smoothing=smoothings)
def test_arrays_hold_the_whole_model(text: list[int], order: int, smoothing: Smoothing) -> None:
    model = NgramModel.train(np.array(text), V, order, smoothing, EOS)
    again = NgramModel.from_arrays(model.to_arrays())
    assert (again.order, again.vocab_size, again.eos) == (order, V, EOS)
    ids = np.array([text])
    np.testing.assert_array_equal(
        model.target_log_probs(ids, model.start())[0], again.target_log_probs(ids, again.start())[0]
    )


@pytest.mark.parametrize("eos", [np.array([V]), np.array([-1]), np.array([1.0]), np.array([1, 2])])
def test_a_damaged_eos_is_refused(eos: np.ndarray) -> None:
    arrays = NgramModel.train(np.arange(V), V, 2, kneser_ney, EOS).to_arrays() | {"eos": eos}
    with pytest.raises(ModelFileError, match="eos"):
        NgramModel.from_arrays(arrays)


def test_impossible_training_is_refused() -> None:
    with pytest.raises(VocabularyError, match=r"eos must be an id in \[0, 5\), got 5"):
        NgramModel.train(np.arange(V), V, 2, kneser_ney, V)
    with pytest.raises(VocabularyError, match=r"\[0, 4\), got 4"):
        NgramModel.train(np.arange(V), 4, 2, kneser_ney, 1)
    with pytest.raises(ConfigError, match="order"):
        NgramModel.train(np.arange(V), V, 0, kneser_ney, EOS)


def test_penn_treebank_is_as_in_the_literature(data: Any) -> None:
    words = {
        split: data(f"ptb/ptb.{split}.txt").read_text("utf-8").replace("\n", " <eos> ").split()
        for split in ("train", "test")
    }
    ids_of = {word: id_ for id_, word in enumerate(dict.fromkeys(words["train"]))}
    train, test = (np.array([ids_of[word] for word in words[split]]) for split in ("train", "test"))
    model = NgramModel.train(train, len(ids_of), 5, kneser_ney, ids_of["<eos>"])
    log_probs, _ = model.target_log_probs(test[None], model.start())
    assert np.exp(-log_probs.mean()) == pytest.approx(141.186, abs=0.001)
