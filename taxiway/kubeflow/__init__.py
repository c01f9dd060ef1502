"""Compiled pipelines on Kubeflow: submitted, followed, and their results fetched."""
