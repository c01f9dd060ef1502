"""Taxiway beside TFX on the same work."""
