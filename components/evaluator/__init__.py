"""Metrics, thresholds and the blessing."""
