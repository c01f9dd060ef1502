"""Validation of statistics against a schema."""
