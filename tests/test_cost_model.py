"""The cost model of distributed training: known costs are found again, and predictions have the right limits."""

import sys
from pathlib import Path

import pytest

sys.path.append(str(Path(__file__).parents[1] / "benchmarks"))

from cost_model import (
    Network,
    Work,
    blocks_needed,
    communication,
    fit,
    most_ranks,
    traffic,
    update_seconds,
    words_used,
)

NETWORK = Network(latency=1e-4, per_byte=1e-9)
WORKS = [Work(400, 0.1, 7, 10e6), Work(2500, 0.02, 4, 1e6), Work(700, 1.0, 7, 60e6)]


@pytest.mark.parametrize("ranks", [2, 4])
@pytest.mark.parametrize("network", [NETWORK, Network(0.0, 2e-9), Network(3e-4, 0.0)])
def test_the_fit_finds_the_costs_that_made_the_times(network: Network, ranks: int) -> None:
    found = fit(WORKS, ranks, [update_seconds(work, ranks, network) for work in WORKS])
    assert found.latency == pytest.approx(network.latency, rel=1e-6, abs=1e-12)
    assert found.per_byte == pytest.approx(network.per_byte, rel=1e-6, abs=1e-18)


def test_no_cost_is_negative() -> None:
    cheap = [Work(400, 0.1, 1, 10e6), Work(400, 0.1, 100, 1e6)]
    found = fit(cheap, 2, [0.11, 0.09])
    assert found.latency == 0 < found.per_byte
    assert fit(cheap, 2, [0.09, 0.09]) == Network(0, 0)


def test_one_work_is_not_enough_to_fit() -> None:
    with pytest.raises(ValueError, match="two workloads"):
        fit(WORKS[:1], 2, [0.2])


def test_one_rank_only_computes_and_a_ring_sends_twice_the_bytes_at_most() -> None:
    work = WORKS[0]
    assert update_seconds(work, 1, NETWORK) == work.compute
    assert traffic(work, 2) == work.fixed
    assert traffic(work, 1000) == pytest.approx(2 * work.fixed, rel=2e-3)
    assert communication(work, 2, NETWORK) == pytest.approx(7 * 2 * 1e-4 + 10e6 * 1e-9)


def test_ranks_that_share_cores_take_turns() -> None:
    work = WORKS[0]
    assert update_seconds(work, 4, NETWORK, cores=2) == 2 * update_seconds(work, 4, NETWORK)
    assert update_seconds(work, 2, NETWORK, cores=4) == update_seconds(work, 2, NETWORK)


def test_used_words_become_more_until_the_gradient_is_dense() -> None:
    assert words_used(1000, 1) == pytest.approx(1)
    assert 1 < words_used(1000, 100) < words_used(1000, 900) < 900
    assert words_used(1000, 1000) == 1000
    sparse = Work(100, 0.1, 7, 50.0, per_word=4.0, vocab_size=1000)
    assert sparse.bytes(1) < sparse.bytes(2) < sparse.bytes(10) == sparse.bytes(20) == 4050


def test_accumulation_brings_the_communication_down_to_the_wanted_fraction() -> None:
    slow = Work(400, 0.1, 0, 100e6)
    assert communication(slow, 2, NETWORK) == pytest.approx(0.1)
    assert blocks_needed(slow, 2, NETWORK, computing=0.8) == 4
    assert blocks_needed(slow, 2, NETWORK, computing=0.8, size=0.5) == 2
    assert blocks_needed(slow, 1, NETWORK) == 1


def test_the_ranks_beyond_which_most_time_is_communication() -> None:
    assert most_ranks(Work(400, 0.1, 1, 0), Network(1e-3, 0)) == 32  # 2·31 ms of latency, then 2·63 ms
    assert most_ranks(Work(400, 0.1, 1, 1e9), NETWORK) == 1
    assert most_ranks(Work(400, 0.1, 0, 1e6), NETWORK, limit=64) == 64
