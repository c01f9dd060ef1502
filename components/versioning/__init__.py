"""Versions of data: DVC, Git, and files as they are."""
