"""Sends examples from a file to a model server of TF Serving's API, and prints what it answers."""
