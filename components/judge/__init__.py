"""Compares a trained model with the one in use on the same rows, and decides whether it is better."""
