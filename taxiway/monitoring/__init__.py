"""Watches served models: finds what a version was trained on, and passes over its tables."""
