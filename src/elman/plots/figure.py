"""What every picture shares: a figure that needs no screen, its scale, its reference lines, and how it is kept."""

import warnings
from pathlib import Path
from typing import Any

from elman.errors import MissingExtra, RunError
from elman.files import atomic_write

# Okabe and Ito's palette, which people with any kind of colour vision can tell apart
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
MARKERS = "osD^vP*X"
FORMATS = ("png", "svg", "pdf")


def new_figure() -> tuple[Any, Any]:
    """Return a figure that needs no screen, and its axes."""
    try:
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure
    except ImportError as error:
        raise MissingExtra("matplotlib", "plot") from error
    figure = Figure(figsize=(7, 4.2), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.add_subplot()
    axes.set_yscale("log")
    axes.margins(y=0.1)
    axes.grid(True, which="major", alpha=0.3)
    axes.grid(True, which="minor", alpha=0.1)
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
    return figure, axes


def label_scale(axes: Any) -> None:
    """Label the powers of ten, and between them 2 and 5, or every tick where the curves span little."""
    lowest, highest = axes.get_ylim()
    every = highest < 5 * lowest

    def label(value: float, position: float) -> str:
        return f"{value:g}" if every or f"{value:.0e}"[0] in "25" else ""

    axes.yaxis.set_major_formatter("{x:g}")
    axes.yaxis.set_minor_formatter(label)


def save(figure: Any, path: Path) -> None:
    """Write the picture, wholly or not at all."""
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
            f"cannot write the picture {path}: {error.strerror or error}; choose another place with -o"
        ) from error


def draw_reference(axes: Any, name: str, perplexity: float, below: bool) -> None:
    """Draw a dashed line across the picture; its name stands at the line itself, on the right."""
    axes.axhline(perplexity, color="#555555", linestyle="--", linewidth=1.2)
    axes.annotate(
        f"{name}: {perplexity:.3f}",
        (0.99, perplexity),
        xycoords=axes.get_yaxis_transform(),
        xytext=(0, -4 if below else 4),
        textcoords="offset points",
        ha="right",
        va="top" if below else "bottom",
        color="#555555",
    )
