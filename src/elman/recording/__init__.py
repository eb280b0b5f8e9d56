"""A run as one HTML file: the page of `elman serve`, with all its answers inside."""
