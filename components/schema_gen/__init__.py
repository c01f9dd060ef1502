"""Statistics become a schema."""
