"""Converts raw files to Examples."""
