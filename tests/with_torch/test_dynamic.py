"""Dynamic evaluation adapts tensors as it does arrays."""

from typing import Any

import pytest
from numpy.testing import assert_allclose

from elman.models.adaptive.cache import NeuralCache
from elman.models.adaptive.dynamic import DynamicModel
from elman.models.adaptive.learner import mean_squares
from elman.models.recurrent import RecurrentLM
from support.tiny import ids_of_length, small_lm

torch = pytest.importorskip("torch")
torch.set_num_threads(1)
pytestmark = pytest.mark.torch

V = 9


@pytest.mark.parametrize("scaled", [False, True], ids=["plain", "scaled"])
@pytest.mark.parametrize(
    "options",
    [
        {"cell": "lstm", "D": 5, "tie_weights": True},
        {"cell": "gru", "layers": 2, "adaptive": (2, 5), "ranks": ids_of_length(V, V)},
    ],
    ids=["tied", "adaptive"],
)
def test_tensors_learn_what_arrays_learn(options: dict[str, Any], scaled: bool) -> None:
    arrays = small_lm(V, **options)
    weights = {name: torch.from_numpy(weight.copy()) for name, weight in arrays.weights.items()}
    tensors = RecurrentLM(**arrays.hyperparameters, ranks=arrays.ranks, weights=weights)
    ids, found = ids_of_length(46, V).reshape(2, 23), []
    for model in (arrays, tensors):
        squares = mean_squares(model, ids_of_length(100, V), 5) if scaled else None
        adapting = NeuralCache(DynamicModel(model, 0.05, 0.1, 5, squares), 10, 0.5, 0.2)
        scores, state = adapting.target_log_probs(ids, adapting.start(2))
        again, after = adapting.target_log_probs(ids, adapting.start(2))
        assert state == after
        found += [scores, again, adapting.next_log_probs(state)]
    for ours, theirs in zip(found[:3], found[3:], strict=True):
        assert_allclose(theirs, ours, rtol=1e-7)
