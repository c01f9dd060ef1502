"""Versions of data in DVC and Git, and unversioned files."""
