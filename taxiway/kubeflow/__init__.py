"""Runs pipelines on Kubeflow: submits them, follows the runs, and fetches the results."""
