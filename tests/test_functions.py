"""The functions that commands call, with models and texts in memory, and with paths as str and Path."""

import asyncio
import importlib.util
import json
import logging
import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import elman
from elman.errors import ConfigError, RunError, TextError
from elman.formats.model_file import save_model
from elman.models.mixture import Mixture
from elman.text_model import TextModel, as_model, by_name
from support.ngrams import sentence_model
from support.tiny import STORY, text_model
from support.waiting import LONG

LINES = STORY.splitlines()
PAIRS = [("tom was in his room .", "tom was room in his ."), ("mary was asleep .", "mary asleep was .")]
NBEST = {
    "a-1": [(-1.0, "room his in was tom"), (-2.0, "tom was in his room")],
    "a-2": [(-1.0, "asleep mary was"), (-2.0, "mary was asleep")],
    "b-1": [(-1.0, "singing bob was"), (-2.0, "bob was singing")],
    "b-2": [(-1.0, "reading was ann"), (-2.0, "ann was reading")],
}
REFERENCES = {name: candidates[1][1] for name, candidates in NBEST.items()}


@pytest.fixture
def counted() -> TextModel:
    model: TextModel = sentence_model()
    return model


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A model file."""
    save_model(tmp_path / "rnn.safetensors", text_model())
    return tmp_path / "rnn.safetensors"


def test_models_are_given_by_path_or_in_memory(path: Path, counted: TextModel) -> None:
    assert as_model(counted) is counted
    assert as_model(str(path)).vocabulary == as_model(path).vocabulary
    assert list(by_name([path, counted])) == [str(path), "model 2"]
    assert list(by_name({"a": path, "b": counted})) == ["a", "b"]
    assert list(by_name(counted)) == ["model 1"]
    with pytest.raises(ConfigError, match="is given twice; name different models"):
        by_name([path, str(path)])
    with pytest.raises(ConfigError, match="a model must be a TextModel or a path, got 3"):
        as_model(3)  # type: ignore[arg-type]


def test_comparison_is_a_table(path: Path, counted: TextModel, tmp_path: Path) -> None:
    (tmp_path / "story.txt").write_text(STORY, encoding="utf-8")
    found = elman.compare([path, counted], tmp_path / "story.txt")
    best, other = found
    assert (best.name, best.file_bytes, best.difference) == ("model 2", None, None)
    assert (other.name, other.file_bytes) == (str(path), path.stat().st_size)
    columns = found.to_dict()
    assert columns["model"] == [best.name, other.name]
    assert columns["perplexity"] == [best.measures.perplexity, other.measures.perplexity]
    assert other.difference is not None
    assert columns["bits_per_line_from_best"] == [None, other.difference.bits]
    assert found.ranking.by == "perplexity"
    assert "ranked         by perplexity" in repr(found)
    assert found._repr_html_().startswith("<table>")
    assert elman.compare({"x": path, "y": counted}, LINES)[1].measures == other.measures
    with pytest.raises(ConfigError, match="two or more different models"):
        elman.compare([path], LINES)


def test_a_model_is_timed_after_a_warm_up(counted: TextModel, monkeypatch: pytest.MonkeyPatch) -> None:
    clock, reads = [0.0], [0]
    scores = counted.model.target_log_probs

    def slow_at_first(*arguments: Any) -> Any:
        clock[0] += 1000.0 if reads[0] == 0 else 1.0
        reads[0] += 1
        return scores(*arguments)

    monkeypatch.setattr(counted.model, "target_log_probs", slow_at_first)
    monkeypatch.setattr("elman.evaluation.comparison_table.perf_counter", lambda: clock[0])
    found = elman.compare([counted, text_model()], LINES)
    ours = next(row for row in found if row.text_model is counted)
    assert ours.tokens_per_second == ours.measures.tokens


def test_a_mixture_is_a_text_model(path: Path, counted: TextModel, tmp_path: Path) -> None:
    mixed = elman.mix([path, counted], LINES)
    assert isinstance(mixed.model, TextModel)
    assert isinstance(mixed.model.model, Mixture)
    assert np.isclose(sum(mixed.weights), 1)
    assert np.isfinite(mixed.model.score("tom was watching tv in his room ."))
    assert mixed.model.info["tuned_on"] == "the lines"
    assert [row.model for row in mixed] == [str(path), "model 2", "mixture"]
    assert repr(mixed).splitlines()[0].split() == ["weight", "perplexity", "per", "word", "model"]
    saved = elman.mix({"a": path, "b": counted}, LINES, str(tmp_path / "mix"))
    assert elman.load(tmp_path / "mix").info["members"].keys() == {"a", "b"}
    assert saved.weights == mixed.weights
    with pytest.raises(RunError, match="already holds a run"):
        elman.mix([path, counted], LINES, tmp_path / "mix")
    adapting = elman.mix([path, counted], LINES, neural_cache=20)
    assert adapting[0].perplexity != mixed[0].perplexity
    with pytest.raises(ConfigError, match="`theta` applies only to a neural cache"):
        elman.mix([path, counted], LINES, theta=0.5)


def test_pairs_in_memory_and_in_files(path: Path, counted: TextModel, tmp_path: Path) -> None:
    found = elman.pairs(counted, PAIRS)
    (accuracy,) = found
    assert (accuracy.set, accuracy.pairs, accuracy.right) == ("pairs", 2, 2)
    assert found.pairs.to_dict()["good"] == [good for good, _ in PAIRS]
    assert repr(found).splitlines()[0].startswith("set ")
    files = []
    for k, (good, bad) in enumerate(PAIRS):
        files.append(tmp_path / f"set{k}.jsonl")
        files[-1].write_text(json.dumps({"sentence_good": good, "sentence_bad": bad}), encoding="utf-8")
    several = elman.pairs([path, counted], files)
    assert several.to_dict()["set"] == ["set0", "set1", "all"] * 2
    assert several.to_dict()["model"] == [str(path)] * 3 + ["model 2"] * 3
    assert several[-1].accuracy == 1
    assert [row.set for row in elman.pairs(counted, str(files[0]))] == ["set0"]
    with pytest.raises(ConfigError, match="`case` must be one of auto, lower, upper, asis; got 'title'"):
        elman.pairs(counted, PAIRS, case="title")  # type: ignore[arg-type]


def test_novelty_of_a_text(path: Path) -> None:
    found = elman.novelty(path, "tom was in the zebra room .", LINES)
    assert (found.tokens, found.longest_text, found.longest_line) == (7, "tom was", 1)
    assert found.new_share[1] == pytest.approx(1 / 7)  # the zebra
    assert found.to_dict()["new_share"] == found.new_share
    assert 'its text       "tom was"' in repr(found)
    assert found._repr_html_().startswith("<table>")
    with pytest.raises(
        TextError, match=r"the model does not record its training text; .*`novelty_text=TEXT`"
    ):
        elman.novelty(text_model(), "tom was")


def test_rescoring_in_memory(path: Path, counted: TextModel, tmp_path: Path) -> None:
    found = elman.rescore(counted, NBEST, lm_weight=1)
    assert found.best.to_dict() == {"utterance": list(NBEST), "text": list(REFERENCES.values())}
    assert [row.rank for row in found.candidates] == [1, 2] * 4
    assert found.candidates[0].score == pytest.approx(found.candidates[0].lm - 2)
    assert (found.weights.lm, found.weights.words, len(found.results)) == (1, 0, 0)
    texts = {name: [text for _, text in candidates] for name, candidates in NBEST.items()}
    assert elman.rescore(counted, texts, lm_weight=0).best[0].text == "room his in was tom"
    tuned = elman.rescore(counted, NBEST, ref=REFERENCES, others=path)
    assert tuned.results.to_dict()["part"] == ["second half", "first half", "both halves"]
    assert tuned.results[-1].rescored < tuned.results[-1].first
    assert repr(tuned).startswith("part ")
    lines = [f"{name}\t{score}\t{text}" for name, own in NBEST.items() for score, text in own]
    references = [f"{name} {text}" for name, text in REFERENCES.items()]
    output = tmp_path / "best.txt"
    again = elman.rescore(counted, lines, ref=references, others=[path], output=output)
    assert again.results.rows == tuned.results.rows
    assert output.read_text().splitlines() == tuned.lines()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"beta": 1.0}, "`beta` needs `lm_weight`"),
        ({}, "or give `lm_weight=0.2` `beta=0`"),
        ({"lm_weight": 1, "cache": 9}, "add `carry=True`"),
        ({"lm_weight": 1, "lexicon": ["tom"], "unknown": "plain"}, "so `lexicon` has no effect"),
        ({"lm_weight": 1, "write": "some"}, "`write` must be one of best, all, kaldi; got 'some'"),
    ],
)
def test_contradicting_arguments_of_rescoring(
    counted: TextModel, arguments: dict[str, Any], message: str
) -> None:
    with pytest.raises(ConfigError, match=message):
        elman.rescore(counted, NBEST, **arguments)


def test_rescoring_warns_of_a_closed_vocabulary(counted: TextModel, caplog: pytest.LogCaptureFixture) -> None:
    unknown = {name: [text, f"{text} zebra"] for name, text in REFERENCES.items()}  # any λ chooses the first
    elman.rescore(counted, unknown, ref=REFERENCES)
    (warning,) = (record.getMessage() for record in caplog.records if record.levelno == logging.WARNING)
    assert warning.startswith("λ was tuned to 0: 4 candidates have words that the model's closed vocabulary")
    assert "`train(min_count=2)`" in warning


def test_rescoring_warns_of_another_case(caplog: pytest.LogCaptureFixture) -> None:
    mixed = sentence_model(STORY + STORY.upper())
    shouted = {name: text.upper() for name, text in REFERENCES.items()}
    texts = {name: [text] for name, text in REFERENCES.items()}
    elman.rescore(mixed, texts, ref=shouted, lm_weight=0)
    (warning,) = (record.getMessage() for record in caplog.records if record.levelno == logging.WARNING)
    assert "differ in the case of letters; add `case='lower'`" in warning


def test_normalised_texts_are_kept_or_written(tmp_path: Path) -> None:
    found = elman.normalise(["Hello, Mr. Brown. How are you?"], ["Fine."])
    assert found.lines == ["HELLO MISTER BROWN", "HOW ARE YOU", "FINE"]
    assert found.to_dict()["sentences"] == [2, 1]
    text = tmp_path / "text.txt"
    text.write_text("He left. " * 40, encoding="utf-8")
    written = elman.normalise(str(text), output=tmp_path / "a.txt", valid_output=str(tmp_path / "b.txt"))
    assert (written.lines, written[0].held_out) == ([], 2)
    assert len((tmp_path / "b.txt").read_text().splitlines()) == 2
    with pytest.raises(ConfigError, match=r"text.txt is a file, not a line"):
        elman.normalise([str(text)])
    with pytest.raises(ConfigError, match="`valid_output` must be a different file from `output`"):
        elman.normalise(text, output=text, valid_output=str(text))


def test_corpora_are_a_table() -> None:
    assert {"ptb", "hello"} <= set(elman.corpora().to_dict()["name"])
    assert elman.fetch("hello")["train"].is_file()


def test_a_plot_shows_itself_in_a_notebook(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    run = tmp_path / "run"
    run.mkdir()
    line = {"kind": "epoch", "iteration": 5, "perplexity": 9.0, "valid_perplexity": 10.0, "unit": "word"}
    (run / "metrics.jsonl").write_text(
        json.dumps({"kind": "start", "unit": "word"}) + "\n" + json.dumps(line)
    )
    found = elman.plot(str(run))
    assert found.path == run / "curve.png"
    assert found.path.read_bytes()[:8] == found._repr_png_()[:8] == b"\x89PNG\r\n\x1a\n"


def test_replay_of_a_model_file(path: Path) -> None:
    page = elman.replay(str(path), text="tom was in his room .", tokens=5)
    assert page == path.with_suffix(".html")
    assert "tom was in his room" in page.read_text(encoding="utf-8")
    with pytest.raises(ConfigError, match="`tokens` must be from 2 to 1000"):
        elman.replay(path, tokens=1)


needs_serve = pytest.mark.skipif(
    any(importlib.util.find_spec(name) is None for name in ("starlette", "uvicorn", "prometheus_client")),
    reason="needs the extra `serve`",
)


def answer(url: str, path: str) -> Any:
    httpx = pytest.importorskip("httpx")
    return httpx.get(url + path, timeout=LONG).json()


@needs_serve
def test_a_server_in_a_thread_of_its_own(path: Path) -> None:
    with elman.serve([path, text_model()], port=0, width=1, block=False) as server:
        names = [each["id"] for each in answer(server.url, "/v1/models")["data"]]
        assert names == ["rnn", "model-2"]
        assert repr(server) == f"<elman serves at {server.url}>"
    assert repr(server) == f"<stopped: {server.url}>"


@needs_serve
@pytest.mark.parametrize(
    ("arguments", "offered"),
    [
        ({}, True),
        ({"lessons": False}, False),
        ({"api_key": "secret"}, False),
        ({"host": "0.0.0.0"}, False),
        ({"host": "0.0.0.0", "lessons": True}, True),
    ],
)
def test_only_a_server_for_this_machine_trains_by_default(
    monkeypatch: pytest.MonkeyPatch, arguments: dict[str, Any], offered: bool
) -> None:
    from elman.serving import running

    found: list[bool] = []

    def make_app(*options: Any) -> Any:
        found.append(options[-1])
        raise ConfigError("enough")

    monkeypatch.setattr(running, "make_app", make_app)
    with pytest.raises(ConfigError, match="enough"):
        elman.serve(text_model(), port=0, width=1, **arguments)
    assert found == [offered]


class Interrupted(threading.Thread):
    """A thread; waiting for it is interrupted as by Ctrl-C."""

    def join(self, timeout: float | None = None) -> None:
        if timeout is not None:
            raise KeyboardInterrupt
        super().join()


@needs_serve
def test_the_stop_button_of_a_notebook_stops_a_server(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """The main thread of a notebook runs an event loop, so the server gets a thread of its own."""
    caplog.set_level(logging.INFO, "elman")
    monkeypatch.setattr("elman.serving.server.threading.Thread", Interrupted)

    async def cell() -> None:
        elman.serve({"mine": text_model()}, port=0, width=1)

    asyncio.run(cell())
    assert caplog.messages[-1].startswith("elman serves mine at http://127.0.0.1:")
    assert not any(thread.name == "elman-serve" for thread in threading.enumerate())


@needs_serve
@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"models": []}, "there is no model to serve"),
        ({"models": {"a": text_model()}, "width": 65}, "`width` must be from 1 to 64, got 65"),
        ({"models": {"a": text_model()}, "max_tokens": 0}, "`max_tokens` must be"),
    ],
)
def test_bad_arguments_of_a_server(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        elman.serve(**arguments)


def test_bench_is_a_table(monkeypatch: pytest.MonkeyPatch) -> None:
    from elman.benchmark import bench as module
    from elman.benchmark.measurement import Member, Result

    def measured(work: Any, peers: Any, threads: int, seconds: float) -> Result:
        members = {name: Member(name, process=None) for name in ("elman", "floor")}  # type: ignore[arg-type]
        for member in members.values():
            member.rounds = [2e-6]
        return Result(work, members, 0.0)

    monkeypatch.setattr(module, "measured", measured)
    found = elman.bench("A", seconds=0.1, threads=1)
    assert found.to_dict()["tokens_per_second"] == [pytest.approx(500_000)]
    assert "medians of 5 rounds of 0.02 s" in repr(found)
    with pytest.raises(ConfigError, match="`peer` must be 'torch' or None"):
        elman.bench("A", peer="jax")  # type: ignore[arg-type]
