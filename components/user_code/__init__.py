"""The user's own code: modules, metrics and custom operations."""
