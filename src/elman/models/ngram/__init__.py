"""N-gram models: counts, smoothing, and the backoff model itself."""
