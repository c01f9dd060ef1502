"""Runs on this machine: the session, its cache, its record and its progress."""
