"""Loading and running models: versions, signatures, batching, warm-up, verification."""
