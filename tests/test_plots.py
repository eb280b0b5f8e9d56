"""Plots of learning curves, and errors for what cannot be plotted."""

import json
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from elman import plots
from elman.errors import ConfigError, MissingExtra, RunError
from elman.evaluation.rooms import Distances
from elman.plots import plot_by_distance, plot_perplexities, plot_runs

Make = Callable[..., Path]
START = {"kind": "start", "unit": "word", "references": {"3-gram": 2.277, "lowest possible": 1.648}}


@pytest.fixture
def make(tmp_path: Path) -> Make:
    """Make the folder of a run that has these metrics."""

    def run(name: str, *lines: dict[str, Any]) -> Path:
        folder = tmp_path / name
        folder.mkdir(parents=True)
        (folder / "metrics.jsonl").write_text(
            "".join(json.dumps(line) + "\n" for line in lines), encoding="utf-8"
        )
        return folder

    return run


def interval(iteration: int, perplexity: float) -> dict[str, Any]:
    return {"kind": "interval", "iteration": iteration, "perplexity": perplexity, "seconds": 6.0 * iteration}


def epoch(iteration: int, perplexity: float, valid: float | None = None) -> dict[str, Any]:
    return interval(iteration, perplexity) | {"kind": "epoch", "valid_perplexity": valid}


def curves(figure: Any) -> dict[str, list[tuple[float, float]]]:
    lines = figure.axes[0].get_lines()
    return {line.get_label(): list(zip(*line.get_data(), strict=True)) for line in lines}


def legend(figure: Any) -> list[str]:
    return [text.get_text() for text in figure.axes[0].get_legend().get_texts()]


def test_two_runs_and_the_optimum_in_one_picture(make: Make, tmp_path: Path) -> None:
    a = make("rnn", START, interval(5, 30.0), interval(10, 9.0), epoch(10, 15.0, 12.0), epoch(20, 8.0, 9.0))
    b = make("gru", START, interval(5, 20.0), epoch(10, 12.0))
    figure = plot_runs([a, b], tmp_path / "curve.png")
    drawn = curves(figure)
    assert drawn["rnn: training"] == [(5, 30.0), (10, 9.0)]
    assert drawn["rnn: validation"] == [(10, 12.0), (20, 9.0)]
    assert drawn["gru: training"] == [(5, 20.0)]
    assert "gru: validation" not in drawn
    assert legend(figure) == ["rnn: training", "rnn: validation", "gru: training"]
    (axes,) = figure.axes
    assert {text.get_text() for text in axes.texts} == {"3-gram: 2.277", "lowest possible: 1.648"}
    heights = {line.get_ydata()[0] for line in axes.get_lines() if line.get_linestyle() == "--"}
    assert heights == {2.277, 1.648}
    assert axes.get_ylabel() == "perplexity per word"
    assert "blocks" in axes.get_xlabel()
    assert axes.get_yscale() == "log"
    picture = (tmp_path / "curve.png").read_bytes()
    assert picture.startswith(b"\x89PNG")
    assert 5_000 < len(picture) < 500_000


def test_curves_by_minutes(make: Make) -> None:
    run = make("rnn", START, interval(5, 30.0), interval(10, 9.0), epoch(10, 15.0, 12.0))
    figure = plot_runs([run], by="minutes")
    drawn = curves(figure)
    assert drawn["rnn: training"] == [(0.5, 30.0), (1.0, 9.0)]
    assert drawn["rnn: validation"] == [(1.0, 12.0)]
    assert figure.axes[0].get_xlabel() == "minutes of training"


def test_another_axis_is_refused(make: Make) -> None:
    by: Any = "epochs"
    with pytest.raises(ConfigError, match="cannot draw curves by 'epochs'; choose one of: blocks, minutes"):
        plot_runs([make("rnn", START, interval(5, 30.0))], by=by)


@pytest.fixture
def fonts(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., None]]:
    """Set the language to Korean, and the fonts that have Hangul."""
    monkeypatch.setenv("ELMAN_LANG", "ko")

    def set_fonts(*names: str) -> None:
        monkeypatch.setattr(plots, "KOREAN_FONTS", names)
        plots.korean_font.cache_clear()

    yield set_fonts
    plots.korean_font.cache_clear()


def test_labels_are_korean_in_a_font_that_has_hangul(
    make: Make, tmp_path: Path, fonts: Callable[..., None], caplog: pytest.LogCaptureFixture
) -> None:
    fonts("no such font", "DejaVu Sans Mono")
    run = make("rnn", START, interval(5, 30.0), epoch(10, 15.0, 12.0))
    figure = plot_runs([run], tmp_path / "curve.png")
    (axes,) = figure.axes
    assert axes.get_xlabel() == "학습한 블록 수(truncated BPTT)"
    assert axes.get_ylabel() == "단어당 퍼플렉서티"
    assert axes.xaxis.label.get_fontfamily()[0] == "DejaVu Sans Mono"
    assert legend(figure) == ["rnn: 학습", "rnn: 검증"]
    assert {text.get_text() for text in axes.texts} == {"3-gram: 2.277", "최저: 1.648"}
    assert caplog.messages == []


def test_without_a_font_for_hangul_labels_are_english_and_one_warning_says_so(
    make: Make, fonts: Callable[..., None], caplog: pytest.LogCaptureFixture
) -> None:
    fonts("no such font")
    figure = plot_runs([make("rnn", START, interval(5, 30.0))])
    plot_runs([make("gru", START, interval(5, 30.0))])
    assert legend(figure) == ["rnn: training"]
    assert caplog.messages == [
        "no font with Hangul is installed, so the picture is in English; install one, such as no such font"
    ]


def test_a_training_curve_of_sampled_losses_says_so(make: Make, tmp_path: Path) -> None:
    run = make("lstm", {**START, "options": {"softmax": "sampled"}}, interval(5, 30.0))
    assert legend(plot_runs([run], tmp_path / "curve.png")) == ["lstm: training, on a sample of the words"]


def test_without_intervals_the_epochs_are_the_training_curve(make: Make, tmp_path: Path) -> None:
    run = make("run", epoch(10, 15.0), epoch(20, 8.0))
    assert curves(plot_runs([run], tmp_path / "curve.png"))["run: training"] == [(10, 15.0), (20, 8.0)]


def test_a_single_point_shows(make: Make, tmp_path: Path) -> None:
    figure = plot_runs([make("run", epoch(10, 15.0))], tmp_path / "curve.png")
    (line,) = figure.axes[0].get_lines()
    assert line.get_marker() == "o"


@pytest.mark.parametrize("span", [(14.0, 16.0), (21.0, 24.0), (1.0, 1.03), (1.5, 900.0)])
def test_the_scale_is_labelled_however_little_the_curves_span(
    make: Make, tmp_path: Path, span: tuple[float, float]
) -> None:
    figure = plot_runs([make("run", epoch(10, span[1]), epoch(20, span[0]))], tmp_path / "curve.png")
    figure.canvas.draw()
    (axes,) = figure.axes
    low, high = axes.get_ylim()
    ticks = [*axes.yaxis.get_major_ticks(), *axes.yaxis.get_minor_ticks()]
    labels = {t.label1.get_text() for t in ticks if low <= t.get_loc() <= high} - {""}
    assert len(labels) >= 2
    assert all(low * 0.999 <= float(label) <= high * 1.001 for label in labels)


@pytest.mark.parametrize(("name", "shown"), [("_$a$", "\u2009_\\$a\\$"), ("한글", "한글"), ("a_b", "a_b")])
def test_any_folder_name_is_in_the_legend(make: Make, tmp_path: Path, name: str, shown: str) -> None:
    figure = plot_runs([make(name, epoch(10, 15.0))], tmp_path / "curve.png")
    assert legend(figure) == [f"{shown}: training"]


def test_runs_with_the_same_name_are_distinguished(make: Make, tmp_path: Path) -> None:
    a, b = make("a/run", epoch(10, 15.0)), make("b/run", epoch(10, 14.0))
    assert legend(plot_runs([a, b], tmp_path / "curve.png")) == [f"{a}: training", f"{b}: training"]


def test_different_units_are_both_on_the_axis(make: Make, tmp_path: Path) -> None:
    a = make("a", {"kind": "start", "unit": "word"}, epoch(10, 15.0))
    b = make("b", {"kind": "start", "unit": "byte"}, epoch(10, 14.0))
    assert plot_runs([a, b], tmp_path / "c.png").axes[0].get_ylabel() == "perplexity per byte or word"


@pytest.mark.parametrize(
    ("name", "start"), [("c.png", b"\x89PNG"), ("c.svg", b"<?xml"), ("c.PDF", b"%PDF"), ("curve", b"\x89PNG")]
)
def test_the_ending_of_the_name_chooses_the_kind_of_picture(
    make: Make, tmp_path: Path, name: str, start: bytes
) -> None:
    path = tmp_path / "new" / "folder" / name
    plot_runs([make("run", epoch(10, 15.0))], path)
    assert path.read_bytes().startswith(start)
    assert [each.name for each in path.parent.iterdir()] == [name]


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        ([], "has no point to draw yet: train it for at least one epoch"),
        ([START], "has no point to draw yet"),
        (
            [{"kind": "epoch"}],
            r"metrics.jsonl is damaged \(KeyError\('valid_perplexity'\)|KeyError\('iteration'\)",
        ),
        ([epoch(10, 15.0), {**interval(5, 1.0), "iteration": "x"}], "metrics.jsonl is damaged .*'x'"),
        ([epoch(10, 15.0), interval(5, [])], "metrics.jsonl is damaged"),  # type: ignore[arg-type]
        ([{**START, "references": [3]}, epoch(10, 15.0)], "metrics.jsonl is damaged"),
        ([[1]], "line 1 has no kind of event"),
        ([{"a": 1}, epoch(10, 15.0)], "line 1 has no kind of event"),
    ],
)
def test_metrics_that_cannot_be_drawn_are_named(
    make: Make, tmp_path: Path, lines: list[Any], message: str
) -> None:
    with pytest.raises(RunError, match=message):
        plot_runs([make("run", *lines)], tmp_path / "curve.png")
    assert not (tmp_path / "curve.png").exists()


def test_a_picture_that_cannot_be_written_is_named(make: Make, tmp_path: Path) -> None:
    run = make("run", epoch(10, 15.0))
    (tmp_path / "file").write_text("precious")
    with pytest.raises(
        RunError, match=r"cannot write the picture .*file/c.png: .*; choose another place with `output`"
    ):
        plot_runs([run], tmp_path / "file" / "c.png")
    with pytest.raises(RunError, match=r"cannot draw a picture of kind 'txt' .*; choose png, svg, pdf"):
        plot_runs([run], tmp_path / "c.txt")
    assert (tmp_path / "file").read_text() == "precious"


def test_perplexities_are_drawn_in_their_order(tmp_path: Path) -> None:
    figure = plot_perplexities([300.0, 100.0, 50.0], tmp_path / "curve.png")
    (line,) = figure.axes[0].get_lines()
    assert list(zip(*line.get_data(), strict=True)) == [(1, 300.0), (2, 100.0), (3, 50.0)]
    assert (tmp_path / "curve.png").read_bytes().startswith(b"\x89PNG")
    assert plot_perplexities([2.0]).axes[0].get_lines()[0].get_marker() == "o"


def test_answers_are_drawn_against_their_distance(tmp_path: Path) -> None:
    near, far = Distances(13, 16, 50, 0.0), Distances(17, 20, 40, 2.0)
    figure = plot_by_distance(
        {"knows": [near], "guesses": [near, far]}, tmp_path / "d.png", window=16, lowest=1.0
    )
    drawn = curves(figure)
    assert drawn["knows"] == [(14.5, 1.0)]
    assert drawn["guesses"] == [(14.5, 1.0), (18.5, pytest.approx(7.389, rel=1e-3))]
    assert legend(figure) == ["guesses", "knows"]  # as the lines lie at their right ends
    (axes,) = figure.axes
    assert [" ".join(text.get_text().split()) for text in axes.texts] == [
        "lowest possible: 1.000",
        "beyond a window of 16 words",
    ]
    assert (tmp_path / "d.png").read_bytes().startswith(b"\x89PNG")
    assert not plot_by_distance({"knows": [near]}, tmp_path / "d.png").axes[0].texts


def test_without_matplotlib_the_extra_is_named(
    make: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    with pytest.raises(MissingExtra, match=r"matplotlib is not installed; type: pip install 'elman\[plot\]'"):
        plot_runs([make("run", epoch(10, 15.0))], tmp_path / "curve.png")
