"""Inspect a recurrent network: its states and gates, correlated units, and gradients through time."""
