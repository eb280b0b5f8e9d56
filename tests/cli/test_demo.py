"""`elman demo`: end to end, with models that learn next to nothing in no time."""

import sys
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from elman.cli import demo

HEADINGS = (
    "1. Learning the world",
    "2. “",
    "3. Which is the more natural?",
    "4. What the GRU writes",
    "5. The curves",
)


@pytest.fixture(autouse=True)
def hasty(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        demo, "ROOMS", replace(demo.ROOMS, wordvec=4, hidden=5, iterations=12, report_every=4)
    )
    monkeypatch.setattr(demo, "HELLO", replace(demo.HELLO, wordvec=4, hidden=5, iterations=5))


@pytest.mark.parametrize(("language", "name"), [("en", "Tom"), ("ko", "톰")])
def test_the_demo_runs_to_its_end(command: Any, language: str, name: str) -> None:
    outcome = command("demo", "-o", "here", "--language", language)
    assert (outcome.code, outcome.err) == (0, "")
    positions = [outcome.out.index(heading) for heading in HEADINGS]
    assert positions == sorted(positions)
    assert "lowest possible " in outcome.out
    assert outcome.out.count("ln P = ") == 2
    assert name in outcome.out
    assert Path("here/curve.png").stat().st_size > 5_000
    world = "rooms" if language == "en" else "rooms-ko"
    assert f"elman eval here/gru {world}" in outcome.out
    assert command("generate", "here/gru", "--length", 3).code == 0


def test_without_matplotlib_the_demo_goes_on(command: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    outcome = command("demo")
    assert outcome.code == 0
    assert "no plot: matplotlib is not installed; type: pip install 'elman[plot]'" in outcome.out
    assert not Path("demo/curve.png").exists()


@pytest.mark.parametrize(
    ("perplexity", "blocks", "note"), [(1.6, 0, ""), (2.0, 5, ""), (2.5, 10, ""), (9, 10, "off")]
)
def test_the_gauge_is_empty_at_the_optimum_and_full_at_the_3_gram(
    perplexity: float, blocks: int, note: str
) -> None:
    bar = demo._gauge(perplexity, 1.6, 2.5, width=10)
    assert bar.count("█") == blocks
    assert note in bar
