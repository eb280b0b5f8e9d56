"""The speed benchmark's peers that need NumPy alone compute the same thing."""

import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from elman.benchmark.floor import shapes
from elman.benchmark.measurement import Member
from elman.models.parameters import plan_weights

sys.path.append(str(Path(__file__).parents[1] / "benchmarks"))

from inputs import Inputs, draw_weights, load_inputs, make_inputs, save_inputs, zipf_text
from peers import ours, textbook
from tables import summary, verdicts
from workloads import WORKLOADS, Workload, chosen

SMALL = {
    "word": replace(WORKLOADS["A"], V=11, D=6, H=5, N=3, T=4),
    "character": replace(WORKLOADS["B"], V=9, H=5, T=6, lr=0.05, scale=0.3),
}


def some_inputs(workload: Workload, tokens: int = 50) -> Inputs:
    rng = np.random.default_rng(0)
    return Inputs(rng.permutation(np.arange(tokens) % workload.V), draw_weights(workload))


@pytest.mark.parametrize("name", SMALL)
def test_elman_and_the_textbook_form_have_the_same_losses(name: str) -> None:
    workload = SMALL[name]
    inputs = some_inputs(workload)
    steps = 10  # more than one reading of the text
    theirs, tokens = textbook.build(workload, inputs, "").run(steps)
    losses, same_tokens = ours.build(workload, inputs, "").run(steps)
    np.testing.assert_allclose(losses, theirs, rtol=1e-4)
    assert tokens == same_tokens == steps * workload.N * workload.T > 50


def test_a_peer_continues_where_it_stopped() -> None:
    workload = SMALL["word"]
    inputs = some_inputs(workload)
    whole, _ = ours.build(workload, inputs, "").run(5)
    peer = ours.build(workload, inputs, "")
    assert [*peer.run(2)[0], *peer.run(3)[0]] == whole


@pytest.mark.parametrize("workload", WORKLOADS.values(), ids=WORKLOADS)
def test_the_weights_are_those_of_elmans_models(workload: Workload) -> None:
    plan = plan_weights(workload.V, workload.D, workload.H, workload.cell, workload.layers)
    weights = draw_weights(replace(workload, V=30, D=workload.D and 4, H=3))
    assert list(weights) == list(plan)


@pytest.mark.parametrize("name", ["A", "G"])
def test_a_generated_text_has_the_size_and_the_vocabulary_of_the_absent_one(
    name: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("ELMAN_DATA", str(tmp_path))
    inputs = make_inputs(WORKLOADS[name])
    assert len(np.unique(inputs.ids)) == WORKLOADS[name].V
    assert "generated" in inputs.source
    assert len(inputs.ids) == WORKLOADS[name].first or len(inputs.ids) >= 1_000_000


def test_lines_are_scored_each_from_the_end_of_a_line_on(tmp_path: Path) -> None:
    workload = replace(WORKLOADS["H-lines"], V=12, D=4, H=4)
    lines = zipf_text(workload, tokens=20).splitlines()
    words = ["<eos>", *(f"w{k}" for k in range(workload.V - 1))]
    save_inputs(tmp_path / "inputs.npz", Inputs(np.arange(3), draw_weights(workload), lines, words))
    inputs = load_inputs(tmp_path / "inputs.npz")
    (loss,), tokens = ours.build(workload, inputs, "").run(1)
    model, total = ours.make_model(workload, inputs), 0.0
    for line in lines:
        ids = [words.index(word) for word in (*line.split(), "<eos>")]
        log_probs, _ = model.target_log_probs(np.array([ids]), model.feed(np.array([[0]]), model.start()))
        total -= log_probs.sum()
    assert tokens == sum(len(line.split()) + 1 for line in lines)
    assert loss == pytest.approx(total / tokens, rel=1e-5)


@pytest.mark.parametrize("name", ["A", "B", "D"])
def test_the_floor_holds_two_backward_products_for_each_forward_one(name: str) -> None:
    def multiplications(workload: Workload) -> int:
        return sum(times * m * k * n for times, m, k, n in shapes(workload, workload.N, workload.T))

    train = WORKLOADS[name]
    assert multiplications(train) == 3 * multiplications(replace(train, task="lines"))


def measured(**seconds_per_token: float) -> list[Member]:
    members = [Member(name, process=None) for name in seconds_per_token]  # type: ignore[arg-type]
    for member in members:
        member.rounds = [seconds_per_token[member.name]] * 3
    return members


def test_verdicts_follow_from_the_measurements() -> None:
    members = measured(elman=1e-6, textbook=3.5e-6, torch=2e-6, floor=0.7e-6)
    rows = summary(verdicts(WORKLOADS["A"], members, others=0.0))
    assert "| A | (a) textbook | 3.50× | 3.00× | 4.00× | must |" in rows
    assert "| A | (b) PyTorch | 2.00× | 3.50× | 5.00× | no |" in rows
    assert "| A | (c) JAX | – | 2.00× | 3.00× | not measured |" in rows
    assert "| A | fraction of the floor | 70% | – | 60% | aim |" in rows


def test_a_time_is_reached_from_above_and_a_disturbed_run_says_so() -> None:
    members = measured(elman=99.6e-6, torch=500e-6)
    rows = summary(verdicts(WORKLOADS["H-words"], members, others=0.4))
    assert (
        "| H-words | time a word | 100 µs | – | 150 µs | aim (disturbed: others used 40% of the cores) |"
        in rows
    )


def test_the_faster_form_of_a_peer_is_the_one_to_beat() -> None:
    members = [*measured(elman=1e-6, torch=9e-6), *measured(**{"torch-padded": 2.5e-6})]
    (verdict,) = verdicts(WORKLOADS["H-lines"], members, others=None)
    assert (verdict.measured, verdict.reached) == (pytest.approx(2.5), "must")


def test_works_are_chosen_by_their_letter() -> None:
    assert [workload.name for workload in chosen(["H", "A"])] == ["A", "H-lines", "H-words"]
    with pytest.raises(SystemExit, match="unknown workload 'Z'"):
        chosen(["Z"])
