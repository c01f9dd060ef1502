"""Sends examples from a file to a model server with TF Serving's API, and prints the predictions."""
