"""A schema from statistics."""
