"""A recurrent language model whose output is an adaptive softmax."""

import copy
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.testing import assert_array_equal

import oracle
from elman.errors import ConfigError, ModelFileError
from elman.formats.model_file import read_arrays, save_model, write_arrays
from elman.gradcheck import check_gradients
from elman.models import parameters as weights_file
from elman.models.parameters import draw_weights, plan_weights
from elman.models.recurrent import RecurrentLM
from elman.text_model import load
from elman.training.optimizers import OPTIMIZERS
from elman.training.step import global_norm, norm_scale
from support.tiny import blocks_of, small_lm, text_model

V, D, H, N, T = 24, 4, 5, 3, 6
CUTOFFS = (4, 9)
RANKS = np.random.default_rng(0).permutation(V)
IN_HEAD = np.argsort(RANKS)[: CUTOFFS[0]]  # ids of the most frequent words


def adaptive_lm(**options: Any) -> RecurrentLM:
    return small_lm(V, D, H, adaptive=CUTOFFS, ranks=RANKS, **options)


def test_its_loss_is_that_of_the_equations() -> None:
    model = adaptive_lm()
    w = model.weights
    head = [w["output.head.W"], w["output.head.b"]]
    tails = [[w[f"output.{k}.{name}"] for name in "PWb"] for k in (1, 2)]
    h = np.zeros((N, H))
    for xs, ts in zip(blocks_of(V, N, T, 3), blocks_of(V, N, T, 3, seed=1), strict=True):
        hs = oracle.rnn(oracle.embedding(xs, w["embedding"]), w["0.Wx"], w["0.Wh"], w["0.b"], h)
        loss, _, _ = oracle.adaptive_softmax(hs, ts, head, tails, RANKS)
        assert model.forward(xs, ts) == pytest.approx(loss, rel=1e-12)
        h = hs[:, -1]


@pytest.mark.parametrize("cell", ["rnn", "lstm", "gru"])
@pytest.mark.parametrize("targets", ["of all clusters", "of the head"])
def test_gradients_of_the_stack(cell: str, targets: str) -> None:
    before, xs, ts = blocks_of(V, 2, 5, 3)
    if targets == "of the head":
        ts = IN_HEAD[ts % len(IN_HEAD)]
    report = check_gradients(adaptive_lm(cell=cell, layers=2), xs, ts, before=before, max_entries=20)
    assert report.passed, report


def test_every_weight_is_a_parameter() -> None:
    model = adaptive_lm()
    assert {id(p) for p in model.params} == {id(w) for w in model.weights.values()}
    assert [p.shape for p in model.params] == [g.shape for g in model.grads]


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_leaving_out_the_clusters_without_a_target_changes_no_number(name: str) -> None:
    """Clipping and updates see the named rows of one model and every row of its twin."""
    first = adaptive_lm()
    twin = RecurrentLM(V, D, H, adaptive=CUTOFFS, ranks=RANKS, weights=copy.deepcopy(first.weights))
    optimizers = [OPTIMIZERS[name](lr=0.1) for _ in range(2)]
    left_out = 0
    for k, (xs, ts) in enumerate(zip(blocks_of(V, N, T, 6), blocks_of(V, N, T, 6, seed=1), strict=True)):
        targets = IN_HEAD[ts % len(IN_HEAD)] if k % 2 else ts
        for model, optimizer in zip((first, twin), optimizers, strict=True):
            model.forward(xs, targets)
            model.backward()
            rows = model.grad_rows if model is first else [None] * len(model.grads)
            left_out += sum(r is not None and len(r) == 0 for r in rows)
            norm = global_norm(model.grads, [None] * len(rows))
            assert global_norm(model.grads, rows) == pytest.approx(norm, rel=1e-12)
            optimizer.update(model.params, model.grads, rows, scale=norm_scale(norm, 0.5), limit=0.05)
    assert left_out == 3 * 2 * 3  # blocks, clusters, arrays
    for ours, theirs in zip(first.params, twin.params, strict=True):
        assert_array_equal(ours, theirs)


def test_ids_may_be_numbered_in_any_order() -> None:
    """The same model with its words renumbered gives every word the same probability."""
    model = adaptive_lm()
    renumbered = {**model.weights, "embedding": model.weights["embedding"][np.argsort(RANKS)]}
    plain = RecurrentLM(V, D, H, adaptive=CUTOFFS, ranks=np.arange(V), weights=renumbered)
    ids = blocks_of(V, N, T, 1)[0]
    state, other = model.feed(ids, model.start(N)), plain.feed(RANKS[ids], plain.start(N))
    assert_array_equal(model.next_log_probs(state), plain.next_log_probs(other)[:, RANKS])


def test_a_model_can_be_built_again_from_its_hyperparameters() -> None:
    model = adaptive_lm(cell="gru")
    assert model.hyperparameters["adaptive"] == list(CUTOFFS)
    twin = RecurrentLM(**model.hyperparameters)
    assert twin.hyperparameters == model.hyperparameters
    assert [p.shape for p in twin.params] == [p.shape for p in model.params]
    assert_array_equal(twin.ranks, np.arange(V))


def test_a_model_with_the_full_softmax_says_nothing_of_clusters() -> None:
    """Its files are those of before, and older programs read them."""
    model = small_lm()
    assert "adaptive" not in model.hyperparameters
    assert model.adaptive is None
    assert model.ranks is None


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"adaptive": (4, 30)}, "below the vocabulary's 24 tokens; got 4, 30"),
        ({"adaptive": ()}, "got none"),
        ({"adaptive": CUTOFFS, "ranks": np.zeros(V, int)}, "ranks must be the numbers from 0 to 23"),
        ({"adaptive": CUTOFFS, "D": H, "tie_weights": True}, "tied weights need one output matrix"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_what_makes_no_model_is_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        small_lm(**{"V": V, "D": D, "H": H, **options})


def test_weights_without_their_ranks_are_refused() -> None:
    model = adaptive_lm()
    with pytest.raises(ConfigError, match="were given without their ranks"):
        RecurrentLM(V, D, H, adaptive=CUTOFFS, weights=model.weights)


# Weights


def test_the_plan_names_the_head_and_every_tail() -> None:
    plan = {name: weight.shape for name, weight in plan_weights(V, D, 20, adaptive=CUTOFFS).items()}
    assert {name: shape for name, shape in plan.items() if name.startswith("output")} == {
        "output.head.W": (20, 4 + 2),
        "output.head.b": (4 + 2,),
        "output.1.P": (20, 5),
        "output.1.W": (5, 5),
        "output.1.b": (5,),
        "output.2.P": (20, 4),
        "output.2.W": (4, 15),
        "output.2.b": (15,),
    }


def test_matrices_have_the_scale_of_their_inputs_and_biases_are_zero() -> None:
    V, H = 600, 64
    weights = draw_weights(plan_weights(V, 10, H, "lstm", adaptive=(200,)), rng=np.random.default_rng(0))
    for name, scale in {"head.W": H**-0.5, "1.P": H**-0.5, "1.W": (H // 4) ** -0.5}.items():
        assert weights[f"output.{name}"].std() == pytest.approx(scale, rel=0.05), name
    assert not weights["output.head.b"].any()
    assert not weights["output.1.b"].any()


@pytest.mark.parametrize("rng", [True, False])
def test_weights_drawn_in_chunks_equal_those_drawn_at_once(
    monkeypatch: pytest.MonkeyPatch, rng: bool
) -> None:
    drawn = []
    for size in (1, 7, 1 << 20):
        monkeypatch.setattr(weights_file, "DRAWN_AT_ONCE", size)
        np.random.seed(3)
        plan = plan_weights(V, D, H, adaptive=CUTOFFS)
        drawn.append(draw_weights(plan, rng=np.random.default_rng(3) if rng else None))
    for weights in drawn[1:]:
        for name, weight in weights.items():
            assert_array_equal(weight, drawn[0][name])


# Files


def changed(path: Path, **arrays: Any) -> None:
    """Write the file again with other arrays; None leaves one out."""
    held, about = read_arrays(path)
    held.update(arrays)
    write_arrays(path, {name: array for name, array in held.items() if array is not None}, about)


@pytest.fixture
def saved(tmp_path: Path) -> Path:
    path = tmp_path / "model.safetensors"
    save_model(path, text_model(adaptive=CUTOFFS, ranks=RANKS))
    return path


def test_a_saved_model_holds_its_ranks_as_integers(saved: Path) -> None:
    arrays, about = read_arrays(saved)
    assert_array_equal(arrays["output.ranks"], RANKS)
    assert arrays["output.ranks"].dtype == np.int32
    assert about["model"]["adaptive"] == list(CUTOFFS)


@pytest.mark.parametrize(
    "ranks", [None, np.arange(V - 1), np.zeros(V, np.int32)], ids=["gone", "short", "twice"]
)
def test_a_file_whose_ranks_are_missing_or_damaged_is_refused(saved: Path, ranks: Any) -> None:
    changed(saved, **{"output.ranks": ranks})
    with pytest.raises(ModelFileError, match=r"the array 'output.ranks' is missing or damaged"):
        load(saved)


def test_a_file_with_a_wrong_cluster_is_refused(saved: Path) -> None:
    changed(saved, **{"output.2.W": np.zeros((3, 3))})
    with pytest.raises(ModelFileError, match=r"the array 'output.2.W' must be of shape \(4, 15\), but is of"):
        load(saved)
