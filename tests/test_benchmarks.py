"""The speed benchmark's peers that need NumPy alone compute the same thing."""

import json
import math
import sys
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from elman.benchmark.floor import shapes
from elman.benchmark.measurement import Member
from elman.errors import TrainingDiverged
from elman.models.parameters import plan_weights
from elman.models.recurrent import RecurrentLM
from elman.training.config import Config

sys.path.append(str(Path(__file__).parents[1] / "benchmarks"))

import cells
import linguistics
from inputs import Inputs, draw_weights, load_inputs, make_inputs, save_inputs, zipf_text
from peers import ours, textbook
from support.tiny import text_model
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


def quick(folder: Path, *arguments: str) -> dict[str, Any]:
    """Run the measurement of cells on tiny models; return what it wrote."""
    cells.main(["--quick", "-o", str(folder), *arguments])
    (path,) = folder.glob("*.json")
    found: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return found


def test_cells_are_trained_one_by_one_and_a_later_call_adds_to_them(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("matplotlib")
    assert [row["cell"] for row in quick(tmp_path, "--cells", "lstm")["rows"]] == ["lstm"]
    capsys.readouterr()
    rows = quick(tmp_path, "--cells", "mingru")["rows"]
    assert [row["cell"] for row in rows] == ["lstm", "mingru"]
    for row in rows:
        assert len(row["curve"]) == cells.QUICK.options["iterations"]  # a point after each block
        assert 1 < row["validation"] < 2 * math.log(70)
        assert row["parameters"] > 0 < row["tokens_per_second"]
    printed = capsys.readouterr().out
    assert "| lstm | 2 × 16 | 0.01 |" in printed
    assert "| mingru | 2 × 16 | 0.01 |" in printed
    assert next(tmp_path.glob("*.png")).stat().st_size > 1000


def test_equal_parameters_take_the_width_that_comes_nearest(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    (row,) = quick(tmp_path, "--cells", "mingru", "--equal", "parameters")["rows"]
    size, D = row["size"], cells.QUICK.options["wordvec"]
    V = len(set((tmp_path / "texts" / cells.BUILT_IN / "train.txt").read_text(encoding="utf-8")))

    def parameters(hidden: int, cell: str) -> int:
        plan = plan_weights(V, D, hidden, cell, cells.QUICK.size.layers)
        return sum(math.prod(weight.shape) for weight in plan.values())

    target = parameters(cells.QUICK.size.hidden, "lstm")
    assert row["parameters"] == parameters(size["hidden"], "mingru")
    nearest = min(cells.WIDTHS, key=lambda width: abs(parameters(width, "mingru") - target))
    assert size["hidden"] == nearest


def test_tuning_looks_at_the_validation_text_only(tmp_path: Path) -> None:
    task = cells.Task(cells.QUICK, tmp_path, "lstm", "plain", cells.QUICK.size, 0.0, 0)
    losses = {(1, 8, 0.01): 2.0, (2, 16, 0.01): 1.5, (2, 16, 0.005): 1.2}
    tried = []

    def train(task: cells.Task) -> Any:
        size = (task.size.layers, task.size.hidden, task.size.lr)
        assert not task.with_test
        tried.append(size)
        if size not in losses:
            raise TrainingDiverged("the loss is not a number")
        return SimpleNamespace(validation=losses[size])

    assert cells.tuned(task, train) == cells.Size(2, 16, 0.005)
    assert tried == [*losses, (2, 16, 0.02)]


def test_the_products_of_a_cell_are_those_of_the_floor() -> None:
    workload = SMALL["word"]
    model = RecurrentLM(workload.V, workload.D, workload.H, workload.cell, workload.layers)
    config = Config(batch_size=workload.N, time_size=workload.T, hidden=workload.H)
    ours = cells.products(model, config)
    assert sorted(ours) == sorted(shapes(workload, workload.N, workload.T))


@pytest.mark.parametrize("kind", linguistics.GARDEN_PATHS)
def test_both_sentences_of_a_garden_path_end_alike(kind: str) -> None:
    for item in linguistics.GARDEN_PATHS[kind]:
        sentences = [item.ambiguous.split(), item.plain.split()]
        ambiguous, plain = (words[words.index(item.word) :] for words in sentences)
        assert ambiguous == plain
        assert sentences[0] != sentences[1]


def test_the_surprisal_at_a_word_is_that_of_its_last_occurrence() -> None:
    model = text_model()
    words = linguistics.bits(model, "tom was in tom")
    assert [word for word, _ in words] == ["tom", "was", "in", "tom"]
    assert linguistics.at(model, "tom was in tom", "tom") == words[-1][1] != words[0][1]
