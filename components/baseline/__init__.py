"""Fetches the latest pushed model."""
