"""Serving: an OpenAI-compatible HTTP server on NumPy alone (the extra ``serve``)."""
