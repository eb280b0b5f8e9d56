"""The perplexity of answers against how far back what they depend on was said."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from elman.evaluation.by_distance import Distances
from elman.evaluation.optimum import LOWEST
from elman.plots.figure import COLOURS, MARKERS, draw_reference, label_scale, new_figure, save


def plot_by_distance(
    models: Mapping[str, Sequence[Distances]],
    path: Path,
    window: int | None = None,
    lowest: float | None = None,
) -> Any:
    """Draw the perplexity of answers against how far back they stand, a line for each model by its name; save it.

    A vertical line marks the reach of a ``window`` of words, a dashed one the ``lowest`` possible perplexity. The
    names stand in the legend in the order of the lines' right ends.

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
            markevery=(k % 2, 2) if len(spans) > 2 else None,  # of two lines one upon another, both show
            label=name,
        )
    if lowest is not None:
        draw_reference(axes, LOWEST, lowest, below=True)
    if window is not None:
        axes.axvline(window + 0.5, color="#555555", linestyle=":", linewidth=1.2, zorder=0)
        axes.annotate(
            f" beyond a window\n of {window} words",
            (window + 0.5, 0.98),
            xycoords=axes.get_xaxis_transform(),
            va="top",
            color="#555555",
        )
    axes.set_xlabel("words from the name to the question that asks for it")
    axes.set_ylabel("perplexity of the answer")
    handles, names = axes.get_legend_handles_labels()
    order = sorted(range(len(names)), key=lambda k: -handles[k].get_ydata()[-1])
    axes.legend(
        [handles[k] for k in order],
        [names[k] for k in order],
        frameon=False,
        loc="center left",
        bbox_to_anchor=(1, 0.5),
    )
    label_scale(axes)
    save(figure, path)
    return figure
