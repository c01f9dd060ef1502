"""Models in memory: versions, signatures, batching, warm-up, verification."""
