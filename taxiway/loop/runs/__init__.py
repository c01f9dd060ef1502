"""Runs of cycles: on this machine, or on Kubeflow; and what they have made."""
