"""The statistics of online experiments and canaries; see docs/experiments/statistics.md."""
