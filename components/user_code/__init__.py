"""The user's own code: modules, metrics, custom operations."""
