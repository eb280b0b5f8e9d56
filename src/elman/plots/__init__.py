"""Curves fit for print, on a logarithmic scale: perplexity against blocks of training, or against distance."""

from elman.plots.curves import plot_perplexities, plot_runs
from elman.plots.distance import plot_by_distance

__all__ = ["plot_by_distance", "plot_perplexities", "plot_runs"]
