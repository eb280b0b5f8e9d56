"""Peers in their own processes: their answers, the measurements, and how they fail."""

import io
import json
import sys
from typing import Any

import pytest

from elman.benchmark import measurement as results
from elman.benchmark import worker
from elman.benchmark.measurement import Result, measure, measured, team
from elman.benchmark.workloads import WORKLOADS
from elman.errors import ConfigError, MissingExtra, RunError

ANSWERS = """
import json, sys
print(json.dumps({"libraries_mb": 1.5, "versions": {"numpy": "2"}}), flush=True)
for line in sys.stdin:
    steps = int(line)
    print(json.dumps({
        "seconds": steps * %s, "cpu_seconds": 0.0, "tokens": 10 * steps, "losses": [1.0] * steps, "peak_mb": 7.0
    }), flush=True)
"""


def python(code: str) -> list[str]:
    return [sys.executable, "-c", code]


class Twice:
    """A peer whose step is two tokens."""

    def run(self, steps: int) -> tuple[list[float], int]:
        return [0.5] * steps, 2 * steps


def served(monkeypatch: pytest.MonkeyPatch, capsys: Any, load: Any, build: Any, requests: str) -> list[Any]:
    monkeypatch.setattr(sys, "stdin", io.StringIO(requests))
    monkeypatch.setattr(worker.signal, "signal", lambda *arguments: None)
    worker.serve(load, build)
    return [json.loads(line) for line in capsys.readouterr().out.splitlines()]


def test_a_worker_answers_every_line(monkeypatch: pytest.MonkeyPatch, capsys: Any) -> None:
    ready, one, many = served(monkeypatch, capsys, lambda: 0, lambda libraries: Twice(), "1\n30\n")
    assert ready["libraries_mb"] > 0
    assert "numpy" in ready["versions"]
    assert (one["tokens"], one["losses"]) == (2, [0.5])
    assert (many["tokens"], many["losses"]) == (60, [0.5] * worker.LOSSES_REPORTED)
    assert many["seconds"] > 0
    assert many["peak_mb"] >= ready["libraries_mb"]


@pytest.mark.parametrize("error", [ImportError("no such library"), ConfigError("cannot do this")])
def test_an_absent_peer_gives_the_reason(
    monkeypatch: pytest.MonkeyPatch, capsys: Any, error: Exception
) -> None:
    def fail() -> None:
        raise error

    assert served(monkeypatch, capsys, fail, lambda libraries: Twice(), "1\n") == [{"absent": str(error)}]


def test_members_are_timed_in_turn() -> None:
    commands = {"slow": python(ANSWERS % 0.2), "fast": python(ANSWERS % 0.05)}
    with team(commands, 1) as (members, absent):
        measure(members, 3, 0.4)
    slow, fast = members
    assert absent == {}
    assert (slow.steps, fast.steps) == (2, 8)
    assert slow.rounds == pytest.approx([0.02] * 3)
    assert fast.seconds_per_token == pytest.approx(0.005)
    assert (slow.spread, slow.peak_mb, slow.libraries_mb) == (pytest.approx(1), 7.0, 1.5)
    assert slow.first_losses == [1.0] * 3
    result = Result(WORKLOADS["A"], {"elman": fast, "floor": slow, "torch": slow}, None)
    assert result.share_of_floor == result.times_as_fast("torch") == pytest.approx(4)
    assert result.loss_gap_nats("torch") == 0
    assert result.libraries == {"numpy": "2"}


def test_a_member_that_dies_is_named() -> None:
    dies = ANSWERS.replace("steps = int(line)", "sys.exit(1)") % 1
    with team({"mortal": python(dies)}, 1) as (members, _), pytest.raises(RunError, match="mortal died"):
        measure(members, 1, 0.1)
    with pytest.raises(RunError, match="mortal died"), team({"mortal": python("")}, 1):
        pass


def answer_absent(monkeypatch: pytest.MonkeyPatch, *absent: str) -> None:
    def all_but_these(commands: Any, threads: int) -> Any:
        answer = python('print(\'{"absent": "no library"}\')')
        return team({name: answer if name in absent else python(ANSWERS % 1) for name in commands}, threads)

    monkeypatch.setattr(results, "team", all_but_these)


def test_torch_that_is_not_installed_names_its_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    answer_absent(monkeypatch, "torch")
    with pytest.raises(MissingExtra, match="torch is not installed; type: pip install"):
        measured(WORKLOADS["A"], ["torch"], 1, 0.1)


def test_elman_that_cannot_run_gives_the_reason(monkeypatch: pytest.MonkeyPatch) -> None:
    answer_absent(monkeypatch, "elman")
    with pytest.raises(RunError, match="the peer elman cannot run: no library"):
        measured(WORKLOADS["A"], [], 1, 0.1)
