"""Plots of perplexity on a logarithmic scale: learning curves of runs, and perplexity of answers by distance."""

import io
import logging
import os
import warnings
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Literal

from elman.errors import ConfigError, MissingExtra, RunError
from elman.evaluation.rooms import LOWEST, Distances
from elman.files import atomic_write
from elman.formats.metrics_log import read_metrics
from elman.language import is_korean, translate

__all__ = ["By", "Plot", "plot", "plot_by_distance", "plot_perplexities", "plot_runs"]

log = logging.getLogger(__name__)

By = Literal["blocks", "minutes"]
X_LABELS: dict[By, str] = {"blocks": "blocks of training (truncated BPTT)", "minutes": "minutes of training"}
# Okabe and Ito's palette, whose colours people with any kind of colour vision can distinguish
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
MARKERS = "osD^vP*X"
FORMATS = ("png", "svg", "pdf")
KOREAN_FONTS = (
    "Noto Sans KR",
    "Noto Sans CJK KR",
    "Noto Sans CJK JP",
    "NanumGothic",
    "NanumBarunGothic",
    "Apple SD Gothic Neo",
    "AppleGothic",
    "Malgun Gothic",
    "UnDotum",
    "Baekmuk Dotum",
)


def plot_perplexities(ppl_list: list[float], path: str | Path | None = None) -> Any:
    """Plot training perplexities in order; return the figure, saved if a path is given.

    Raises:
        MissingExtra: matplotlib is not installed.
        RunError: the picture cannot be written.
    """
    figure, axes = new_figure()
    axes.plot(range(1, len(ppl_list) + 1), ppl_list, color=COLOURS[0], marker=_marker(ppl_list))
    axes.set_xlabel(in_language("evaluation"))
    axes.set_ylabel(in_language("training perplexity"))
    finish(figure, axes)
    if path is not None:
        save(figure, Path(path))
    return figure


@dataclass(frozen=True)
class Plot:
    """A matplotlib ``figure``, which a notebook shows, and the file it is saved in."""

    figure: Any
    path: Path

    def _repr_png_(self) -> bytes:
        image = io.BytesIO()
        self.figure.savefig(image, format="png", dpi=100)
        return image.getvalue()


def plot(
    runs: str | os.PathLike[str] | Iterable[str | os.PathLike[str]],
    output: str | os.PathLike[str] | None = None,
    by: By = "blocks",
) -> Plot:
    """Draw the learning curves of one or several runs in one image, and save it.

    Args:
        runs: a run folder or several.
        output: the image to write (.png, .svg, .pdf); by default curve.png in the first run.
        by: the horizontal axis: blocks of truncated BPTT, or minutes of training, which compare runs whose blocks
            differ in size.

    Raises:
        ConfigError: there is no such axis.
        MissingExtra: matplotlib is not installed.
        RunError: a folder is not a run, has no point to plot yet, or the picture cannot be written.
    """
    folders = [Path(runs)] if isinstance(runs, (str, os.PathLike)) else list(map(Path, runs))
    if not folders:
        raise RunError("there is no run to draw; give one or more")
    path = folders[0] / "curve.png" if output is None else Path(output)
    figure = plot_runs(folders, path, by)
    units = {line["unit"] for folder in folders for line in read_metrics(folder) if "unit" in line}
    if len(units) > 1:
        log.warning(
            "perplexities per %s cannot be compared; compare the bits per character that `elman.evaluate()` computes",
            " and per ".join(sorted(units)),
        )
    return Plot(figure, path)


def plot_runs(folders: Sequence[str | Path], path: str | Path | None = None, by: By = "blocks") -> Any:
    """Plot the learning curves of runs: training perplexity (thin), validation (dots) and reference lines.

    Returns the figure, saved if a path is given. The run of an n-gram model, which is not trained step by step, is a
    horizontal line.

    Raises:
        ConfigError: there is no axis ``by``.
        MissingExtra: matplotlib is not installed.
        RunError: a folder is not a run, has no point to plot yet, or the picture cannot be written.
    """
    if by not in X_LABELS:
        raise ConfigError(f"cannot draw curves by {by!r}; choose one of: {', '.join(X_LABELS)}")
    figure, axes = new_figure()
    references: dict[str, float] = {}
    units = set()
    curves = 0
    runs = [Path(folder) for folder in folders]
    names = _names(runs)
    for k, folder in enumerate(runs):
        lines = read_metrics(folder)
        try:
            start = next((line for line in lines if line["kind"] == "start"), {})
            references |= start.get("references", {})
            units.add(start.get("unit", "token"))
            if counted := [line for line in lines if line["kind"] == "counted"]:
                references |= _level_of(names[k], counted[-1])
                continue
            curves += 1
            drawn = _draw_run(axes, names[k], lines, COLOURS[k % len(COLOURS)], by)
        except (KeyError, TypeError, ValueError) as error:
            raise RunError(
                f"{folder}/metrics.jsonl is damaged ({error!r}); elman did not write it like this"
            ) from error
        if not drawn:
            raise RunError(f"{folder} has no point to draw yet: train it for at least one epoch")
    if not curves:
        raise RunError(
            "n-gram models have no learning curve; give a recurrent model's run too, to compare its curve with them"
        )
    for name, perplexity in references.items():
        draw_reference(axes, name, perplexity)
    axes.set_xlabel(in_language(X_LABELS[by]))
    axes.set_ylabel(in_language(f"perplexity per {' or '.join(sorted(units))}"))
    axes.legend(frameon=False)
    finish(figure, axes)
    if path is not None:
        save(figure, Path(path))
    return figure


def _names(folders: list[Path]) -> list[str]:
    """Return the runs' names for the legend: their folders' names, or their paths if two have the same name."""
    names = [folder.absolute().name for folder in folders]
    if len(set(names)) < len(names):
        names = [str(folder) for folder in folders]
    # matplotlib reads $ as the start of a formula and omits names that begin with _ from the legend
    return [("\u2009" if name.startswith("_") else "") + name.replace("$", r"\$") for name in names]


def _level_of(name: str, counted: dict[str, Any]) -> dict[str, float]:
    """Return the validation perplexity, if any, of an n-gram model's run, keyed by the run's name."""
    perplexity = counted["valid_perplexity"]
    return {} if perplexity is None else {name: float(perplexity)}


def _marker(points: list[Any]) -> str | None:
    """Return the marker of a curve's points: none, unless the single point of the curve must be visible."""
    return "o" if len(points) == 1 else None


def _draw_run(axes: Any, name: str, lines: list[dict[str, Any]], colour: str, by: By) -> bool:
    """Plot one run; return whether there were training points to plot."""
    intervals = [_point(line, "perplexity", by) for line in lines if line["kind"] == "interval"]
    epochs = [line for line in lines if line["kind"] == "epoch"]
    sampled = any(line.get("options", {}).get("softmax") == "sampled" for line in lines[:1])
    if not intervals:
        intervals = [_point(line, "perplexity", by) for line in epochs]
    valid = [_point(e, "valid_perplexity", by) for e in epochs if e["valid_perplexity"] is not None]
    if intervals:
        axes.plot(
            *zip(*intervals, strict=True),
            color=colour,
            alpha=0.55,
            linewidth=1,
            marker=_marker(intervals),
            markersize=3,
            label=in_language(f"{name}: training{', on a sample of the words' if sampled else ''}"),
        )
    if valid:
        marker = "o" if len(valid) < 40 else None
        axes.plot(
            *zip(*valid, strict=True),
            color=colour,
            marker=marker,
            markersize=4,
            label=in_language(f"{name}: validation"),
        )
    return bool(intervals)


def _point(line: dict[str, Any], quantity: str, by: By) -> tuple[float, float]:
    x = line["iteration"] if by == "blocks" else line["seconds"] / 60
    return float(x), float(line[quantity])


def plot_by_distance(
    models: Mapping[str, Sequence[Distances]],
    path: Path,
    window: int | None = None,
    lowest: float | None = None,
) -> Any:
    """Plot the perplexity of answers by their distance, one line per named model; save it.

    A vertical line marks the reach of a ``window`` of words, a dashed one the ``lowest`` possible perplexity. The
    legend lists the models in the order of the lines' right ends.

    Raises:
        MissingExtra: matplotlib is not installed.
        RunError: the picture cannot be written.
    """
    figure, axes = new_figure()
    for k, (name, spans) in enumerate(models.items()):
        axes.plot(
            [(span.least + span.most) / 2 for span in spans],
            [span.perplexity for span in spans],
            color=COLOURS[k % len(COLOURS)],
            marker=MARKERS[k % len(MARKERS)],
            markersize=6,
            markevery=(k % 2, 2)
            if len(spans) > 2
            else None,  # alternating, so that coinciding lines both show
            label=name,
        )
    if lowest is not None:
        draw_reference(axes, LOWEST, lowest)
    if window is not None:
        axes.axvline(window + 0.5, color="#555555", linestyle=":", linewidth=1.2, zorder=0)
        axes.annotate(
            in_language(f" beyond a window\n of {window} words"),
            (window + 0.5, 0.98),
            xycoords=axes.get_xaxis_transform(),
            va="top",
            color="#555555",
        )
    axes.set_xlabel(in_language("words from the name to the question that asks for it"))
    axes.set_ylabel(in_language("perplexity of the answer"))
    handles, names = axes.get_legend_handles_labels()
    order = sorted(range(len(names)), key=lambda k: -handles[k].get_ydata()[-1])
    axes.legend(
        [handles[k] for k in order],
        [names[k] for k in order],
        frameon=False,
        loc="center left",
        bbox_to_anchor=(1, 0.5),
    )
    finish(figure, axes)
    save(figure, path)
    return figure


def new_figure(scale: str = "log") -> tuple[Any, Any]:
    """Return a figure, which needs no screen, and its axes; ``scale`` is that of y, "log" or "linear"."""
    try:
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure
    except ImportError as error:
        raise MissingExtra("matplotlib", "plot") from error
    figure = Figure(figsize=(7, 4.2), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.add_subplot()
    axes.set_yscale(scale)
    axes.margins(y=0.1)
    axes.grid(True, which="major", alpha=0.3)
    axes.grid(True, which="minor", alpha=0.1)
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
    return figure, axes


def finish(figure: Any, axes: Any) -> None:
    """Label the scale, and give all texts a font that has the letters of the user's language."""
    label_scale(axes)
    if is_korean() and (font := korean_font()) is not None:
        from matplotlib import rcParams
        from matplotlib.text import Text

        for text in figure.findobj(Text):
            text.set_fontfamily([font, *rcParams["font.family"]])


def in_language(text: str) -> str:
    """Return a label in the user's language: in Korean if a font for it is installed."""
    return translate(text) if is_korean() and korean_font() is not None else text


@cache
def korean_font() -> str | None:
    """Return the name of an installed font with Hangul; without one, log a warning and return None."""
    from matplotlib.font_manager import findSystemFonts, fontManager

    known = {font.name for font in fontManager.ttflist}
    if known.isdisjoint(KOREAN_FONTS):  # matplotlib lists the fonts of the day when it was first used
        files = {name.replace(" ", "") for name in KOREAN_FONTS}
        for path in findSystemFonts():
            if Path(path).stem.removesuffix("-Regular") in files:
                fontManager.addfont(path)
        known = {font.name for font in fontManager.ttflist}
    found = next((name for name in KOREAN_FONTS if name in known), None)
    if found is None:
        log.warning(
            "no font with Hangul is installed, so the picture is in English; install one, such as %s",
            KOREAN_FONTS[0],
        )
    return found


def label_scale(axes: Any) -> None:
    """Label the powers of ten and, between them, 2 and 5, or every tick if the curves' range is small."""
    lowest, highest = axes.get_ylim()
    every = highest < 5 * lowest

    def label(value: float, position: float) -> str:
        return f"{value:g}" if every or f"{value:.0e}"[0] in "25" else ""

    axes.yaxis.set_major_formatter("{x:g}")
    axes.yaxis.set_minor_formatter(label)


def save(figure: Any, path: Path) -> None:
    """Write the figure to a file, completely or not at all."""
    kind = path.suffix[1:].lower() or FORMATS[0]
    if kind not in FORMATS:
        raise RunError(f"cannot draw a picture of kind {kind!r} ({path}); choose {', '.join(FORMATS)}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with warnings.catch_warnings(), atomic_write(path) as file:
            warnings.filterwarnings("ignore", "Glyph", UserWarning)  # a name in a script that the font lacks
            figure.savefig(file, format=kind, dpi=150)
    except OSError as error:
        raise RunError(
            f"cannot write the picture {path}: {error.strerror or error}; choose another place with `output`"
        ) from error


def svg(figure: Any) -> str:
    """Return the figure as an SVG element, which can stand in an HTML page."""
    file = io.BytesIO()
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Glyph", UserWarning)  # a name in a script that the font lacks
        figure.savefig(file, format="svg")
    text = file.getvalue().decode("utf-8")
    return text[text.index("<svg") :]


def draw_reference(axes: Any, name: str, perplexity: float) -> None:
    """Draw a dashed line across the figure, labelled at the right end on the side where no curve ends."""
    below = name == LOWEST
    axes.axhline(perplexity, color="#555555", linestyle="--", linewidth=1.2)
    axes.annotate(
        f"{in_language(LOWEST) if name == LOWEST else name}: {perplexity:.3f}",
        (0.99, perplexity),
        xycoords=axes.get_yaxis_transform(),
        xytext=(0, -4 if below else 4),
        textcoords="offset points",
        ha="right",
        va="top" if below else "bottom",
        color="#555555",
    )
