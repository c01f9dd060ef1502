"""The statistics of experiments, compared with theory and with those of their peers."""
