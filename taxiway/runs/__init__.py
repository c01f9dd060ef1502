"""Runs on this machine: the session, its record and its progress output."""
