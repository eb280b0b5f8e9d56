"""Learning curves."""

from pathlib import Path
from typing import Any

from elman.errors import RunError
from elman.plots.figure import COLOURS, draw_reference, label_scale, new_figure, save
from elman.training.metrics import read_metrics


def plot_perplexities(ppl_list: list[float], path: str | Path | None = None) -> Any:
    """Draw training perplexities in the order they were noted; return the figure, saved where a path is given.

    Raises:
        MissingExtra: matplotlib is not installed.
        RunError: the picture cannot be written.
    """
    figure, axes = new_figure()
    axes.plot(range(1, len(ppl_list) + 1), ppl_list, color=COLOURS[0], marker=_marker(ppl_list))
    axes.set_xlabel("evaluation")
    axes.set_ylabel("training perplexity")
    label_scale(axes)
    if path is not None:
        save(figure, Path(path))
    return figure


def plot_runs(folders: list[Path], path: Path) -> Any:
    """Draw several runs together: training perplexity (thin), validation (dots), reference lines; save it.

    An n-gram model, which is counted and learns nothing by and by, is a line across the curves of the others.

    Raises:
        MissingExtra: matplotlib is not installed.
        RunError: a folder is no run, has no point to draw yet, or the picture cannot be written.
    """
    figure, axes = new_figure()
    references: dict[str, float] = {}
    units = set()
    curves = 0
    names = _names(folders)
    for k, folder in enumerate(folders):
        lines = read_metrics(folder)
        try:
            start = next((line for line in lines if line["kind"] == "start"), {})
            references |= start.get("references", {})
            units.add(start.get("unit", "token"))
            if counted := [line for line in lines if line["kind"] == "counted"]:
                references |= _level_of(names[k], counted[-1])
                continue
            curves += 1
            drawn = _draw_run(axes, names[k], lines, COLOURS[k % len(COLOURS)])
        except (KeyError, TypeError, ValueError) as error:
            raise RunError(
                f"{folder}/metrics.jsonl is damaged ({error!r}); elman did not write it so"
            ) from error
        if not drawn:
            raise RunError(f"{folder} has no point to draw yet: let it train for at least one epoch")
    if not curves:
        raise RunError(
            "n-gram models have no learning curve; name a recurrent model's run too, to see its curve beside them"
        )
    for name, perplexity in references.items():
        draw_reference(axes, name, perplexity, below=perplexity == min(references.values()))
    axes.set_xlabel("blocks of training (truncated BPTT)")
    axes.set_ylabel(f"perplexity per {' or '.join(sorted(units))}")
    axes.legend(frameon=False)
    label_scale(axes)
    save(figure, path)
    return figure


def _names(folders: list[Path]) -> list[str]:
    """Return what the legend calls the runs: their folders, with the way there where two are of one name."""
    names = [folder.absolute().name for folder in folders]
    if len(set(names)) < len(names):
        names = [str(folder) for folder in folders]
    # matplotlib reads $ as the start of a formula, and leaves out of the legend what begins with _
    return [("\u2009" if name.startswith("_") else "") + name.replace("$", r"\$") for name in names]


def _level_of(name: str, counted: dict[str, Any]) -> dict[str, float]:
    """Return the validation perplexity of an n-gram model's run by the run's name, where there is one."""
    perplexity = counted["valid_perplexity"]
    return {} if perplexity is None else {name: float(perplexity)}


def _marker(points: list[Any]) -> str | None:
    """Return the mark of a curve's points: none where they are many, but a single one must show."""
    return "o" if len(points) == 1 else None


def _draw_run(axes: Any, name: str, lines: list[dict[str, Any]], colour: str) -> bool:
    """Draw one run; return whether there was anything to draw."""
    intervals = [_point(line, "perplexity") for line in lines if line["kind"] == "interval"]
    epochs = [line for line in lines if line["kind"] == "epoch"]
    sampled = any(line.get("options", {}).get("softmax") == "sampled" for line in lines[:1])
    if not intervals:
        intervals = [_point(line, "perplexity") for line in epochs]
    valid = [_point(e, "valid_perplexity") for e in epochs if e["valid_perplexity"] is not None]
    if intervals:
        axes.plot(
            *zip(*intervals, strict=True),
            color=colour,
            alpha=0.55,
            linewidth=1,
            marker=_marker(intervals),
            markersize=3,
            label=f"{name}: training{', on a sample of the words' if sampled else ''}",
        )
    if valid:
        marker = "o" if len(valid) < 40 else None
        axes.plot(
            *zip(*valid, strict=True), color=colour, marker=marker, markersize=4, label=f"{name}: validation"
        )
    return bool(intervals)


def _point(line: dict[str, Any], quantity: str) -> tuple[int, float]:
    return int(line["iteration"]), float(line[quantity])
