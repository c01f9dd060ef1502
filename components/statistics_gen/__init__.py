"""Statistics of Examples."""
