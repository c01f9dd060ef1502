"""When a difference between a window and the training data means something; see docs/monitoring/statistics.md."""
