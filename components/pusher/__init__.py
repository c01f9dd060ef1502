"""Pushes blessed models to the place that they are served from."""
