"""A recording of a run as one HTML file: the page that `elman serve` shows, with all its answers inside."""
