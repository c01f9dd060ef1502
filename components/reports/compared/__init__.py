"""Artifacts of several runs together: curves laid over each other, slices and statistics side by side."""
