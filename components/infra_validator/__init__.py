"""Serves a candidate and sends it requests before it may be pushed."""
