"""The peers of small works: what they count, and that they go on where they stopped."""

from dataclasses import replace

import numpy as np
import pytest

from elman.bench import floor, ours
from elman.bench.workloads import WORDS_A_STEP, WORKS, Work, made_up


def small(work: Work) -> Work:
    """The same work with a model that costs nothing."""
    return replace(work, V=11, D=work.D and 6, H=5, N=min(work.N, 3), T=4, first=10 * WORDS_A_STEP)


@pytest.mark.parametrize("name", WORKS)
def test_elman_and_the_floor_count_the_tokens_of_their_steps(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(floor, "TRIAL_SECONDS", 0.0)
    work = small(WORKS[name])
    inputs = made_up(work)
    losses, tokens = ours.build(work, inputs).run(2)
    assert tokens == 2 * (WORDS_A_STEP if work.task == "words" else work.N * work.T)
    assert losses == pytest.approx([np.log(work.V)] * 2, rel=0.3)
    least = floor.build(work, inputs)
    assert least.run(2) == ([], 2 * least.run(1)[1])


@pytest.mark.parametrize("name", ["A", "H-words"])
def test_a_peer_goes_on_where_it_stopped(name: str) -> None:
    work = small(WORKS[name])
    inputs = made_up(work)
    whole, _ = ours.build(work, inputs).run(5)
    peer = ours.build(work, inputs)
    assert [*peer.run(2)[0], *peer.run(3)[0]] == whole


def test_words_are_scored_after_all_the_words_before_them() -> None:
    work = small(WORKS["H-words"])
    inputs = made_up(work)
    (loss,), _ = ours.build(work, inputs).run(1)
    model = ours.make_model(work, inputs.weights)
    scores, _ = model.target_log_probs(inputs.ids[None, :WORDS_A_STEP], model.start())
    assert loss == pytest.approx(-scores.mean(), rel=1e-5)


def test_a_model_has_weights_of_its_own() -> None:
    work = small(WORKS["D"])
    inputs = made_up(work)
    before = {name: weight.copy() for name, weight in inputs.weights.items()}
    ours.build(work, inputs).run(2)
    for name, weight in inputs.weights.items():
        np.testing.assert_array_equal(weight, before[name])


def test_every_product_of_the_floor_has_the_values_of_a_product() -> None:
    for times, m, k, n in [(3, 2, 4, 5), (1, 1, 7, 3)]:
        product = floor.Product(times, m, k, n)
        product.outs[...] = 0
        product()
        np.testing.assert_array_equal(product.outs, np.full((times, m, n), k, np.float32))
