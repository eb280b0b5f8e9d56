"""The figures of the tutorial: the files are current, every text fits, and the numbers are those of the objects."""

import re
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest

from elman import CBOW, NPLM, RNN, SimpleRnnlm, TimeRNN, figures
from elman.errors import ConfigError
from elman.figures.drawing import LANGUAGES, SIZE, WIDTH, text_width
from elman.models.parameters import CELLS
from elman.training.batches import Minibatches
from support.tiny import small_lm

FOLDER = Path(__file__).parents[2] / "docs" / "images" / "figures"
NUMBER = re.compile(r"-?\d+(?:\.\d+)?(?:e-?\d+)?")
SVG = "{http://www.w3.org/2000/svg}"
SMALLEST = 13  # of text, in units of a figure: 9 pixels on a phone of 390
WORDS = ["you", "say", "goodbye", "and", "i", "say", "hello", "."]


def texts(svg: str) -> list[tuple[float, float, float, str]]:
    """Return left edge, right edge, size and letters of every text of a figure."""
    found = []
    for text in ElementTree.fromstring(svg).iter(f"{SVG}text"):
        letters = "".join(text.itertext())
        size = float((re.findall(r"font-size:([\d.]+)px", text.get("style", "")) or [SIZE])[0])
        width = text_width(letters, size)
        left = (
            float(text.attrib["x"])
            - {"start": 0.0, "middle": width / 2, "end": width}[text.attrib["text-anchor"]]
        )
        found.append((left, left + width, size, letters))
    return found


@pytest.mark.parametrize("lang", LANGUAGES)
@pytest.mark.parametrize(
    "name",
    [pytest.param(name, marks=[pytest.mark.slow] * (name == "perplexity-falls")) for name in figures.NAMES],
)
def test_files_are_current_and_texts_fit(name: str, lang: str) -> None:
    figure = figures.chapter(name, lang=lang)
    file = (FOLDER / lang / f"{name}.svg").read_text("utf-8")
    outdated = f"docs/images/figures/{lang}/{name}.svg is out of date: run python docs/make_figures.py"
    assert NUMBER.sub("#", figure.svg) == NUMBER.sub("#", file), outdated
    now, then = (np.array([float(n) for n in NUMBER.findall(svg)]) for svg in (figure.svg, file))
    np.testing.assert_allclose(
        now, then, rtol=0.02, atol=2, err_msg=outdated
    )  # rounding differs between machines
    assert len(figure.about) > 20
    for left, right, size, letters in texts(figure.svg):
        assert left > -2, letters
        assert right < WIDTH + 2, letters
        assert size >= SMALLEST, letters


def test_a_figure_is_shown_and_saved(tmp_path: Path) -> None:
    figure = figures.chapter("loop")
    figure.save(tmp_path / "loop.svg")
    assert figure._repr_svg_() == (tmp_path / "loop.svg").read_text("utf-8")
    root = ElementTree.fromstring(figure.svg)
    assert root.get("role") == "img"
    assert root.get("aria-label") == figure.about
    assert "prefers-color-scheme:dark" in figure.svg


def test_words_are_not_markup() -> None:
    svg = figures.left_context(["a<b", "c_d", "&"], 2).svg
    assert {"a<b", "c_d", "&"} <= {letters for *_, letters in texts(svg)}


@pytest.mark.parametrize("cell", CELLS)
def test_every_model_can_be_drawn(cell: str) -> None:
    model = small_lm(8, 5, 6, cell=cell, layers=2)
    for figure in (
        figures.network(model),
        figures.unrolled(model, ["a", "b"]),
        figures.time_layers(model),
    ):
        for left, right, _, letters in texts(figure.svg):
            assert left > -2, letters
            assert right < WIDTH + 2, letters


def test_minibatches_are_those_of_training() -> None:
    xs = np.arange(1001)
    minibatches = Minibatches(xs[:-1], xs[1:], batch_size=2, time_size=10)
    shown = [letters for *_, letters in texts(figures.blocks(xs[:-1].reshape(2, 500), 10).svg)]
    for _ in range(2):
        block, _, _ = minibatches.next()
        assert all(f"{row[0]} … {row[-1]}" in shown for row in block)


def test_the_loss_is_the_models_own() -> None:
    model = SimpleRnnlm(7, 5, 4, rng=np.random.default_rng(0), dtype=np.float64)
    ids = np.array([0, 1, 2, 3, 4])
    loss = model.forward(ids[None, :-1], ids[None, 1:])
    assert f"{loss:.2f} nats" in figures.mean_loss(model, ids[:-1], ids[1:]).about


def test_shapes_are_those_of_the_layer() -> None:
    layer = TimeRNN(np.ones((30, 40)), np.ones((40, 40)), np.ones(40))
    shown = [letters for *_, letters in texts(figures.time_layer(layer).svg)]
    assert "(N, T, 30)" in shown
    assert "(N, T, 40)" in shown


@pytest.mark.parametrize(
    ("draw", "message"),
    [
        (lambda: figures.chapter("lop"), "no figure 'lop'"),
        (lambda: figures.chapter("loop", lang="fr"), "lang must be one of en, ko"),
        (lambda: figures.cbow_windows(WORDS, 1), "2 words on each side"),
        (lambda: figures.left_context(WORDS, 0), "target must be 1 to 7"),
        (lambda: figures.far_answer("Tom was watching TV in his room ."), "must greet a person"),
        (lambda: figures.sum_or_concatenation(CBOW(7, 5, 2), NPLM(7, 5, 4, 3), WORDS[:2]), "windows must be"),
        (lambda: figures.unrolled(TimeRNN(np.ones((3, 4)), np.ones((4, 4)), np.ones(4)), []), "1 to 8 steps"),
        (lambda: figures.cell_graph("gru", 2, 3, 4), "must be 'rnn' or an RNN"),
        (lambda: figures.cell_graph(RNN(np.ones((3, 4)), np.ones((4, 4)), np.ones(4)), 2, 4, 4), "D=4"),
        (lambda: figures.blocks(np.arange(10), 5), "streams must be"),
        (lambda: figures.block_order(10, 9), "1 to 4 blocks"),
        (lambda: figures.branches([0.0]), "0.05 to 1"),
        (lambda: figures.perplexity_curve([3.0]), "at least two points"),
        (lambda: figures.perplexity_curve([3.0, float("inf")]), "finite"),
    ],
)
def test_bad_arguments_are_refused(draw: object, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        draw()  # type: ignore[operator]
