"""The gradients through time are those of central differences of ln P, input by input."""

import math

import numpy as np
import pytest

import elman
from elman.errors import ConfigError, TextError
from elman.inspection.network import Network, target_gradient
from support.looked import CELLS, KINDS, inputs, ln_prob, network, recurrent
from support.tiny import STORY

TEXT = "mary was watching tv in his kitchen"
EPS = 1e-5


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("cell", CELLS)
def test_norms_are_those_of_central_differences(cell: str, kind: str) -> None:
    text_model = network(cell, kind)
    model = recurrent(text_model)
    start = text_model.start_id
    assert start is not None
    index = 5
    ids = np.array([start, *text_model.encode(TEXT)[1]])
    target, xs = int(ids[index + 1]), inputs(model, ids[: index + 1])
    numeric = np.empty_like(xs)
    for place in np.ndindex(*xs.shape):
        above, below = xs.copy(), xs.copy()
        above[place] += EPS
        below[place] -= EPS
        numeric[place] = (ln_prob(model, above, target) - ln_prob(model, below, target)) / (2 * EPS)
    found = elman.through_time(text_model, TEXT, index)
    np.testing.assert_allclose(found.norms, np.linalg.norm(numeric, axis=1), rtol=1e-6, atol=1e-10)
    assert found.ln_prob == pytest.approx(ln_prob(model, xs, target), rel=1e-12)
    assert (found.token, found.after_start) == ("his", True)
    assert found.norms.min() > 0

    network_ = Network(model)
    _, dh = target_gradient(model, network_, network_.read(ids[: index + 1])[-1], target)
    led = network_.backpropagate(dh)
    exact = led if model.wordvec_size else led @ model.weights["embedding"].T
    np.testing.assert_allclose(exact, numeric, rtol=1e-6, atol=1e-9)


@pytest.mark.parametrize("word", ["tom", "mary", "asleep", "."])
def test_every_cluster_of_an_adaptive_softmax_has_its_gradient(word: str) -> None:
    text_model = network("gru", "adaptive")
    model = recurrent(text_model)
    (target,) = text_model.vocabulary.encode([word])
    h = np.random.default_rng(0).standard_normal(5)
    model.loss_layer.forward(h[None, None], np.array([[target]]))
    wanted = -model.loss_layer.backward()[0, 0]  # the loss is -ln P
    ln_p, dh = target_gradient(model, Network(model), h, int(target))
    np.testing.assert_allclose(dh, wanted, rtol=1e-10)
    assert ln_p == pytest.approx(-float(model.loss_layer.nlls[0]), rel=1e-12)


def test_the_gradients_are_those_of_the_training_pass() -> None:
    """A word that occurs once has, in the gradient of the embedding, the row of its one step."""
    text_model = network("lstm", "two layers")
    model = recurrent(text_model)
    start = text_model.start_id
    assert start is not None
    ids = np.array([start, *text_model.encode("tom was watching tv in")[1]])
    ts = np.full((1, 5), -1)
    ts[0, -1] = ids[-1]
    model.reset_state()
    model.forward(ids[None, :-1], ts)
    model.backward()
    norms = np.linalg.norm(model.embedding.grads[0][ids[:-1]], axis=1)
    np.testing.assert_allclose(elman.through_time(text_model, "tom was watching tv in", 4).norms, norms)


def test_surprisals_are_those_of_the_model() -> None:
    text_model = network("rnn", dtype=np.float32, H=20)
    text = "tom was watching tv"
    for index, score in enumerate(text_model.surprisal(text, per="token", eos=False)):
        found = elman.through_time(text_model, text, index)
        assert found.surprisal_bits == pytest.approx(score.surprisal_bits, rel=1e-5)
        assert len(found.norms) == index + 1


def test_text_after_the_token_does_not_matter() -> None:
    text_model = network("gru")
    long, short = (elman.through_time(text_model, text, 2) for text in (STORY, "tom was watching"))
    np.testing.assert_array_equal(long.norms, short.norms)


def test_an_empty_past_and_unknown_tokens() -> None:
    text_model = network("lstm")
    text_model.start = "empty"
    first = elman.through_time(text_model, "tom was", 0)
    assert (len(first.norms), first.after_start) == (0, False)
    log_probs = text_model.model.next_log_probs(text_model.model.start())[0]
    assert first.surprisal_bits == pytest.approx(
        -float(log_probs[text_model.encode("tom")[1][0]]) / math.log(2)
    )
    found = elman.through_time(text_model, "tom zeppelin was in", 3)
    shorter = elman.through_time(text_model, "tom was in", 2)
    np.testing.assert_array_equal(found.norms, [shorter.norms[0], 0, shorter.norms[1]])
    with pytest.raises(ConfigError, match="token 1, 'zeppelin', is not in the vocabulary"):
        elman.through_time(text_model, "tom zeppelin", 1)


@pytest.mark.parametrize("index", [-1, 2, 10**30])
def test_an_index_out_of_range(index: int) -> None:
    with pytest.raises(ConfigError, match="index must be that of a token of the text, 0 to 1"):
        elman.through_time(network("rnn"), "tom was", index)


def test_an_empty_text() -> None:
    with pytest.raises(TextError, match="has no tokens"):
        elman.through_time(network("rnn"), "", 0)
