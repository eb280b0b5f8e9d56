"""Learning curves, fit for print: perplexity against blocks, on a logarithmic scale."""

from pathlib import Path
from typing import Any

from elman.errors import MissingExtra, RunError
from elman.training.metrics import read_metrics

# Okabe and Ito's palette, which people with any kind of colour vision can tell apart
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")


def _figure() -> tuple[Any, Any]:
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
    axes.grid(True, which="major", alpha=0.3)
    axes.grid(True, which="minor", alpha=0.1)
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
    axes.yaxis.set_major_formatter("{x:g}")
    axes.yaxis.set_minor_formatter(_label_minor)
    return figure, axes


def _label_minor(value: float, position: float) -> str:
    """Label 2 and 5 between the powers of ten: a curve often spans less than one of them."""
    return f"{value:g}" if f"{value:.0e}"[0] in "25" else ""


def _save(figure: Any, path: Path) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        figure.savefig(path, dpi=150)
    except (OSError, ValueError) as error:
        raise RunError(f"cannot write the picture {path}: {error}; name a .png, .svg or .pdf file") from error


def plot_perplexities(ppl_list: list[float], path: str | Path | None = None) -> Any:
    """Draw training perplexities in the order they were noted; return the figure, saved where a path is given.

    Raises:
        MissingExtra: matplotlib is not installed.
    """
    figure, axes = _figure()
    axes.plot(range(1, len(ppl_list) + 1), ppl_list, color=COLOURS[0])
    axes.set_xlabel("evaluation")
    axes.set_ylabel("training perplexity")
    if path is not None:
        _save(figure, Path(path))
    return figure


def plot_runs(folders: list[Path], path: Path) -> Any:
    """Draw several runs together: training perplexity (thin), validation (dots), reference lines; save it.

    Raises:
        MissingExtra: matplotlib is not installed.
        RunError: a folder is no run, has no point to draw yet, or the picture cannot be written.
    """
    figure, axes = _figure()
    references: dict[str, float] = {}
    units = set()
    for k, folder in enumerate(folders):
        lines = read_metrics(folder)
        start = next((line for line in lines if line["kind"] == "start"), {})
        references |= start.get("references", {})
        units.add(start.get("unit", "token"))
        if not _draw_run(axes, folder.name, lines, COLOURS[k % len(COLOURS)]):
            raise RunError(f"{folder} has no point to draw yet: let it train for at least one epoch")
    curves, _ = axes.get_legend_handles_labels()
    for name, perplexity in references.items():
        label = f"{name}: {perplexity:.3f}"
        axes.axhline(perplexity, color="#555555", linestyle="--", linewidth=1, label=label)
        axes.annotate(
            label,
            (1, perplexity),
            xycoords=("axes fraction", "data"),
            xytext=(-4, -4 if perplexity == min(references.values()) else 4),  # the lowest has room below
            textcoords="offset points",
            horizontalalignment="right",
            verticalalignment="top" if perplexity == min(references.values()) else "bottom",
            color="#555555",
        )
    axes.set_xlabel("blocks of training (truncated BPTT)")
    axes.set_ylabel(f"perplexity per {' or '.join(sorted(units))}")
    axes.margins(y=0.1)
    axes.legend(handles=curves, frameon=False)
    _save(figure, path)
    return figure


def _draw_run(axes: Any, name: str, lines: list[dict[str, Any]], colour: str) -> bool:
    """Draw one run; return whether there was anything to draw."""
    intervals = [(line["iteration"], line["perplexity"]) for line in lines if line["kind"] == "interval"]
    epochs = [line for line in lines if line["kind"] == "epoch"]
    if not intervals:
        intervals = [(line["iteration"], line["perplexity"]) for line in epochs]
    valid = [(e["iteration"], e["valid_perplexity"]) for e in epochs if e["valid_perplexity"] is not None]
    if intervals:
        axes.plot(
            *zip(*intervals, strict=True), color=colour, alpha=0.55, linewidth=1, label=f"{name}: training"
        )
    if valid:
        marker = "o" if len(valid) < 40 else None
        axes.plot(
            *zip(*valid, strict=True), color=colour, marker=marker, markersize=4, label=f"{name}: validation"
        )
    return bool(intervals)
