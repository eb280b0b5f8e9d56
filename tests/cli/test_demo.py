"""`elman demo` from beginning to end, with models that are trained for a few steps."""

import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from msgspec.structs import replace

from elman.cli import demo
from elman.text.registry import builtin_path
from elman.text.rooms import World

HEADINGS = (
    "1. Learning the world",
    "2. “",
    "3. Which is the more natural?",
    "4. What the GRU writes",
    "5. The curves",
)


@pytest.fixture(scope="module")
def small_worlds(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A cache folder with the corpora `rooms` and `rooms-ko`, much shorter than the real ones."""
    folder = tmp_path_factory.mktemp("worlds")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("ELMAN_CACHE", str(folder))
        for language, (name, _) in demo.WORLDS.items():
            for split, tokens in (("train", 20_000), ("valid", 2_000), ("test", 2_000)):
                path = builtin_path(name, split)
                path.parent.mkdir(parents=True, exist_ok=True)
                text = World(language).text(tokens, np.random.default_rng(tokens))
                path.write_text(text, encoding="utf-8")
    return folder


@pytest.fixture(autouse=True)
def short_training(small_worlds: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ELMAN_CACHE", str(small_worlds))
    tiny = {"wordvec": 4, "hidden": 5}
    for name in ("GRU", "RNN"):
        monkeypatch.setattr(demo, name, replace(getattr(demo, name), iterations=12, report_every=4, **tiny))
    monkeypatch.setattr(demo, "HELLO", replace(demo.HELLO, iterations=5, **tiny))
    monkeypatch.setattr(demo, "SENTENCES", 500)


@pytest.mark.slow
@pytest.mark.parametrize(("language", "name"), [("en", "Tom"), ("ko", "톰")])
def test_the_demo_runs_to_its_end(command: Any, language: str, name: str) -> None:
    outcome = command("demo", "-o", "here", "--language", language)
    assert (outcome.code, outcome.err) == (0, "")
    positions = [outcome.out.index(heading) for heading in HEADINGS]
    assert positions == sorted(positions)
    assert "lowest possible " in outcome.out
    assert outcome.out.count("ln P = ") == 2
    assert name in outcome.out
    for model in ("3-gram model", "Elman network (RNN)", "gated network (GRU)"):
        assert outcome.out.count(f"\n  {model} ") == 2  # its next words, its accuracy
    assert Path("here/curve.png").stat().st_size > 5_000
    world = "rooms" if language == "en" else "rooms-ko"
    assert f"elman eval here/gru {world}" in outcome.out
    assert command("generate", "here/gru", "--length", 3).code == 0


@pytest.mark.slow
def test_demo_continues_without_matplotlib(command: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    outcome = command("demo")
    assert outcome.code == 0
    assert "no plot: matplotlib is not installed; type: pip install 'elman[plot]'" in outcome.out
    assert not Path("demo/curve.png").exists()


@pytest.mark.parametrize(
    ("perplexity", "gauge"),
    [
        (1.5, "|          |"),
        (1.6, "|          |"),
        (2.0, "|█████     |"),
        (2.5, "|██████████|"),
        (9.0, "|██████████| off the scale"),
    ],
)
def test_the_gauge_is_empty_at_the_optimum_and_full_at_the_3_gram(perplexity: float, gauge: str) -> None:
    assert demo._gauge(perplexity, 1.6, 2.5, width=10).strip() == gauge
