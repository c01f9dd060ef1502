"""Statistics against a schema."""
