"""The latest pushed model."""
