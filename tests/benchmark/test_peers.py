"""The peers of small workloads: the tokens they count, and that they continue where they stopped."""

from dataclasses import replace

import numpy as np
import pytest

from elman.benchmark import floor, ours
from elman.benchmark.workloads import WORDS_A_STEP, WORKLOADS, Workload, made_up


def small(workload: Workload) -> Workload:
    """The same workload with a tiny model."""
    return replace(
        workload, V=11, D=workload.D and 6, H=5, N=min(workload.N, 3), T=4, first=10 * WORDS_A_STEP
    )


@pytest.mark.parametrize("name", WORKLOADS)
def test_elman_and_the_floor_count_the_tokens_of_their_steps(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(floor, "TRIAL_SECONDS", 0.0)
    workload = small(WORKLOADS[name])
    inputs = made_up(workload)
    losses, tokens = ours.build(workload, inputs).run(2)
    assert tokens == 2 * (WORDS_A_STEP if workload.task == "words" else workload.N * workload.T)
    assert losses == pytest.approx([np.log(workload.V)] * 2, rel=0.3)
    least = floor.build(workload, inputs)
    assert least.run(2) == ([], 2 * least.run(1)[1])


@pytest.mark.parametrize("name", ["A", "H-words"])
def test_a_peer_continues_where_it_stopped(name: str) -> None:
    workload = small(WORKLOADS[name])
    inputs = made_up(workload)
    whole, _ = ours.build(workload, inputs).run(5)
    peer = ours.build(workload, inputs)
    assert [*peer.run(2)[0], *peer.run(3)[0]] == whole


def test_words_are_scored_after_all_the_words_before_them() -> None:
    workload = small(WORKLOADS["H-words"])
    inputs = made_up(workload)
    (loss,), _ = ours.build(workload, inputs).run(1)
    model = ours.make_model(workload, inputs.weights)
    scores, _ = model.target_log_probs(inputs.ids[None, :WORDS_A_STEP], model.start())
    assert loss == pytest.approx(-scores.mean(), rel=1e-5)


def test_a_model_copies_the_weights() -> None:
    workload = small(WORKLOADS["D"])
    inputs = made_up(workload)
    before = {name: weight.copy() for name, weight in inputs.weights.items()}
    ours.build(workload, inputs).run(2)
    for name, weight in inputs.weights.items():
        np.testing.assert_array_equal(weight, before[name])


def test_every_product_of_the_floor_is_computed() -> None:
    for times, m, k, n in [(3, 2, 4, 5), (1, 1, 7, 3)]:
        product = floor.Product(times, m, k, n)
        product.outs[...] = 0
        product()
        np.testing.assert_array_equal(product.outs, np.full((times, m, n), k, np.float32))
