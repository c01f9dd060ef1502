"""Runs a compiled pipeline: `graph` walks it, `task` caches and carries out one task, a launcher starts its process."""
