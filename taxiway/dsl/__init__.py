"""What pipelines are written with."""
