"""Models that adapt to the text they read: caches and dynamic evaluation."""
