"""The clusters of an adaptive softmax: their words, sizes and widths."""

import re

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_array_equal

from elman.errors import ConfigError
from elman.models import clusters
from elman.models.clusters import checked_ranks, default_cutoffs, frequency_ranks, tail_sizes, tail_width


def test_the_most_frequent_id_has_rank_0_and_ties_go_by_id() -> None:
    ids = np.array([3, 3, 3, 1, 1, 4, 0, 4, 3])  # 3 four times, 1 and 4 twice, 0 once, 2 and 5 never
    assert_array_equal(frequency_ranks(ids, 6), [3, 1, 4, 0, 2, 5])


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.uint32, np.int64])
def test_frequencies_are_counted_in_chunks(monkeypatch: pytest.MonkeyPatch, dtype: type) -> None:
    ids = np.random.default_rng(0).integers(0, 50, 1000).astype(dtype)
    ids.flags.writeable = False
    whole = frequency_ranks(ids, 60)
    monkeypatch.setattr(clusters, "CHUNK", 64)
    assert_array_equal(frequency_ranks(ids, 60), whole)
    by_rank = np.argsort(whole)
    counts = np.bincount(ids, minlength=60)[by_rank]
    assert (np.diff(counts) <= 0).all()
    assert_array_equal(checked_ranks(whole, 60), whole)


@pytest.mark.parametrize(
    ("vocab_size", "cutoffs"),
    [
        (2, (1,)),
        (24, (6,)),
        (5_000, (1_250,)),
        (10_000, (2_500,)),
        (16_000, (1_000, 4_000)),
        (64_000, (1_000, 4_000, 16_000)),
        (200_000, (3_125, 12_500, 50_000)),
        (1_000_000, (15_625, 62_500, 250_000)),
    ],
)
def test_default_cutoffs_are_quarters_of_quarters(vocab_size: int, cutoffs: tuple[int, ...]) -> None:
    assert default_cutoffs(vocab_size) == cutoffs


@given(st.integers(2, 2_000_000))
def test_default_cutoffs_fit_every_vocabulary(vocab_size: int) -> None:
    cutoffs = default_cutoffs(vocab_size)
    assert cutoffs[0] + sum(tail_sizes(cutoffs, vocab_size)) == vocab_size


def test_the_tails_of_a_large_vocabulary_have_as_many_weights_targets_and_so_multiplications_each() -> None:
    V, H = 1_000_000, 256
    cutoffs = default_cutoffs(V)
    sizes, widths = tail_sizes(cutoffs, V), [tail_width(H, k) for k in (1, 2, 3)]
    assert widths == [64, 16, 4]
    weights = [size * width for size, width in zip(sizes, widths, strict=True)]
    assert weights == [weights[0]] * 3
    zipf = 1 / np.arange(1, V + 1)
    shares = [part.sum() / zipf.sum() for part in np.split(zipf, cutoffs)[1:]]
    assert shares == pytest.approx([np.log(4) / np.log(V)] * 3, rel=0.05)


@pytest.mark.parametrize(
    ("hidden_size", "widths"), [(256, [64, 16, 4]), (100, [25, 6, 4]), (6, [4, 4, 4]), (3, [3, 3, 3])]
)
def test_widths_are_quartered_down_to_four(hidden_size: int, widths: list[int]) -> None:
    assert [tail_width(hidden_size, k) for k in (1, 2, 3)] == widths


@pytest.mark.parametrize(
    "cutoffs", [(), (0, 5), (-3,), (24,), (30,), (5, 5), (9, 5), (5, 24)], ids=lambda c: f"cutoffs {c}"
)
def test_cutoffs_that_make_no_clusters_are_refused(cutoffs: tuple[int, ...]) -> None:
    got = ", ".join(map(str, cutoffs)) or "none"
    with pytest.raises(ConfigError, match=rf"below the vocabulary's 24 tokens; got {re.escape(got)}$"):
        tail_sizes(cutoffs, 24)


def test_a_vocabulary_of_one_token_has_no_tail() -> None:
    with pytest.raises(ConfigError, match="below the vocabulary's 1 tokens"):
        tail_sizes(default_cutoffs(1), 1)


@pytest.mark.parametrize("ranks", [[0, 1], [0, 1, 1], [1, 2, 3], [0, 1, -2], [[0, 1, 2]], [0.5, 1, 2]])
def test_ranks_that_are_not_an_order_are_refused(ranks: list[float]) -> None:
    with pytest.raises(ConfigError, match="the numbers from 0 to 2, each once"):
        checked_ranks(np.array(ranks), 3)
