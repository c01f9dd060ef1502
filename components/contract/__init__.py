"""What every stage keeps to: artifacts, the executor's inputs and outputs, provenance, errors."""
