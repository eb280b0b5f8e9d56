"""Thinned metrics: bounded, in order, from the first to the last, and valid JSON."""

import json
import math
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from elman.recording.recording import MAX_POINTS, MAX_SAMPLE_LENGTH, MAX_SAMPLES, thinned


def line(kind: str, iteration: int, **values: Any) -> dict[str, Any]:
    return {"kind": kind, "iteration": iteration, **values}


@given(st.integers(0, 5 * MAX_POINTS))
def test_a_long_curve_keeps_its_ends_and_its_order(length: int) -> None:
    found = [each["iteration"] for each in thinned([line("interval", k) for k in range(length)])]
    assert len(found) == min(length, MAX_POINTS)
    assert found == sorted(set(found))
    assert found[:1] + found[-1:] == ([0, length - 1] if length else [])


def test_each_kind_is_thinned_separately() -> None:
    lines = [
        each for k in range(3 * MAX_POINTS) for each in (line("interval", k), line("sample", k, text="x"))
    ]
    found = thinned([line("start", 0), *lines, line("epoch", 3 * MAX_POINTS)])
    kinds = [each["kind"] for each in found]
    assert [kinds.count(kind) for kind in ("start", "interval", "sample", "epoch")] == [
        1,
        MAX_POINTS,
        MAX_SAMPLES,
        1,
    ]


def test_long_samples_are_cut_and_numbers_that_json_lacks_become_null() -> None:
    sample, epoch = thinned([line("sample", 1, text="x" * 9999), line("epoch", 1, perplexity=math.inf)])
    assert len(sample["text"]) == MAX_SAMPLE_LENGTH + 2
    assert json.dumps(epoch, allow_nan=False) == '{"kind": "epoch", "iteration": 1, "perplexity": null}'
