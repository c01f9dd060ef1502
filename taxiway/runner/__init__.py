"""Runs a compiled pipeline: `graph` walks it, `task` caches and runs one task, a launcher starts its process."""
