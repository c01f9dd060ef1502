"""The model card of a pushed version: what the model is for, from what it was made, how good it is, and its limits."""
