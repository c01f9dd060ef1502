"""What users write: one folder a pipeline."""
