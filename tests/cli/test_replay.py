"""`elman replay`: the content of the page, that it is safe and complete, and one-line errors."""

import base64
import errno
import hashlib
import json
import os
import re
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import pytest

Refused = Callable[..., str]
EVIL = 'tom said "</script><script>alert(1)</script><!-- &amp; \u2028 hi'


def recording_of(page: str) -> dict[str, Any]:
    (text,) = re.findall(r'<script type="application/json" id="replay-data">(.*?)</script>', page, re.DOTALL)
    recording: dict[str, Any] = json.loads(text)["recording"]
    return recording


@pytest.fixture
def page(command: Any, runs: Path) -> str:
    """The page of the run `word` compared with `open`, with two texts."""
    texts = ["--text", "tom said hi to mary .", "--text", EVIL]
    outcome = command("replay", runs / "word", "--compare", runs / "open", "-o", "page.html", *texts)
    assert (outcome.code, outcome.err) == (0, "")
    assert re.fullmatch(r"page\.html: 0\.\d MB\n", outcome.out)
    return Path("page.html").read_text("utf-8")


def test_the_page_has_all_data_about_its_texts(page: str) -> None:
    recording = recording_of(page)
    assert recording["texts"] == ["tom said hi to mary .", EVIL]
    assert [run["name"] for run in recording["runs"]] == ["word", "open"]
    assert {"start", "epoch", "interval", "sample"} <= {
        line["kind"] for line in recording["runs"][0]["lines"]
    }
    model = recording["models"][0]
    assert model["about"]["cell"] == "rnn"
    found = model["texts"][0]
    assert [token[0].strip() for token in found["tokens"]] == ["tom", "said", "hi", "to", "mary", "."]
    assert len(found["places"]) == len(found["tokens"]) + 1 == 7
    assert [len(norms) for norms in found["gradients"]] == list(range(1, 7))
    assert [len(bits) for bits in found["influence"]["bits"]] == list(range(6))
    assert [model["about"]["comparable"] for model in recording["models"]] == [["open"], ["word"]]
    assert len(base64.b64decode(found["traces"]["0.h"]["bytes"])) == 6 * model["about"]["hidden"]
    assert [text["text"] for text in model["compared"]] == recording["pair"]


def test_the_recorded_numbers_are_those_of_the_model(page: str, runs: Path) -> None:
    from elman import load

    model, text = load(runs / "word"), "tom said hi to mary ."
    recorded = recording_of(page)["models"][0]
    found = recorded["texts"][0]
    expected = [token.surprisal_bits for token in model.surprisal(text, per="token", eos=False)]
    assert [token[4] for token in found["tokens"]] == pytest.approx(expected, rel=1e-4)
    (name, probability), *_ = model.next_distribution("tom said", 1)
    id_, ln_prob = found["places"][2]["top"][:2]
    assert recorded["names"][str(id_)].strip() == name
    assert 2.718281828**ln_prob == pytest.approx(probability, rel=1e-3)


def test_a_text_cannot_end_its_element(page: str) -> None:
    assert "alert(1)" in page
    assert "<script>alert" not in page
    scripts = re.findall(r"<script>(.*?)</script>", page, re.DOTALL)
    assert page.count("</script>") == len(scripts) + 1
    assert "<!--" not in page


def test_the_page_needs_no_network(page: str) -> None:
    assert not re.search(r'(?:src|href)="(?!data:|#)', page)
    (policy,) = re.findall(r'http-equiv="Content-Security-Policy" content="([^"]+)"', page)
    assert policy.startswith("default-src 'none'; ")
    for kind in ("script", "style"):
        for code in re.findall(rf"<{kind}>(.*?)</{kind}>", page, re.DOTALL):
            digest = base64.b64encode(hashlib.sha256(code.encode()).digest()).decode()
            assert f"'sha256-{digest}'" in policy


def test_the_same_seed_makes_the_same_page(command: Any, runs: Path) -> None:
    for name, seed in (("a", 3), ("b", 3), ("c", 4)):
        outcome = command("replay", runs / "char", "-o", f"{name}.html", "--tokens", 20, "--seed", seed)
        assert outcome.code == 0
    first, second, third = (Path(f"{name}.html").read_bytes() for name in "abc")
    assert first == second != third
    assert all(len(text) <= 20 for text in recording_of(first.decode())["texts"])


def test_an_ngram_model_is_recorded_without_hidden_units(command: Any, story: Path) -> None:
    command("train", story, "-o", "counted", "--model", "ngram", "--order", 2, "-q")
    assert command("replay", "counted").code == 0
    recording = recording_of(Path("counted/replay.html").read_text("utf-8"))
    assert recording["models"][0]["about"]["cell"] is None
    assert all("traces" not in text and text["influence"] for text in recording["models"][0]["texts"])
    assert recording["runs"][0]["lines"][-1]["kind"] == "counted"


def test_bytes_are_recorded_and_cut_between_characters(command: Any, runs: Path) -> None:
    assert (
        command("replay", runs / "byte", "-o", "p.html", "--text", "톰 은 방 에 있었다", "--tokens", 7).code
        == 0
    )
    (text,) = recording_of(Path("p.html").read_text("utf-8"))["texts"]
    assert "톰 은 방".startswith(text)


def test_errors_are_one_line(refused: Refused, runs: Path) -> None:
    for options in ((), ("-o", "p.html")):
        assert refused("replay", "gone", *options).startswith("there is no model at gone")
    assert "there is no folder" in refused("replay", runs / "word", "-o", "no/p.html")
    assert "has no token" in refused("replay", runs / "word", "-o", "p.html", "--text", "")
    assert "same name" in refused("replay", runs / "word", "--compare", runs / "word", "-o", "p.html")
    assert not Path("p.html").exists()


def test_a_full_disk_leaves_the_page_as_it_was(
    refused: Refused, runs: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    Path("page.html").write_text("older")

    def full(path: Path) -> AbstractContextManager[Any]:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr("elman.recording.replay.atomic_write", full)
    line = refused("replay", runs / "word", "-o", "page.html", "--text", "tom")
    assert line == "cannot write page.html: No space left on device; choose another place with --output"
    assert Path("page.html").read_text() == "older"
    assert [path.name for path in Path().iterdir()] == ["page.html"]
