"""The way to the model store."""
