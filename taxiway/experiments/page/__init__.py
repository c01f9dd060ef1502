"""The result of an experiment as one page."""
