"""Runs a compiled pipeline: `graph` walks the tasks, `task` executes each one, a launcher starts its process."""
