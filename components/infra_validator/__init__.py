"""A candidate is served and asked before it may be pushed."""
