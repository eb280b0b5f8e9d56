"""`elman bench`: its table and JSON are consistent; how fast this machine is does not matter."""

import json
from collections.abc import Callable
from typing import Any

import pytest

from elman.benchmark import bench as bench_module
from elman.benchmark.measurement import Member, Result
from elman.benchmark.workloads import QUICK, WORKLOADS, Workload

Refused = Callable[..., str]


def member(name: str, *rounds: float, losses: tuple[float, ...] = (1.0,)) -> Member:
    """A member that has been measured: seconds a token."""
    made = Member(name, process=None, peak_mb=90.0, libraries_mb=30.0)  # type: ignore[arg-type]
    made.rounds, made.first_losses = list(rounds), list(losses)
    made.versions = {"numpy": "2.4", "blas": "openblas 0.3 (Haswell kernels)"}
    return made


@pytest.fixture
def as_if_measured(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, list[str], int, float]]:
    """Replace the measurements by fixed numbers; return the list of calls."""
    calls = []

    def measured(work: Workload, peers: list[str], threads: int, seconds: float) -> Result:
        calls.append((work.name, list(peers), threads, seconds))
        members = {"elman": member("elman", 2e-6, 9e-6, 4e-6), "floor": member("floor", 3e-6)}
        if peers:
            members["torch"] = member("torch", 6e-6, losses=(1.5,))
        return Result(work, members, 0.4)

    monkeypatch.setattr(bench_module, "measured", measured)
    return calls


def test_workload_is_measured_briefly(command: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ELMAN_COMPILED", "0")
    outcome = command("bench", "B", "--seconds", "0.05", "--threads", "1", "--json")
    assert outcome.code == 0, outcome.err
    found = json.loads(outcome.out)
    assert found["machine"]["threads"] == 1
    assert {"numpy", "blas"} <= set(found["machine"]["libraries"])
    (work,) = found["works"]
    assert work["work"]["name"] == "B"
    ours, floor = (sorted(work["peers"][name]["seconds_per_token"]) for name in ("elman", "floor"))
    assert min(ours) > 0
    assert work["microseconds_per_token"] == pytest.approx(1e6 * ours[2])
    assert work["tokens_per_second"] == pytest.approx(1 / ours[2])
    assert work["share_of_floor"] == pytest.approx(floor[2] / ours[2])
    assert work["peak_mb"] >= work["peers"]["elman"]["libraries_mb"] > 5


def test_default_is_the_quick_workloads(
    command: Any, as_if_measured: list[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENBLAS_NUM_THREADS", "3")
    outcome = command("bench")
    assert [call[0] for call in as_if_measured] == list(QUICK)
    assert all(call[1:] == ([], 3, 1.5) for call in as_if_measured)
    head, table = outcome.out.split("\n\n")
    assert "cores" in head
    assert "Zipf's law" in head
    assert "numpy 2.4; openblas 0.3 (Haswell kernels); 3 threads; loops not compiled" in head
    titles, *rows = table.splitlines()
    assert " ".join(titles.split()) == "work task tokens/s µs per token of the floor peak memory"
    assert rows[0].split() == ["A", "train", "250,000", "4.00", "75%", "90", "MB"]
    assert rows[-1].split()[:2] == ["H-words", "score"]
    assert "A: other processes used 40% of the cores" in outcome.err


def test_peer_torch_adds_columns(command: Any, as_if_measured: list[Any]) -> None:
    outcome = command("bench", "A", "--peer", "torch", "--threads", 2, "--seconds", 0.5)
    assert as_if_measured == [("A", ["torch"], 2, 0.5)]
    assert outcome.out.splitlines()[-1].split()[-4:] == ["6.00", "90", "MB", "1.50"]
    assert "torch's first losses differ from elman's by 0.5 nats" in outcome.err
    found = json.loads(command("bench", "A", "--peer", "torch", "--json").out)
    assert found["works"][0]["times_as_fast_as_torch"] == pytest.approx(1.5)


def test_overridden_blas_kernels_are_named(
    command: Any, as_if_measured: list[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENBLAS_CORETYPE", "Haswell")
    monkeypatch.setattr(bench_module, "own_kernels", lambda: "SkylakeX")
    said = command("bench", "A").out
    assert "OPENBLAS_CORETYPE=Haswell" in said
    assert "without it NumPy's BLAS would choose its SkylakeX kernels" in said
    assert "env -u OPENBLAS_CORETYPE elman bench" in said


def test_list_prints_all_workloads(command: Any) -> None:
    lines = command("bench", "--list").out.splitlines()
    assert [line.split()[0] for line in lines] == list(WORKLOADS)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["Z"], "unknown workload 'Z'; choose from A, B"),
        (["A", "--seconds", "0"], "Invalid value for '--seconds'"),
        (["A", "--threads", "0"], "Invalid value for '--threads'"),
        (["A", "--peer", "jax"], "'jax' is not 'torch'"),
    ],
)
def test_invalid_arguments_are_refused(refused: Refused, arguments: list[str], message: str) -> None:
    assert message in refused("bench", *arguments)
