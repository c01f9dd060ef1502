"""Bandits: weights that follow the rewards, and honest estimates afterwards."""
