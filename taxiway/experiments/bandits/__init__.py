"""Bandits: weights of the proxy that follow the rewards."""
